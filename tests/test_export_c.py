"""The exported C compiles without a warning, computes the same, and no name breaks out of it."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from export_cases import OUTPUTS, estimators, expected_outputs, make_estimator, make_rows, wrap
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sklearn_swat._network import SparseMLP
from sklearn_swat.export import to_c

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
TOLERANCE = {"double": 1e-12, "float": 1e-5}
CTYPES = {"double": ctypes.c_double, "float": ctypes.c_float}


def compile_c(source, folder, *options):
    path = Path(folder) / "network.so"
    command = "gcc -std=c99 -pedantic -Wall -Wextra -Wshadow -Werror -shared -fPIC -x c -"
    command = [*command.split(), "-o", str(path), *options, "-lm"]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return ctypes.CDLL(str(path))


def run_c(function, X, k, dtype):
    """Call the function row by row, with sentinels behind what it may write."""
    real, rows = CTYPES[dtype], []
    for x in X:
        out = (real * (k + 1))(*[-7.0] * (k + 1))
        function((real * len(x))(*x), out)
        assert out[k] == -7
        rows.append(out[:k])
    return np.array(rows).reshape(len(X), k)


def assert_computes_the_same(function, estimator, X, dtype):
    X = X.astype(np.dtype(CTYPES[dtype]))
    expected = expected_outputs(estimator, X)
    tolerance = TOLERANCE[dtype]
    actual = run_c(function, X, expected.shape[1], dtype)
    # Terms of order 1 may cancel to a small output, which then has fewer digits.
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@needs_gcc
@pytest.mark.parametrize("dtype", ["double", "float"])
def test_networks_of_every_depth_and_task_compute_the_same_from_one_file(dtype, tmp_path):
    tasks = [(task, depth) for task in OUTPUTS for depth in range(5)]
    cases = {f"f{i}": make_estimator(*tasks[i], seed=i) for i in range(len(tasks))}
    source = "\n".join(to_c(estimator, name, dtype) for name, estimator in cases.items())
    library = compile_c(source, tmp_path, "-Wconversion")
    for name, estimator in cases.items():
        assert_computes_the_same(library[name], estimator, make_rows(estimator), dtype)


@needs_gcc
@given(estimator=estimators, dtype=st.sampled_from(["double", "float"]))
@settings(max_examples=25, deadline=None)
def test_random_networks_compute_the_same(estimator, dtype):
    with TemporaryDirectory() as folder:
        library = compile_c(to_c(estimator, dtype=dtype), folder)
        assert_computes_the_same(library.predict, estimator, make_rows(estimator), dtype)


@needs_gcc
@given(name=st.text(), label=st.text())
@example(name="*/ int broken = ;/*", label="/*/")
@example(name="\\", label="\u202e??/\n#error\n")
@example(name="\x00*\\\n/ #error", label="\ud800\r")
@settings(max_examples=15, deadline=None)
def test_no_name_breaks_out_of_its_comment(name, label):
    estimator = make_estimator("binary", 1, 1, names=["a", name], density=1.0, classes=["b", "c"])
    estimator.classes_ = np.array([label, "other"], dtype=object)
    with TemporaryDirectory() as folder:
        compile_c(to_c(estimator), folder)


@needs_gcc
@pytest.mark.parametrize("dtype", ["double", "float"])
@pytest.mark.parametrize(("task", "out"), [("binary", "logistic"), ("multi-class", "softmax")])
def test_extreme_outputs_stay_probabilities(task, out, dtype, tmp_path):
    k = OUTPUTS[task]
    estimator = wrap(SparseMLP((np.linspace(1, 2, k)[None],), (np.zeros(k),), (), out), task)
    library = compile_c(to_c(estimator, dtype=dtype), tmp_path)
    X = np.array([[-1e30], [-1e4], [-80.0], [0.0], [80.0], [1e4], [1e30]])
    assert_computes_the_same(library.predict, estimator, X, dtype)


@needs_gcc
@pytest.mark.parametrize("task", OUTPUTS)
def test_a_missing_value_is_not_made_a_number(task, tmp_path):
    estimator = make_estimator(task, 2, 3, density=1.0)
    k = expected_outputs(estimator, make_rows(estimator)).shape[1]
    X = np.full((1, estimator.n_features_in_), np.nan)
    assert np.isnan(run_c(compile_c(to_c(estimator), tmp_path).predict, X, k, "double")).all()


@needs_gcc
def test_numbers_of_any_size_are_read_back_exactly(tmp_path):
    values = [1e300, 1e-300, 5e-324, 1e16, 3.0, -0.1, 1e22, 123456789.123456789]
    k = len(values)
    estimator = wrap(SparseMLP(([values],), (values[::-1],), ()), "several targets")
    library = compile_c(to_c(estimator), tmp_path)
    X = np.array([[0.0], [1.0], [-3.0]])
    np.testing.assert_array_equal(run_c(library.predict, X, k, "double"), estimator.predict(X))


def test_the_comment_says_what_the_entries_are():
    estimator = make_estimator(
        "binary", 0, 1, names=["age", "bmi"], density=1.0, classes=["ill", "well"]
    )
    source = to_c(estimator, "risk")
    assert source.startswith("/* SWATClassifier from x[2] to out[2], ")
    for line in ("x[1]: bmi", "out[0]: probability of ill", "out[1]: probability of well"):
        assert f" * {line}\n" in source
    assert "void risk(const double *x, double *out)\n" in source
    assert max(map(len, source.splitlines())) < 100


@pytest.mark.parametrize("name", ["", "2x", "a b", "a;", "é", "a\n", "a-b", None, 3])
def test_what_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match=r"name=.* is no C identifier: use letters"):
        to_c(make_estimator("regression", 1), name)


@pytest.mark.parametrize("name", ["double", "main", "exp", "tanhf", "y0", "fabsl", "NAN"])
def test_a_name_that_c_has_is_refused(name):
    with pytest.raises(ValueError, match=rf"name='{name}' is taken in C"):
        to_c(make_estimator("regression", 1), name)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match=r"dtype='half' must be one of \('double', 'float'\)"):
        to_c(make_estimator("regression", 1), dtype="half")


def test_numbers_beyond_a_float_are_refused():
    estimator = wrap(SparseMLP((np.array([[1e39]]),), (np.zeros(1),), ()), "regression")
    with pytest.raises(ValueError, match=r"cannot hold 1e\+39.*dtype='double'"):
        to_c(estimator, dtype="float")

"""Bad input: an error that names the value, the limit and the way out, or the trivial model."""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_swat import (
    SWATClassifier,
    SWATRegressor,
    _beginnings,
    _parameters,
    _paths,
    _problem,
)
from sklearn_swat._checkpoint import CheckpointError
from sklearn_swat._network import SparseMLP
from sklearn_swat.compression import compress

QUICK = {"max_iter": 5, "n_restarts": 1, "depth": [1], "random_state": 0}


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


def with_entry(X, value):
    X = X.copy()
    X[3, 2] = value
    return X


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (with_entry(X, np.nan), y), "X contains NaN"),
        (lambda X, y: (with_entry(X, np.inf), y), "X contains infinity"),
        (lambda X, y: (X, with_entry(np.c_[y, y, y], np.nan)), "y contains NaN"),
        (lambda X, y: (np.full(X.shape, "a"), y), "could not convert string"),
        (lambda X, y: (X, np.full(len(y), "a")), "could not convert string"),
        (lambda X, y: (X[:0], y[:0]), "0 sample.* minimum of 2"),
        (lambda X, y: (X[:, :0], y), "0 feature.* minimum of 1"),
        (lambda X, y: (X[:1], y[:1]), "1 sample.* minimum of 2"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
    ],
)
def test_data_that_cannot_be_used_are_refused(diabetes, change, message):
    with pytest.raises(ValueError, match=message):
        SWATRegressor(**QUICK).fit(*change(*diabetes))


def cell(value, dtype=float):
    """Return four rows of three features with a value in row 2, column 1."""
    X = np.arange(12).reshape(4, 3).astype(dtype)
    X[2, 1] = value
    return X


def frame(value, **options):
    return pd.DataFrame(cell(value, object), columns=["age", "town", "height"], **options)


class Odd:
    def __repr__(self):
        return "odd"


# What scikit-learn says, the place and the value, the limit, the way out.
IN_X = [
    (cell(np.nan), "Input X contains NaN", "nan in row 2, column 1", "finite", "SimpleImputer"),
    (cell(-np.inf), "infinity", "-inf in row 2, column 1", "finite", "drop the row"),
    (cell(None, object), "NaN", "None in row 2, column 1", "finite", "SimpleImputer"),
    (cell("red", object), "could not convert", "'red' in row 2, column 1", "finite", "TargetEnc"),
    (cell(Odd(), object), "float()", "odd (of type Odd) in row 2, column 1", "finite", "drop"),
    (cell([1, 2], object), "sequence", "[1, 2] (of type list) in row 2", "finite", "a column per"),
    (cell(10**400, object), "too large", "in row 2, column 1", "up to 1.8e+308", "rescale"),
    (cell(2j, object), "", "2j in row 2, column 1", "finite", "imaginary parts as columns"),
    (cell(2j, complex), "Complex data not", "2j in row 2, column 1", "finite", "as columns"),
    (frame("Rome"), "could not convert", "'Rome' in row 2, column 'town'", "finite", "OneHot"),
    (frame(None), "NaN", "None in row 2, column 'town'", "finite", "SimpleImputer"),
    (frame(pd.NA), "", "<NA> (of type NAType) in row 2, column 'town'", "finite", "SimpleImputer"),
    (frame("Rome", index=list("wxyz")), "could not", "'y' in the index", "finite", "OneHot"),
    (pd.DataFrame({"u": pd.Categorical(list("abca"))}), "could not", "'a' in row 0", "", "OneHot"),
    (pl.DataFrame({"u": [1, 2, None, 3]}), "NaN", "nan in row 2, column 'u'", "finite", "Imputer"),
    (pl.DataFrame({"u": [1, 2, 3, 4], "v": list("abca")}), "", "row 0, column 'v'", "", "OneHot"),
    ([[1, 2], [1, 2], [1], [1, 2]], "sequence", "row 2 is of length 1", "length 2", "same length"),
    ([[1, 2], [1, 2], 3, [1, 2]], "sequence", "row 2 is a single value", "length 2", "same length"),
    (np.ones((4, 2, 2)), "dim 3", "shape (4, 2, 2)", "dim <= 2", "X.reshape(len(X), -1)"),
    (np.arange(4.0), "Reshape your data", "1D array", "2D", "array.reshape(-1, 1)"),
    (3.0, "Reshape your data", "X is 3.0", "table of finite numbers", "(n_samples, n_features)"),
    (None, "2D", "X is None", "table of finite numbers", "(n_samples, n_features)"),
    ("file.csv", "", "X is 'file.csv'", "table of finite numbers", "(n_samples, n_features)"),
    ({"a": 1}, "", "X is {'a': 1} (of type dict)", "table of finite numbers", "pass an array"),
    (csr_array(np.eye(4)), "Sparse data was passed for X", "", "dense", ".toarray()"),
    (pd.DataFrame({"u": pd.arrays.SparseArray([0, 0, 1, 0])}), "Sparse", "", "dense", "to_dense()"),
    (np.ones((1, 3)), "1 sample(s)", "", "minimum of 2", "at least 2 rows"),
    (np.ones((4, 0)), "0 feature(s)", "", "minimum of 1", "at least 1 column"),
]


@pytest.mark.parametrize(("X", "said", "value", "limit", "way_out"), IN_X)
def test_a_refusal_of_x_names_value_place_limit_and_way_out(X, said, value, limit, way_out):
    with pytest.raises((ValueError, TypeError)) as refusal:
        SWATRegressor(**QUICK).fit(X, np.arange(4))
    for part in (said, value, limit, way_out):
        assert part in str(refusal.value)


IN_Y = [
    (SWATRegressor, [0, 1, np.nan, 3], "NaN", "nan in row 2", "finite", "drop rows"),
    (SWATRegressor, [0, 1, None, 3], "NaN", "None in row 2", "finite", "drop rows"),
    (SWATRegressor, [0, 1, np.inf, 3], "infinity", "inf in row 2", "finite", "drop the row"),
    (SWATRegressor, [0, 1, 10**400, 3], "too large", "row 2", "up to 1.8e+308", "rescale"),
    (SWATRegressor, list("abca"), "could not convert", "'a' in row 0", "numbers", "SWATClassifier"),
    (SWATRegressor, pd.Series([1, "b", 2, 3], index=list("wxyz")), "could not convert",
     "'b' in row 1 (counted from 0; 'x' in the index)", "numbers", "SWATClassifier"),
    (SWATRegressor, pd.DataFrame({"u": range(4), "v": list("abcd")}), "could not convert",
     "'a' in row 0, column 'v'", "numbers", "SWATClassifier"),
    (SWATRegressor, np.arange(4) * 1j, "Complex data not supported", "1j in row 1", "", "parts"),
    (SWATRegressor, None, "requires y to be passed", "y is None", "a number per row", "n_samples"),
    (SWATRegressor, 3.0, "", "y is 3.0", "a number per row", "(n_samples,)"),
    (SWATRegressor, [1, 2, 3], "inconsistent", "X has 4 rows and y 3", "", "per row of X"),
    (SWATRegressor, [[1], [1], [1, 2], [1]], "", "row 2 is of length 2", "length 1", "same length"),
    (SWATClassifier, [[0], [0, 1], [1], [0]], "", "row 1 is of length 2", "length 1", "LabelBinar"),
    (SWATRegressor, np.ones((4, 1, 1)), "dim 3", "shape (4, 1, 1)", "dim <= 2", "(n_samples, k)"),
    (SWATRegressor, np.ones((4, 0)), "0 feature(s)", "shape (4, 0)", "minimum of 1", "at least 1"),
    (SWATRegressor, csr_array(np.eye(4)), "Sparse", "csr_array", "dense", "y.toarray()"),
    (SWATClassifier, csr_array(np.eye(4)), "Sparse", "csr_array", "dense", "y.toarray()"),
    (SWATClassifier, None, "requires y to be passed", "y is None", "a class per row", "n_samples"),
    (SWATClassifier, [0, 1, np.nan, 0], "NaN", "nan in row 2", "no class", "drop rows"),
    (SWATClassifier, [0, 1, np.inf, 0], "infinity", "inf in row 2", "no class", "drop rows"),
    (SWATClassifier, ["a", "b", None, "a"], "", "None in row 2", "no class", "drop rows"),
    (SWATClassifier, [0, 1, None, 0], "Unknown label type", "None in row 2", "no class", "drop"),
    (SWATClassifier, np.array([0, 1, "c", 0], dtype=object), "Unknown label type",
     "'c' in row 2", "of one type", "y.astype(str)"),
    (SWATClassifier, np.array(["c", 1, "c", 0], dtype=object), "", "1 in row 1", "of one type",
     "y.astype(str)"),
    (SWATClassifier, np.array([0, 1, 1, 0], dtype=object), "Unknown label type", "dtype object",
     "integers or text", "y.astype(int)"),
    (SWATClassifier, [0, 0.5, 1, 2], "Unknown label type", "0.5 in row 1", "integers or text",
     "SWATRegressor"),
    (SWATClassifier, np.arange(4) * 1j, "Complex data not", "1j in row 1", "integers", "such"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "y", "said", "value", "limit", "way_out"), IN_Y)
def test_a_refusal_of_y_names_value_place_limit_and_way_out(kind, y, said, value, limit, way_out):
    with pytest.raises((ValueError, TypeError)) as refusal:
        kind(**QUICK).fit(np.arange(12.0).reshape(4, 3), y)
    for part in (said, value, limit, way_out):
        assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("weight", "said", "value", "limit", "way_out"),
    [
        ([1, 1, -2, 1], "Negative values in data", "-2 in row 2", "below 0", "pass 0 for rows"),
        (-2.0, "Negative values in data", "-2.0 for every row", "0 or more", "or None"),
        ([1, 1, np.nan, 1], "NaN", "nan in row 2", "finite", "pass 0 for rows"),
        (pd.Series([1, np.nan], index=["u", "v"]).repeat(2), "NaN", "'v' in the index", "", "0"),
        (np.nan, "NaN", "nan for every row", "0 or more", "or None"),
        (np.inf, "infinity", "inf for every row", "0 or more", "or None"),
        ([1, 1, np.inf, 1], "infinity", "inf in row 2", "finite", "a finite weight"),
        ([1, 1, 10**400, 1], "too large", "in row 2", "up to 1.8e+308", "rescale"),
        ([0] * 4, "non-zero", "All 4 weights are 0", "some row has to count", "positive weight"),
        ([1, 2, 3], "(3,)", "shape (3,)", "(4,) is needed", "an array of 4 weights"),
        (np.ones((4, 1)), "1D array", "shape (4, 1)", "(4,) is needed", "an array of 4 weights"),
        (list("abcd"), "could not convert", "'a' in row 0", "finite", "pass a number per row"),
        ("balanced", "could not convert", "'balanced'", "4 weights", "or None"),
        ([1, 1j, 1, 1], "", "1j in row 1", "finite", "pass real weights"),
        ([1, Odd(), 1, 1], "", "odd (of type Odd) in row 1", "finite", "pass a number per row"),
        ([1, [1, 2], 1, 1], "sequence", "row 1 is of length 2", "row 0 is a", "same length"),
        (csr_array(np.ones((1, 4))), "Sparse data", "sample_weight", "dense", ".toarray()"),
    ],
)  # fmt: skip
def test_a_refusal_of_weights_names_value_place_limit_and_way_out(
    weight, said, value, limit, way_out
):
    with pytest.raises((ValueError, TypeError)) as refusal:
        SWATRegressor(**QUICK).fit(np.eye(4), np.arange(4), sample_weight=weight)
    for part in (said, value, limit, way_out):
        assert part in str(refusal.value)


@pytest.fixture(scope="module")
def fitted():
    X = pd.DataFrame(np.random.RandomState(0).standard_normal((30, 3)), columns=list("abc"))
    return SWATRegressor(**QUICK).fit(X, X["a"])


@pytest.mark.parametrize(
    ("X", "said", "value", "way_out"),
    [
        (lambda X: X.assign(b="u"), "could not", "'u' in row 0, column 'b'", "OneHotEncoder"),
        (lambda X: X.replace(X.iloc[3, 1], np.nan), "NaN", "row 3, column 'b'", "SimpleImputer"),
        (lambda X: X[list("bac")], "names should match", "in that order", "feature_names_in_"),
        (lambda X: X[["a", "c"]], "names should match", "Column 'b'", "fit again without it"),
        (lambda X: X[:0], "0 sample(s)", "minimum of 1", "Pass at least 1 row"),
    ],
)
def test_a_refusal_of_new_rows_names_what_fit_saw(fitted, X, said, value, way_out):
    rows = pd.DataFrame(np.random.RandomState(1).standard_normal((5, 3)), columns=list("abc"))
    with pytest.raises((ValueError, TypeError)) as refusal:
        fitted.predict(X(rows))
    for part in (said, value, way_out):
        assert part in str(refusal.value)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_columns_without_a_name_have_that_of_the_fit(fitted):
    with pytest.raises(ValueError, match="nan in row 2, column 'b'"):
        fitted.predict(cell(np.nan))
    with pytest.raises(ValueError, match=r"expecting 3 features as input.\nPass the 3 columns"):
        fitted.predict(np.eye(4))


def test_the_first_of_several_bad_cells_is_named():
    X = np.arange(12.0).reshape(4, 3).astype(object)
    X[1, 2], X[2, 0], X[3, 1] = "late", "later", np.nan
    with pytest.raises(ValueError, match="'late' in row 1, column 2"):
        SWATRegressor(**QUICK).fit(X, np.arange(4))
    X[1, 2], X[2, 0] = 1, 1
    with pytest.raises(ValueError, match="nan in row 3, column 1"):
        SWATRegressor(**QUICK).fit(X, np.arange(4))


def test_compress_refuses_rows_as_fit_does(fitted):
    rows = pd.DataFrame(np.random.RandomState(1).standard_normal((20, 3)), columns=list("abc"))
    with pytest.raises(ValueError, match=r"nan in row 4, column 'c'.*SimpleImputer"):
        compress(fitted, rows.replace(rows.iloc[4, 2], np.nan))


def test_the_first_targets_and_the_classes_of_a_stream_are_refused_with_a_way_out():
    X, model = np.eye(4), SWATClassifier(**QUICK)
    with pytest.raises(ValueError, match=r"y is None: pass a class per row"):
        model.partial_fit(X, None, classes=[0, 1])
    with pytest.raises((ValueError, TypeError), match=r"classes=.*pass a list of integers"):
        model.partial_fit(X, [0, 1, 0, 1], classes=[[0, 1], [1]])


def test_data_that_cannot_be_looked_at_are_refused_all_the_same():
    class Hidden:
        def __array__(self, *arguments, **options):
            raise TypeError("no array is to be had")

    with pytest.raises(TypeError, match="no array is to be had"):
        SWATRegressor(**QUICK).fit(Hidden(), np.arange(4))


def test_one_class_is_not_a_classification():
    X, _ = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"one class only .'setosa'.*at least 2"):
        SWATClassifier(**QUICK).fit(X, ["setosa"] * len(X))


@pytest.mark.parametrize(
    ("estimator", "parameters", "message"),
    [
        (SWATRegressor, {"depth": 0}, r"range \[1, 4\].*Got 0"),
        (SWATRegressor, {"depth": 7}, r"range \[1, 4\].*Got 7"),
        (SWATRegressor, {"depth": [1, 7]}, "must be an integer in 1..4"),
        (SWATRegressor, {"depth": {1, 2}}, "Got {1, 2}|an integer in 1..4; pass"),
        (SWATRegressor, {"depth": [None]}, "an integer in 1..4; pass"),
        (SWATRegressor, {"depth": [1.7]}, "an integer in 1..4; pass"),
        (SWATRegressor, {"depth": True}, "an integer in 1..4; pass"),
        (SWATRegressor, {"alpha": 1e300}, r"range \[0.0, 1000000.0\].*Got 1e\+300"),
        (SWATRegressor, {"learning_rate": 1e39}, r"range \(0.0, 100.0\].*Got 1e\+39"),
        (SWATRegressor, {"device": "meta"}, "meta.*holds no numbers.*pass 'auto', 'cpu'"),
        (SWATRegressor, {"checkpoint": "a\0b"}, "cannot be read: .*null byte.*None for"),
        (SWATRegressor, {"checkpoint": "."}, "is a folder.*None for the bundled"),
        (SWATRegressor, {"n_restarts": 10**12}, "GB; pass n_restarts=1"),
        (SWATRegressor, {"alpha": -1}, r"range \[0.0, 1000000.0\].*Got -1"),
        (SWATRegressor, {"alpha": np.nan}, "Got nan"),
        (SWATRegressor, {"activations": ["relu"]}, "relu.*choose one or more of .'sigmoid'"),
        (SWATRegressor, {"activations": []}, "names none"),
        (SWATRegressor, {"validation_fraction": 1.0}, "Got 1.0"),
        (SWATRegressor, {"n_jobs": 0}, r"None.*\(-inf, -1\].*\[1, inf\).*Got 0"),
        (SWATRegressor, {"device": "nonsense"}, "nonsense.*pass 'auto', 'cpu'"),
        (SWATClassifier, {"class_weight": {0: -1, 1: 1, 2: 1}}, "from -1 to 1; pass positive"),
        (SWATClassifier, {"class_weight": {0: 0, 1: 0, 2: 0}}, "from 0 to 0; pass positive"),
        (SWATClassifier, {"class_weight": {0: np.nan}}, "from nan to nan; pass positive"),
        (SWATClassifier, {"class_weight": {0: "a"}}, "(?s)convert.*{0: 'a'}: pass positive"),
        (SWATClassifier, {"class_weight": {7: 2}}, r"(?s)not in class_weight.*{7: 2}: pass pos"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_value_and_limit(estimator, parameters, message):
    with pytest.raises(ValueError, match=message):
        estimator(**{**QUICK, **parameters}).fit(*load_iris(return_X_y=True))


def test_labels_are_0_or_1():
    X, Y = np.eye(6), np.tile([[0, 1], [1, 0]], (3, 1))
    with pytest.raises(ValueError, match=r"-1 in row 0, column 0 .*pass 1 where a label applies"):
        SWATClassifier(**QUICK).fit(X, 2 * Y - 1)
    model = SWATClassifier(**QUICK).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"-5 in row 1, column 1 .*pass 1 where"):
        model.partial_fit(X[:2], np.array([[0, 1], [1, -5]]))


def test_a_start_of_other_classes_is_refused():
    X, y = load_iris(return_X_y=True)
    base = SWATClassifier(**QUICK).fit(X, np.array(["c", "b", "a"])[y])
    with pytest.raises(
        ValueError, match=r"the classes \['a', 'b', 'c'\], but y has the classes \[0, 1, 2\]; "
    ):
        SWATClassifier(start=FrozenEstimator(base), **QUICK).fit(X, y)
    SWATClassifier(start=base.network_, **QUICK).fit(X, y)


def test_a_width_beyond_the_memory_is_refused_at_once(diabetes, monkeypatch):
    monkeypatch.setattr(_parameters, "_memory_bytes", lambda: 8 * 10**9)
    wide = {**QUICK, "depth": [3], "max_width": 10_000}
    with pytest.raises(ValueError, match=r"10,000 neurons.* 12 GB .*are 8 GB; .* below 8,164"):
        SWATRegressor(**wide).fit(*diabetes)
    _parameters.check_width(8_100, (3,), 1)


def test_no_width_is_refused_where_the_memory_is_not_told(monkeypatch):
    def not_told(name):
        raise ValueError(f"unrecognized configuration name {name!r}")

    monkeypatch.setattr("os.sysconf", not_told)
    _parameters.check_width(10**6, (1, 2, 3, 4), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "damaged"), (b"no tensors at all" * 99, "damaged")],
)
def test_a_missing_or_damaged_checkpoint_says_what_to_pass(diabetes, tmp_path, content, message):
    path = tmp_path / "autoencoder.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{message}.*None for the bundled checkpoint"):
        SWATRegressor(checkpoint=path, **QUICK).fit(*diabetes)


def test_a_constant_target_gives_a_network_with_one_bias(diabetes):
    model = SWATRegressor(**QUICK).fit(diabetes[0], np.full(len(diabetes[1]), 3.0))
    assert model.nnz_ == 1
    np.testing.assert_array_equal(model.predict(diabetes[0][:2]), [3.0, 3.0])


def test_constant_features_get_no_weight_and_nothing_but_them_gives_the_mean(diabetes):
    X, y = diabetes
    X = X.copy()
    X[:, 0] = 7.0
    model = SWATRegressor(**QUICK).fit(X, y)
    assert not model.coefs_[0][0].any()
    assert model.score(X, y) > 0.4
    flat = SWATRegressor(**QUICK).fit(np.ones((20, 2)), np.arange(20.0))
    assert flat.nnz_ == 1
    np.testing.assert_allclose(flat.predict([[5.0, 6.0]]), 9.5)


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e300])
def test_the_scale_of_a_feature_does_not_matter(diabetes, scale):
    X, y = diabetes
    scales = np.ones(X.shape[1])
    scales[2] = scale
    model = SWATRegressor(**QUICK).fit(X * scales, y)
    np.testing.assert_allclose(
        model.score(X * scales, y), SWATRegressor(**QUICK).fit(X, y).score(X, y), rtol=1e-6
    )


def interrupt(monkeypatch, module, name, at):
    """Make the call number `at` of a module's function end as Ctrl-C does."""
    function, n_calls = getattr(module, name), 0

    def interrupted(*arguments, **options):
        nonlocal n_calls
        n_calls += 1
        if n_calls == at:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, interrupted)


@pytest.mark.parametrize(
    ("module", "name", "at"),
    [
        (_beginnings, "pruning_rounds", 1),
        (_beginnings, "pruning_rounds", 2),
        (_paths, "pruning_rounds", 2),
        (_problem, "refine", 2),
    ],
)
def test_a_fit_interrupted_behind_the_descent_keeps_what_it_has(
    diabetes, monkeypatch, module, name, at
):
    interrupt(monkeypatch, module, name, at)
    model = SWATRegressor(**{**QUICK, "n_restarts": 2})
    with pytest.warns(ConvergenceWarning, match="interrupted.*is kept: fit again"):
        model.fit(*diabetes)
    assert model.score(*diabetes) > 0.3
    assert model.network_ in [point.network for point in model.path_]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([2, 3, 1], "start has 2 features and 1 outputs, but the data have 3 and 1"),
        ([3, 3, 2], "start has 3 features and 2 outputs, but the data have 3 and 1"),
        ([3, 2, 2, 2, 2, 2, 1], "start has 5 hidden layers, at most 4 are possible"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(sizes, message):
    shapes = list(pairwise(sizes))
    start = SparseMLP(
        tuple(np.ones(shape) for shape in shapes),
        tuple(np.ones(shape[1]) for shape in shapes),
        tuple(("tanh",) * shape[1] for shape in shapes[:-1]),
    )
    X = np.random.RandomState(0).standard_normal((30, 3))
    with pytest.raises(ValueError, match=message):
        SWATRegressor(start=start, max_width=4, **QUICK).fit(X, X[:, 0])


def test_a_classifier_can_be_where_a_regression_starts(diabetes):
    X, y = diabetes
    classifier = SWATClassifier(**QUICK).fit(X, y > np.median(y))
    dense = MLPClassifier((4,), max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        dense.fit(X, y > np.median(y))
    for start in (classifier.network_, dense):
        model = SWATRegressor(**{**QUICK, "start": start}).fit(X, y)
        assert {point.network.out_activation for point in model.path_} == {"identity"}
        assert model.score(X, y) > 0.4


def test_a_pipeline_is_no_start(diabetes):
    pipeline = make_pipeline(StandardScaler(), MLPRegressor())
    with pytest.raises(TypeError, match=r"Pipeline, whose MLP knows other features.*pass an MLP"):
        SWATRegressor(**{**QUICK, "start": pipeline}).fit(*diabetes)

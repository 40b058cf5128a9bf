"""The expressions compute the same, and their symbols can be written, read and told apart."""

import numpy as np
import pytest
import sympy
from export_cases import OUTPUTS, estimators, expected_outputs, make_estimator, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_swat import SWATRegressor
from sklearn_swat.export import to_sympy
from sklearn_swat.export._sympy import _symbol_names


def assert_computes_the_same(estimator, symbols, expressions):
    X = make_rows(estimator, 5)
    function = sympy.lambdify(symbols, expressions, "numpy", cse=True)
    actual = np.array([function(*x) for x in X], dtype=float)
    np.testing.assert_allclose(actual, expected_outputs(estimator, X), rtol=1e-12, atol=1e-12)


@given(estimator=estimators)
@settings(max_examples=25, deadline=None)
def test_expressions_compute_the_same(estimator):
    symbols = sympy.symbols(f"a:{estimator.n_features_in_}", real=True)
    assert_computes_the_same(estimator, symbols, to_sympy(estimator, symbols))


@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("depth", [0, 2])
def test_expressions_of_names_compute_the_same(task, depth):
    names = ["E", "blood pressure", "age"]
    estimator = make_estimator(task, depth, 5, density=1.0, names=names)
    symbols = sympy.symbols("E_ blood_pressure age")
    assert_computes_the_same(estimator, symbols, to_sympy(estimator))


@pytest.mark.parametrize("task", OUTPUTS)
def test_there_is_an_expression_for_every_output(task):
    estimator = make_estimator(task, 1, 2, density=1.0)
    k = expected_outputs(estimator, make_rows(estimator)).shape[1]
    assert len(to_sympy(estimator)) == k


def test_a_feature_is_its_symbol():
    estimator = make_estimator("regression", 0, 2, density=1.0, names=["bmi", "age"])
    (y,) = to_sympy(estimator)
    weights, bias = estimator.network_.weights[0][:, 0], estimator.network_.biases[0][0]
    assert y.diff("bmi") == weights[0]
    assert float(y.subs({"bmi": 2.0, sympy.Symbol("age"): 0.0})) == 2 * weights[0] + bias


@given(names=st.lists(st.text() | st.sampled_from(["E", "lambda", "gamma", "a_2", "a", "1"])))
@settings(max_examples=50, deadline=None)
def test_symbols_are_distinct_and_read_back(names):
    symbols = _symbol_names(names, sympy)
    assert len(set(symbols)) == len(names)
    for symbol in symbols:
        assert sympy.sympify(symbol) == sympy.Symbol(symbol)


def test_symbols_stay_close_to_the_names():
    names = ["bmi", "blood pressure", "2nd", "E", "if", "a", "a", "a_2", "", "ﬁ", "fi"]
    assert _symbol_names(names, sympy) == [
        "bmi", "blood_pressure", "x2nd", "E_", "if_", "a", "a_2", "a_2_2", "x", "fi", "fi_2",
    ]  # fmt: skip


def test_a_wrong_number_of_symbols_is_refused():
    with pytest.raises(ValueError, match="symbols has 1 entries, but 2 are needed"):
        to_sympy(make_estimator("regression", 1, names=["a", "b"]), sympy.symbols(["a"]))


def test_symbols_may_be_given_by_their_names():
    X = np.random.RandomState(0).standard_normal((30, 2))
    model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, X[:, 0])
    (expression,) = to_sympy(model, symbols=["a", "b"])
    assert expression.free_symbols == {sympy.Symbol("a")}


def test_symbols_are_one_for_each_feature():
    X = np.random.RandomState(0).standard_normal((30, 2))
    model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="names features alike"):
        to_sympy(model, symbols=["a", "a"])
    with pytest.raises(TypeError, match="is one text: pass a sequence"):
        to_sympy(model, symbols="ab")

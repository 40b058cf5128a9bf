"""The text is the network: read back as formulas, its rounded numbers predict nearly the same."""

import re

import numpy as np
import pytest
from export_cases import estimators, expected_outputs, make_estimator, make_rows, wrap
from hypothesis import given, settings
from scipy.special import expit, softmax

from sklearn_swat._network import SparseMLP
from sklearn_swat.export import export_text

FUNCTIONS = {
    "sigmoid": expit,
    "logistic": expit,
    "tanh": np.tanh,
    "leaky_relu": lambda z: np.maximum(z, 0.01 * z),
}


def read_back(text, X, is_classifier):
    """Compute what an exported text says."""
    values = FUNCTIONS | {f"x{j}": column for j, column in enumerate(X.T)}
    outputs = []
    for line in text.splitlines():
        target, formula = line.replace(".", "_", line.startswith("h")).split(" = ", 1)
        formula = re.sub(r"(h\d)\.", r"\1_", formula)
        if formula == "softmax of z":
            return softmax(np.column_stack(outputs), axis=1)
        formula = re.sub(r"(\d) ([hx])", r"\1 * \2", formula)
        values[target] = eval(formula, {}, values) + np.zeros(len(X))
        if not target.startswith("h"):
            outputs.append(values[target])
    if is_classifier and len(outputs) == 1:
        outputs = [1 - outputs[0], *outputs]
    return np.column_stack(outputs)


def far_away(estimator, offset):
    """Return the estimator of which all features are moved by `offset`, and rows for it."""
    network = estimator.network_
    biases = (network.biases[0] - offset * network.weights[0].sum(axis=0), *network.biases[1:])
    moved = SparseMLP(network.weights, biases, network.activations, network.out_activation)
    estimator.network_ = moved
    return estimator, make_rows(estimator) + offset


@given(estimator=estimators)
@settings(max_examples=60, deadline=None)
def test_rounded_numbers_predict_nearly_the_same(estimator):
    X = make_rows(estimator)
    actual = read_back(export_text(estimator), X, hasattr(estimator, "classes_"))
    np.testing.assert_allclose(actual, expected_outputs(estimator, X), rtol=0.01, atol=0.02)


@given(estimator=estimators)
@settings(max_examples=60, deadline=None)
def test_a_large_offset_is_not_rounded_away(estimator):
    estimator, X = far_away(estimator, 1e6)
    actual = read_back(export_text(estimator), X, hasattr(estimator, "classes_"))
    np.testing.assert_allclose(actual, expected_outputs(estimator, X), rtol=0.01, atol=0.02)


def test_digits_are_spent_where_they_are_needed():
    network = SparseMLP(
        (np.array([[0.123456789], [0.0]]), np.array([[2.3456789]])),
        (np.array([-246.8123456]), np.array([1234567.8])),
        [["tanh"]],
    )
    assert export_text(wrap(network, "regression")).splitlines() == [
        "h1.0 = tanh(0.1234568 x0 - 246.8123)",
        "y = 2.3456789 h1.0 + 1234567.8",
    ]
    assert export_text(wrap(network, "regression"), decimals=1).splitlines() == [
        "h1.0 = tanh(0.1235 x0 - 246.8)",
        "y = 2.345679 h1.0 + 1234568",
    ]


def test_names_come_from_the_data_and_the_classes():
    estimator = make_estimator(
        "multi-class", 0, 1, density=1.0, names=["a b", "c"], classes=["p", "q", "r", "s"]
    )
    text = export_text(estimator)
    assert text.startswith("z(p) = ")
    assert text.endswith("p(p, q, r, s) = softmax of z")
    assert " a b " in text
    assert " a b " not in export_text(estimator, feature_names=["d", "e"])
    binary = make_estimator("binary", 0, 1, density=1.0, classes=["ill", "well"])
    assert export_text(binary).startswith("p(well) = logistic(")


def test_a_line_break_in_a_name_breaks_no_line():
    estimator = make_estimator("regression", 0, 1, density=1.0, names=["a\nb\u2028", "c"])
    assert r"a\nb\u2028" in export_text(estimator)


@pytest.mark.parametrize("decimals", [0, -2])
def test_decimals_below_one_are_refused(decimals):
    with pytest.raises(ValueError, match=f"decimals={decimals} must be at least 1"):
        export_text(make_estimator("regression", 1), decimals=decimals)


def test_decimals_are_a_whole_number():
    with pytest.raises(TypeError, match=r"decimals=2\.5 must be an integer of at least 1"):
        export_text(make_estimator("regression", 1), decimals=2.5)


def test_a_wrong_number_of_names_is_refused():
    estimator = make_estimator("regression", 1, names=["a", "b"])
    with pytest.raises(ValueError, match="feature_names has 1 names, but the network has 2"):
        export_text(estimator, feature_names=["a"])

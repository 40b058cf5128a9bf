"""The scikit-learn MLP predicts the same, and works on as one that was fitted."""

import pickle

import numpy as np
import pandas as pd
import pytest
from export_cases import OUTPUTS, expected_outputs, make_estimator, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_classifier

from sklearn_swat._network import SparseMLP
from sklearn_swat.export import to_sklearn

COMPUTED_BY = {
    ("identity",): "identity",
    ("sigmoid",): "logistic",
    ("tanh",): "tanh",
    ("sigmoid", "tanh"): "tanh",
    ("leaky_relu",): "relu",
    ("identity", "leaky_relu"): "relu",
}
CLASSES = {"binary": ["b", "c"], "multi-class": ["p", "q", "r", "s"]}


@given(
    task=st.sampled_from(sorted(OUTPUTS)),
    depth=st.integers(0, 4),
    seed=st.integers(0, 10_000),
    activations=st.sampled_from(sorted(COMPUTED_BY)),
)
@settings(max_examples=60, deadline=None)
def test_the_mlp_predicts_the_same(task, depth, seed, activations):
    estimator = make_estimator(
        task, depth, seed, activations=activations, classes=CLASSES.get(task)
    )
    mlp, X = to_sklearn(estimator), make_rows(estimator)
    actual = mlp.predict_proba(X) if is_classifier(mlp) else mlp.predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(actual, expected_outputs(estimator, X), rtol=1e-12, atol=1e-12)
    if is_classifier(mlp):
        np.testing.assert_array_equal(mlp.predict(X), estimator.predict(X))
    elif task == "regression":
        assert mlp.predict(X).shape == estimator.predict(X).shape


@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("depth", [0, 2])
def test_the_mlp_is_a_whole_one(task, depth):
    estimator = make_estimator(
        task,
        depth,
        4,
        density=1.0,
        activations=["tanh"],
        names=["a", "b"],
        classes=CLASSES.get(task),
    )
    mlp, X = to_sklearn(estimator), pd.DataFrame(make_rows(estimator), columns=["a", "b"])
    assert tuple(mlp.hidden_layer_sizes) == estimator.hidden_layer_sizes_
    assert mlp.out_activation_ == estimator.out_activation_
    np.testing.assert_array_equal(mlp.predict(X), pickle.loads(pickle.dumps(mlp)).predict(X))
    before, target = mlp.coefs_[0].copy(), mlp.predict(X)
    mlp.partial_fit(X, target)
    assert 0 < np.abs(mlp.coefs_[0] - before).max() < 0.01
    clone(mlp).set_params(max_iter=500, tol=1e9).fit(X, target)


def test_the_mlp_is_read_back_as_the_network():
    estimator = make_estimator("several targets", 2, 4, density=1.0, activations=["sigmoid"])
    again, network = SparseMLP.from_sklearn(to_sklearn(estimator)), estimator.network_
    for one, other in zip(
        (*again.weights, *again.biases), (*network.weights, *network.biases), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("activations", COMPUTED_BY)
def test_one_activation_computes_those_of_the_network(activations):
    estimator = make_estimator("regression", 2, 1, density=1.0, activations=activations)
    sizes = np.array(estimator.hidden_layer_sizes_)
    assert {n for layer in estimator.activations_ for n in layer} == set(activations)
    mlp = to_sklearn(estimator)
    assert mlp.activation == COMPUTED_BY[activations]
    assert tuple(mlp.hidden_layer_sizes) == tuple(sizes * (1 + (mlp.activation == "relu")))


@pytest.mark.parametrize("activations", [["leaky_relu", "tanh"], ["identity", "sigmoid"]])
def test_activations_that_no_other_computes_are_named(activations):
    estimator = make_estimator("binary", 2, 7, density=1.0, activations=activations)
    with pytest.raises(ValueError, match=rf"{activations[0]}.*fit with activations=.*to_onnx"):
        to_sklearn(estimator)

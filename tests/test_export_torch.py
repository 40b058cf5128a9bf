"""The torch module computes the same, and training moves what is not zero and nothing else."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from export_cases import estimators, expected_outputs, make_estimator, make_rows
from hypothesis import given, settings
from sklearn.base import is_classifier
from torch.nn import functional as F

from sklearn_swat import SWATRegressor
from sklearn_swat.export import to_torch


@given(estimator=estimators)
@settings(max_examples=50, deadline=None)
def test_the_module_computes_the_same_in_the_same_shape(estimator):
    module, X = to_torch(estimator), make_rows(estimator)
    expected = estimator.predict_proba(X) if is_classifier(estimator) else estimator.predict(X)
    with torch.no_grad():
        actual = module(torch.tensor(X)).numpy()
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
    assert sum(values.numel() for values in module.parameters()) == estimator.nnz_


@given(estimator=estimators)
@settings(max_examples=25, deadline=None)
def test_single_precision_is_close(estimator):
    X = make_rows(estimator).astype(np.float32)
    with torch.no_grad():
        actual = to_torch(estimator, torch.float32)(torch.tensor(X))
    assert actual.dtype == torch.float32
    expected = expected_outputs(estimator, X)
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("task", ["binary", "multi-class", "multi-label"])
@pytest.mark.parametrize("depth", [0, 2])
def test_the_decision_function_is_that_of_the_estimator(task, depth):
    estimator = make_estimator(task, depth, 3, density=1.0)
    X = make_rows(estimator)
    actual = to_torch(estimator).decision_function(torch.tensor(X)).detach().numpy()
    expected = estimator.decision_function(X)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def loss_of(module, task, X, y):
    raw = module.decision_function(X)
    if task == "multi-class":
        return F.cross_entropy(raw, y)
    if task in ("binary", "multi-label"):
        return F.binary_cross_entropy_with_logits(raw, y.double())
    return F.mse_loss(module(X), y.double())


@given(estimator=estimators)
@settings(max_examples=25, deadline=None)
def test_training_moves_what_is_not_zero_and_nothing_else(estimator):
    rng, task = np.random.default_rng(0), task_of(estimator)
    X, k = make_rows(estimator), estimator.n_outputs_
    y = {
        "regression": rng.normal(size=20),
        "several targets": rng.normal(size=(20, k)),
        "binary": rng.integers(0, 2, 20),
        "multi-class": rng.integers(0, k, 20),
        "multi-label": rng.integers(0, 2, (20, k)),
    }[task]
    X, y, module = torch.tensor(X), torch.tensor(y), to_torch(estimator)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3, weight_decay=0.1)
    before = [layer.matrix().detach().numpy() for layer in module.layers]
    for _ in range(3):
        optimiser.zero_grad()
        loss_of(module, task, X, y).backward()
        optimiser.step()
    for layer, old in zip(module.layers, before, strict=True):
        np.testing.assert_array_equal(layer.matrix().detach().numpy() != old, old != 0)


def task_of(estimator):
    if not is_classifier(estimator):
        return "regression" if estimator.n_outputs_ == 1 else "several targets"
    if estimator.out_activation_ == "softmax":
        return "multi-class"
    return "binary" if estimator.n_outputs_ == 1 else "multi-label"


def test_copies_pickles_and_states_compute_the_same():
    estimator = make_estimator("multi-class", 2, 3, density=0.7)
    module, X = to_torch(estimator), torch.tensor(make_rows(estimator))
    expected, file = module(X), io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = to_torch(estimator)
    with torch.no_grad():
        other.layers[0].values.zero_()
    other.load_state_dict(torch.load(file, weights_only=True))
    for same in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), other):
        assert torch.equal(same(X), expected)


def test_rows_may_be_none_and_gradients_reach_the_input():
    estimator = make_estimator("several targets", 2, 3, density=1.0)
    module = to_torch(estimator)
    assert module(torch.zeros(0, estimator.n_features_in_).double()).shape == (0, 3)
    X = torch.tensor(make_rows(estimator), requires_grad=True)
    assert torch.autograd.gradcheck(module, X)


def test_an_integer_type_is_refused():
    with pytest.raises(TypeError, match="floating point"):
        to_torch(make_estimator("regression", 1), torch.int64)


@pytest.mark.parametrize("dtype", ["float32", "double", np.float32])
def test_a_dtype_is_one_of_torch(dtype):
    X = np.random.RandomState(0).standard_normal((30, 2))
    model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, X[:, 0])
    with pytest.raises(TypeError, match=r"is no torch.dtype: pass torch.float32"):
        to_torch(model, dtype=dtype)

"""Canonical rows, scaling and the validation split."""

import numpy as np
import pytest

from sklearn_swat._canonical import canonical_rows, counting_rows
from sklearn_swat._network import SparseMLP
from sklearn_swat._preprocessing import Scaling, moments, split_rows


@pytest.fixture
def rows():
    random_state = np.random.RandomState(0)
    return random_state.standard_normal((50, 3)), random_state.standard_normal((50, 2))


def test_repeated_rows_equal_weighted_rows_in_any_order(rows):
    X, y = rows
    weight = np.arange(50) % 3.0
    index = np.random.RandomState(1).permutation(np.repeat(np.arange(50), weight.astype(int)))
    weighted = canonical_rows(*counting_rows(X, y, weight))
    repeated = canonical_rows(X[index], y[index], np.ones(len(index)))
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("scale", [1e-290, 1.0, 1e300])
def test_moments_of_any_scale_are_finite(rows, scale):
    mean, deviation = moments(rows[0] * scale, np.ones(50))
    np.testing.assert_allclose(mean, rows[0].mean(0) * scale, rtol=1e-9)
    np.testing.assert_allclose(deviation, rows[0].std(0) * scale, rtol=1e-9)


def test_a_folded_network_predicts_from_raw_rows_and_unfolds_again(rows):
    X, y = rows
    X = np.column_stack([X * [1e3, 1.0, 1e-3] + 7, np.full(50, 4.0)])
    y = y * 100 - 3
    scaling = Scaling.of(X, y, np.ones(50), is_regression=True)
    assert scaling.features.tolist() == [0, 1, 2]
    random_state = np.random.RandomState(2)
    weights = (random_state.standard_normal((3, 4)), random_state.standard_normal((4, 2)))
    network = SparseMLP(weights, (np.ones(4), np.zeros(2)), (("tanh",) * 4,))
    expected = network.predict(scaling.scale_inputs(X)) * scaling.y_deviation + scaling.y_mean
    folded = scaling.fold(network)
    np.testing.assert_allclose(folded.predict(X), expected, rtol=1e-9)
    for one, other in zip(scaling.unfold(folded).weights, network.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_every_class_stays_in_training_and_validation_has_its_share():
    target = np.eye(4)[np.sort(np.r_[np.zeros(60, int), np.ones(30, int), [2] * 9, 3])]
    train, validation = split_rows(target, 0.2, np.random.RandomState(0), is_regression=False)
    assert set(train) | set(validation) == set(range(100))
    assert not set(train) & set(validation)
    assert (target[train].sum(0) > 0).all()
    np.testing.assert_allclose(target[validation].sum(0)[:2], [12, 6], atol=1)


def test_two_rows_are_both_training_and_validation():
    train, validation = split_rows(np.eye(2), 0.2, np.random.RandomState(0), is_regression=True)
    assert train.tolist() == validation.tolist() == [0, 1]

"""A left-out row against networks that were fitted without it, and what is made of it."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_swat import SWATRegressor
from sklearn_swat._leave_one_out import (
    LARGEST_MATRIX,
    MOST_TARGETS,
    can_leave_out,
    expected_loss,
    leave_one_out,
    leave_one_out_of_constant,
)
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._penalised_loss import Objective
from sklearn_swat._pruning import _inverted, pruning_rounds
from sklearn_swat._refinement import minimise
from sklearn_swat._rows import Rows

SQUARED = LOSSES["squared_error"]
L2 = 0.02


def random_rows(n, seed=0, d=3, k=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    raw = X @ rng.normal(size=(d, k)) + rng.normal(size=(n, k))
    return Rows(X, (raw - raw.mean(axis=0)) / raw.std(axis=0), rng.random(n) + 0.5)


def network_of(n_hidden, d=3, k=2):
    rng = np.random.default_rng(5)
    if not n_hidden:
        return SparseMLP((rng.normal(size=(d, k)),), (np.zeros(k),), ())
    weights = rng.normal(size=(d, n_hidden)), rng.normal(size=(n_hidden, k))
    biases = rng.normal(size=n_hidden), np.zeros(k)
    return SparseMLP(weights, biases, (("tanh",) * n_hidden,))


def optimum(network, rows, l2):
    objective = Objective(network, rows, SQUARED, l2)
    return objective, minimise(objective, 1000, None, tolerance=1e-13)


def fitted_without(i, network, rows):
    """Outputs on a row of the network that was fitted to the other ones alone."""
    share = rows.weight / rows.weight.sum()
    others = np.arange(len(share)) != i
    rest = Rows(rows.X[others], rows.target[others], rows.weight[others])
    # The loss of the rest is a mean, and the penalty counts as much beside their sum as before.
    objective, x = optimum(network, rest, L2 / share[others].sum())
    return objective.to_network(x).decision_function(rows.X[i : i + 1])[0]


@pytest.mark.parametrize(("n_hidden", "tolerance"), [(0, 1e-6), (2, 0.25)])
def test_a_left_out_row_is_as_without_it(n_hidden, tolerance):
    """One Newton step is all that a linear network needs."""
    rows = random_rows(40)
    objective, x = optimum(network_of(n_hidden), rows, L2)
    curvature = objective.curvature_at(x)
    found = leave_one_out(objective, curvature, _inverted(curvature.matrix))
    np.testing.assert_allclose(leave_one_out(objective, curvature), found, rtol=1e-5)
    network = objective.to_network(x)
    expected = np.array([fitted_without(i, network, rows) for i in range(40)])
    seen = network.decision_function(rows.X)
    assert np.abs(expected - seen).max() > 0.05
    assert np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected - seen)


def test_of_a_row_of_several_draws_one_is_left_out():
    """As of repeated rows, each of which is left out alone."""
    rows = random_rows(15)
    draws = np.arange(15) % 3 + 1.0
    merged = Rows(rows.X, rows.target, rows.weight * draws, draws)
    index = np.repeat(np.arange(15), draws.astype(int))
    repeated = Rows(rows.X[index], rows.target[index], rows.weight[index])
    found = []
    for each in (merged, repeated):
        objective, x = optimum(network_of(0), each, L2)
        curvature = objective.curvature_at(x)
        for inverse in (None, _inverted(curvature.matrix)):
            found.append(leave_one_out(objective, curvature, inverse))
    for one, other in zip(found[:2], found[2:], strict=True):
        np.testing.assert_allclose(one[index], other, rtol=1e-4, atol=1e-6)


def test_a_row_that_all_depends_on_cannot_be_left_out():
    target = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-3.0, 0.0]])
    constant = SparseMLP((np.zeros((1, 2)),), (np.zeros(2),), ())
    objective = Objective(constant, Rows(np.zeros((4, 1)), target, np.ones(4)), SQUARED, 0.0)
    curvature = objective.curvature_at(objective.start)
    assert np.isinf(leave_one_out(objective, curvature, 4 * np.eye(2))).all()
    found = leave_one_out(objective, curvature, np.eye(2))
    others = np.array([-1 / 3, -1 / 3, -1 / 3, 1.0])
    np.testing.assert_allclose(found, others[:, None] * [1, 0])  # the mean of the others


def test_both_verdicts_have_to_be_good():
    rows, validation = random_rows(30, k=1), random_rows(10, seed=1, k=1)
    left_out = rows.target + 2.0  # half of the reference of 8
    n_train, n_validation = rows.weight.sum(), validation.weight.sum()

    def expected(validation_loss, left_out=left_out):
        return expected_loss(validation_loss, left_out, rows, validation, SQUARED, 8.0)

    mean = (n_train * 0.5 + n_validation * 0.3) / (n_train + n_validation)
    assert expected(0.3) == pytest.approx(mean)
    assert expected(0.6) == 0.6  # the training rows are no excuse
    assert expected(0.3, None) == 0.3
    for lost in (np.nan, np.inf):
        assert expected(0.3, left_out * lost) == np.inf


def test_more_weights_than_rows_are_no_obstacle():
    rows = random_rows(12)
    objective, x = optimum(network_of(20), rows, L2)
    assert len(x) > rows.target.size
    curvature = objective.curvature_at(x)
    by_rows = leave_one_out(objective, curvature)
    by_weights = leave_one_out(objective, curvature, _inverted(curvature.matrix))
    np.testing.assert_allclose(by_rows, by_weights, rtol=1e-5)
    seen = objective.to_network(x).decision_function(rows.X)
    assert np.mean((by_rows - rows.target) ** 2) > 2 * np.mean((seen - rows.target) ** 2)


def test_rows_are_left_out_of_regressions_where_they_are_few():
    def can(loss, n, k, n_weights):
        rows = Rows(np.ones((n, 1)), np.ones((n, k)), np.ones(n))
        return can_leave_out(rows, loss, n_weights)

    assert can(SQUARED, MOST_TARGETS, 1, LARGEST_MATRIX)
    assert can(SQUARED, MOST_TARGETS // 2, 2, LARGEST_MATRIX)
    assert not can(SQUARED, MOST_TARGETS, 1, LARGEST_MATRIX + 1)
    assert not can(SQUARED, MOST_TARGETS + 1, 1, 10)
    assert not can(SQUARED, MOST_TARGETS, 2, 10)
    assert can(SQUARED, LARGEST_MATRIX // 2, 1, 4 * LARGEST_MATRIX)
    assert not can(SQUARED, LARGEST_MATRIX // 2, 1, 4 * LARGEST_MATRIX + 1)
    assert not can(LOSSES["logistic"], 10, 1, 10)
    assert not can(LOSSES["softmax"], 10, 3, 10)


@pytest.mark.parametrize(("n_rows", "largest"), [(60, np.inf), (1200, LARGEST_MATRIX)])
def test_rows_are_left_out_of_networks_up_to_a_size(n_rows, largest):
    rng = np.random.default_rng(0)
    rows, validation = random_rows(n_rows, d=40, k=1), random_rows(20, d=40, k=1)
    weights = rng.normal(size=(40, 28)), rng.normal(size=(28, 1))
    network = SparseMLP(weights, (np.ones(28), np.ones(1)), (("tanh",) * 28,))
    path = list(pruning_rounds(network, rows, validation, SQUARED, max_iter=5, smallest=700))
    sizes = [point.network.nnz for point in path[1:-1]]
    assert max(sizes) > LARGEST_MATRIX > min(sizes)
    for point, size in zip(path[1:-1], sizes, strict=True):
        assert (point.left_out is not None) == (size <= largest)


def test_the_best_of_a_path_promises_less_than_its_validation_rows_do():
    """On few rows, the best of many networks was lucky on the rows that chose it."""
    promised, on_validation_rows, on_new_rows = [], [], []
    for seed in range(12):
        parts = [random_rows(n, seed=[seed, n], d=6, k=1) for n in (60, 15, 2000)]
        for rows in parts:  # three features matter, and much is noise
            rng = np.random.default_rng([seed, len(rows.X)])
            signal = np.tanh(rows.X[:, :1]) + rows.X[:, 1:2] * rows.X[:, 2:3]
            rows.target[:] = signal + rng.normal(size=signal.shape)
        train, validation, new = parts
        reference = SQUARED.constant_loss(train.target, train.weight)
        network = network_of(8, d=6, k=1)
        path = list(pruning_rounds(network, train, validation, SQUARED))
        best = min(path, key=lambda point: point.validation_loss)

        def loss_on(rows, network=best.network, reference=reference):
            raw = network.decision_function(rows.X)
            return SQUARED.value(raw, rows.target, rows.weight) / reference

        promised.append(best.validation_loss)
        on_validation_rows.append(loss_on(validation))
        on_new_rows.append(loss_on(new))
    off = abs(np.mean(promised) - np.mean(on_new_rows))
    assert off < 0.9 * abs(np.mean(on_validation_rows) - np.mean(on_new_rows))


@pytest.mark.parametrize("draws", [None, np.arange(12) % 3 + 1.0])
def test_the_best_constant_of_the_others(draws):
    rng = np.random.RandomState(0)
    weight = rng.uniform(0.5, 2, 12) * (1 if draws is None else draws)
    rows = Rows(rng.standard_normal((12, 2)), rng.standard_normal((12, 3)), weight, draws)
    constant = SQUARED.constant(rows.target, rows.weight)
    found = leave_one_out_of_constant(constant, rows, SQUARED)
    for i in range(12):
        others = weight.copy()
        others[i] -= rows.weight_per_draw[i]
        np.testing.assert_allclose(found[i], SQUARED.constant(rows.target, others))


def test_no_constant_is_left_of_one_row_nor_asked_for_where_networks_are_not():
    one = Rows(np.ones((1, 2)), np.ones((1, 1)), np.ones(1))
    assert leave_one_out_of_constant(np.ones(1), one, SQUARED) is None
    many = Rows(np.ones((3000, 1)), np.ones((3000, 1)), np.ones(3000))
    assert leave_one_out_of_constant(np.ones(1), many, SQUARED) is None
    assert leave_one_out_of_constant(np.ones(1), one, LOSSES["logistic"]) is None


@pytest.mark.parametrize("row", [7, 61, 200])
def test_one_target_far_off_does_not_speak_for_the_constant(row):
    """Left out, it is as far from a constant as from a network."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((400, 5))
    truth = 2 * X[:, 0] + X[:, 1] * X[:, 2]
    y = truth + 0.3 * rng.standard_normal(400)
    y[row] = 200
    model = SWATRegressor(random_state=0).fit(X, y)
    assert model.score(X, truth) > 0.3
    assert all(point.validation_loss < model.path_[0].validation_loss for point in model.path_[1:])


@pytest.mark.parametrize("settings", [{"refine": False}, {"max_time": 0.0}])
def test_without_paths_one_target_far_off_does_not_speak_against_the_constant(settings):
    """Rows are not left out of what a descent found, and so not of the constant either."""
    rng = np.random.RandomState(1)
    X, y = rng.standard_normal((120, 4)), rng.standard_normal(120)
    y[1] = 60
    model = SWATRegressor(depth=[1], random_state=1, **settings).fit(X, y)
    assert model.path_[0].validation_loss < 0.1
    refined = SWATRegressor(depth=[1], max_iter=5, random_state=1).fit(X, y)
    assert refined.path_[0].validation_loss > 0.5


def test_row_weights_of_regressions_take_nothing_from_the_prior():
    """They may say how exactly targets are known: many that are known little, few well."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((500, 5))
    deviation = np.exp(2 * rng.standard_normal(500))
    y = X[:, 0] + np.abs(X[:, 1]) + deviation * rng.standard_normal(500)
    model = SWATRegressor(random_state=0).fit(X, y, sample_weight=deviation**-2)
    assert model.score(X, X[:, 0] + np.abs(X[:, 1])) > 0.95

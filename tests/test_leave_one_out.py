"""A left-out row against networks that were fitted without it, and what is made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sklearn_swat._leave_one_out import CHARGES, LARGEST, LeftOut, expected_loss, leave_one_out
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._pruning import _inverse_curvature, pruning_rounds
from sklearn_swat._refinement import Objective, Rows, minimise

SQUARED = LOSSES["squared_error"]
L2 = 0.02


def random_rows(loss, n, seed=0, d=3, k=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    raw = X @ rng.normal(size=(d, k)) + rng.normal(size=(n, k))
    if loss.name == "squared_error":
        target = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    elif loss.name == "logistic":
        target = (raw > 0).astype(float)
    else:
        target = np.eye(k)[raw.argmax(axis=1)]
    return Rows(X, target, rng.random(n) + 0.5)


def network_of(loss, n_hidden, d=3, k=2):
    rng = np.random.default_rng(5)
    if not n_hidden:
        return SparseMLP((rng.normal(size=(d, k)),), (np.zeros(k),), (), loss.out_activation)
    weights = rng.normal(size=(d, n_hidden)), rng.normal(size=(n_hidden, k))
    biases = rng.normal(size=n_hidden), np.zeros(k)
    return SparseMLP(weights, biases, (("tanh",) * n_hidden,), loss.out_activation)


def optimum(network, rows, loss, l2):
    objective = Objective(network, rows, loss, l2)
    x = minimise(objective, 1000, None, tolerance=1e-13)
    return objective, x


def fitted_without(i, network, rows, loss, l2):
    """Raw outputs on a row of the network that was fitted to the other ones alone."""
    share = rows.weight / rows.weight.sum()
    others = np.arange(len(share)) != i
    rest = Rows(rows.X[others], rows.target[others], rows.weight[others])
    # The loss of the rest is a mean, and the penalty counts as much beside their sum as before.
    objective, x = optimum(network, rest, loss, l2 / share[others].sum())
    return objective.to_network(x).decision_function(rows.X[i : i + 1])[0]


@pytest.mark.parametrize(
    ("name", "n_hidden", "tolerance"),
    [
        ("squared_error", 0, 1e-6),  # where one Newton step is all
        ("logistic", 0, 0.1),
        ("softmax", 0, 0.1),
        ("squared_error", 2, 0.25),
        ("softmax", 2, 0.4),
    ],
)
def test_a_left_out_row_is_as_without_it(name, n_hidden, tolerance):
    loss, k = LOSSES[name], 3 if name == "softmax" else 2
    rows = random_rows(loss, 40, k=k)
    objective, x = optimum(network_of(loss, n_hidden, k=k), rows, loss, L2)
    found = leave_one_out(objective, x, _inverse_curvature(objective, x))
    network = objective.to_network(x)
    np.testing.assert_allclose(found.seen, network.decision_function(rows.X), atol=1e-12)
    expected = np.array([fitted_without(i, network, rows, loss, L2) for i in range(40)])
    steps, true_steps = found.unseen - found.seen, expected - found.seen
    if name == "softmax":  # the same number on all classes says nothing
        steps, true_steps = (s - s.mean(axis=1, keepdims=True) for s in (steps, true_steps))
    assert np.abs(true_steps).max() > 0.05
    assert np.linalg.norm(steps - true_steps) < tolerance * np.linalg.norm(true_steps)


def test_a_row_that_all_depends_on_cannot_be_left_out():
    target = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-3.0, 0.0]])
    constant = SparseMLP((np.zeros((1, 2)),), (np.zeros(2),), ())
    objective = Objective(constant, Rows(np.zeros((4, 1)), target, np.ones(4)), SQUARED, 0.0)
    assert leave_one_out(objective, objective.start, 4 * np.eye(2)) is None
    left_out = leave_one_out(objective, objective.start, np.eye(2))
    others = np.array([-1 / 3, -1 / 3, -1 / 3, 1.0])
    np.testing.assert_allclose(left_out.unseen, others[:, None] * [1, 0])  # the mean of the others


def test_both_verdicts_have_to_be_good():
    rows = random_rows(SQUARED, 30, k=1)
    validation = random_rows(SQUARED, 10, seed=1, k=1)
    raw = rows.target + 0.5
    left_out = LeftOut(raw, raw + 0.5)  # squared errors of 0.25 and 1
    n_train, n_validation = rows.weight.sum(), validation.weight.sum()

    def expected(validation_loss, left_out=left_out, reference=2.0):
        return expected_loss(0.1, validation_loss, left_out, rows, validation, SQUARED, reference)

    of_training_rows = 0.1 + CHARGES * 0.75 / 2.0
    mean = (n_train * of_training_rows + n_validation * 0.3) / (n_train + n_validation)
    assert expected(0.3) == pytest.approx(mean)
    assert 0.3 < mean < of_training_rows
    assert expected(0.9) == 0.9  # the training rows are no excuse
    assert expected(0.3, left_out=None) == 0.3
    # Being left out can only cost.
    gain = LeftOut(left_out.unseen, left_out.seen)
    assert expected(0.05, gain) == pytest.approx(
        (n_train * 0.1 + n_validation * 0.05) / (n_train + n_validation)
    )
    assert expected(0.3, replace(left_out, unseen=raw * np.nan)) == 0.3


def test_what_is_left_out_of_an_average_is_averaged():
    rng = np.random.default_rng(0)
    parts = [LeftOut(*rng.normal(size=(2, 5, 2))) for _ in range(3)]
    mean = LeftOut.mean(parts)
    np.testing.assert_allclose(mean.seen, sum(p.seen for p in parts) / 3)
    np.testing.assert_allclose(mean.unseen, sum(p.unseen for p in parts) / 3)
    assert LeftOut.mean([*parts, None]) is None


def test_rows_are_left_out_of_networks_up_to_a_size():
    rng = np.random.default_rng(0)
    rows, validation = random_rows(SQUARED, 60, d=40, k=1), random_rows(SQUARED, 20, d=40, k=1)
    weights = rng.normal(size=(40, 17)), rng.normal(size=(17, 1))
    network = SparseMLP(weights, (np.ones(17), np.ones(1)), (("tanh",) * 17,))
    path = list(pruning_rounds(network, rows, validation, SQUARED, smallest=400))
    sizes = [point.network.nnz for point in path[1:-1]]
    assert max(sizes) > LARGEST > min(sizes)
    for point, size in zip(path[1:-1], sizes, strict=True):
        assert (point.left_out is not None) == (size <= LARGEST)


def test_the_best_of_a_path_promises_less_than_its_validation_rows_do():
    """On few rows, the best of many networks was lucky on the rows that chose it."""
    promised, on_validation_rows, on_new_rows = [], [], []
    for seed in range(12):
        parts = [random_rows(SQUARED, n, seed=[seed, n], d=6, k=1) for n in (60, 15, 2000)]
        for rows in parts:  # three features matter, and much is noise
            rng = np.random.default_rng([seed, len(rows.X)])
            signal = np.tanh(rows.X[:, :1]) + rows.X[:, 1:2] * rows.X[:, 2:3]
            rows.target[:] = signal + rng.normal(size=signal.shape)
        train, validation, new = parts
        reference = SQUARED.constant_loss(train.target, train.weight)
        network = network_of(SQUARED, 8, d=6, k=1)
        path = list(pruning_rounds(network, train, validation, SQUARED))
        best = min(path, key=lambda point: point.validation_loss)

        def loss_on(rows, network=best.network, reference=reference):
            raw = network.decision_function(rows.X)
            return SQUARED.value(raw, rows.target, rows.weight) / reference

        promised.append(best.validation_loss)
        on_validation_rows.append(loss_on(validation))
        on_new_rows.append(loss_on(new))
    off = abs(np.mean(promised) - np.mean(on_new_rows))
    assert off < 0.7 * abs(np.mean(on_validation_rows) - np.mean(on_new_rows))

"""What would break: gradients, curvature, a refinement that makes worse, the path's promises."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from sklearn_swat import _penalised_loss, _pruning, _refinement
from sklearn_swat._activations import ACTIVATION_NAMES
from sklearn_swat._leave_one_out import expected_loss
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._penalised_loss import Objective
from sklearn_swat._pruning import (
    PathPoint,
    _inverted,
    _remove_least_salient,
    choose,
    constant_network,
    pareto_front,
    prior_strength,
    pruning_rounds,
)
from sklearn_swat._refinement import LEAST_GAIN, minimise, refine
from sklearn_swat._rows import Rows
from sklearn_swat._simplification import folded_nnz

SQUARED = LOSSES["squared_error"]


def prune_path(*arguments, **options):
    return list(pruning_rounds(*arguments, **options))


def random_network(depth, loss, d=4, k=2, width=5, seed=0, density=1.0):
    rng = np.random.default_rng(seed)
    sizes = [d, *[width] * depth, k]
    shapes = list(pairwise(sizes))
    weights = [rng.normal(size=s) / np.sqrt(s[0]) * (rng.random(s) < density) for s in shapes]
    biases = [rng.normal(size=s[1]) for s in shapes]
    names = [[ACTIVATION_NAMES[(i + j) % 4] for j in range(width)] for i in range(depth)]
    return SparseMLP(weights, biases, names, loss.out_activation)


def random_rows(loss, n=30, d=4, k=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    raw = np.tanh(X @ rng.normal(size=(d, k))) + 0.1 * rng.normal(size=(n, k))
    if loss.name == "squared_error":
        target = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    elif loss.name == "logistic":
        target = (raw > 0).astype(float)
    else:
        target = np.eye(k)[raw.argmax(axis=1)]
    return Rows(X, target, rng.random(n) + 0.5)


def table(load, seed=0):
    """Scaled (train, validation) rows of one of scikit-learn's sets, and its loss."""
    X, y = load(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    if load is load_diabetes:
        target, loss = ((y - y.mean()) / y.std())[:, None], SQUARED
    elif load is load_breast_cancer:
        target, loss = y[:, None].astype(float), LOSSES["logistic"]
    else:
        target, loss = np.eye(3)[y], LOSSES["softmax"]
    order = np.random.default_rng(seed).permutation(len(X))
    cut = len(X) // 4
    parts = (order[cut:], order[:cut])
    return *(Rows(X[i], target[i], np.ones(len(i))) for i in parts), loss


def data_loss(network, rows, loss):
    return loss.value(network.decision_function(rows.X), rows.target, rows.weight)


# ------------------------------------------------------------- derivatives of the whole
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_gradient_is_the_finite_difference_for_all_activations(loss, depth):
    network = random_network(depth, loss, density=0.8)
    objective = Objective(network, random_rows(loss), loss, l2=0.01)
    x = objective.start
    value, gradient = objective.value_and_gradient(x)
    assert value == pytest.approx(objective.value(x), rel=1e-12)
    for i, unit in enumerate(np.eye(len(x))):
        slope = (objective.value(x + 1e-6 * unit) - objective.value(x - 1e-6 * unit)) / 2e-6
        assert gradient[i] == pytest.approx(slope, abs=2e-7)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_blocks_of_rows_have_the_value_and_gradient_of_all(loss, monkeypatch):
    rows = random_rows(loss)
    rows.weight[:] = np.arange(len(rows.weight))
    rows.weight[7:14] = 0  # a block that does not count
    network = random_network(2, loss)
    whole = Objective(network, rows, loss, 0.01)
    value, gradient = whole.value_and_gradient(whole.start)
    monkeypatch.setattr(_penalised_loss, "BLOCK_ROWS", 7)
    objective = Objective(network, rows, loss, 0.01)
    by_blocks = objective.value_and_gradient(objective.start)
    assert (len(whole._blocks), len(objective._blocks)) == (1, 4)
    assert by_blocks[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(by_blocks[1], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_curvature_is_the_product_of_finite_difference_jacobians(loss, depth):
    network, rows = random_network(depth, loss, density=0.8), random_rows(loss)
    objective = Objective(network, rows, loss, l2=0.01)
    x = objective.start

    def raw(x):
        return objective.to_network(x).decision_function(rows.X)

    jacobian = np.array(
        [(raw(x + 1e-6 * unit) - raw(x - 1e-6 * unit)) / 2e-6 for unit in np.eye(len(x))]
    )
    factor = loss.on(rows.target, rows.weight).curvature_factor(raw(x))
    along = np.einsum("pnk,rnk->prn", jacobian, factor).reshape(len(x), -1)
    expected = along @ along.T + np.diag(2 * objective.penalty)
    np.testing.assert_allclose(objective.curvature(x), expected, atol=1e-6)
    np.testing.assert_allclose(objective.curvature_diagonal(x), expected.diagonal(), atol=1e-6)


def test_curvature_of_many_rows_is_close_to_that_of_all(monkeypatch):
    rows = random_rows(SQUARED, n=9000)
    problem = random_network(1, SQUARED), rows, SQUARED, 0.0
    objective = Objective(*problem)
    sampled = objective.curvature_diagonal(objective.start)
    monkeypatch.setattr(_penalised_loss, "CURVATURE_PAIRS", 10**9)
    exact = Objective(*problem).curvature_diagonal(objective.start)
    assert (sampled != exact).any()
    np.testing.assert_allclose(sampled, exact, rtol=0.25)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_an_objective_in_single_precision_is_the_same_to_that_precision(loss):
    network, rows = random_network(3, loss), random_rows(loss)
    objective = Objective(network, rows, loss, 0.01)
    single, x = objective.in_single(), objective.start
    assert single.forward(x).hidden[-1].dtype == np.float32
    assert objective.forward(x).hidden[-1].dtype == np.float64
    np.testing.assert_allclose(single.value(x), objective.value(x), rtol=1e-5)
    pairs = zip(single.value_and_gradient(x), objective.value_and_gradient(x), strict=True)
    for rough, exact in pairs:
        assert np.asarray(rough).dtype == np.float64
        np.testing.assert_allclose(rough, exact, rtol=1e-3, atol=1e-5)
    assert single.curvature(x).dtype == np.float64
    np.testing.assert_allclose(single.curvature(x), objective.curvature(x), rtol=1e-3, atol=1e-4)
    found = [each.value(minimise(each, 60, None)) for each in (single, objective)]
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_features_beyond_single_precision_stay_in_double():
    rows = random_rows(SQUARED)
    rows.X[0, 0] = 1e30
    objective = Objective(random_network(1, SQUARED), rows, SQUARED, 0.01)
    assert objective.in_single() is objective


def test_damping_follows_the_promised_gain():
    rows = random_rows(SQUARED, n=200)
    tried, models = [], []

    class Counting(Objective):
        def value_of(self, x, forward):
            tried.append(x)
            return super().value_of(x, forward)

        def quadratic_model(self, x, forward):
            models.append(x)
            return super().quadratic_model(x, forward)

    for seed in range(8):
        network = random_network(1, SQUARED, seed=seed)
        minimise(Counting(network, rows, SQUARED, 1e-3), 400, None)
    assert len(tried) - 8 < 1.6 * len(models)  # 2.1 times with a damping that falls after any gain


@given(seed=st.integers(0, 1000), depth=st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_live_parameters_round_trip_to_the_same_network(seed, depth):
    network = random_network(depth, SQUARED, seed=seed, density=0.4)
    rows = random_rows(SQUARED)
    objective = Objective(network, rows, SQUARED, l2=0.0)
    same = objective.to_network(objective.start)
    for a, b in zip(
        (*network.weights, *network.biases), (*same.weights, *same.biases), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    expected = data_loss(network, rows, SQUARED)
    assert objective.data_loss(objective.start) == pytest.approx(expected, rel=1e-10)
    assert len(objective.start) == folded_nnz(network)


# -------------------------------------------------------------------------- refinement
@pytest.mark.parametrize("limit", [0, 10**6], ids=["L-BFGS", "Levenberg-Marquardt"])
def test_a_linear_network_refines_to_ridge(monkeypatch, limit):
    monkeypatch.setattr(_refinement, "FULL_CURVATURE_WEIGHTS", limit)
    rows = random_rows(SQUARED, n=50, k=1)
    start = SparseMLP((np.full((4, 1), 0.1),), (np.zeros(1),), ())
    network = refine(start, rows, SQUARED, l2=0.03, max_iter=200)
    ridge = Ridge(alpha=0.03 * rows.weight.sum())
    ridge.fit(rows.X, rows.target[:, 0], sample_weight=rows.weight)
    np.testing.assert_allclose(network.weights[0][:, 0], ridge.coef_, atol=2e-4)
    np.testing.assert_allclose(network.biases[0], ridge.intercept_, atol=2e-4)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("limit", [0, 10**6], ids=["L-BFGS", "Levenberg-Marquardt"])
@pytest.mark.parametrize("depth", [1, 3])
def test_refining_lowers_the_loss_and_keeps_the_structure(monkeypatch, loss, limit, depth):
    monkeypatch.setattr(_refinement, "FULL_CURVATURE_WEIGHTS", limit)
    monkeypatch.setattr(_refinement, "without_negligible", lambda objective, x: x)  # as some are
    network, rows = random_network(depth, loss, density=0.6), random_rows(loss, n=80)
    refined = refine(network, rows, loss)
    assert data_loss(refined, rows, loss) < 0.5 * data_loss(network, rows, loss)
    assert refined.activations == network.activations
    for before, after in zip(network.weights, refined.weights, strict=True):
        np.testing.assert_array_equal(before != 0, after != 0)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 1.0, 30.0, 1e4]))
@settings(max_examples=40, deadline=None)
def test_refining_never_returns_a_worse_training_loss(seed, scale):
    loss = list(LOSSES.values())[seed % 3]
    network = random_network(seed % 4 + 1, loss, seed=seed)
    network = replace(network, weights=tuple(w * scale for w in network.weights))
    rows = random_rows(loss, seed=seed)
    once = refine(network, rows, loss, l2=0.1, max_iter=8)
    twice = refine(once, rows, loss, l2=10.0, max_iter=8)  # a penalty that pulls away
    losses = [data_loss(n, rows, loss) for n in (network, once, twice)]
    assert losses[0] >= losses[1] * (1 - 1e-12)
    assert losses[1] >= losses[2] * (1 - 1e-12)


@pytest.mark.parametrize("limit", [0, 10**6], ids=["L-BFGS", "Levenberg-Marquardt"])
def test_rows_at_which_the_loss_overflows_leave_the_network_as_it_is(monkeypatch, limit):
    monkeypatch.setattr(_refinement, "FULL_CURVATURE_WEIGHTS", limit)
    rows = Rows(np.full((5, 4), 1e200), np.ones((5, 1)), np.ones(5))
    network = SparseMLP((np.full((4, 1), 1e150),), (np.zeros(1),), ())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refine(network, rows, SQUARED) is network


def test_zero_iterations_or_an_immediate_stop_do_little_and_fail_not():
    network, rows = random_network(1, SQUARED), random_rows(SQUARED)
    assert data_loss(refine(network, rows, SQUARED, max_iter=0), rows, SQUARED) <= data_loss(
        network, rows, SQUARED
    )
    calls = []
    refine(network, rows, SQUARED, should_stop=lambda: calls.append(1) or True)
    assert len(calls) == 1


# ------------------------------------------------------------------------------ growth
def lacking(position, rows, seed=0):
    """Return a network that reproduces `rows` but for one weight of its first layer, and rows."""
    teacher = random_network(1, SQUARED, k=1, seed=seed)
    rows = replace(rows, target=teacher.decision_function(rows.X))
    first = teacher.weights[0].copy()
    first[position] = 0
    return replace(teacher, weights=(first, teacher.weights[1])), teacher, rows


@pytest.mark.parametrize("position", [(0, 0), (3, 2), (1, 4)])
def test_the_weight_that_is_missing_comes_back(position):
    network, teacher, rows = lacking(position, random_rows(SQUARED, n=200, k=1))
    objective = Objective(network, rows, SQUARED, 1e-9, np.arange(4))
    grown = objective.more(1)
    assert np.argwhere((grown.weights[0] != 0) & (network.weights[0] == 0)).tolist() == [
        list(position)
    ]
    assert np.sign(grown.weights[0][position]) == np.sign(teacher.weights[0][position])
    assert data_loss(grown, rows, SQUARED) < data_loss(network, rows, SQUARED)
    assert grown.nnz == network.nnz + 1


def test_weights_grow_from_the_given_features_alone_and_no_more_than_there_are():
    network = random_network(1, SQUARED, d=4, k=1)
    first = network.weights[0] * np.array([[1.0], [0.0], [0.0], [1.0]])
    network = replace(network, weights=(first, network.weights[1]))
    rows = random_rows(SQUARED, k=1)
    objective = Objective(network, rows, SQUARED, 1e-3)
    assert objective.more(100).nnz == network.nnz
    wider = Objective(network, rows, SQUARED, 1e-3, np.array([0, 2, 3]))
    grown = wider.more(100)
    np.testing.assert_array_equal(grown.used_features, [0, 2, 3])
    assert grown.nnz == network.nnz + network.hidden_layer_sizes[0]


def test_a_path_takes_a_feature_back_but_none_that_it_did_not_begin_with():
    train, validation, loss = table(load_diabetes)
    start = random_network(1, loss, 10, 1, width=6)
    start = replace(
        start, weights=(start.weights[0] * (np.arange(10) != 2)[:, None], start.weights[1])
    )
    path = prune_path(start, train, validation, loss)
    used = [set(point.network.used_features.tolist()) for point in path]
    assert not any(2 in features for features in used)
    assert any(later - features for features, later in pairwise(used))


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_only_weights_and_biases_between_are_prunable_on_their_own(depth):
    network = random_network(depth, SQUARED)
    objective = Objective(network, random_rows(SQUARED), SQUARED, l2=0.0)
    zeroed = replace(
        network,
        weights=tuple(np.where(w != 0, 5.0, 0.0) for w in network.weights),
        biases=tuple(np.full_like(b, 7.0 + i) for i, b in enumerate(network.biases)),
    )
    values = Objective(zeroed, random_rows(SQUARED), SQUARED, l2=0.0).start
    free = np.isin(values, [7.0, 7.0 + depth])
    np.testing.assert_array_equal(objective.prunable, ~free)


# ------------------------------------------------------------------------------- path
@pytest.mark.parametrize("load", [load_diabetes, load_breast_cancer, load_iris])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_path_falls_to_the_constant_network_and_beats_linear_size(load, depth):
    train, validation, loss = table(load)
    d, k = train.X.shape[1], train.target.shape[1]
    network = random_network(depth, loss, d, k, width=8)
    path = prune_path(network, train, validation, loss)
    sizes = [folded_nnz(point.refined_as) for point in path]
    assert sizes == sorted(sizes, reverse=True)
    assert all(point.nnz <= size for point, size in zip(path, sizes, strict=True))
    assert path[0].network is network
    assert path[-1].network.depth == 0
    assert path[-1].nnz == k
    assert data_loss(path[-1].network, train, loss) == pytest.approx(
        loss.constant_loss(train.target, train.weight), rel=1e-9
    )
    assert np.isfinite([p.validation_loss for p in path]).all()
    small = [p for p in path if p.nnz <= d + k + 10]
    assert min(p.validation_loss for p in small) < (0.75 if load is load_diabetes else 0.35)


def test_a_path_finds_the_three_features_that_matter():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12))
    y = np.tanh(2 * X[:, 3]) + X[:, 5] - 0.5 * X[:, 8]
    target = ((y - y.mean()) / y.std())[:, None]
    train, validation = (Rows(X[i], target[i], np.ones(200)) for i in (slice(200), slice(200, 400)))
    path = prune_path(random_network(1, SQUARED, 12, 1, width=10), train, validation, SQUARED)
    front = pareto_front(path)
    chosen = choose(front, 1e-3)
    np.testing.assert_array_equal(chosen.network.used_features, [3, 5, 8])
    assert chosen.validation_loss < 0.02
    assert chosen.nnz <= 16


def test_the_surgeon_removes_like_backward_elimination_in_a_linear_network():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(100, 6)) @ rng.normal(size=(6, 6))  # strongly correlated
    y = X @ np.array([1.0, -1.0, 0.5, 0.0, 2.0, 0.1]) + rng.normal(size=100)
    rows = Rows(X, (y - y.mean())[:, None] / y.std(), np.ones(100))
    start = SparseMLP((np.full((6, 1), 0.1),), (np.zeros(1),), ())
    path = prune_path(start, rows, rows, SQUARED)
    kept = [set(p.network.used_features.tolist()) for p in path[1:]]
    current = set(range(6))
    for expected_size, found in zip(range(6, -1, -1), kept, strict=True):
        assert found == current
        assert len(found) == expected_size

        def error(features, rows=rows):
            if not features:
                return 1.0
            x = rows.X[:, sorted(features)]
            return 1 - LinearRegression().fit(x, rows.target).score(x, rows.target)

        if current:
            current = min((current - {j} for j in current), key=error)


@pytest.mark.parametrize(
    ("weights", "n_rows", "precision"),
    [
        (np.full((20, 1), 0.2), 100, 25.0),
        (np.full((20, 1), 0.2), 10, 12.5),  # more weights than rows can tell
        (np.full((20, 1), 2.0), 100, 3.0),
        (np.full((20, 1), 1e-3), 100, 90.0),
        (np.zeros((20, 1)), 100, 3.0),
        (np.full((20, 1), 1e200), 100, 3.0),
    ],
)
def test_the_prior_of_linear_networks_is_as_narrow_as_their_weights(weights, n_rows, precision):
    linear = SparseMLP((weights,), (np.zeros(1),), ())
    hidden = SparseMLP((weights, np.ones((1, 1))), (np.zeros(1), np.zeros(1)), (("tanh",),))
    rows = random_rows(SQUARED, n=n_rows, k=1)
    for network, expected in ((linear, precision), (hidden, 3.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = prior_strength(PathPoint(network, 0.4, 0.5), rows, SQUARED)
        assert found == pytest.approx(expected * 0.5 / n_rows)


def test_many_weak_features_are_shrunk_as_by_ridge_regression():
    rng = np.random.default_rng(0)
    X, X_new = rng.normal(size=(100, 30)), rng.normal(size=(2000, 30))
    weights = rng.normal(size=30) / np.sqrt(60)
    y = X @ weights + np.sqrt(0.5) * rng.normal(size=100)
    rows, validation = (
        Rows(X[:80], y[:80, None], np.ones(80)),
        Rows(X[80:], y[80:, None], np.ones(20)),
    )
    start = SparseMLP((np.full((30, 1), 1e-3),), (np.zeros(1),), ())
    _, dense = islice(pruning_rounds(start, rows, validation, SQUARED), 2)
    errors = [
        np.mean((predicted - X_new @ weights) ** 2)
        for predicted in (
            dense.network.predict(X_new)[:, 0],
            RidgeCV(np.logspace(-1, 4, 50)).fit(X[:80], y[:80]).predict(X_new),
            LinearRegression().fit(X[:80], y[:80]).predict(X_new),
        )
    ]
    assert errors[0] < 1.15 * errors[1] < 0.9 * errors[2]


def test_large_networks_are_refined_until_an_iteration_gains_little(monkeypatch):
    monkeypatch.setattr(_refinement, "FULL_CURVATURE_WEIGHTS", 0)
    objective = Objective(random_network(2, SQUARED), random_rows(SQUARED), SQUARED, 1e-4)
    in_a_round, in_full = (
        objective.value(minimise(objective, 500, None, least_gain=gain))
        for gain in (1e-3, LEAST_GAIN)
    )
    assert in_full < 0.9 * in_a_round < 0.9 * objective.value(objective.start)


def test_a_step_is_judged_by_the_forward_pass_that_the_next_one_needs(monkeypatch):
    rows = random_rows(SQUARED, n=3000)  # more than the curvature takes
    objective = Objective(random_network(1, SQUARED), rows, SQUARED, 1e-4)
    passes, trials = [], []
    forward, value_of = Objective._forward, Objective.value_of

    def count_pass(self, weights, biases, inputs):
        passes.append(inputs.shape[1])
        return forward(self, weights, biases, inputs)

    def count_trial(self, x, result):
        trials.append(x)
        return value_of(self, x, result)

    monkeypatch.setattr(Objective, "_forward", count_pass)
    monkeypatch.setattr(Objective, "value_of", count_trial)
    minimise(objective, 40, None)
    assert len(trials) > 5
    assert passes == [3000] * len(trials)


@pytest.mark.parametrize("load", [load_diabetes, load_iris])
def test_points_carry_the_losses_of_their_network(load):
    few, validation, loss = table(load)
    many = Rows(*(np.repeat(part, 7, axis=0) for part in (few.X, few.target, few.weight)))
    network = random_network(1, loss, few.X.shape[1], few.target.shape[1])
    for train in (few, many):
        reference = loss.constant_loss(train.target, train.weight)
        path = prune_path(network, train, validation, loss)
        leaves_out = train is few and loss is SQUARED
        assert [p.left_out is not None for p in path[1:]] == [leaves_out] * (len(path) - 1)
        assert path[0].left_out is None  # as given: rows cannot be left out of it
        for point in path:
            validation_loss = data_loss(point.network, validation, loss) / reference
            assert np.isnan(point.train_loss)  # nothing is chosen by it: the front tells it
            if point.left_out is None:
                assert point.validation_loss == validation_loss
            else:
                rows = (train, validation, loss, reference)
                expected = expected_loss(validation_loss, point.left_out, *rows)
                assert point.validation_loss == expected >= validation_loss


def test_a_path_can_be_stopped_and_still_ends_at_the_constant():
    train, validation, loss = table(load_diabetes)
    network = random_network(1, loss, 10, 1, width=20)
    path = prune_path(network, train, validation, loss, should_stop=lambda: True)
    assert [p.nnz for p in path] == [folded_nnz(network), 1]


def test_a_path_ends_early_at_the_smallest_size(monkeypatch):
    # The last round would go below by what it drops.
    monkeypatch.setattr(_pruning, "without_negligible", lambda objective, x: x)
    train, validation, loss = table(load_iris)
    path = prune_path(random_network(1, loss, 4, 3), train, validation, loss, smallest=20)
    sizes = [folded_nnz(point.refined_as) for point in path]
    assert sizes[-1] == 3
    assert sizes[-2] > 20


def test_two_paths_from_one_network_are_equal_to_the_bit():
    train, validation, loss = table(load_iris)
    paths = [prune_path(random_network(2, loss, 4, 3), train, validation, loss) for _ in range(2)]
    assert [p.validation_loss for p in paths[0]] == [p.validation_loss for p in paths[1]]


@pytest.mark.parametrize("k", [1, 50])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_one_and_fifty_outputs_and_constant_or_equal_columns_do_not_break_a_path(loss, k):
    if k == 1 and loss.name == "softmax":
        pytest.skip("softmax needs two classes")
    rows = random_rows(loss, n=60, k=k)
    X = np.column_stack([rows.X, np.zeros(60), np.ones(60), rows.X[:, 0]])
    rows = Rows(X, rows.target, rows.weight)
    network = random_network(1, loss, 7, k, width=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = prune_path(network, rows, rows, loss, max_iter=20, keep=0.5)
    assert all(np.isfinite(p.validation_loss) for p in path)
    assert path[-1].nnz == k
    assert min(p.validation_loss for p in path) < 0.9


def test_separable_classes_do_not_drive_weights_to_infinity():
    X = np.linspace(-1, 1, 40)[:, None]
    rows = Rows(X, (X > 0).astype(float), np.ones(40))
    loss = LOSSES["logistic"]
    path = prune_path(random_network(1, loss, 1, 1, width=6), rows, rows, loss)
    assert (
        max(np.abs(np.concatenate([w.ravel() for w in p.network.weights])).max() for p in path)
        < 100
    )
    assert min(p.validation_loss for p in path) < 0.3


def test_a_path_of_the_documented_size_takes_seconds_not_minutes():
    rows = random_rows(SQUARED, n=800, d=10, k=1)
    start = time.perf_counter()
    prune_path(random_network(1, SQUARED, 10, 1, width=40), rows, rows, SQUARED)
    assert time.perf_counter() - start < 8  # about 0.6 s on an idle core


@pytest.mark.parametrize("name", ["keep", "keep_large"])
@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 1.5])
def test_a_share_to_keep_that_cannot_work_is_named(name, share):
    rows = random_rows(SQUARED)
    with pytest.raises(ValueError, match=f"^{name} must lie strictly between 0 and 1, got {share}"):
        prune_path(random_network(1, SQUARED), rows, rows, SQUARED, **{name: share})


def test_large_networks_lose_what_they_are_told_to():
    rows = random_rows(SQUARED, n=200, d=10, k=1)
    network = random_network(1, SQUARED, 10, 1, width=60)
    for keep_large in (0.8, 0.5):
        path = islice(
            pruning_rounds(network, rows, rows, SQUARED, max_iter=5, keep_large=keep_large), 1, 3
        )
        larger, smaller = (p.network.nnz for p in path)
        assert larger > 300
        # Neurons that lose all inputs or outputs go too.
        assert (keep_large - 0.1) * larger < smaller <= keep_large * larger + 1


@pytest.mark.parametrize("grows", [False, True])
def test_a_path_grows_if_it_is_to(monkeypatch, grows):
    rows = random_rows(SQUARED, n=200, k=1, seed=1)
    more, n_grown = Objective.more, []

    def spy(self, count):
        n_grown.append(count)
        return more(self, count)

    monkeypatch.setattr(Objective, "more", spy)
    path = prune_path(random_network(1, SQUARED, k=1, width=12), rows, rows, SQUARED, grows=grows)
    assert bool(n_grown) == grows
    used = [set(p.network.used_features) for p in path]
    if not grows:  # what is gone does not come back
        assert all(smaller <= larger for larger, smaller in pairwise(used))


def test_constant_targets_are_refused_with_the_way_out():
    rows = replace(random_rows(SQUARED), target=np.ones((30, 2)))
    with pytest.raises(ValueError, match="constant targets need no network but their constant"):
        prune_path(random_network(1, SQUARED), rows, rows, SQUARED)


# ------------------------------------------------------------------------------- front
def point(nnz, loss):
    network = SparseMLP(
        (np.ones((nnz - 1, 1)) if nnz > 1 else np.zeros((1, 1)),), (np.ones(1),), ()
    )
    return PathPoint(network, loss, loss)


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from([0.1, 0.2, 0.3, np.nan, np.inf]))))
@settings(max_examples=100, deadline=None)
def test_the_front_keeps_exactly_the_points_that_nothing_beats(pairs):
    points = [point(*pair) for pair in pairs]
    front = [(p.nnz, p.validation_loss) for p in pareto_front(points)]
    finite = {pair for pair in pairs if np.isfinite(pair[1])}
    expected = {
        (n, v)
        for n, v in finite
        if not any((m <= n and w <= v) and (m, w) != (n, v) for m, w in finite)
    }
    assert set(front) == expected
    assert front == sorted(front)
    assert len(front) == len(set(front))


def test_the_price_moves_the_choice_from_large_to_small():
    front = pareto_front([point(1, 1.0), point(5, 0.5), point(10, 0.4)])
    assert [choose(front, alpha).nnz for alpha in (0.0, 0.1, 0.2)] == [10, 5, 1]


def test_equal_prices_go_to_the_smaller_network():
    front = pareto_front([point(5, 0.25), point(1, 0.5)])
    assert choose(front, 0.0625).nnz == 1


def test_an_empty_front_is_an_error():
    with pytest.raises(ValueError, match="no points"):
        choose(pareto_front([point(2, np.nan)]), 0.1)


def test_the_constant_network_predicts_the_shares_of_the_classes():
    train, _, loss = table(load_iris)
    network = constant_network(random_network(1, loss, 4, 3), train, loss)
    np.testing.assert_allclose(network.predict(train.X[:1])[0], train.target.mean(axis=0))


class Bowl:
    """A loss of three numbers whose curvature, values and prunable ones are given."""

    def __init__(self, matrix, value, prunable=(True, True, True)):
        self.matrix, self.value, self.prunable = matrix, value, np.array(prunable)

    def curvature(self, x):
        return self.matrix.copy()

    def curvature_diagonal(self, x):
        return self.matrix.diagonal()

    def without_one(self, *x):
        return _remove_least_salient(self, np.array(x), 0.87, 0, None, self, 300)


def test_without_a_positive_curvature_the_diagonal_decides():
    bowl = Bowl(np.diag([1.0, 2.0, -1e-3]) + np.eye(3)[::-1] * 5, None, (True, True, False))
    assert _inverted(bowl.curvature(None)) is None
    np.testing.assert_array_equal(bowl.without_one(1.0, 2.0, 0.1), [0.0, 2.0, 0.1])


def test_without_a_finite_loss_the_nominated_ones_go_and_the_others_stay():
    bowl = Bowl(np.eye(3) * 2 + 1, lambda x: np.inf, (True, False, True))
    np.testing.assert_array_equal(bowl.without_one(1.0, 2.0, 3.0), [0.0, 2.0, 0.0])


def test_a_front_of_no_points_is_told():
    with pytest.raises(ValueError, match="no points"):
        choose([], 1e-3)


def test_of_many_outputs_a_round_removes_at_most_half_of_what_may_go():
    """Output biases, which stay, are most of the numbers here."""
    rng = np.random.RandomState(0)
    n, d, k = 200, 3, 220
    weights = np.where(np.arange(d * k).reshape(d, k) % 8 == 0, 1.0, 0.0)  # 83 of them
    X = rng.standard_normal((n, d))
    target = X @ weights + 0.1 * rng.standard_normal((n, k))
    rows = Rows(X, target, np.ones(n))
    network = SparseMLP((weights,), (np.zeros(k),), ())
    path = list(pruning_rounds(network, rows, rows, LOSSES["squared_error"]))[1:]
    n_weights = [np.count_nonzero(point.network.weights[0]) for point in path]
    assert n_weights[0] == 83
    assert len(path) > 6
    assert all(after >= before // 2 for before, after in pairwise(n_weights))
    assert all(np.count_nonzero(point.network.biases[0]) == k for point in path)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_many_rows_are_refined_in_blocks_to_the_same(monkeypatch, loss):
    network, rows = random_network(2, loss, density=0.6), random_rows(loss, n=300)
    whole = refine(network, rows, loss, max_iter=8)
    monkeypatch.setattr(_penalised_loss, "MOST_AT_ONCE", 299)
    monkeypatch.setattr(_penalised_loss, "BLOCK_ROWS", 64)
    objective = Objective(network, rows, loss, l2=1e-4)
    value, forward = objective.at(objective.start)
    assert forward is None
    assert value == pytest.approx(
        objective.value_of(objective.start, objective.forward(objective.start)), rel=1e-12
    )
    blocks = refine(network, rows, loss, max_iter=8)
    for one, other in zip(whole.weights, blocks.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)

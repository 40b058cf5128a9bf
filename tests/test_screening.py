"""Of many features, networks are looked for on those that tell something."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

from sklearn_swat import SWATRegressor
from sklearn_swat._network import SparseMLP
from sklearn_swat._rows import Rows
from sklearn_swat._screening import FEW_FEATURES, LEAST_RELEVANT, Screening, screen


def noise(n, d, seed=0):
    return np.random.RandomState(seed).standard_normal((n, d))


def screened(X, *targets):
    found = screen(Rows(X, np.stack(targets, axis=1), np.ones(len(X))), len(X))
    return set(found.seen[found.relevant].tolist()), found


def test_few_features_are_all_seen():
    X = noise(50, FEW_FEATURES)
    relevant, found = screened(X, X[:, 0])
    assert len(found.seen) == len(relevant) == FEW_FEATURES


@pytest.mark.parametrize(
    ("target", "features"),
    [
        (lambda X: X[:, 3] - X[:, 60], {3, 60}),
        (lambda X: np.cos(2 * X[:, 5]), {5}),
        (lambda X: X[:, 8] * X[:, 9], {8, 9}),
        (lambda X: X[:, 1] + X[:, 8] * X[:, 90], {1, 8, 90}),
        (lambda X: (X[:, 2] * X[:, 7] > 0).astype(float), {2, 7}),
    ],
)
def test_main_effects_and_interactions_are_found_among_noise(target, features):
    X = noise(600, 100)
    relevant, _ = screened(X, target(X))
    assert features <= relevant
    assert len(relevant) <= LEAST_RELEVANT


def test_every_output_counts():
    X = noise(400, 60)
    relevant, _ = screened(X, X[:, 11], np.abs(X[:, 50]))
    assert {11, 50} <= relevant


def test_as_many_features_are_seen_as_there_are_rows_for():
    X = noise(640, 100)
    assert len(screened(X, X[:, 0])[1].seen) == 40
    assert len(screened(X, X.sum(axis=1))[1].seen) <= 80
    rows = Rows(X, X[:, :1], np.ones(640))
    assert len(screen(rows, 10_000).seen) == 100  # where these rows stand for more


def test_the_order_of_features_does_not_matter():
    X = noise(300, 80)
    y = X[:, 4] ** 2 + X[:, 5] * X[:, 6]
    order = np.random.RandomState(1).permutation(80)
    found, permuted = screened(X, y), screened(X[:, order], y)
    assert {order[i] for i in permuted[0]} == found[0]
    assert set(order[permuted[1].seen]) == set(found[1].seen)


@pytest.mark.filterwarnings("error")
def test_columns_without_a_second_power_and_constant_targets_do_no_harm():
    X = np.sign(noise(100, 40))
    _, found = screened(X, X[:, 0], np.ones(100))
    assert 0 in found.seen
    _, found = screened(np.repeat(X[:, :1], 40, axis=1), X[:, 0])
    assert len(found.seen) == FEW_FEATURES


def test_rows_that_are_all_alike_tell_nothing_and_leave_all_features():
    X = noise(50, 20)
    relevant, found = screened(X, np.ones(50))
    assert len(found.seen) == len(relevant) == 20


def test_a_fit_of_many_rows_of_which_one_differs():
    X = noise(9000, 17)
    y = np.zeros(9000)
    y[4321] = 1.0
    quick = {"max_iter": 0, "depth": 1, "n_restarts": 1, "max_width": 2, "random_state": 0}
    model = SWATRegressor(refine=False, **quick).fit(X, y)
    assert np.isfinite(model.predict(X[:5])).all()


def test_a_network_of_the_features_seen_is_one_of_all():
    screening = Screening(np.array([1, 4]), np.array([0]), 5).including(np.array([3]))
    assert screening.seen.tolist() == [1, 3, 4]
    assert screening.relevant.tolist() == [0]
    network = SparseMLP((np.ones((3, 1)),), (np.zeros(1),), ())
    wide = screening.widen(network)
    X = noise(6, 5)
    taken = screening.take(Rows(X, X[:, :1], np.ones(6))).X
    np.testing.assert_array_equal(wide.predict(X), network.predict(taken))
    np.testing.assert_array_equal(screening.narrow(wide).weights[0], network.weights[0])


def test_a_fit_finds_the_five_of_300_features_that_count():
    X, y = make_friedman1(900, n_features=300, noise=1.0, random_state=0)
    model = SWATRegressor(random_state=0).fit(X[:600], y[:600])
    assert model.score(X[600:], y[600:]) > 0.9
    assert set(range(5)) <= set(model.selected_features_)


def test_a_start_keeps_the_features_that_it_uses():
    X, y = make_friedman1(400, n_features=50, noise=1.0, random_state=0)
    weights = np.zeros((50, 1))
    weights[[40, 3], 0] = 1e-3, 1.0  # 10 x_3 is a part of y, whose mean is 14
    layers = (weights, np.full((1, 1), 10.0)), (np.zeros(1), np.full(1, 10.0))
    start = SparseMLP(*layers, (("tanh",),))
    model = SWATRegressor(start=start, max_iter=0, refine=False, random_state=0).fit(X, y)
    used = [tuple(point.network.used_features) for point in model.path_]
    assert (3, 40) in used

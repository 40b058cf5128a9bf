"""Averages of networks: one network by blocks, among the limits that every network keeps."""

from dataclasses import replace
from itertools import islice, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification, make_friedman1
from sklearn.exceptions import ConvergenceWarning

from sklearn_swat import SWATClassifier, SWATRegressor, _paths, _search, _stages
from sklearn_swat._averages import AveragePoint, average, averages, mean_left_out
from sklearn_swat._control import Control, Deadline
from sklearn_swat._leave_one_out import expected_loss
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._problem import Problem
from sklearn_swat._pruning import PathPoint
from sklearn_swat._rows import Rows
from sklearn_swat._simplification import folded_nnz


def network(*widths, seed=0, k=1, d=3, names="tanh", out="identity"):
    rng = np.random.RandomState(seed)
    sizes = (d, *widths, k)
    weights = [rng.standard_normal(shape) for shape in pairwise(sizes)]
    biases = [rng.standard_normal(n) for n in sizes[1:]]
    return SparseMLP(weights, biases, [(names,) * width for width in widths], out)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("shapes", [[(2,), (3,)], [(), (4,), (2, 3, 1)], [(), ()], [(2, 2)] * 4])
def test_an_average_computes_the_mean_of_the_outputs(shapes, k):
    out = "softmax" if k > 1 else "logistic"
    networks = [network(*shape, seed=i, k=k, out=out) for i, shape in enumerate(shapes)]
    X = np.random.RandomState(9).standard_normal((50, 3))
    found = average(networks)
    mean = np.mean([member.decision_function(X) for member in networks], axis=0)
    np.testing.assert_allclose(found.decision_function(X), mean, rtol=1e-12, atol=1e-12)
    assert found.out_activation == out
    assert found.depth == max(map(len, shapes))
    one_depth = len({*map(len, shapes)}) == 1
    if one_depth and found.depth:
        assert found.nnz == sum(member.nnz - k for member in networks) + k


def test_a_constant_among_deep_networks_is_averaged_too():
    constant = SparseMLP((np.zeros((3, 2)),), (np.array([1.0, -3.0]),), ())
    X = np.random.RandomState(9).standard_normal((20, 3))
    for others in ([network(2, 2, k=2)], [constant], [network(3, k=2), network(1, 1, 1, k=2)]):
        networks = [constant, *others]
        mean = np.mean([member.decision_function(X) for member in networks], axis=0)
        np.testing.assert_allclose(average(networks).decision_function(X), mean, atol=1e-12)


def point(loss, *widths, **options):
    return PathPoint(network(*widths, **options), loss, loss)


def judged(net, members):
    return PathPoint(net, 0.5, 0.25, 0.125)


def of(paths, max_width=16, activations=("tanh", "identity")):
    return list(averages(paths, judged, max_width=max_width, activations=activations))


def test_what_is_best_at_one_price_is_averaged():
    small, large = point(0.4, 1), point(0.2, 4, seed=1)
    other = point(0.25, 2, seed=2)
    found = of([[large, small], [other]])
    assert {frozenset(map(id, p.members)) for p in found} == {
        frozenset(map(id, pair)) for pair in ((large, other), (small, other))
    }
    at_no_price = found[0]
    assert at_no_price.members == (large, other)  # the better first
    assert (at_no_price.train_loss, at_no_price.validation_loss) == (0.5, 0.25)
    assert at_no_price.validation_error == 0.125
    assert at_no_price.network.hidden_layer_sizes == (6,)


def test_the_best_two_and_the_best_three_paths_are_averaged():
    paths = [[point(0.3, 1)], [point(0.1, 1, seed=1)], [point(0.2, 1, seed=2)]]
    assert [len(found.members) for found in of(paths)] == [2, 3]


def test_what_is_left_out_is_averaged_if_it_is_known_of_all():
    rows = np.arange(6.0).reshape(3, 2)
    one, other = (replace(point(0.3, 1, seed=seed), left_out=rows * seed) for seed in (1, 3))
    np.testing.assert_array_equal(mean_left_out([one, other]), 2 * rows)
    assert mean_left_out([one, point(0.3, 1)]) is None


def test_averages_keep_to_the_width_and_to_the_activations():
    one, other = [point(0.3, 3)], [point(0.3, 2, seed=1)]
    deep = [point(0.3, 2, 2, seed=2)]
    assert len(of([one, other], max_width=5)) == 1
    assert of([one, other], max_width=4) == []
    assert len(of([one, deep])) == 1
    assert of([one, deep], activations=("tanh",)) == []


def test_a_constant_and_a_single_path_have_no_average():
    constant = SparseMLP((np.zeros((3, 1)),), (np.ones(1),), ())
    assert of([[point(0.3, 1)], [PathPoint(constant, 0.1, 0.1)]]) == []
    assert of([[point(0.3, 1)], []]) == []
    assert of([[point(0.3, 1)], [point(np.nan, 1, seed=1)]]) == []


@pytest.fixture(scope="module")
def problem():
    X, y = make_friedman1(200, n_features=5, noise=1.0, random_state=0)
    data = Rows(X, y[:, None], np.ones(200))
    return Problem.of(data, LOSSES["squared_error"], 0.2, np.random.RandomState(0))


def test_members_are_refitted_each_for_itself(problem):
    members = tuple(problem.point(network(3, seed=seed, d=5)) for seed in (0, 1))
    whole = problem.point(average([member.network for member in members]))
    # What is left out of it counts for more than its validation rows alone.
    left_out = problem.train.target + 9.0
    worse = problem.candidate(whole.network, left_out)
    rows = (problem.train, problem.validation, problem.loss, problem.reference)
    expected = expected_loss(whole.validation_loss, left_out, *rows)
    assert worse.validation_loss == expected > whole.validation_loss
    together = AveragePoint(whole.network, 0.5, 0.5, 0.1, members)
    found = _search._refit(together, problem, lambda: False, {}).network
    expected = average(
        [_search._refit(member, problem, lambda: False, {}).network for member in members]
    )
    np.testing.assert_array_equal(found.weights[0], expected.weights[0])
    np.testing.assert_array_equal(found.biases[-1], expected.biases[-1])
    assert found.nnz == folded_nnz(whole.network)


def test_what_is_on_the_front_twice_is_refitted_once(problem, monkeypatch):
    members = tuple(problem.point(network(3, seed=seed, d=5)) for seed in (0, 1, 2))
    refine, refitted = Problem.refine, []

    def spy(self, point, should_stop):
        refitted.append(point)
        return refine(self, point, should_stop)

    monkeypatch.setattr(Problem, "refine", spy)
    known = {}
    for some in (members[:1], members[:2], members):
        whole = average([member.network for member in some])
        point = AveragePoint(whole, 0.5, 0.5, 0.1, some) if len(some) > 1 else some[0]
        found = _search._refit(point, problem, lambda: False, known).network
        alone = [_search._refit(member, problem, lambda: False, {}).network for member in some]
        expected = average(alone) if len(some) > 1 else alone[0]
        np.testing.assert_array_equal(found.weights[0], expected.weights[0])
    assert [refitted.count(member) for member in members] == [1 + 3, 1 + 2, 1 + 1]


def test_an_average_is_chosen_where_it_is_the_best(monkeypatch):
    X, y = make_friedman1(300, noise=0.3, random_state=3)
    quick = {"max_iter": 10, "random_state": 0}
    seen = []
    original = _paths.averages

    def spy(*arguments, **options):
        found = list(original(*arguments, **options))
        seen.extend(found)
        return found

    monkeypatch.setattr(_paths, "averages", spy)
    model = SWATRegressor(**quick).fit(X, y)
    losses = {p.validation_loss for p in seen}
    of_averages = [p for p in model.path_ if p.validation_loss in losses]
    assert of_averages
    assert all(type(p) is PathPoint for p in model.path_)  # plain ones: members stay behind
    monkeypatch.setattr(_paths, "averages", lambda *arguments, **options: [])
    without = SWATRegressor(**quick).fit(X, y)
    for p in without.path_:
        assert any(q.nnz <= p.nnz and q.validation_loss <= p.validation_loss for q in model.path_)
    assert min(p.validation_loss for p in model.path_) <= min(
        p.validation_loss for p in without.path_
    )


def test_ctrl_c_keeps_the_averages_that_there_are(monkeypatch):
    original = _paths.averages

    def interrupted(*arguments, **options):
        yield from islice(original(*arguments, **options), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(_paths, "averages", interrupted)
    X, y = make_friedman1(300, noise=3.0, random_state=0)
    with pytest.warns(ConvergenceWarning, match="was interrupted"):
        model = SWATRegressor(depth=1, max_iter=10, random_state=0).fit(X, y)
    assert model.stop_reason_ == "interrupt"
    assert model.score(X, y) > 0.5


def test_without_time_there_is_one_average_at_most(monkeypatch):
    points = [AveragePoint(network(1), 0.5, 0.5) for _ in range(3)]
    monkeypatch.setattr(_paths, "averages", lambda *arguments, **options: iter(points))
    problem = SimpleNamespace(candidate=None, smoothed=list)
    settings = SimpleNamespace(max_width=4, activations=())
    for seconds, n_found, reason in ((0.0, 1, "max_time"), (1e6, 3, None)):
        control = Control()
        found = _paths.average_paths([], problem, settings, control, Deadline.after(seconds))
        assert (len(found), control.stop_reason) == (n_found, reason)


def test_no_average_breaks_a_limit_of_the_fit():
    X, y = load_iris(return_X_y=True)
    model = SWATClassifier(
        depth=[1, 2], max_iter=10, max_width=3, activations=("tanh", "sigmoid"), random_state=0
    ).fit(X, y)
    for p in model.path_:
        assert max(p.network.hidden_layer_sizes, default=0) <= 3
        assert {name for layer in p.network.activations for name in layer} <= {"tanh", "sigmoid"}


def test_averages_are_wider_than_what_is_looked_for_unless_a_width_is_given(monkeypatch):
    monkeypatch.setattr(_stages, "random_beginnings", lambda *arguments, **options: [])
    X, y = make_classification(
        600, 8, n_informative=8, n_redundant=0, n_classes=4, n_clusters_per_class=3, random_state=0
    )
    quick = {"depth": 1, "max_iter": 15, "n_restarts": 4, "alpha": 0.0, "random_state": 0}
    without_limit, with_limit = (
        SWATClassifier(max_width=width, **quick).fit(X, y) for width in (None, 16)
    )
    widest = [
        max(max(p.network.hidden_layer_sizes, default=0) for p in model.path_)
        for model in (without_limit, with_limit)
    ]
    assert 64 >= widest[0] > 16 >= widest[1]
    without_limit.set_params(warm_start=True).fit(X, y)  # from a network wider than 16
    assert max(max(p.network.hidden_layer_sizes, default=0) for p in without_limit.path_) <= 64

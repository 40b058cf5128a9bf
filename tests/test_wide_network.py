"""A wider network, tried where the best candidate fills its layers: when, and what comes of it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification

from sklearn_swat import SWATClassifier, SWATRegressor, _paths, _problem, _search
from sklearn_swat._control import Control, Deadline
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._paths import N_PATHS, WIDE, wide_beginnings
from sklearn_swat._problem import Problem
from sklearn_swat._pruning import PathPoint
from sklearn_swat._rows import Rows
from sklearn_swat._wide_network import random_wide_network


def many_clusters(n, seed=0):
    """Eight classes of three clusters each: sixteen neurons tell some of them apart."""
    return make_classification(
        n, n_features=10, n_informative=10, n_redundant=0, n_classes=8, n_clusters_per_class=3,
        random_state=seed,
    )  # fmt: skip


@pytest.fixture(scope="module")
def problem():
    X, y = many_clusters(400)
    data = Rows(X, np.eye(8)[y], np.ones(400))
    return Problem.of(data, LOSSES["softmax"], 0.2, np.random.RandomState(0))


def network(width, problem):
    d, k = problem.rows.X.shape[1], problem.rows.target.shape[1]
    weights = np.ones((d, width)), np.ones((width, k))
    return SparseMLP(weights, (np.ones(width), np.ones(k)), (("tanh",) * width,), "softmax")


class Settings:
    """Of a descent: those that decide on a wider network."""

    n_slots, max_width, depths, activations = 16, 64, (1, 2), ("leaky_relu", "tanh")

    def __init__(self, **others):
        self.__dict__.update(others)


def begun(problem, width=16, loss=10.0, max_nnz=None, ends=None, control=None, **settings):
    best = PathPoint(network(width, problem), loss, loss)
    return wide_beginnings(
        [PathPoint(network(3, problem), 11.0, 11.0), best], problem, problem.screening,
        Settings(**settings), np.random.RandomState(0), control or Control(), ends or Deadline(),
        max_nnz=max_nnz,
    )  # fmt: skip


def test_it_is_as_wide_as_averages_and_refined(problem):
    ((found, pace),) = begun(problem)
    assert pace is WIDE
    assert 50 < found.hidden_layer_sizes[0] <= 64
    assert set(found.activations[0]) == {"leaky_relu", "tanh"}
    point = problem.point(found)
    assert point.train_loss < 0.5
    assert point.validation_loss < 1


@pytest.mark.parametrize(
    "case",
    [
        {"width": 7},  # a layer has room
        {"loss": 0.01},  # narrow networks are better
        {"max_width": 16},
        {"depths": (2, 3)},
        {"activations": ("identity",)},
        {"max_nnz": WIDE["smallest"] - 1},
    ],
    ids=str,
)
def test_it_is_left_out_where_it_may_not_be_or_does_not_help(problem, case):
    assert begun(problem, **case) == []


def test_without_candidates_there_is_nothing_to_be_better_than(problem):
    arguments = problem, problem.screening, Settings(), np.random.RandomState(0)
    assert wide_beginnings([], *arguments, Control(), Deadline()) == []


@pytest.mark.parametrize(("n_features", "is_tried"), [(16, False), (17, True)])
def test_regressions_of_few_features_have_no_use_for_it(monkeypatch, n_features, is_tried):
    calls = []

    def spy(*arguments, **options):
        calls.append(options["width"])

    monkeypatch.setattr(_paths, "random_wide_network", spy)
    monkeypatch.setattr(_paths, "FILLS", 0.0)
    X = np.random.RandomState(0).standard_normal((200, n_features))
    SWATRegressor(depth=1, max_iter=2, random_state=0).fit(X, np.tanh(X).sum(axis=1))
    assert calls == [4 * n_features] * is_tried


def test_time_that_cuts_its_trial_short_is_told(problem):
    control = Control()
    assert begun(problem, ends=Deadline.after(0.0), control=control) == []
    assert control.stop_reason == "max_time"


def test_ctrl_c_in_its_trial_ends_the_search(problem, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_paths, "_refine_first", interrupted)
    control = Control()
    assert begun(problem, control=control) == []
    assert control.was_interrupted


@pytest.mark.parametrize("is_better", [True, False])
@pytest.mark.parametrize("has_start", [False, True])
def test_its_path_takes_the_place_of_the_last_one_and_is_not_averaged(
    monkeypatch, is_better, has_start
):
    run, average, begins, averaged = _search.run_paths, _search.average_paths, [], []

    def spy_on_paths(beginnings, *arguments):
        begins.extend(pace for _, pace in beginnings)
        return run(beginnings, *arguments)

    def spy_on_averages(paths, *arguments):
        averaged.extend(paths)
        return average(paths, *arguments)

    monkeypatch.setattr(_search, "run_paths", spy_on_paths)
    monkeypatch.setattr(_search, "average_paths", spy_on_averages)
    monkeypatch.setattr(_paths, "FILLS", 0.0)
    monkeypatch.setattr(_paths, "IS_BETTER", np.inf if is_better else 0.0)
    X, y = many_clusters(400)
    start = SWATClassifier(depth=1, n_restarts=1, max_iter=1, refine=False).fit(X, y)
    model = SWATClassifier(depth=1, n_restarts=4, max_iter=5, random_state=0)
    model.set_params(start=start if has_start else "data").fit(X, y)
    others = [False] * (1 + has_start)  # the linear one, and that of the start
    assert [pace is WIDE for pace in begins] == [False] * (N_PATHS - 1) + [is_better, *others]
    assert len(averaged) == len(begins) - is_better


def test_of_many_clusters_it_tells_more_apart(monkeypatch):
    X, y = many_clusters(2600)
    train, test = slice(0, 2000), slice(2000, None)
    model = SWATClassifier(random_state=0).fit(X[train], y[train])
    assert max(model.path_[-1].network.hidden_layer_sizes) > 16
    monkeypatch.setattr(_paths, "FILLS", np.inf)
    narrow = SWATClassifier(random_state=0).fit(X[train], y[train])
    assert model.score(X[test], y[test]) > narrow.score(X[test], y[test]) + 0.02


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (("identity", "tanh", "leaky_relu"), ("leaky_relu", "leaky_relu", "tanh")),
        (("tanh",), ("tanh",) * 3),
        (("identity", "sigmoid"), ("sigmoid",) * 3),
    ],
)
def test_its_neurons_have_activations_that_are_allowed(allowed, expected):
    found = random_wide_network(
        2, np.array([1]), 2, width=3, activations=allowed, out_activation="softmax",
        random_state=np.random.RandomState(0),
    )  # fmt: skip
    assert sorted(found.activations[0]) == list(expected)
    assert found.used_features.tolist() == [1]


def test_paths_of_wide_networks_and_refits_of_many_numbers_see_fewer_rows(problem, monkeypatch):
    monkeypatch.setattr(_problem, "WIDE_ROWS", 50)
    of_few = replace(problem)  # which has cached nothing
    assert len(of_few.fewer_train.X) == 50 < len(of_few.few_train.X)
    seen = []

    def spy(network, rows, *arguments, **options):
        seen.append(len(rows.X))
        return network

    monkeypatch.setattr(_problem, "refine", spy)
    point = problem.point(network(2, problem))
    for most in (100 * point.nnz, 400 * point.nnz):
        monkeypatch.setattr(_problem, "MOST_PRODUCTS", most)
        problem.refine(point, Deadline())
    assert seen == [100, 400]

"""Of few rows, several splits are joined, and judge one another's networks."""

import time
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification, make_friedman1
from sklearn.exceptions import ConvergenceWarning

from sklearn_swat import SWATClassifier, SWATRegressor, _paths, _search, _split, _stages
from sklearn_swat._averages import AveragePoint, average
from sklearn_swat._control import Deadline
from sklearn_swat._joined_splits import (
    FAR,
    FEW_ROWS,
    joined,
    judged_by_members,
    judged_together,
)
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._problem import Problem
from sklearn_swat._pruning import PathPoint
from sklearn_swat._rows import Rows
from sklearn_swat._search import FEW_PATHS, FEW_REFINED, N_OTHERS, ROWS_TO_SHARE
from sklearn_swat._stages import Stages

QUICK = {"depth": 1, "n_restarts": 1, "max_iter": 2, "max_width": 4, "random_state": 0}


def line(size, loss, error=0.05, d=8):
    """Return a linear network of so many numbers, no other's, with its validation loss."""
    weights = np.zeros((d, 1))
    weights[: size - 1] = 1 + loss
    return PathPoint(SparseMLP((weights,), (np.ones(1),), ()), loss, loss, error)


def labels(n, seed=0, n_features=6):
    """Return rows of two classes, of which every fifth label is wrong."""
    return make_classification(
        n, n_features, n_informative=4, n_redundant=0, flip_y=0.4, random_state=seed
    )


@pytest.fixture
def n_splits(monkeypatch):
    """Count how often rows are split once more."""
    split, counted = Problem.split_anew, []

    def spy(*arguments):
        counted.append(1)
        return split(*arguments)

    monkeypatch.setattr(Problem, "split_anew", spy)
    return counted


# ------------------------------------------------------------------------------- judging


def told(fronts, seen):
    losses = [lambda network, loss=loss: loss for loss in seen]
    together = judged_together(fronts, losses)
    return [[point.validation_loss for point in front] for front in together]


def test_networks_are_judged_by_the_mean_of_splits_at_their_size():
    fronts = [
        [line(1, 1.0), line(4, 0.4)],
        [line(2, 0.9), line(6, 0.5)],
        [line(1, 0.8), line(3, 0.6), line(5, 0.3)],
    ]
    found = told(fronts, (0.3, 0.3, 0.3))
    # The smallest network of a split stands for it where it has none that is small enough.
    assert found[0] == pytest.approx([np.mean((1.0, 0.9, 0.8)), np.mean((0.4, 0.9, 0.6))])
    assert found[1] == pytest.approx([np.mean((1.0, 0.9, 0.8)), np.mean((0.4, 0.5, 0.3))])
    assert found[2][1:] == pytest.approx([np.mean((1.0, 0.9, 0.6)), np.mean((0.4, 0.9, 0.3))])


@pytest.mark.parametrize("error", [0.01, 0.5])
def test_what_others_did_not_find_is_told_from_luck_by_its_standard_error(error):
    fronts = [[line(3, 0.1, error)], [line(3, 0.9, error)], [line(3, 1.0, error)]]
    (found,), *_ = told(fronts, (0.9, 0.1, 0.1))  # others are bad on rows that they have seen
    mean = np.mean((0.1, 0.9, 1.0))
    own = 0.95 + 0.1 - 0.9
    assert found == pytest.approx(own if own < mean - FAR * error else mean)
    assert (found == pytest.approx(own)) == (error == 0.01)


def test_luck_with_easy_rows_is_none_of_the_network():
    fronts = [[line(3, 0.1, 0.001)], [line(3, 0.5, 0.001)], [line(3, 0.6, 0.001)]]
    (found,), *_ = told(fronts, (0.1, 0.5, 0.6))
    assert found == pytest.approx(0.4)


@pytest.mark.parametrize("seen", [2.0, np.inf])
def test_no_network_is_told_better_than_its_own_rows_say(seen):
    fronts = [[line(3, loss, 0.01)] for loss in (0.5, 0.6, 0.7)]
    (found,), *_ = told(fronts, (seen, 0.0, 0.0))
    assert found == 0.5


def test_unknown_standard_errors_make_no_exceptions():
    fronts = [[line(3, loss, float("nan"))] for loss in (0.1, 0.9, 1.0)]
    assert told(fronts, (0.9, 0.1, 0.1)) == [[pytest.approx(2 / 3)]] * 3


def bend(seed, k=1, out="identity"):
    rng = np.random.RandomState(seed)
    weights = rng.standard_normal((3, 2)), rng.standard_normal((2, k))
    biases = rng.standard_normal(2), rng.standard_normal(k)
    return SparseMLP(weights, biases, (("tanh",) * 2,), out)


@pytest.mark.parametrize("loss_name", ["squared_error", "logistic", "softmax"])
def test_what_averaging_gains_does_not_depend_on_targets(loss_name):
    """So rows that members were fitted to tell what an average gains on others."""
    loss, rng = LOSSES[loss_name], np.random.RandomState(0)
    k = 3 if loss_name == "softmax" else 1
    X = rng.standard_normal((50, 3))
    networks = [bend(seed, k, loss.out_activation) for seed in range(3)]
    members = [PathPoint(network, 0.5, 9.5 + 0.5 * i, 0.1) for i, network in enumerate(networks)]
    whole, gains = average(networks), []
    for _ in range(2):
        target = {
            "squared_error": rng.standard_normal((50, 1)),
            "logistic": rng.randint(2, size=(50, 1)).astype(float),
            "softmax": np.eye(3)[rng.randint(3, size=50)],
        }[loss_name]

        def on_rows(network, target=target):
            raw = network.decision_function(X)
            return loss.value(raw, target, np.ones(50))

        judged = judged_by_members(whole, members, on_rows)
        gains.append(10.0 - judged.validation_loss)
        mean = np.mean([on_rows(network) for network in networks])
        assert mean - on_rows(whole) == pytest.approx(gains[-1])
        assert judged.train_loss == on_rows(whole)
        assert judged.validation_error == pytest.approx(0.1)
    assert gains[0] == pytest.approx(gains[1])
    assert gains[0] > 0


def test_no_average_is_told_better_on_new_rows_than_on_those_that_it_has_seen():
    networks = [bend(seed) for seed in range(2)]
    members = [PathPoint(network, 0.5, 0.3, 0.1) for network in networks]
    losses = {networks[0]: 2.0, networks[1]: 2.0}
    judged = judged_by_members(average(networks), members, lambda net: losses.get(net, 0.25))
    assert judged.validation_loss == 0.25


def test_networks_and_averages_of_all_splits_are_returned():
    X, y = labels(200)
    data = Rows(X, y[:, None].astype(float), np.ones(200))
    random_state = np.random.RandomState(0)
    first = Problem.of(data, LOSSES["logistic"], 0.2, random_state)
    problems = [first, first.split_anew(0.2, random_state), first.split_anew(0.2, random_state)]
    assert len({problem.validation.X.tobytes() for problem in problems}) == 3
    for problem in problems:
        assert len(problem.train.X) + len(problem.validation.X) == 200
        assert problem.rows is first.rows
    rng = np.random.RandomState(1)
    found = []
    for problem in problems:
        network = SparseMLP(
            (0.1 * rng.standard_normal((first.rows.X.shape[1], 1)),), (np.zeros(1),), (), "logistic"
        )
        refined = problem.refine(problem.candidate(network), lambda: False)
        found.append([problem.constant_point, problem.candidate(refined)])
    points = joined(found, problems, max_width=64, activations=("tanh", "identity"))
    averaged = [point for point in points if isinstance(point, AveragePoint)]
    assert {len(point.members) for point in averaged} == {2, 3}
    sizes = [point.nnz for front in found for point in front]
    assert [p.nnz for p in points if not isinstance(p, AveragePoint)] == sizes
    assert np.isfinite([point.validation_loss for point in points]).all()


# ------------------------------------------------------------------------------ searches


@pytest.mark.parametrize(
    ("n", "parameters", "is_split_anew"),
    [
        (FEW_ROWS, {}, True),
        (FEW_ROWS + 1, {}, False),
        (200, {"refine": False}, False),
        (200, {"max_time": 1e-3}, False),
        (5, {}, False),  # a fifth of them is no two rows
    ],
)
def test_few_rows_of_classes_are_split_again(n_splits, n, parameters, is_split_anew):
    X, y = labels(n)
    y[:2] = 0, 1
    model = SWATClassifier(**{**QUICK, **parameters})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert len(n_splits) == (N_OTHERS if is_split_anew else 0)


@pytest.mark.parametrize("n_features", [6, 16])
def test_splits_of_enough_rows_for_their_features_begin_at_one_descent(monkeypatch, n_features):
    begin, seen = _stages.best_beginnings, []

    def spy(descents, price, problem, *arguments, **options):
        descents = [list(networks) for networks in descents]
        numbers = (options["n_refined"], options["n_paths"])
        seen.append((descents, problem.validation.X.tobytes(), numbers))
        return begin(descents, price, problem, *arguments, **options)

    monkeypatch.setattr(_stages, "best_beginnings", spy)
    rows = labels(150, n_features=n_features)
    SWATClassifier(**QUICK | {"n_restarts": 2, "max_iter": 5}).fit(*rows)
    (first, *others), rows, numbers = zip(*seen, strict=True)
    assert len(rows) == len(set(rows)) == 1 + N_OTHERS
    assert set(numbers) == {(FEW_REFINED, FEW_PATHS)}
    assert first[0]
    for other in others:
        assert other[0]
        is_one = len(other[0]) == len(first[0]) and all(map(is_same, other[0], first[0]))
        assert is_one == (150 >= ROWS_TO_SHARE * n_features)


def test_numbers_have_to_be_worth_a_price(monkeypatch):
    X, y = labels(150)

    def size_of_front(price):
        monkeypatch.setattr(_search, "FEW_PRICE", price)
        return len(SWATClassifier(**QUICK, alpha=0).fit(X, y).path_)

    at_none, at_the_usual, too_high = map(size_of_front, (0.0, _search.FEW_PRICE, 10.0))
    assert at_none >= at_the_usual > too_high == 1


def is_same(one, other):
    return all(map(np.array_equal, one.weights, other.weights))


def test_others_are_not(n_splits):
    X, y = labels(200)
    SWATClassifier(**QUICK).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    SWATClassifier(**QUICK, start=bend(0, out="logistic")).fit(X[:, :3], y)
    SWATRegressor(**QUICK).fit(*make_friedman1(200, noise=1.0, random_state=0))
    assert not n_splits


def test_several_labels_and_several_classes_are_split_again(n_splits):
    X, y = labels(200)
    other = labels(200, seed=1)[1]
    SWATClassifier(**QUICK).fit(X, np.column_stack([y, other]))
    SWATClassifier(**QUICK).fit(X, y + other)
    assert len(n_splits) == 2 * N_OTHERS


def test_a_row_of_weight_two_is_split_as_two_rows():
    X, y = labels(120)
    weight = np.random.RandomState(0).randint(1, 4, size=120)
    weighed = SWATClassifier(**QUICK).fit(X, y, sample_weight=weight)
    repeated = SWATClassifier(**QUICK).fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    np.testing.assert_allclose(
        weighed.predict_proba(X), repeated.predict_proba(X), rtol=1e-6, atol=1e-9
    )


def test_the_same_bits_in_parallel_and_again():
    X, y = labels(150)
    models = [SWATClassifier(**QUICK, n_jobs=n_jobs).fit(X, y) for n_jobs in (None, None, 2)]
    for model in models[1:]:
        assert len(model.path_) == len(models[0].path_)
        for own, expected in zip(model.path_, models[0].path_, strict=True):
            assert own.validation_loss == expected.validation_loss
            for one, other in zip(own.network.weights, expected.network.weights, strict=True):
                np.testing.assert_array_equal(one, other)


class Callback:
    """Count the tasks of a fit, and stop it after the one of that number."""

    def __init__(self, stop_at=None):
        self.stop_at, self.n_begun, self.n_ended, self.names = stop_at, 0, 0, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.n_begun += 1
        self.names.append(context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.n_ended += 1
        return self.n_ended == self.stop_at


@pytest.fixture(scope="module")
def of_first_split():
    """Return rows, and what the first split alone makes of them."""
    X, y = labels(150)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_search, "_with_other_splits", lambda stages, points, *_: (points, True))
        return X, y, SWATClassifier(**QUICK).fit(X, y)


def test_where_memory_ends_at_other_splits_the_first_one_is_the_result(
    monkeypatch, of_first_split, capsys
):
    X, y, expected = of_first_split
    run, n_calls, callback = _paths._run_path, [], Callback()

    def fail(*arguments, **options):
        n_calls.append(1)
        if len(n_calls) > 3:  # the first split has two paths, of which one is linear
            raise MemoryError
        return run(*arguments, **options)

    monkeypatch.setattr(_paths, "_run_path", fail)
    model = SWATClassifier(**QUICK, verbose=1).set_callbacks(callback).fit(X, y)
    assert model.stop_reason_ is None
    assert callback.n_begun == callback.n_ended
    assert "memory is not enough for other splits" in capsys.readouterr().out
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_a_callback_may_stop_it_anywhere(of_first_split):
    X, y, _ = of_first_split
    watching = Callback()
    SWATClassifier(**QUICK).set_callbacks(watching).fit(X, y)
    assert (watching.names.count("descent"), watching.names.count("pruning paths")) == (1, 2)
    assert watching.n_begun == watching.n_ended > 10
    for i in range(2, watching.n_ended, 5):
        callback = Callback(stop_at=i)
        model = SWATClassifier(**QUICK).set_callbacks(callback).fit(X, y)
        assert model.stop_reason_ == "callback"
        assert callback.n_begun == callback.n_ended <= watching.n_ended
        assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("ends", ["interrupt", "max_time", "memory"])
def test_where_a_descent_of_another_split_is_cut_short_the_first_one_is_the_result(
    monkeypatch, n_splits, ends
):
    X, y = labels(150, n_features=16)
    with monkeypatch.context() as patch:
        patch.setattr(_search, "_with_other_splits", lambda stages, points, *_: (points, True))
        expected = SWATClassifier(**QUICK).fit(X, y)
    descend = _split.descend_within_memory

    def cut_short(task, settings, load, seed, report, should_stop):
        if n_splits and ends == "memory":
            raise MemoryError
        descent, settings = descend(task, settings, load, seed, report, should_stop)
        if not n_splits:  # a second one on the first split
            return descent, settings
        descent.was_interrupted = ends == "interrupt"
        should_stop.has_passed = ends == "max_time"
        return descent, settings

    monkeypatch.setattr(_split, "descend_within_memory", cut_short)
    model = SWATClassifier(**QUICK)
    if ends == "interrupt":
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.fit(X, y)
        assert len(model.path_) > 1
    else:
        model.fit(X, y)
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.stop_reason_ == (None if ends == "memory" else ends)


@pytest.mark.parametrize("where", ["split_anew", "joined"])
def test_ctrl_c_between_the_stages_keeps_the_first_split(monkeypatch, of_first_split, where):
    X, y, _ = of_first_split

    def press(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((Problem, where) if where == "split_anew" else (_search, where)), press)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model = SWATClassifier(**QUICK).fit(X, y)
    assert model.stop_reason_ == "interrupt"
    assert len(model.path_) > 1


@pytest.mark.parametrize("is_begun", [False, True])
def test_without_time_for_other_splits_the_first_one_is_the_result(
    monkeypatch, of_first_split, n_splits, is_begun
):
    X, y, expected = of_first_split
    asked = []
    monkeypatch.setattr(Deadline, "leaves", lambda _, seconds: asked.append(seconds) or is_begun)
    refine, taken = Stages.refine, []

    def timed(*arguments):
        began = time.time()
        may_refit = refine(*arguments)
        taken.append(time.time() - began)
        return may_refit

    monkeypatch.setattr(Stages, "refine", timed)
    if is_begun:  # and their paths take all that there is
        run = _stages.run_paths

        def slow(beginnings, problems, n_jobs, control, ends, *arguments):
            if n_splits:
                ends.at = 0.0
            return run(beginnings, problems, n_jobs, control, ends, *arguments)

        monkeypatch.setattr(_stages, "run_paths", slow)
    began = time.time()
    model = SWATClassifier(**QUICK, max_time=60.0).fit(X, y)
    of_all = time.time() - began
    assert len(n_splits) == (N_OTHERS if is_begun else 0)
    assert len(asked) == 1
    assert N_OTHERS * taken[0] <= asked[0] <= N_OTHERS * of_all
    assert model.stop_reason_ == "max_time"
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_no_other_split_begins_once_time_is_over(monkeypatch, of_first_split):
    X, y, expected = of_first_split
    begin, n_calls = _stages.best_beginnings, []

    def spy(descents, price, problem, n_jobs, control, *arguments, **options):
        n_calls.append(1)
        if len(n_calls) == 2:
            control.stopped("max_time")
        return begin(descents, price, problem, n_jobs, control, *arguments, **options)

    monkeypatch.setattr(_stages, "best_beginnings", spy)
    model = SWATClassifier(**QUICK).fit(X, y)
    assert len(n_calls) == 2
    assert model.stop_reason_ == "max_time"
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("is_late", [False, True])
def test_ctrl_c_at_other_splits_keeps_what_the_first_one_found(monkeypatch, is_late):
    X, y = labels(150)
    run, n_calls = _stages.run_paths, []

    def interrupt(beginnings, problems, n_jobs, control, *arguments):
        n_calls.append(1)
        if len(n_calls) > 1:
            control.stopped("interrupt")
            if not is_late:
                return False, False
        return run(beginnings, problems, n_jobs, control, *arguments)

    monkeypatch.setattr(_stages, "run_paths", interrupt)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model = SWATClassifier(**QUICK).fit(X, y)
    assert len(n_calls) == 2
    assert model.stop_reason_ == "interrupt"
    assert len(model.path_) > 1


def test_enough_time_is_as_good_as_any(n_splits, of_first_split):
    X, y, _ = of_first_split
    model = SWATClassifier(**QUICK, max_time=60.0).fit(X, y)
    free = SWATClassifier(**QUICK).fit(X, y)
    assert len(n_splits) == 2 * N_OTHERS
    assert model.stop_reason_ is None
    np.testing.assert_array_equal(model.predict_proba(X), free.predict_proba(X))


def test_no_network_of_other_splits_breaks_a_limit():
    X, y = load_iris(return_X_y=True)
    y = np.where(np.random.RandomState(0).rand(150) < 0.2, (y + 1) % 3, y)
    limits = {"max_width": 3, "depth": [1, 2], "activations": ("tanh", "sigmoid"), "max_nnz": 30}
    model = SWATClassifier(max_iter=5, random_state=0, **limits).fit(X, y)
    assert model.nnz_ <= 30
    for point in model.path_:
        assert max(point.network.hidden_layer_sizes, default=0) <= 3
        assert point.network.depth <= 2
        used = {name for layer in point.network.activations for name in layer}
        assert used <= {"tanh", "sigmoid"}

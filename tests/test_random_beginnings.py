"""Networks of random neurons beside the descent: when they are tried, and what comes of them."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier

from sklearn_swat import (
    SWATClassifier,
    SWATRegressor,
    _beginnings,
    _paths,
    _problem,
    _random_beginnings,
    _stages,
)
from sklearn_swat._beginnings import N_PATHS, THOROUGH, Beginning
from sklearn_swat._control import Control, Deadline
from sklearn_swat._joined_splits import FEW_ROWS
from sklearn_swat._losses import LOSSES
from sklearn_swat._neighbours import neighbour_noise
from sklearn_swat._network import SparseMLP
from sklearn_swat._paths import LARGEST_AVERAGE, worth_their_size
from sklearn_swat._problem import Problem
from sklearn_swat._pruning import PathPoint
from sklearn_swat._random_beginnings import (
    DENSE,
    DENSE_BUDGET,
    FEW_TIMES,
    MOST_TIMES,
    WIDE,
    WIDE_BUDGET,
    random_beginnings,
)
from sklearn_swat._rows import Rows
from sklearn_swat._search import N_OTHERS
from sklearn_swat.compression import compress


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
    biases, names = (np.ones(width), np.ones(k)), (("tanh",) * width,)
    return SparseMLP(weights, biases, names, problem.loss.out_activation)


class Settings:
    """Of a descent: those that decide on random networks."""

    max_width, n_slots, depths, activations = 64, 16, (1, 2), ("leaky_relu", "tanh")

    def __init__(self, **others):
        self.__dict__.update(others)


def begun(problem, max_nnz=None, ends=None, control=None, others=(3, 16), **settings):
    """Return how random paths begin beside paths from networks of ones of so many neurons."""
    beginnings = [Beginning(network(n, problem), THOROUGH) for n in others]
    return random_beginnings(
        beginnings, problem, problem.screening, Settings(**settings), np.random.RandomState(0),
        control or Control(), ends or Deadline(), max_nnz=max_nnz,
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
        {"max_width": 16},
        {"depths": (2, 3)},
        {"activations": ("identity",)},
        {"max_nnz": WIDE_BUDGET},
    ],
    ids=str,
)
def test_it_is_left_out_where_it_may_not_be_or_has_no_use(problem, case):
    assert begun(problem, **case) == []


def test_it_has_to_be_better_than_all_that_paths_begin_at(problem):
    ((found, _),) = begun(problem)
    beginnings = [Beginning(network(3, problem), THOROUGH), Beginning(found, THOROUGH)]
    arguments = problem, problem.screening, Settings(), np.random.RandomState(0)
    assert random_beginnings(beginnings, *arguments, Control(), Deadline()) == []


def test_without_other_paths_there_is_none(problem):
    assert begun(problem, others=()) == []


@pytest.mark.parametrize(
    ("n_features", "n_outputs", "depth", "sizes", "has_start"),
    [
        (17, 1, 1, [(4 * 17,)], False),
        (17, 1, 1, [(4 * 17,)], True),
        (16, 1, 1, [], False),
        (16, 1, 1, [], True),
        (16, 1, 2, [(13, 13)], False),
        (16, 8, 3, [(9, 9, 9)], False),
        (2, 1, [1, 2, 3, 4], [(13, 13, 13)], False),
        (2, 1, [1, 4], [(11, 11, 11, 11)], False),
    ],
)
def test_in_regressions_the_number_of_features_decides_on_its_shape(
    monkeypatch, n_features, n_outputs, depth, sizes, has_start
):
    draw, drawn = _random_beginnings.random_network, []

    def spy(*arguments, **options):
        drawn.append(options["hidden_layer_sizes"])
        network = draw(*arguments, **options)
        assert len(network.hidden_layer_sizes) == 1 or network.nnz <= 450
        return network

    monkeypatch.setattr(_random_beginnings, "random_network", spy)
    X = np.random.RandomState(0).standard_normal((200, n_features))
    y = np.tanh(X @ X[:n_outputs].T)
    start = SparseMLP(
        (0.2 * X[:18].T, X[:18, :1] * np.ones(n_outputs)), (X[:18, 0], np.zeros(n_outputs)),
        (("tanh",) * 18,),
    )  # fmt: skip
    model = SWATRegressor(depth=depth, max_iter=2, start=start if has_start else "data")
    model.fit(X, y)
    assert drawn == sizes


def test_time_that_cuts_its_trial_short_is_told(problem):
    control = Control()
    assert begun(problem, ends=Deadline.after(0.0), control=control) == []
    assert control.stop_reason == "max_time"


def test_ctrl_c_in_its_trial_ends_the_search(problem, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_beginnings, "_refine_first", interrupted)
    control = Control()
    assert begun(problem, control=control) == []
    assert control.was_interrupted


def beside_constant(is_better=True):
    """Return what begins paths of wide networks, if these beat a constant, or never."""

    def begin(beginnings, problem, *arguments, **options):
        assert beginnings
        constant = [Beginning(problem.constant(), THOROUGH)]
        return random_beginnings(constant, problem, *arguments, **options) if is_better else []

    return begin


@pytest.mark.parametrize("is_better", [True, False])
@pytest.mark.parametrize("has_start", [False, True])
def test_its_path_takes_the_place_of_the_last_one_and_is_not_averaged(
    monkeypatch, is_better, has_start
):
    run, average, begins, averaged = _stages.run_paths, _stages.average_paths, [], []

    def spy_on_paths(beginnings, *arguments):
        begins.extend(pace for _, pace in beginnings)
        return run(beginnings, *arguments)

    def spy_on_averages(paths, *arguments):
        averaged.extend(paths)
        return average(paths, *arguments)

    monkeypatch.setattr(_stages, "run_paths", spy_on_paths)
    monkeypatch.setattr(_stages, "average_paths", spy_on_averages)
    monkeypatch.setattr(_stages, "random_beginnings", beside_constant(is_better))
    X, y = many_clusters(FEW_ROWS + 100)
    start = SWATClassifier(depth=1, n_restarts=1, max_iter=1, refine=False).fit(X, y)
    model = SWATClassifier(depth=1, n_restarts=4, max_iter=5, random_state=0)
    model.set_params(start=start if has_start else "data").fit(X, y)
    others = [False] * (1 + has_start)  # the linear one, and that of the start
    assert [pace is WIDE for pace in begins] == [False] * (N_PATHS - 1) + [is_better, *others]
    assert len(averaged) == len(begins) - is_better
    widest = max(max(p.network.hidden_layer_sizes, default=0) for path in averaged for p in path)
    assert widest <= 16


def test_of_few_rows_its_path_runs_beside_the_only_one(monkeypatch):
    run, begins = _stages.run_paths, []

    def spy(beginnings, *arguments):
        begins.extend(pace for _, pace in beginnings)
        return run(beginnings, *arguments)

    monkeypatch.setattr(_stages, "run_paths", spy)
    monkeypatch.setattr(_stages, "random_beginnings", beside_constant(True))
    X, y = many_clusters(200)
    SWATClassifier(depth=1, n_restarts=1, max_iter=2, random_state=0).fit(X, y)
    of_a_split = [False, True, False]  # a candidate's, this one, and the linear one
    assert [pace is WIDE for pace in begins] == of_a_split * (1 + N_OTHERS)


def test_of_many_clusters_it_tells_more_apart(monkeypatch):
    X, y = many_clusters(2600)
    train, test = slice(0, 2000), slice(2000, None)
    begin, begun = random_beginnings, []

    def spy(*arguments, **options):
        begun.extend(found := begin(*arguments, **options))
        return found

    monkeypatch.setattr(_stages, "random_beginnings", spy)
    model = SWATClassifier(random_state=0).fit(X[train], y[train])
    assert [pace for _, pace in begun] == [WIDE]
    monkeypatch.setattr(_stages, "random_beginnings", beside_constant(False))
    narrow = SWATClassifier(random_state=0).fit(X[train], y[train])
    assert model.score(X[test], y[test]) > narrow.score(X[test], y[test]) + 0.02


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (("identity", "tanh", "leaky_relu"), {"leaky_relu", "tanh"}),
        (("tanh",), {"tanh"}),
        (("identity", "sigmoid"), {"sigmoid"}),
    ],
)
def test_its_neurons_have_activations_that_are_allowed(problem, allowed, expected):
    ((found, _),) = begun(problem, activations=allowed)
    assert set(found.activations[0]) == expected


@pytest.fixture
def forced(monkeypatch):
    """Let every fit that may have a path of a wide network have one, and list these."""
    begin, begun = beside_constant(), []

    def spy(*arguments, **options):
        begun.extend(found := begin(*arguments, **options))
        return found

    monkeypatch.setattr(_stages, "random_beginnings", spy)
    return begun


FAST = {"depth": 1, "n_restarts": 3, "max_iter": 3, "alpha": 0.0, "random_state": 0}


def test_its_path_sees_fewer_rows_and_is_judged_by_all(monkeypatch, forced):
    run, judged, seen, by_all = _paths._run_path, Problem.judged, [], []

    def spy_on_paths(network, train, *arguments, **options):
        seen.append((max(network.hidden_layer_sizes, default=0) > 16, len(train.X)))
        return run(network, train, *arguments, **options)

    def spy_on_judges(problem, points, train):
        by_all.append((len(train.X), judged(problem, points, train) is not points))
        return judged(problem, points, train)

    monkeypatch.setattr(_paths, "_run_path", spy_on_paths)
    monkeypatch.setattr(Problem, "judged", spy_on_judges)
    monkeypatch.setattr(_problem, "WIDE_ROWS", 200)
    X, y = many_clusters(600)
    SWATClassifier(**FAST).fit(X, y)
    assert len(forced) == 1
    assert sorted(seen) == [(False, 480)] * (len(seen) - 1) + [(True, seen[-2][1])]
    assert seen[-2][1] <= 200
    assert [again for n, again in by_all if n <= 200] == [True]
    assert not any(again for n, again in by_all if n == 480)


def test_fits_that_have_it_keep_what_all_fits_promise(forced):
    """The same bits in parallel, the same answers of turned rows, and within a time."""
    X, y = many_clusters(300)
    model = SWATClassifier(**FAST).fit(X, y)
    parallel = SWATClassifier(n_jobs=2, **FAST).fit(X, y)
    turned = SWATClassifier(**FAST).fit(-X[::-1, ::-1], y[::-1])
    for i in range(len(model.path_)):
        expected = model.select(index=i).predict_proba(X)
        np.testing.assert_array_equal(parallel.select(index=i).predict_proba(X), expected)
        np.testing.assert_allclose(
            turned.select(index=i).predict_proba(-X[:, ::-1]), expected, rtol=1e-6, atol=1e-9
        )
    assert len(forced) == 3 * (1 + N_OTHERS)
    in_no_time = SWATClassifier(max_time=0.02, **FAST)
    assert in_no_time.fit(X, y).stop_reason_ == "max_time"
    assert in_no_time.score(X, y) > 0


@pytest.mark.parametrize("kind", ["held out", "labels", "outputs"])
def test_it_is_found_with_all_kinds_of_rows(forced, kind):
    X, y = many_clusters(300)
    rng = np.random.RandomState(0)
    if kind == "held out":
        model = SWATClassifier(**FAST).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    elif kind == "labels":
        model = SWATClassifier(**FAST).fit(X, (X[:, :3] * X[:, 3:6] > 0).astype(int))
    else:
        X = rng.standard_normal((300, 20))
        model = SWATRegressor(**FAST).fit(X, X[:, :2] * X[:, 2:4])
    assert len(forced) == (1 + N_OTHERS if kind == "labels" else 1)
    assert np.isfinite(model.select(index=-1).predict(X)).all()


def test_refits_of_many_numbers_see_a_part_of_many_rows_but_all_that_paths_saw(
    problem, monkeypatch
):
    seen = []

    def spy(network, rows, *arguments, **options):
        seen.append(len(rows.X))
        return network

    monkeypatch.setattr(_problem, "refine", spy)
    point = problem.point(network(2, problem))
    monkeypatch.setattr(_problem, "SEARCH_ROWS", 50)
    for n_rows in (10, 100, 1000):
        monkeypatch.setattr(_problem, "MOST_ROWS_TIMES_NUMBERS", n_rows * point.nnz)
        problem.refine(point, Deadline())
    assert seen[0] <= 50 < seen[1] <= 100 < seen[2] == 400


def test_large_networks_are_kept_where_their_numbers_are_worth_a_price(problem):
    sizes = {width: network(width, problem).nnz for width in (20, 50, 60, 70)}
    assert sizes[20] < LARGEST_AVERAGE < sizes[50]
    losses = {20: 0.5, 50: 0.4, 60: 0.4 - 1e-6, 70: 0.3}
    points = [PathPoint(network(width, problem), 0.0, loss) for width, loss in losses.items()]
    for price, kept in (
        (0.0, points),
        (1e-5, [points[0], points[1], points[3]]),
        (1.0, points[:1]),
    ):
        assert worth_their_size(points[::-1], price) == kept


# ------------------------------------------------------------------------------ dense networks


def waves(n, noise=0.0, seed=0, n_features=2):
    """Waves of the first two features, which descents see nothing of but their mean."""
    rng = np.random.RandomState(seed)
    X = rng.uniform(-1, 1, (n, n_features))
    return X, np.sin(12 * X[:, 0]) * np.cos(10 * X[:, 1]) + noise * rng.standard_normal(n)


def regression(X, y, seed=0):
    data = Rows(X, y[:, None], np.ones(len(X)))
    return Problem.of(data, LOSSES["squared_error"], 0.2, np.random.RandomState(seed))


@pytest.fixture(scope="module")
def wavy():
    return regression(*waves(2500))


def times_refined(monkeypatch, problem, **options):
    """Return how often a dense network is refined, how far that gets, and what begins."""
    minimise, losses = _random_beginnings.minimise, []

    def spy(objective, *arguments, **options):
        x = minimise(objective, *arguments, **options)
        losses.append(problem.candidate(objective.to_network(x)).validation_loss)
        return x

    monkeypatch.setattr(_random_beginnings, "minimise", spy)
    options = {"depths": (1, 2, 3), "activations": ("identity", "leaky_relu", "tanh")} | options
    return losses, begun(problem, **options)


def test_a_dense_network_finds_waves(monkeypatch, wavy):
    losses, ((found, pace),) = times_refined(monkeypatch, wavy)
    assert pace is DENSE
    assert found.depth == 3
    assert {name for layer in found.activations for name in layer} == {"tanh"}
    assert FEW_TIMES < len(losses) <= MOST_TIMES  # the neighbours say what is left
    assert losses[-1] == wavy.point(found).validation_loss < 0.2


def test_a_dense_network_that_overfits_is_given_up(monkeypatch):
    """Of noise, the nearest rows tell nothing either."""
    X, noise = np.split(np.random.RandomState(0).standard_normal((200, 9)), [8], axis=1)
    problem = regression(X, X[:, 0] + 0.5 * noise[:, 0])
    monkeypatch.setattr(_random_beginnings, "_lowest_loss", lambda *arguments: 0.2)
    losses, found = times_refined(monkeypatch, problem)
    assert found == []
    assert len(losses) == 1
    assert losses[0] > 0.2


def test_a_dense_network_that_gains_enough_is_not_refined_for_ever(monkeypatch):
    X, noise = np.split(np.random.RandomState(0).standard_normal((600, 9)), [8], axis=1)
    problem = regression(X, np.tanh(X).sum(axis=1) + noise[:, 0])
    losses, ((found, _),) = times_refined(monkeypatch, problem)
    assert len(losses) == FEW_TIMES
    assert problem.point(found).validation_loss < 0.5


def test_a_dense_network_that_comes_to_a_constant_begins_no_path(monkeypatch, wavy):
    monkeypatch.setattr(_random_beginnings, "_refined_dense", lambda *arguments: wavy.constant())
    assert begun(wavy) == []


@pytest.mark.parametrize(
    "case",
    [
        {"depths": (1,)},
        {"activations": ("identity",)},
        {"max_nnz": DENSE_BUDGET},
        {"others": ()},
    ],
    ids=str,
)
def test_a_dense_network_is_left_out_where_it_may_not_be_or_has_no_use(wavy, case):
    assert begun(wavy, **case) == []
    assert len(begun(wavy, max_nnz=DENSE_BUDGET + 1)) == 1


def test_a_dense_network_is_no_wider_than_users_allow(wavy):
    ((found, _),) = begun(wavy, n_slots=7, depths=(1, 2))
    assert max(found.hidden_layer_sizes) <= 7


def test_time_and_ctrl_c_in_the_trial_of_a_dense_network_are_told(monkeypatch, wavy):
    control = Control()
    begun(wavy, ends=Deadline.after(0.0), control=control)
    assert control.stop_reason == "max_time"

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_random_beginnings, "minimise", interrupted)
    control = Control()
    assert begun(wavy, control=control) == []
    assert control.was_interrupted


def test_fits_find_waves_by_it_and_are_averaged_with_it(monkeypatch):
    average, n_averaged = _stages.average_paths, []

    def spy(paths, *arguments):
        n_averaged.append(len(paths))
        return average(paths, *arguments)

    monkeypatch.setattr(_stages, "average_paths", spy)
    X, y = waves(3000)
    train, test = slice(0, 2000), slice(2000, None)
    model = SWATRegressor(random_state=0).fit(X[train], y[train])
    assert n_averaged == [N_PATHS + 1]
    monkeypatch.setattr(_stages, "random_beginnings", lambda *arguments, **options: [])
    without = SWATRegressor(random_state=0).fit(X[train], y[train])
    assert 1 - model.score(X[test], y[test]) < 0.5 * (1 - without.score(X[test], y[test]))


def hills(n):
    rng = np.random.RandomState(0)
    X = rng.uniform(-2, 2, (n, 3))
    return X, np.sin(3 * X[:, 0]) * X[:, 1] + 0.1 * rng.standard_normal(n)


DENSE_TOO = {"depth": [1, 2], "n_restarts": 2, "max_iter": 3, "random_state": 0}


def test_fits_that_have_a_dense_network_keep_what_all_fits_promise(forced):
    """The same bits in parallel, and the same answers of turned rows and features."""
    X, y = hills(300)
    model = SWATRegressor(**DENSE_TOO).fit(X, y)
    parallel = SWATRegressor(n_jobs=2, **DENSE_TOO).fit(X, y)
    turned = SWATRegressor(**DENSE_TOO).fit(-X[::-1, ::-1], y[::-1])
    assert len(forced) == 3
    assert all(pace is DENSE for _, pace in forced)
    assert len(model.path_) > 10
    for i in range(len(model.path_)):
        expected = model.select(index=i).predict(X)
        np.testing.assert_array_equal(parallel.select(index=i).predict(X), expected)
        np.testing.assert_allclose(
            turned.select(index=i).predict(-X[:, ::-1]), expected, rtol=1e-6, atol=1e-9
        )


def test_a_dense_network_is_found_with_held_out_rows_and_weights(forced):
    X, y = hills(400)
    weight = np.random.RandomState(1).uniform(size=300)
    model = SWATRegressor(**DENSE_TOO)
    model.fit(X[:300], y[:300], sample_weight=weight, X_val=X[300:], y_val=y[300:])
    assert [pace for _, pace in forced] == [DENSE]
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize(("n_rows", "is_tried"), [(124, False), (125, True)])
def test_few_training_rows_have_no_dense_network(forced, n_rows, is_tried):
    SWATRegressor(**DENSE_TOO).fit(*hills(n_rows))
    assert len(forced) == is_tried


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of the MLP
def test_probabilities_have_no_dense_network(forced):
    X, y = hills(300)
    mlp = MLPClassifier((8,), max_iter=50, random_state=0).fit(X, y > 0)
    compress(mlp, X, **DENSE_TOO)
    assert forced == []


def test_verbose_tells_of_the_trial(capsys):
    X, y = waves(300)
    SWATRegressor(depth=[1, 2], n_restarts=1, max_iter=3, random_state=0, verbose=1).fit(X, y)
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("tried"))
    assert line.startswith("tried layers of 14 and 14 random neurons  validation loss 0.")
    assert "better than 0." in line


# ---------------------------------------------------------------------------------- neighbours


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_the_nearest_rows_tell_the_noise_of_few_features(noise):
    X, y = waves(6000, noise)
    rows = Rows(X, np.column_stack([y, y]), np.ones(len(X)))
    found = neighbour_noise(rows, np.array([0, 1]))
    assert noise**2 * 0.85 < found < noise**2 * 1.15 + 0.01


def test_the_nearest_rows_weigh_what_they_weigh_and_see_what_they_are_told():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, (2000, 2))
    loud = rng.uniform(size=2000) < 0.5
    y = X[:, :1] + loud[:, None] * rng.standard_normal((2000, 1))
    of_all = neighbour_noise(Rows(X, y, np.ones(2000)), np.array([0]))
    of_quiet = neighbour_noise(Rows(X, y, np.where(loud, 1e-9, 1.0)), np.array([0]))
    assert of_quiet < 0.6 * of_all  # half of the others are loud
    blind = neighbour_noise(Rows(X, X[:, :1], np.ones(2000)), np.array([1]))
    assert blind == pytest.approx(X[:, 0].var(), rel=0.2)


def test_of_a_single_row_nothing_is_known():
    row = Rows(np.zeros((1, 1)), np.zeros((1, 1)), np.ones(1))
    assert neighbour_noise(row, np.array([0])) == np.inf

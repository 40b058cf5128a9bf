"""Which candidates of a descent a pruning path starts at, and what a search keeps of the others."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_swat import (
    SWATClassifier,
    SWATRegressor,
    _beginnings,
    _paths,
    _problem,
    _pruning,
    _split,
    _stages,
)
from sklearn_swat._beginnings import (
    BEGINNING_PRICE,
    BRISK,
    MOST_REFINED,
    N_PATHS,
    N_REFINED,
    THOROUGH,
    best_beginnings,
)
from sklearn_swat._candidates import Candidate, Descent
from sklearn_swat._control import Control, Deadline
from sklearn_swat._joined_splits import FEW_ROWS
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._problem import LITTLE_LOSS, Problem
from sklearn_swat._pruning import PathPoint
from sklearn_swat._rows import Rows
from sklearn_swat._simplification import folded_nnz
from sklearn_swat._split import MANY_RESTARTS, Split


@pytest.fixture(scope="module")
def problem():
    """One hump of one feature beside one that says nothing: a line cannot follow it."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-2, 2, (200, 2))
    data = Rows(X, np.exp(-(X[:, :1] ** 2)), np.ones(200))
    return Problem.of(data, LOSSES["squared_error"], 0.2, rng)


def candidate(width, seed=0):
    rng = np.random.RandomState(seed)
    first, last = rng.standard_normal((2, width)), rng.standard_normal((width, 1))
    return SparseMLP((first, last), (np.zeros(width), np.zeros(1)), (("tanh",) * width,))


def refined(problem, networks, price=0.0, n_jobs=None, ends=None, control=None):
    points = []
    ends, control = ends or Deadline(), control or Control()
    beginnings = best_beginnings([networks], price, problem, n_jobs, control, ends, points)
    assert len(beginnings) == min(N_PATHS, len(points) or len(networks))
    return [network for network, _ in beginnings], points


def test_the_best_after_refining_is_chosen_wherever_it_stood(problem):
    networks = [candidate(1), candidate(4), candidate(1, seed=1)]
    best, points = refined(problem, networks)
    widths = [point.refined_as.hidden_layer_sizes[0] for point in points]
    assert widths[0] == widths[2] == 1 < widths[1] <= 4
    assert best[0] is points[1].refined_as
    assert best[1] is min(points[::2], key=lambda point: point.validation_loss).refined_as
    assert points[1].validation_loss < 0.1 * points[0].validation_loss


def refine_to(losses):
    """Return a refinement after which networks have these losses, by their width."""

    def refine_first(network, *arguments, **options):
        (width,) = network.hidden_layer_sizes
        return PathPoint(network, losses[width], losses[width]), None

    return refine_first


def test_size_has_a_price_in_the_choice(problem, monkeypatch):
    monkeypatch.setattr(_beginnings, "_refine_first", refine_to({4: 0.5, 1: 0.5005}))
    networks = [candidate(4), candidate(1)]
    for price, widths in ((0.0, [(4,), (1,)]), (1e-4, [(1,), (4,)])):
        best, _ = refined(problem, networks, price=price)
        assert [network.hidden_layer_sizes for network in best] == widths


@pytest.mark.parametrize(("loss", "widths"), [(0.001, [6, 2, 1]), (0.5, [1, 2, 6])])
def test_where_little_loss_is_left_paths_may_begin_at_large_networks(
    problem, monkeypatch, loss, widths
):
    """A price of 1e-4, or of a thousandth of the loss: less of it than 20 numbers are worth."""
    behind = {6: 0.0, 2: 1e-4, 1: 1.5e-4}
    monkeypatch.setattr(
        _beginnings,
        "_refine_first",
        refine_to({width: loss + more for width, more in behind.items()}),
    )
    best, _ = refined(problem, [candidate(width) for width in behind], price=1e-4)
    assert [network.hidden_layer_sizes for network in best] == [(width,) for width in widths]


@pytest.mark.parametrize(
    ("losses", "n_refined"),
    [
        ((1.0, 1.0, 1.0), 2 * N_REFINED + 1),
        ((1.0, 0.5, 0.5), 2 * N_REFINED),
        ((0.5, 1.0, 1.0), N_REFINED),
        ((np.nan, np.inf, 1.0), 2 * N_REFINED + 1),
    ],
)
def test_where_nothing_is_found_more_candidates_are_refined(
    problem, monkeypatch, losses, n_refined
):
    """Those whose width is the number of their batch."""
    assert problem.point(problem.constant()).validation_loss > 0.9
    by_width = dict(enumerate(losses, start=1))
    monkeypatch.setattr(_beginnings, "_refine_first", refine_to(by_width))
    networks = [candidate(1 + i // N_REFINED) for i in range(2 * N_REFINED + 1)]
    best, points = refined(problem, networks)
    assert len(points) == n_refined
    found = [by_width[network.hidden_layer_sizes[0]] for network in best]
    assert found[0] == np.nanmin(losses[: -(-n_refined // N_REFINED)])


QUICK = {"n_restarts": 1, "depth": 1, "max_iter": 2, "max_width": 4, "random_state": 0}


def call_little(monkeypatch, share):
    """Let a second descent follow where no loss is below this share of a constant's."""
    for module in (_beginnings, _split):
        monkeypatch.setattr(module, "LITTLE_FOUND", share)


def spy_on_descents(monkeypatch, spy):
    """Let a first and a second descent both go by it."""
    monkeypatch.setattr(_split, "descend_within_memory", spy)


@pytest.mark.parametrize(
    ("losses", "n_asked", "n_refined"),
    [
        ((1.0, 0.5), 2, 2 * N_REFINED + 1),
        ((0.5, 1.0), 1, N_REFINED),
        ((1.0, 1.0), 2, 2 * N_REFINED + 2),
    ],
)
def test_another_descent_is_asked_for_where_the_first_one_found_nothing(
    problem, monkeypatch, losses, n_asked, n_refined
):
    monkeypatch.setattr(_beginnings, "_refine_first", refine_to(dict(enumerate(losses, start=1))))
    asked, points = [], []

    def descents():
        for width in (1, 2):
            asked.append(width)
            yield [candidate(width)] * (N_REFINED + 1)

    best_beginnings(descents(), 0.0, problem, None, Control(), Deadline(), points)
    assert len(asked) == n_asked
    assert len(points) == n_refined


@pytest.mark.parametrize(("loss", "is_little"), [(0.91, True), (0.89, False)])
def test_what_any_verdict_of_the_first_descent_saw_counts_as_found(monkeypatch, loss, is_little):
    """Large networks overfit labels once they are refined: their losses alone tell little."""
    descend, n_calls = _split.descend_within_memory, []

    def spy(*arguments, **options):
        descent, settings = descend(*arguments, **options)
        n_calls.append(1)
        for record in descent.history:
            record["validation_loss"][:] = np.nan
        descent.history[0]["validation_loss"][0] = loss  # a constant has 1 of such labels
        return descent, settings

    spy_on_descents(monkeypatch, spy)
    monkeypatch.setattr(_beginnings, "_refine_first", refine_to(dict.fromkeys(range(9), 1.0)))
    X = np.random.RandomState(0).standard_normal((FEW_ROWS + 1, 2))
    y = np.arange(len(X)) % 2
    SWATClassifier(**QUICK).fit(X, y)
    assert len(n_calls) == 1 + is_little


@pytest.mark.parametrize(
    ("found", "parameters", "restarts"),
    [
        ("nothing", {}, [1, MANY_RESTARTS]),
        ("something", {}, [1]),
        ("nothing", {"n_restarts": MANY_RESTARTS}, [MANY_RESTARTS]),
        ("nothing", {"start": candidate(2)}, [1]),
        ("nothing", {"refine": False}, [1]),
    ],
)
def test_a_fit_that_finds_nothing_descends_again_from_more_starts(
    monkeypatch, found, parameters, restarts
):
    descend, n_restarts = _split.descend_within_memory, []

    def spy(task, settings, *arguments, **options):
        n_restarts.append(settings.n_restarts)
        return descend(task, settings, *arguments, **options)

    spy_on_descents(monkeypatch, spy)
    call_little(monkeypatch, -1.0 if found == "nothing" else 2.0)
    X = np.random.RandomState(0).standard_normal((80, 2))
    model = SWATRegressor(**{**QUICK, **parameters}).fit(X, X[:, 0])
    assert n_restarts == restarts
    assert model.history_[0]["candidates"] == [(1, i) for i in range(restarts[0])]


def fast_wave():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((1500, 5))
    return X, np.sin(5 * X[:, 0]) + 0.1 * rng.standard_normal(1500)


def test_a_second_descent_follows_one_that_ends_at_constants_alone(monkeypatch):
    beginnings, n_calls = Split.beginnings, []

    def constants_first(*arguments):
        n_calls.append(1)
        return beginnings(*arguments) if len(n_calls) > 1 else []

    monkeypatch.setattr(Split, "beginnings", constants_first)
    X, y = fast_wave()
    model = SWATRegressor(random_state=0).fit(X[:900], y[:900])
    assert len(n_calls) == 2
    assert model.score(X[900:], y[900:]) > 0.9


def test_what_a_second_descent_ends_at_has_time_of_its_own(monkeypatch):
    refine, ends_at = _beginnings.refine_all, []

    def spy(networks, problem, n_jobs, ends):
        ends_at.append(ends.at)
        return refine(networks, problem, n_jobs, ends)

    monkeypatch.setattr(_beginnings, "refine_all", spy)
    X, y = fast_wave()
    SWATRegressor(random_state=0, max_time=60).fit(X[:900], y[:900])
    assert len(ends_at) == 3  # six candidates, two more, and some of the second descent
    assert ends_at[0] == ends_at[1] < ends_at[2]


def test_waves_that_the_first_descent_misses_are_found_by_the_second():
    X, y = fast_wave()
    model = SWATRegressor(random_state=0).fit(X[:900], y[:900])
    assert model.score(X[900:], y[900:]) > 0.9


@pytest.mark.parametrize("failure", [MemoryError("too many candidates"), KeyboardInterrupt()])
def test_a_second_descent_that_fails_takes_nothing_of_the_first(monkeypatch, failure):
    descend, n_calls = _split.descend_within_memory, []

    def fail_again(*arguments, **options):
        n_calls.append(1)
        if len(n_calls) == 1:
            return descend(*arguments, **options)
        if isinstance(failure, MemoryError):
            raise failure
        return Descent([], was_interrupted=True), arguments[1]

    spy_on_descents(monkeypatch, fail_again)
    call_little(monkeypatch, -1.0)
    X = np.random.RandomState(0).standard_normal((80, 2))
    y = X[:, 0]
    model = SWATRegressor(**QUICK)
    if isinstance(failure, MemoryError):
        assert model.fit(X, y).stop_reason_ is None
    else:
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.fit(X, y)
        assert model.stop_reason_ == "interrupt"
    assert len(n_calls) == 2
    assert len(model.path_) > 1


def test_what_descent_found_is_an_answer_only_where_no_path_is(problem):
    descent = Descent([Candidate(1, 0, candidate(3))])
    split = Split(problem, problem.screening, 0, descents=[descent])
    on_a_path, constant = problem.point(candidate(4)), problem.constant_point
    for paths in ([], [[]], [[constant]], [[], [on_a_path]]):  # the last one may be linear
        split.paths = paths
        assert (3,) in {point.network.hidden_layer_sizes for point in split.found(0.0)}
    for paths in ([[on_a_path]], [[on_a_path, constant], []]):
        split.paths = paths
        assert (3,) not in {point.network.hidden_layer_sizes for point in split.found(0.0)}


def test_so_many_candidates_are_refined_at_most(problem, monkeypatch):
    monkeypatch.setattr(_beginnings, "_refine_first", refine_to({1: 1.0}))
    _, points = refined(problem, [candidate(1)] * (MOST_REFINED + 3))
    assert len(points) == MOST_REFINED


ALPHA = 0.01


def ended_at(*candidates):
    """Return a descent that ended at networks of these validation losses, at that price."""
    return Descent(
        [
            Candidate(1, i, latest=network, latest_price=loss + ALPHA * folded_nnz(network))
            for i, (network, loss) in enumerate(candidates)
        ]
    )


def test_a_high_price_does_not_decide_what_is_refined(problem):
    small, large, constant = candidate(1), candidate(10), problem.constant()
    descent = ended_at((small, 0.5), (large, 0.49), (constant, 0.1))
    begun = Split(problem, problem.screening, 0).beginnings(descent, ALPHA)
    assert [network.hidden_layer_sizes for network in begun] == [(10,), (1,)]  # and no constant
    descent = ended_at((small, 0.5), (large, 0.499))
    begun = Split(problem, problem.screening, 0).beginnings(descent, ALPHA)
    assert [network.hidden_layer_sizes for network in begun] == [(1,), (10,)]


def test_only_so_many_are_refined_and_jobs_change_nothing(problem):
    networks = [candidate(2, seed) for seed in range(N_REFINED + 2)]
    best, points = refined(problem, networks)
    again, same_points = refined(problem, networks, n_jobs=2)
    assert len(points) == len(same_points) == N_REFINED
    for one, other in zip(best, again, strict=True):
        np.testing.assert_array_equal(one.weights[0], other.weights[0])
    assert [p.validation_loss for p in points] == [p.validation_loss for p in same_points]


def test_what_was_refined_on_some_rows_is_judged_by_all(problem, monkeypatch):
    monkeypatch.setattr(_problem, "BEGINNING_ROWS", 40)
    of_few = replace(problem)  # which has cached nothing
    _, points = refined(of_few, [candidate(4)])
    assert len(of_few.fewest_train.X) == 40 < len(of_few.few_train.X)
    by_all = problem.point(points[0].network)
    assert points[0].validation_loss == by_all.validation_loss
    (on_the_front,) = of_few.front(points)
    train = of_few.train
    raw = on_the_front.network.decision_function(train.X)
    loss = of_few.loss.value(raw, train.target, train.weight) / of_few.reference
    assert on_the_front.train_loss == by_all.train_loss == loss


def test_without_time_paths_start_at_what_the_descent_thought_best(problem):
    networks = [candidate(1), candidate(4)]
    best, points = refined(problem, networks, ends=Deadline.after(0.0))
    assert best == networks[:N_PATHS]
    assert points == []


@pytest.mark.parametrize(
    ("loss", "widths", "paces"),
    [
        (0.5, (40, 41, 42), (THOROUGH, BRISK, BRISK)),
        (LITTLE_LOSS, (40, 41, 42), (THOROUGH, BRISK, BRISK)),
        (0.9 * LITTLE_LOSS, (40, 41, 42), (THOROUGH, THOROUGH, BRISK)),
        (0.5, (4, 41, 6), (THOROUGH, BRISK, THOROUGH)),  # small ones are quick as they are
    ],
)
def test_later_paths_are_brisk_unless_little_is_left(problem, monkeypatch, loss, widths, paces):
    def refine_first(network, *arguments, **options):
        (width,) = network.hidden_layer_sizes
        return PathPoint(network, loss, loss * (1 + width / 1e3)), None

    monkeypatch.setattr(_beginnings, "_refine_first", refine_first)
    networks = [candidate(width) for width in widths]
    found = best_beginnings([networks], 0.0, problem, None, Control(), Deadline(), [])
    in_order = sorted(zip(widths, paces, strict=True), key=lambda pair: pair[0])
    assert [(network.hidden_layer_sizes[0], pace) for network, pace in found] == in_order


@pytest.mark.parametrize(("max_nnz", "is_small"), [(None, False), (81, False), (80, True)])
def test_for_a_small_budget_all_paths_go_slowly_and_begin_at_small_networks(
    problem, monkeypatch, max_nnz, is_small
):
    losses = {60: 0.5, 50: 0.5005, 4: 0.51}  # a network of 4 neurons has some 220 numbers less
    monkeypatch.setattr(_beginnings, "_refine_first", refine_to(losses))
    networks = [candidate(width) for width in losses]
    found = best_beginnings(
        [networks], 0.0, problem, None, Control(), Deadline(), [], max_nnz=max_nnz
    )
    widths, paces = zip(*((net.hidden_layer_sizes[0], pace) for net, pace in found), strict=True)
    assert widths == ((4, 50, 60) if is_small else (60, 50, 4))
    assert paces == ((THOROUGH,) * 3 if is_small else (THOROUGH, BRISK, THOROUGH))


def test_time_that_cuts_refinements_short_is_told(problem):
    control = Control()
    best_beginnings([[candidate(1)]], 0.0, problem, None, control, Deadline.after(0.0), [])
    assert control.stop_reason == "max_time"


def test_paths_go_at_their_paces(monkeypatch):
    rounds, paces = _paths.pruning_rounds, []

    def spy(network, *arguments, should_stop, **pace):
        paces.append((network.depth, pace))
        return rounds(network, *arguments, should_stop=should_stop, **pace)

    monkeypatch.setattr(_paths, "pruning_rounds", spy)
    # Without it, some networks are so small that they are quick as they are.
    monkeypatch.setattr(_pruning, "without_negligible", lambda objective, x: x)
    X, noise = np.split(np.random.RandomState(0).standard_normal((100, 7)), [6], axis=1)
    model = SWATRegressor(depth=1, n_restarts=N_REFINED, max_iter=5, random_state=0)
    model.fit(X, np.tanh(X).sum(axis=1) + noise[:, 0])  # much loss is left
    expected = THOROUGH, *[BRISK] * (N_PATHS - 1), THOROUGH
    assert [pace for _, pace in paces] == [pace.rounds for pace in expected]
    assert paces[-1][0] == 0  # the linear one


def test_ctrl_c_keeps_what_is_refined(problem, monkeypatch):
    refine_first, n_calls = _beginnings._refine_first, []

    def interrupted(*arguments, **options):
        n_calls.append(1)
        if len(n_calls) == 2:
            raise KeyboardInterrupt
        return refine_first(*arguments, **options)

    monkeypatch.setattr(_beginnings, "_refine_first", interrupted)
    control = Control()
    best, points = refined(problem, [candidate(1), candidate(4)], control=control)
    assert control.was_interrupted
    assert [point.network for point in points] == best
    assert best[0].hidden_layer_sizes == (1,)


def test_ctrl_c_while_candidates_are_refined_begins_no_path(monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    def path(*arguments, **options):
        raise AssertionError("a path has begun")

    monkeypatch.setattr(_beginnings, "_refine_first", interrupted)
    monkeypatch.setattr(_paths, "_run_path", path)
    X = np.random.RandomState(0).standard_normal((60, 2))
    with pytest.warns(ConvergenceWarning, match="was interrupted after"):
        model = SWATRegressor(depth=1, max_iter=5, random_state=0).fit(X, X[:, 0])
    assert model.stop_reason_ == "interrupt"
    assert model.nnz_ > 1


def test_without_any_candidate_there_is_nothing_to_refine(problem):
    points = []
    for none in ([], [[]]):
        found = best_beginnings(none, 0.0, problem, 2, Control(), Deadline(), points)
        assert found == points == []


@pytest.mark.parametrize("position", [0, 1])
def test_a_loss_that_is_no_number_is_not_the_best(problem, monkeypatch, position):
    refine_first = _beginnings._refine_first

    def sometimes_nan(network, *arguments, **options):
        point, reason = refine_first(network, *arguments, **options)
        is_bad = network is networks[position]
        return replace(point, validation_loss=np.nan) if is_bad else point, reason

    networks = [candidate(4), candidate(4, seed=1)]
    monkeypatch.setattr(_beginnings, "_refine_first", sometimes_nan)
    best, points = refined(problem, networks)
    assert best[0] is points[1 - position].network


def test_alpha_does_not_decide_before_anything_is_pruned(monkeypatch):
    prices = []

    def spy(networks, price, *rest, **options):
        prices.append(price)
        return best_beginnings(networks, price, *rest, **options)

    monkeypatch.setattr(_stages, "best_beginnings", spy)
    X = np.random.RandomState(0).standard_normal((60, 2))
    for alpha in (1.0, 1e-6):
        SWATRegressor(alpha=alpha, depth=1, max_iter=5, random_state=0).fit(X, X[:, 0])
    assert prices == [BEGINNING_PRICE] * 2


def test_verbose_tells_what_was_refined(capsys):
    X = np.random.RandomState(0).standard_normal((60, 2))
    SWATRegressor(depth=1, n_restarts=7, max_iter=5, random_state=0, verbose=1).fit(X, X[:, 0])
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("refined"))
    assert line.startswith(f"refined {N_REFINED} of {N_REFINED}  best: validation loss 0.0")


def test_a_refit_goes_on_where_little_loss_is_left(problem):
    """What is about as much under a penalty that is about the same."""
    network = candidate(4)
    losses = []
    for validation_loss in (LITTLE_LOSS * 0.999, LITTLE_LOSS * 1.001):
        point = PathPoint(network, validation_loss, validation_loss)
        refitted = problem.refine(point, lambda: False)
        losses.append(problem.point(refitted).train_loss)
    assert losses[0] < 0.8 * losses[1] < 1e-2


def test_a_second_descent_that_takes_more_memory_than_there_is_is_left_out(monkeypatch):
    def refuse(width, depths, n_restarts):
        raise ValueError(f"{n_restarts} restarts take more memory than there is")

    monkeypatch.setattr(_split, "check_width", refuse)
    call_little(monkeypatch, -1.0)
    X = np.random.RandomState(0).standard_normal((80, 2))
    model = SWATRegressor(**QUICK)
    assert model.fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9

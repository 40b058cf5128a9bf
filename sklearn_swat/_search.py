"""From rows to a front of networks: descent, pruning paths, choice, refit.

Everything here happens on standardised canonical rows; what comes out are
networks of raw rows.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np

from ._averages import AveragePoint, average
from ._candidates import Descent
from ._control import DESCENT_ENDS, PATHS_END, Control, Stage
from ._descent_settings import DescentSettings
from ._joined_splits import FEW_ROWS, joined
from ._losses import LOSSES
from ._network import SparseMLP
from ._online import mean_curvature
from ._paths import worth_their_size
from ._problem import Problem
from ._pruning import PathPoint, choose, pareto_front
from ._refinement import ShouldStop
from ._rows import Rows
from ._screening import Screening
from ._search_result import Choice, SearchResult, on_raw_rows, result_of
from ._simplification import folded_nnz, merge_neurons
from ._split import Load, Split
from ._stages import Stages

# Of few rows, how many other splits there are, and how many candidates are refined on each split,
# and have a path: what more of them would find, other splits do.
N_OTHERS, FEW_REFINED, FEW_PATHS = 2, 3, 1
# Rows for each feature from which on they may begin at one descent, unless features are screened.
# Of fewer rows, networks that were found on some remember them, refined on others or not: they
# promise too much.
ROWS_TO_SHARE = 10
# What a number has to be worth there at least, whatever alpha is: of less, few rows tell nothing.
# Fits of 88 numbers in the median have 74 by it, for the same loss.
FEW_PRICE = 5e-5

# Refitted networks, by the network and by the validation loss that its prior depends on.
Refitted = dict[tuple[SparseMLP, float], SparseMLP]


def search(
    data: Rows,
    loss_name: str,
    settings: DescentSettings,
    load_autoencoder: Load,
    *,
    refines: bool,
    max_nnz: int | None,
    validation_fraction: float,
    random_state: np.random.RandomState,
    n_jobs: int | None,
    control: Control,
    held_out: Rows | None,
) -> SearchResult:
    """Find the front of networks that are worth their size.

    Parameters
    ----------
    data : Rows
        Raw: features, encoded targets, weights.
    loss_name : {"squared_error", "logistic", "softmax"}
    settings : DescentSettings
        Its `start` is on raw rows if it is a network.
    load_autoencoder : callable
        Returns the autoencoder on a device; called if the descent needs it.
    refines : bool
        Whether pruning paths follow the descent.
    max_nnz : int or None
        Non-zeros that the chosen network may have.
    validation_fraction : float
    random_state : RandomState
    n_jobs : int or None
        Pruning paths at a time.
    control : Control
        Told of the progress, and asked whether to go on; on return its `stop_reason`
        says what cut the search short.
    held_out : Rows or None
        Raw rows that networks are judged on, and none is fitted to. Without them a fraction of
        `data` judges, and networks are fitted to all of it at the end.

    Returns
    -------
    SearchResult
    """
    choice = partial(choose, alpha=settings.alpha, max_nnz=max_nnz)
    problem = Problem.of(data, LOSSES[loss_name], validation_fraction, random_state, held_out)
    seed = _draw_seed(random_state)
    constant = problem.constant_point
    if problem.is_constant:
        return _finish(problem, [constant], choice, None, control, refits={constant.network})
    choice([constant])  # no network is smaller: an impossible budget is refused before the work
    settings, screening, given = _begun_at(settings, problem)
    needs_autoencoder = settings.space != "weights" or settings.start == "data"
    load = load_autoencoder if needs_autoencoder else None
    stages = Stages(
        [Split(problem, screening, seed, given)],
        settings, loss_name, load, choice, n_jobs, max_nnz, control,
    )  # fmt: skip
    # Of regressions, rows that are left out judge already: other splits gain nothing.
    has_few_rows = problem.has_classes and problem.is_split and problem.rows.n_draws <= FEW_ROWS
    is_split_again = has_few_rows and refines and given is None
    if is_split_again:
        stages = replace(stages, n_refined=FEW_REFINED, n_paths=FEW_PATHS)
    paths_end = control.deadline.part(PATHS_END)
    goes_on = stages.descend(control.deadline.part(DESCENT_ENDS) if refines else control.deadline)
    started = time.time()
    may_refit = refines and goes_on and stages.refine(paths_end)
    first = stages.splits[0]
    with control.interrupts_noted():
        points = first.found(settings.alpha)
        # Decoded networks are not to be refitted: that would make other networks of them than
        # those that were judged.
        refinable = first.refinable(settings.alpha) if may_refit else []
    refits = {point.network for point in refinable}
    if is_split_again and stages.have_gone_well():
        points, may_refit = _with_other_splits(
            stages, points, time.time() - started, validation_fraction, random_state
        )
        refits = {point.network for point in points} if may_refit else set()
    sees_few = problem.train is not problem.rows
    is_start = not refines and settings.max_iter == 0 and settings.start == "data"
    if sees_few and is_start and not control.is_over():
        # Nothing descends from these starts: what a refit is to other networks is to them
        # a start on all rows.
        of_all_rows = first.found_on_all_rows(stages.settings, loss_name, load, control)
        points[1:] = [
            replace(point, network=network or point.network)
            for point, network in zip(points[1:], of_all_rows, strict=True)
        ]
    return _finish(problem, points, choice, first.descents[0], control, refits=refits)


def _begun_at(
    settings: DescentSettings, problem: Problem
) -> tuple[DescentSettings, Screening, SparseMLP | None]:
    """Take the network that a search begins at, if there is one, to standardised rows.

    Returns
    -------
    settings : DescentSettings
        Their `start` is on the screened features.
    screening : Screening
    given : SparseMLP or None
        On all features.
    """
    start, screening = settings.start, problem.screening
    if not isinstance(start, SparseMLP):
        return settings, screening, None
    # A classifier can be where a regression starts, and the other way round.
    start = problem.scaling.unfold(replace(start, out_activation=problem.loss.out_activation))
    if not start.depth:  # all that it uses is constant here: nothing is left to descend with
        return replace(settings, start="data"), screening, None
    screening = screening.including(start.used_features)
    return replace(settings, start=screening.narrow(start)), screening, start


def _draw_seed(random_state: np.random.RandomState) -> int:
    return int(random_state.randint(np.iinfo(np.int32).max))


def _with_other_splits(
    stages: Stages,
    points: list[PathPoint],
    seconds: float,
    validation_fraction: float,
    random_state: np.random.RandomState,
) -> tuple[list[PathPoint], bool]:
    """Join points of the first split, whose paths took so many seconds, with what others find.

    Returns
    -------
    points : list of PathPoint
        Those of the first split where the others do not get to their end.
    may_refit : bool
        Whether nobody asks to end the fit.
    """
    control = stages.control
    if not control.deadline.leaves(N_OTHERS * seconds):
        control.stopped("max_time")
        return points, True
    may_refit = True
    try:
        control.say(f"{N_OTHERS} other splits")
        others = _on_other_splits(stages, points, validation_fraction, random_state)
        if control.stop_reason is None:  # else a descent was cut short
            may_refit = others.refine(control.deadline.part(PATHS_END))
            if others.have_gone_well():
                points = _joined(stages, others, points)
    except MemoryError:
        control.say("memory is not enough for other splits: they are left out")
    except KeyboardInterrupt:
        control.stopped("interrupt")
    return points, may_refit and not control.was_interrupted


def _on_other_splits(
    stages: Stages,
    points: list[PathPoint],
    validation_fraction: float,
    random_state: np.random.RandomState,
) -> Stages:
    """Return the stages on other splits, where what paths may begin at is found.

    It matters little which of many rows candidates were found on, as all of their numbers are
    refined on others; of few, every split has a descent of its own.
    """
    first, settings, control = stages.splits[0], stages.settings, stages.control
    d = first.screening.n_features
    # Which features are worth looking at, rows that judge other splits have told the first one.
    sees_all = len(first.screening.seen) == d
    is_one_descent_enough = sees_all and first.problem.rows.n_draws >= ROWS_TO_SHARE * d
    splits = []
    for _ in range(N_OTHERS):
        problem = first.problem.split_anew(validation_fraction, random_state)
        seed = _draw_seed(random_state)
        if is_one_descent_enough:
            split = Split(problem, first.screening, seed, descents=list(first.descents))
        else:
            split = Split(problem, problem.screening, seed)
            half = replace(settings, n_restarts=-(-settings.n_restarts // 2))
            ends = control.deadline.part(DESCENT_ENDS)
            own, _ = split.descend(
                half, stages.loss_name, stages.load_autoencoder, control, seed, ends
            )
            if control.stop_reason is not None:
                break
            split.descents.append(own)
        splits.append(split)
    return replace(
        stages,
        splits=splits,
        descends_again=False,
        tries_random=first.begins_at_random,
        result_so_far=lambda: result_of(first.problem, points, stages.choice, first.descents[0]),
    )


def _joined(stages: Stages, others: Stages, points: list[PathPoint]) -> list[PathPoint]:
    """Join the points of the first split with what others found."""
    settings, splits = stages.settings, [*stages.splits, *others.splits]
    of_all = joined(
        [points, *others.found()],
        [split.problem for split in splits],
        max_width=settings.max_width,
        activations=settings.activations,
    )
    stages.control.say(f"joined {len(splits)} splits: losses are means over them from here on")
    return worth_their_size(of_all, FEW_PRICE, beyond=0)


def _finish(
    problem: Problem,
    points: list[PathPoint],
    choice: Choice,
    descent: Descent | None,
    control: Control,
    *,
    refits: set[SparseMLP],
) -> SearchResult:
    """Keep the front, choose, refit those of `refits`, and go back to raw rows."""
    with control.interrupts_noted():
        judged = problem.front(points)
    first = judged.index(choice(judged))
    refitted = list(judged)

    def so_far(with_curvature: bool = False) -> SearchResult:
        front = pareto_front(refitted)  # refits may come to fewer numbers
        chosen = choice(front)
        l2, curvature = problem.prior(judged[refitted.index(chosen)]), None
        if with_curvature:
            try:
                curvature = mean_curvature(chosen.network, problem.rows, problem.loss, l2)
            except KeyboardInterrupt:
                control.stopped("interrupt")
        return on_raw_rows(problem, front, chosen, l2, descent, curvature)

    try:
        if refits:
            stage = Stage(control, "refit", "network", len(judged))
            known: Refitted = {}
            # The chosen network comes first: time may not be enough for all.
            for i in sorted(range(len(judged)), key=lambda i: i != first):
                if control.deadline():
                    control.stopped("max_time")
                    break
                if judged[i].network in refits:
                    refitted[i] = _refit(judged[i], problem, control.deadline, known)
                if control.deadline.has_passed:  # during the last one
                    control.stopped("max_time")
                if stage.part_done(so_far):
                    break
            stage.close(so_far)
    except KeyboardInterrupt:
        control.stopped("interrupt")
    result = so_far(with_curvature=True)
    best = result.chosen
    control.say(
        f"chosen of {len(result.path)} networks: validation loss {best.validation_loss:.4f}, "
        f"{best.nnz} non-zeros, depth {best.network.depth}"
    )
    return result


def _refit(
    point: PathPoint, problem: Problem, should_stop: ShouldStop, known: Refitted
) -> PathPoint:
    """Refit a network's numbers; its losses stay those of the training rows.

    Members of averages, which as one network would be wrong alike, are refitted by themselves,
    each of them once: they are kept in `known`.
    """
    if isinstance(point, AveragePoint):
        network = merge_neurons(
            average([_refit(each, problem, should_stop, known).network for each in point.members])
        )
    elif (key := (point.network, point.validation_loss)) in known:
        network = known[key]
    elif not point.network.is_constant:
        network = merge_neurons(problem.refine(point, should_stop))
        if folded_nnz(network) > point.nnz:  # its neurons are no longer alike: as one, then
            network = merge_neurons(problem.refine(replace(point, unmerged=None), should_stop))
        known[key] = network
    else:
        network = problem.constant()
    refitted = replace(point, network=network, unmerged=None)
    is_no_larger = refitted.nnz <= point.nnz
    return refitted if is_no_larger and problem.scaling.can_fold(network) else point

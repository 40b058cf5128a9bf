"""From rows to a front of networks: descent, pruning paths, choice, refit.

Everything here happens on standardised canonical rows; what comes out are
networks of raw rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ._averages import AveragePoint, average
from ._candidates import Descent
from ._control import Control, Stage
from ._descent_settings import DescentSettings
from ._joined_splits import FEW_ROWS, has_noise, joined
from ._losses import LOSSES
from ._network import SparseMLP
from ._online import mean_curvature
from ._problem import Problem
from ._pruning import PathPoint, choose, pareto_front
from ._refinement import ShouldStop
from ._rows import Rows
from ._search_result import Choice, SearchResult, on_raw_rows, result_of
from ._simplification import folded_nnz, merge_neurons
from ._split import Load, Split
from ._stages import Stages

# Of few rows, how many other splits there are, and how many of their candidates are refined.
N_OTHERS, OTHERS_REFINED = 2, 3
# A share of the time, at which the first split ends at the latest.
FIRST_SPLIT_ENDS = 0.6

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
    control: Control | None = None,
    held_out: Rows | None = None,
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
    control : Control, optional
        Told of the progress, and asked whether to go on; on return its `stop_reason`
        says what cut the search short.
    held_out : Rows, optional
        Raw rows that networks are judged on, and none is fitted to. Without them a fraction of
        `data` judges, and networks are fitted to all of it at the end.

    Returns
    -------
    SearchResult
    """
    control = control or Control()
    choice = partial(choose, alpha=settings.alpha, max_nnz=max_nnz)
    problem = Problem.of(data, LOSSES[loss_name], validation_fraction, random_state, held_out)
    seed = _draw_seed(random_state)
    constant = problem.constant_point
    if problem.is_constant:
        return _finish(problem, [constant], choice, None, control, refits={constant.network})
    choice([constant])  # no network is smaller: an impossible budget is refused before the work
    start, screening = settings.start, problem.screening
    if isinstance(start, SparseMLP):
        # A classifier can be where a regression starts, and the other way round.
        start = replace(start, out_activation=problem.loss.out_activation)
        start = problem.scaling.unfold(start)
        if start.depth:
            screening = screening.including(start.used_features)
            settings = replace(settings, start=screening.narrow(start))
        else:  # all that it uses is constant here: nothing is left to descend with
            start = "data"
            settings = replace(settings, start=start)
    given = start if isinstance(start, SparseMLP) else None
    needs_autoencoder = settings.space != "weights" or settings.start == "data"
    load = load_autoencoder if needs_autoencoder else None
    stages = Stages(
        [Split(problem, screening, seed, given)],
        settings, loss_name, load, choice, n_jobs, max_nnz, control,
    )  # fmt: skip
    has_few_rows = problem.is_split and problem.rows.n_draws <= FEW_ROWS
    # Of regressions, rows that are left out judge already: other splits gain nothing.
    may_split_anew = refines and given is None and problem.has_classes and has_few_rows
    ends = control.deadline.part(FIRST_SPLIT_ENDS) if may_split_anew else control.deadline
    may_refit = stages.run(ends, refines)
    first = stages.splits[0]
    points = stages.found()[0]
    # Decoded networks are not to be refitted: that would make other networks of them than those
    # that were judged.
    refits = {point.network for point in stages.refined()[0]} if may_refit else set()
    if may_split_anew and _has_gone_well(stages) and has_noise(points):
        of_all, may_refit = _on_other_splits(stages, points, validation_fraction, random_state)
        if of_all is not None:
            points, refits = of_all, {point.network for point in of_all}
        elif not may_refit:
            refits = set()
    sees_few = problem.train is not problem.rows
    if sees_few and not refines and settings.max_iter == 0 and settings.start == "data":
        # Nothing descends from these starts: what a refit is to other networks is to them
        # a start on all rows.
        of_all_rows = first.found_on_all_rows(stages.settings, loss_name, load)
        points[1:] = [
            replace(point, network=network or point.network)
            for point, network in zip(points[1:], of_all_rows, strict=True)
        ]
    return _finish(problem, points, choice, first.descents[0], control, refits=refits)


def _draw_seed(random_state: np.random.RandomState) -> int:
    return int(random_state.randint(np.iinfo(np.int32).max))


def _has_gone_well(stages: Stages) -> bool:
    """Say whether nothing cut them short."""
    return stages.all_ran and stages.control.stop_reason is None


def _on_other_splits(
    stages: Stages,
    points: list[PathPoint],
    validation_fraction: float,
    random_state: np.random.RandomState,
) -> tuple[list[PathPoint] | None, bool]:
    """Join points of one split with what others find, with fewer candidates and paths.

    Returns
    -------
    points : list of PathPoint or None
        None if these did not get to their end.
    may_refit : bool
        Whether nobody asks to end the fit.
    """
    first, control = stages.splits[0], stages.control
    control.say(f"few rows: {N_OTHERS} other splits")
    splits = []
    for _ in range(N_OTHERS):
        problem = first.problem.split_anew(validation_fraction, random_state)
        splits.append(Split(problem, problem.screening, _draw_seed(random_state)))
    others = replace(
        stages,
        splits=splits,
        settings=replace(stages.settings, n_restarts=-(-stages.settings.n_restarts // 2)),
        n_refined=OTHERS_REFINED,
        n_paths=1 + first.begins_at_random,
        descends_again=False,
        tries_random=first.begins_at_random,
        result_so_far=lambda: result_of(first.problem, points, stages.choice, first.descents[0]),
    )
    try:
        may_refit = others.run(control.deadline, refines=True)
    except MemoryError:
        return None, True
    if not (may_refit and _has_gone_well(others)):
        return None, may_refit
    of_all = joined(
        [points, *others.found()],
        [split.problem for split in (first, *splits)],
        max_width=stages.settings.max_width,
        activations=stages.settings.activations,
    )
    return of_all, True


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

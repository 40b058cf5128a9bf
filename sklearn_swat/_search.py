"""From rows to a front of networks: descent, pruning paths, choice, refit.

Everything here happens on standardised canonical rows; what comes out are
networks of raw rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._averages import AveragePoint, average
from ._beginnings import (
    BEGINNING_PRICE,
    LITTLE_FOUND,
    N_PATHS,
    THOROUGH,
    Beginning,
    best_beginnings,
)
from ._candidates import Candidate, Descent
from ._control import DESCENT_ENDS, PATHS_END, Control, Stage
from ._descent_settings import DescentSettings, DescentTask
from ._fallback import descend_within_memory
from ._losses import LOSSES
from ._network import SparseMLP
from ._online import Memory, mean_curvature
from ._parameters import check_width
from ._paths import LARGE_PRICE, average_paths, run_paths, worth_their_size
from ._problem import Problem
from ._pruning import PathPoint, choose, pareto_front
from ._random_beginnings import random_beginnings
from ._refinement import ShouldStop
from ._rows import Rows
from ._screening import Screening
from ._simplification import folded_nnz, merge_neurons

# Restarts of a second descent, where what the first one ends at explains nothing, refined or not:
# it finds waves and some rings, and of noise fits take up to two seconds more.
MANY_RESTARTS = 8

# Refitted networks, by the network and by the validation loss that its prior depends on.
Refitted = dict[tuple[SparseMLP, float], SparseMLP]
Choice = Callable[[Sequence[PathPoint]], PathPoint]


@dataclass(frozen=True)
class SearchResult:
    """What a fit keeps.

    Attributes
    ----------
    path : tuple of PathPoint
        The front, by ascending size, on raw rows.
    chosen : PathPoint
        The one of `path` with the lowest J within the budget.
    memory : Memory
        What the rows said about the weights of `chosen`, and what they were
        standardised by.
    history : list of dict
        Records of the descent; empty where there was nothing to descend.
    n_iter : int
        Steps of the descent; 1 where a constant was the answer.
    """

    path: tuple[PathPoint, ...]
    chosen: PathPoint
    memory: Memory
    history: list[dict[str, Any]]
    n_iter: int


def search(
    data: Rows,
    loss_name: str,
    settings: DescentSettings,
    load_autoencoder: Callable[[Any], Any],
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
    descent_ends, paths_end = (control.deadline.part(share) for share in (DESCENT_ENDS, PATHS_END))
    problem = Problem.of(data, LOSSES[loss_name], validation_fraction, random_state, held_out)
    seed = int(random_state.randint(np.iinfo(np.int32).max))
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
    task = DescentTask(
        train=screening.take(problem.train),
        validation=screening.take(problem.few_validation),
        loss_name=loss_name,
        reference=problem.reference,
        relevant=None if isinstance(start, SparseMLP) else screening.relevant,
    )
    stage = Stage(control, "descent", "verdict", settings.n_verdicts)

    def stopped_at(descent: Descent) -> SearchResult:
        found = _networks(descent, screening)
        decoded = [problem.point(network) for network in (constant.network, *found)]
        return _result(problem, decoded, choice, descent)

    def report(descent: Descent) -> bool:
        control.say(_verdict_line(descent.history[-1]))
        return stage.part_done(lambda: stopped_at(descent))

    needs_autoencoder = settings.space != "weights" or settings.start == "data"
    load = load_autoencoder if needs_autoencoder else None
    ends = descent_ends if refines else control.deadline
    descent, settings = descend_within_memory(task, settings, load, seed, report, ends)
    if descent.was_interrupted:
        control.stopped("interrupt")
    elif descent_ends.has_passed or control.deadline.has_passed:
        control.stopped("max_time")
    asked_to_stop = stage.close(lambda: stopped_at(descent))
    networks = _networks(descent, screening)
    points: list[PathPoint] = [constant]
    refined: list[PathPoint] = []
    refits: set[SparseMLP] = set()
    all_ran = False
    if refines and not (asked_to_stop or control.was_interrupted):

        def ends_of_descents() -> Iterator[list[SparseMLP]]:
            yield _beginnings(descent, screening, settings.alpha)
            is_last = isinstance(start, SparseMLP) or settings.n_restarts >= MANY_RESTARTS
            is_last |= _lowest_loss(descent) < LITTLE_FOUND * constant.validation_loss
            if is_last or paths_end():
                return
            again = _descend_again(task, settings, load, seed, control)
            if again is not None:
                networks.extend(_networks(again, screening))
                yield _beginnings(again, screening, settings.alpha)

        beginnings = best_beginnings(
            ends_of_descents(), BEGINNING_PRICE, problem, n_jobs, control, paths_end, refined,
            max_nnz=max_nnz,
        )  # fmt: skip
        of_random: list[Beginning] = []
        if not control.was_interrupted:
            of_random = random_beginnings(
                beginnings, problem, screening, settings, np.random.RandomState(seed + 2), control,
                paths_end, max_nnz=max_nnz,
            )  # fmt: skip
            if of_random:
                beginnings = [*beginnings[: N_PATHS - 1], *of_random]
        if isinstance(start, SparseMLP):
            beginnings.append(Beginning(start, THOROUGH))
        # What hidden neurons have to be better than.
        beginnings.append(Beginning(problem.linear(), THOROUGH))
        if not control.was_interrupted:
            paths: list[list[PathPoint]] = []
            all_ran, asked_to_stop = run_paths(
                beginnings, problem, n_jobs, control, paths_end, paths,
                lambda: _result(
                    problem, [*points, *refined, *problem.smoothed_paths(paths)], choice, descent
                ),
            )  # fmt: skip
            points += problem.smoothed_paths(paths)
            if not (asked_to_stop or control.was_interrupted):
                # A callback may have ended the stage before the last path.
                begun = zip(paths, beginnings, strict=False)
                averaged = [path for path, (_, pace) in begun if pace.is_averaged]
                points += average_paths(averaged, problem, settings, control, paths_end)
            if not all(pace.is_averaged for _, pace in of_random):
                points = worth_their_size(points, min(settings.alpha, LARGE_PRICE))
        # Of classes the best of several candidates was lucky, and there is no network of about its
        # size to tell: it is an answer only where no pruning path is.
        if not (all_ran and problem.has_classes):
            points += refined
        # Decoded networks are not to be refitted: that would make other networks of them
        # than those that were judged.
        if not (asked_to_stop or control.was_interrupted):
            refits = {point.network for point in points}
    if isinstance(start, SparseMLP):
        networks.append(start)
    # What descent found was judged at its luckiest step: it is an answer only where no pruning
    # path is.
    if not all_ran:
        if all(point.network.is_constant for point in points):
            # Rows are not left out of what descent found, and so not of the constant.
            points = [problem.point(constant.network)]
        points += [problem.point(network) for network in networks]
    sees_few = problem.train is not problem.rows
    if sees_few and not refines and settings.max_iter == 0 and settings.start == "data":
        # Nothing descends from these starts: what a refit is to other networks is to them
        # a start on all rows.
        all_rows = replace(task, train=screening.take(problem.rows))
        again, _ = descend_within_memory(all_rows, settings, load, seed)
        of_all_rows = _networks_at(descent.candidates, again, screening)
        points[1:] = [
            replace(point, network=network or point.network)
            for point, network in zip(points[1:], of_all_rows, strict=True)
        ]
    return _finish(problem, points, choice, descent, control, refits=refits)


def _lowest_loss(descent: Descent) -> float:
    """Return the lowest validation loss of any verdict."""
    losses = np.concatenate([record["validation_loss"] for record in descent.history])
    return float(losses[np.isfinite(losses)].min(initial=np.inf))


def _descend_again(
    task: DescentTask,
    settings: DescentSettings,
    load_autoencoder: Callable[[Any], Any] | None,
    seed: int,
    control: Control,
) -> Descent | None:
    """Descend from more starts; None if that was cut short, or takes more memory than there is."""
    control.say(f"nothing found: a second descent of {MANY_RESTARTS} candidates per depth")
    more = replace(settings, n_restarts=MANY_RESTARTS)
    ends = control.deadline.part(DESCENT_ENDS)

    def report(descent: Descent) -> bool:
        control.say(_verdict_line(descent.history[-1]))
        return False

    try:
        check_width(more.n_slots, more.depths, more.n_restarts)
    except ValueError:
        return None
    try:
        descent, _ = descend_within_memory(task, more, load_autoencoder, seed + 1, report, ends)
    except MemoryError:
        return None
    if descent.was_interrupted:
        control.stopped("interrupt")
        return None
    if ends.has_passed:
        control.stopped("max_time")
    return descent


def _beginnings(descent: Descent, screening: Screening, alpha: float) -> list[SparseMLP]:
    """Return the networks that paths may begin at, of all features, the best first.

    A number costs them `BEGINNING_PRICE` at most, as it does once they are refined. Constants,
    which high prices make of candidates, are none: nothing can be removed from them.
    """
    excess = max(0.0, alpha - BEGINNING_PRICE)
    found = [
        (price - excess * folded_nnz(network), network)
        for network, price in (candidate.beginning for candidate in descent.candidates)
        if network is not None and not network.is_constant
    ]
    found.sort(key=lambda pair: pair[0])
    return [screening.widen(network) for _, network in found]


def _networks(descent: Descent, screening: Screening) -> list[SparseMLP]:
    """Return the candidates' best networks, of all features."""
    found = (candidate.network for candidate in descent.candidates)
    return [screening.widen(network) for network in found if network is not None]


def _networks_at(
    candidates: list[Candidate], descent: Descent, screening: Screening
) -> list[SparseMLP | None]:
    """Return the networks that a descent found for the depths and restarts of candidates."""
    found = {
        (candidate.depth, candidate.restart): screening.widen(candidate.network)
        for candidate in descent.candidates
        if candidate.network is not None
    }
    return [found.get((candidate.depth, candidate.restart)) for candidate in candidates]


def _verdict_line(record: dict[str, Any]) -> str:
    best = int(np.nan_to_num(record["validation_loss"], nan=np.inf).argmin())
    return (
        f"step {record['step']:5d}  candidates {len(record['candidates']):3d}  "
        f"best: validation loss {record['validation_loss'][best]:.4f}, "
        f"{record['nnz'][best]} non-zeros, depth {record['candidates'][best][0]}"
    )


def _result(
    problem: Problem, points: list[PathPoint], choice: Choice, descent: Descent | None
) -> SearchResult:
    """Keep the front, choose, and go back to raw rows."""
    front = problem.front(points)
    chosen = choice(front)
    return _on_raw_rows(problem, front, chosen, problem.prior(chosen), descent)


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
        return _on_raw_rows(problem, front, chosen, l2, descent, curvature)

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


def _on_raw_rows(
    problem: Problem,
    front: Sequence[PathPoint],
    chosen: PathPoint,
    l2: float,
    descent: Descent | None,
    curvature: NDArray[np.float64] | None = None,
) -> SearchResult:
    """Fold the scaling into the networks of a front."""
    path = tuple(
        PathPoint(
            problem.scaling.fold(point.network),
            point.train_loss,
            point.validation_loss,
            point.validation_error,
        )
        for point in front
    )
    best = path[front.index(chosen)]
    return SearchResult(
        path=path,
        chosen=best,
        memory=Memory(problem.scaling, problem.total_weight, l2, best.network, curvature),
        history=descent.history if descent is not None else [],
        n_iter=descent.n_iter if descent is not None else 1,
    )


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

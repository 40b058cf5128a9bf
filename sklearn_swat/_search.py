"""From rows to a front of networks: descent, pruning paths, choice, refit.

Everything here happens on standardised canonical rows; what comes out are
networks of raw rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from joblib import delayed, effective_n_jobs
from numpy.typing import NDArray

from ._averages import AveragePoint, average, averages
from ._candidates import Candidate, Descent
from ._control import DESCENT_ENDS, PATHS_END, Control, Deadline, Stage
from ._descent_settings import DescentSettings, DescentTask
from ._fallback import descend_within_memory, run_calls
from ._losses import LOSSES, Loss
from ._network import SparseMLP
from ._online import Memory, mean_curvature
from ._problem import LITTLE_LOSS, Problem
from ._pruning import PathPoint, choose, constant_network, pruning_rounds
from ._refinement import ShouldStop
from ._rows import Rows
from ._screening import Screening

Choice = Callable[[Sequence[PathPoint]], PathPoint]
Pace = Mapping[str, Any]  # options of `pruning_rounds`
Beginning = tuple[SparseMLP, Pace]

# The best candidates of the descent that are refined, of which the best then have pruning paths:
# what soft networks come to shows only there, and several refinements cost as much as one path.
N_REFINED, N_PATHS = 4, 3
BEGINNING_PRICE = 1e-4  # of a number in that choice, whatever alpha is: most are removed later
# The most for the paths after the first, as a share of that one's loss: where little is left, what
# is best at small sizes is not at large ones. At a tenth of the price, fits take a tenth more time.
LATER_PRICE = 1e-3
# Later paths are for averages, whose members need be neither as good nor as small. With a second
# one as slow as the first, fits take a fifth more time for the same loss (but for 2 % less at 25
# numbers), except where little loss is left.
THOROUGH: Pace = {}
BRISK: Pace = {"keep": 0.75, "keep_large": 0.6, "smallest": 40, "grows": False}
# Numbers of an average: on digits, 1,700 more lower the validation loss from 0.033 to 0.029, and
# make 230 kB of the 90 kB of a fitted estimator.
LARGEST_AVERAGE = 700
REFINING_ENDS = 0.4  # the share of the paths' time


@dataclass(frozen=True)
class SearchResult:
    """What a fit keeps.

    Attributes
    ----------
    path : tuple of PathPoint
        The front, by ascending size, on raw rows.
    chosen : PathPoint
        The one of `path` with the lowest J.
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

    Returns
    -------
    SearchResult
    """
    control = control or Control()
    choice = partial(choose, alpha=settings.alpha, max_nnz=max_nnz)
    descent_ends, paths_end = (control.deadline.part(share) for share in (DESCENT_ENDS, PATHS_END))
    problem = Problem.of(data, LOSSES[loss_name], validation_fraction, random_state)
    seed = int(random_state.randint(np.iinfo(np.int32).max))
    constant = problem.point(problem.constant())
    if problem.is_constant:
        return _finish(problem, [constant], choice, None, control, refits=[constant])
    choice([constant])  # no network is smaller: an impossible budget is refused before the work
    start, screening = settings.start, problem.screening
    if isinstance(start, SparseMLP):
        # A classifier can be where a regression starts, and the other way round.
        start = replace(start, out_activation=problem.loss.out_activation)
        start = problem.scaling.unfold(start)
        screening = screening.including(start.used_features)
        settings = replace(settings, start=screening.narrow(start))
    task = DescentTask(
        train=screening.take(problem.train),
        validation=screening.take(problem.few_validation),
        loss_name=loss_name,
        reference=problem.reference,
        relevant=None if isinstance(start, SparseMLP) else screening.relevant,
    )
    stage = Stage(control, "descent", "verdict", settings.n_verdicts)

    def stopped_at(descent: Descent) -> SearchResult:
        decoded = [problem.point(network) for network in _networks(descent, screening)]
        return _result(problem, [constant, *decoded], choice, descent)

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
    refits: list[PathPoint] = []
    all_ran = False
    if refines and not (asked_to_stop or control.was_interrupted):
        beginnings = _most_promising(
            networks, BEGINNING_PRICE, problem, n_jobs, control, paths_end, refined
        )
        if isinstance(start, SparseMLP):
            beginnings.append((start, THOROUGH))
        # What hidden neurons have to be better than.
        beginnings.append((problem.linear(), THOROUGH))
        if not control.was_interrupted:
            paths: list[list[PathPoint]] = []
            all_ran, asked_to_stop = _prune(
                beginnings, problem, n_jobs, control, paths_end, paths,
                lambda: _result(
                    problem, [*points, *refined, *problem.smoothed_paths(paths)], choice, descent
                ),
            )  # fmt: skip
            points += problem.smoothed_paths(paths)
            if not (asked_to_stop or control.was_interrupted):
                found = _average(paths, problem, settings, control, paths_end)
                points += [p for p in problem.smoothed(found) if p.nnz <= LARGEST_AVERAGE]
        # Of classes the best of several candidates was lucky, and there is no network of about its
        # size to tell: it is an answer only where no pruning path is.
        if not (all_ran and problem.has_classes):
            points += refined
        # Decoded networks are not to be refitted: that would make other networks of them
        # than those that were judged.
        refits = [] if asked_to_stop or control.was_interrupted else points.copy()
    if isinstance(start, SparseMLP):
        networks.append(start)
    # What descent found was judged at its luckiest step, and pruning starts at the best of it:
    # it is an answer only where no pruning path is.
    if not all_ran:
        points += [problem.point(network) for network in networks]
    if not refines and settings.max_iter == 0 and settings.start == "data":
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


def _networks(descent: Descent, screening: Screening) -> list[SparseMLP]:
    """Return the candidates' networks, of all features."""
    found = _networks_at(descent.candidates, descent, screening)
    return [network for network in found if network is not None]


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


def _most_promising(
    networks: list[SparseMLP],
    price: float,
    problem: Problem,
    n_jobs: int | None,
    control: Control,
    ends: Deadline,
    points: list[PathPoint],
) -> list[Beginning]:
    """Refine the best candidates, add them to `points`, and return how paths begin at the best."""
    candidates = networks[:N_REFINED]
    n = len(candidates)
    if not n:  # no network had a finite loss
        return []
    n_workers = min(effective_n_jobs(n_jobs), n)
    refining_ends = ends.part(REFINING_ENDS)
    calls = [
        delayed(_refine_first)(
            network, problem.few_train, problem.few_validation, problem.loss, refining_ends,
            share=1 / -(-(n - i) // n_workers),
        )
        for i, network in enumerate(candidates)
    ]  # fmt: skip
    refined: list[PathPoint] = []
    try:
        refined.extend(point for point in run_calls(calls, n_workers) if point is not None)
    except KeyboardInterrupt:
        control.stopped("interrupt")
    if not refined:
        return [(network, THOROUGH) for network in candidates[:N_PATHS]]
    points += problem.judged(refined)
    best, *others = _ranked(refined, price)
    others = _ranked(others, min(price, LATER_PRICE * best.validation_loss))
    control.say(
        f"refined {len(refined)} of {n}  best: validation loss {best.validation_loss:.4f}, "
        f"{best.nnz} non-zeros, depth {best.network.depth}"
    )
    n_thorough = 2 if best.validation_loss < LITTLE_LOSS else 1
    return [
        (point.network, THOROUGH if rank < n_thorough else _brisk_if_large(point))
        for rank, point in enumerate((best, *others[: N_PATHS - 1]))
    ]


def _ranked(points: list[PathPoint], price: float) -> list[PathPoint]:
    """Return points by what they cost, the best one first."""
    costs = [point.validation_loss + price * point.nnz for point in points]
    return [points[i] for i in np.argsort(np.nan_to_num(costs, nan=np.inf), kind="stable")]


def _refine_first(
    network: SparseMLP,
    train: Rows,
    validation: Rows,
    loss: Loss,
    ends: Deadline,
    share: float,
) -> PathPoint | None:
    """Return what a pruning path makes of a network before it removes anything, if time allows."""
    rounds = pruning_rounds(network, train, validation, loss, should_stop=ends.part(share))
    _, refined = next(rounds), next(rounds)
    return refined if refined.network.weights[0].any() else None  # time was over: the constant


def _brisk_if_large(point: PathPoint) -> Pace:
    """Return how a later path goes; that of a small network is quick as it is."""
    return BRISK if point.nnz > 2 * BRISK["smallest"] else THOROUGH


def _prune(
    beginnings: list[Beginning],
    problem: Problem,
    n_jobs: int | None,
    control: Control,
    ends: Deadline,
    paths: list[list[PathPoint]],
    so_far: Callable[[], SearchResult],
) -> tuple[bool, bool]:
    """Run the pruning paths, and add them to `paths`.

    Returns
    -------
    all_ran : bool
        Whether every path got as far as one refined network.
    asked_to_stop : bool
        Whether a callback asks to end the fit here.
    """
    n = len(beginnings)
    stage = Stage(control, "pruning paths", "path", n)
    n_workers = min(effective_n_jobs(n_jobs), n)
    n_ran = 0
    calls = [
        delayed(_run_path)(
            network, problem.few_train, problem.few_validation, problem.loss, ends, pace,
            share=1 / -(-(n - i) // n_workers),  # as many paths share the time that is left
        )
        for i, (network, pace) in enumerate(beginnings)
    ]  # fmt: skip
    try:
        for i, (path, reason) in enumerate(run_calls(calls, n_workers), start=1):
            paths.append(problem.judged(path[1:]))  # the first is as it was given
            n_ran += reason is None or len(path) > 2  # the last is the constant
            if reason is not None:
                control.stopped(reason)
            control.say(f"path {i} of {n}  {_path_line(path)}")
            if stage.part_done(so_far) or control.was_interrupted:
                break
    except KeyboardInterrupt:
        control.stopped("interrupt")
    return n_ran == n, stage.close(so_far)


def _run_path(
    network: SparseMLP,
    train: Rows,
    validation: Rows,
    loss: Loss,
    ends: Deadline,
    pace: Pace,
    share: float,
) -> tuple[list[PathPoint], str | None]:
    """Run a pruning path as far as it gets; return also what cut it short."""
    path: list[PathPoint] = []
    own_end = ends.part(share)
    rounds = pruning_rounds(network, train, validation, loss, should_stop=own_end, **pace)
    try:
        for point in rounds:
            path.append(point)  # as they come: Ctrl-C keeps them
    except KeyboardInterrupt:
        return path, "interrupt"
    return path, "max_time" if own_end.has_passed else None


def _average(
    paths: list[list[PathPoint]],
    problem: Problem,
    settings: DescentSettings,
    control: Control,
    ends: Deadline,
) -> list[PathPoint]:
    """Return averages of the networks of several paths, as many as there is time for."""
    found: list[PathPoint] = []
    width, activations = settings.max_width, settings.activations
    try:
        for point in averages(paths, problem.point, max_width=width, activations=activations):
            found.append(point)
            if ends():
                control.stopped("max_time")
                break
    except KeyboardInterrupt:
        control.stopped("interrupt")
    return found


def _path_line(path: list[PathPoint]) -> str:
    best = min(path, key=lambda point: point.validation_loss, default=None)
    if best is None:
        return "was interrupted before its first network"
    return (
        f"networks {len(path):3d}  best: validation loss {best.validation_loss:.4f}, "
        f"{best.nnz} non-zeros, depth {best.network.depth}"
    )


def _result(
    problem: Problem, points: list[PathPoint], choice: Choice, descent: Descent | None
) -> SearchResult:
    """Keep the front, choose, and go back to raw rows."""
    front = problem.front(points)
    return _on_raw_rows(problem, front, front.index(choice(front)), descent)


def _finish(
    problem: Problem,
    points: list[PathPoint],
    choice: Choice,
    descent: Descent | None,
    control: Control,
    *,
    refits: list[PathPoint],
) -> SearchResult:
    """Keep the front, choose, refit on all rows those of `refits`, and go back to raw rows."""
    judged = problem.front(points)
    chosen = judged.index(choice(judged))
    front = list(judged)
    curvature = None
    try:
        if refits:
            stage = Stage(control, "refit", "network", len(front))
            refitted: dict[PathPoint, SparseMLP] = {}
            # The chosen network comes first: time may not be enough for all.
            for i in sorted(range(len(front)), key=lambda i: i != chosen):
                if control.deadline():
                    control.stopped("max_time")
                    break
                if judged[i] in refits:
                    front[i] = _refit(judged[i], problem, control.deadline, refitted)
                if stage.part_done(lambda: _on_raw_rows(problem, tuple(front), chosen, descent)):
                    break
            stage.close(lambda: _on_raw_rows(problem, tuple(front), chosen, descent))
        l2 = problem.prior(judged[chosen])
        curvature = mean_curvature(front[chosen].network, problem.rows, problem.loss, l2)
    except KeyboardInterrupt:
        control.stopped("interrupt")
    result = _on_raw_rows(problem, tuple(front), chosen, descent, curvature)
    best = result.chosen
    control.say(
        f"chosen of {len(front)} networks: validation loss {best.validation_loss:.4f}, "
        f"{best.nnz} non-zeros, depth {best.network.depth}"
    )
    return result


def _on_raw_rows(
    problem: Problem,
    front: tuple[PathPoint, ...],
    chosen: int,
    descent: Descent | None,
    curvature: NDArray[np.float64] | None = None,
) -> SearchResult:
    """Fold the scaling into the networks of a front."""
    front = tuple(
        PathPoint(
            problem.scaling.fold(point.network),
            point.train_loss,
            point.validation_loss,
            point.validation_error,
        )
        for point in front
    )
    network, l2 = front[chosen].network, problem.prior(front[chosen])
    return SearchResult(
        path=front,
        chosen=front[chosen],
        memory=Memory(problem.scaling, problem.total_weight, l2, network, curvature),
        history=descent.history if descent is not None else [],
        n_iter=descent.n_iter if descent is not None else 1,
    )


def _refit(
    point: PathPoint, problem: Problem, should_stop: ShouldStop, known: dict[PathPoint, SparseMLP]
) -> PathPoint:
    """Refit a network's numbers on all rows; its losses stay those of the training rows.

    Members of averages, which as one network would be wrong alike, are refitted by themselves,
    each of them once: they are kept in `known`.
    """
    if isinstance(point, AveragePoint):
        network = average(
            [_refit(member, problem, should_stop, known).network for member in point.members]
        )
    elif point in known:
        network = known[point]
    elif point.network.weights[0].any():
        network = known[point] = problem.refine(point, should_stop)
    else:
        network = constant_network(point.network, problem.rows, problem.loss)
    # A refit that loses a weight would no longer be the network that was judged.
    is_the_same = network.nnz == point.network.nnz and problem.scaling.can_fold(network)
    return replace(point, network=network if is_the_same else point.network)


def to_device(autoencoder: Any, device: Any) -> Any:
    """Return a copy on the device; on the CPU it shares what no descent changes.

    These are the parameters and the encoder of data sets. Those of networks and the decoders
    run with other parameters swapped in: they cannot be those of another fit in another thread.
    """
    if device.type != "cpu":
        return copy.deepcopy(autoencoder).to(device)
    shared = {id(parameter): parameter for parameter in autoencoder.parameters()}
    shared[id(autoencoder.dataset_encoder)] = autoencoder.dataset_encoder
    return copy.deepcopy(autoencoder, shared)

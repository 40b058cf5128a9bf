"""Pruning paths of the best candidates of a descent, and averages of what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from joblib import delayed, effective_n_jobs

from ._averages import averages
from ._control import Control, Deadline, Stage
from ._descent_settings import DescentSettings
from ._fallback import run_calls
from ._losses import Loss
from ._network import SparseMLP
from ._parameters import DEFAULT_WIDTH, widths_of
from ._problem import LITTLE_LOSS, Problem
from ._pruning import PathPoint, pruning_rounds
from ._rows import Rows
from ._screening import Screening
from ._wide_network import random_wide_network

Pace = Mapping[str, Any]  # options of `pruning_rounds`
Beginning = tuple[SparseMLP, Pace]

# The best candidates of the descent that are refined, of which the best then have pruning paths:
# what soft networks come to shows only there, and several refinements cost as much as one path.
N_REFINED, N_PATHS = 6, 3
# Where none of them gets below this share of a constant's loss, more are refined, up to so many of
# one descent: descents see no difference between networks that explain nothing yet.
NOTHING_FOUND, MOST_REFINED = 0.95, 16
# Where none gets below this share, in a descent either, there is a second one.
LITTLE_FOUND = 0.9
# The price of a number where paths begin, of which most are removed later: before candidates are
# refined it is at most this, and then this, whatever alpha is, but at most a share of the lowest
# loss. Where little is left, what is best at small sizes is not at large ones. At a tenth of that
# share, fits take a tenth more time.
BEGINNING_PRICE, PRICE_PER_LOSS = 1e-4, 1e-3
# Later paths are for averages, whose members need be neither as good nor as small. With a second
# one as slow as the first, fits take a fifth more time for the same loss (but for 2 % less at 25
# numbers), except where little loss is left.
THOROUGH: Pace = {}
BRISK: Pace = {"keep": 0.75, "keep_large": 0.6, "smallest": 40, "grows": False}
# Networks of so few numbers are quick as they are. Up to such a budget all paths are thorough, as
# brisk ones end too early for it, and begin at smaller networks, by a price of its own: at 12 to 30
# numbers 5 % less loss, in a tenth more time.
SMALL, SMALL_BUDGET_PRICE = 2 * BRISK["smallest"], 3e-4
# A wide network is tried for a third of a candidate's iterations. If it is better by then than what
# paths begin at, the fit has a third less loss in the mean (images, many classes, many products).
# Small networks are left to the other paths, and so are budgets of so many numbers.
WIDE_TRIAL: Pace = {"max_iter": 20}
WIDE: Pace = {"keep": 0.75, "keep_large": 0.75, "smallest": 100, "grows": False}
WIDE_BUDGET = 300
# What a number of large networks has to be worth where there is such a path: they are kilobytes.
LARGE_PRICE = 1e-5
# Numbers of an average: on digits, 1,700 more lower the validation loss from 0.033 to 0.029, and
# make 230 kB of the 90 kB of a fitted estimator.
LARGEST_AVERAGE = 700
REFINING_ENDS, WIDE_ENDS = 0.4, 0.2  # shares of the paths' time


def best_beginnings(
    descents: Iterable[Sequence[SparseMLP]],
    price: float,
    problem: Problem,
    n_jobs: int | None,
    control: Control,
    ends: Deadline,
    points: list[PathPoint],
    max_nnz: int | None = None,
) -> list[Beginning]:
    """Refine the first candidates, add them to `points`, and return how paths begin at the best.

    What descents end at is given with the best network first; the next descent is asked for where
    those before it found nothing. A small budget `max_nnz` has a price of its own.
    """
    refined: list[PathPoint] = []
    tried: list[SparseMLP] = []
    try:
        for networks in descents:
            refining_ends = ends.part(REFINING_ENDS)
            for i in range(0, min(len(networks), MOST_REFINED), N_REFINED):
                batch = networks[i : min(i + N_REFINED, MOST_REFINED)]
                tried += batch
                for point, reason in _refined(batch, problem, n_jobs, refining_ends):
                    if point is not None:
                        refined.append(point)
                    if reason is not None:
                        control.stopped(reason)
                if not _all_are_above(NOTHING_FOUND, refined, problem):
                    break
            # A descent may end at constants alone.
            if networks and not _all_are_above(LITTLE_FOUND, refined, problem):
                break
    except KeyboardInterrupt:
        control.stopped("interrupt")
    if not refined:
        return [(network, THOROUGH) for network in tried[:N_PATHS]]
    points += problem.judged(refined, problem.fewest_train)
    is_small = max_nnz is not None and max_nnz <= SMALL
    lowest_loss = _ranked(refined, 0.0)[0].validation_loss
    price = SMALL_BUDGET_PRICE if is_small else min(price, PRICE_PER_LOSS * lowest_loss)
    chosen = _ranked(refined, price)[:N_PATHS]
    best = chosen[0]
    control.say(
        f"refined {len(refined)} of {len(tried)}  "
        f"best: validation loss {best.validation_loss:.4f}, {best.nnz} non-zeros, "
        f"depth {best.network.depth}"
    )
    n_thorough = N_PATHS if is_small else 2 if best.validation_loss < LITTLE_LOSS else 1
    return [
        (point.refined_as, THOROUGH if rank < n_thorough else _brisk_if_large(point))
        for rank, point in enumerate(chosen)
    ]


def wide_beginnings(
    beginnings: Sequence[Beginning],
    problem: Problem,
    screening: Screening,
    settings: DescentSettings,
    random_state: np.random.RandomState,
    control: Control,
    ends: Deadline,
    max_nnz: int | None = None,
) -> list[Beginning]:
    """Return how a path begins at a network as wide as averages, if it beats all `beginnings`."""
    if not beginnings or not _may_be_wide(problem, settings, max_nnz):
        return []
    width = settings.max_width
    d, k = problem.rows.X.shape[1], problem.rows.target.shape[1]
    try:
        network = random_wide_network(
            d, screening.seen, k,
            width=width, activations=settings.activations,
            out_activation=problem.loss.out_activation, random_state=random_state,
        )  # fmt: skip
        if network is None:
            return []
        ends = ends.part(WIDE_ENDS)
        ((point, reason),) = _refined([network], problem, None, ends, WIDE_TRIAL)
    except KeyboardInterrupt:
        point, reason = None, "interrupt"
    if reason is not None:
        control.stopped(reason)
    if point is None:
        return []
    # All by the validation rows alone: of so many numbers, no training rows can be left out.
    wide = problem.candidate(point.refined_as).validation_loss
    losses = [problem.candidate(network).validation_loss for network, _ in beginnings]
    others = np.fmin.reduce([np.inf, *losses])
    is_better = wide < others
    control.say(
        f"tried {width} neurons in a layer  validation loss {wide:.4f}, "
        f"{'better' if is_better else 'no better'} than {others:.4f}"
    )
    return [(point.refined_as, WIDE)] if is_better else []


def _may_be_wide(problem: Problem, settings: DescentSettings, max_nnz: int | None) -> bool:
    """Say whether a network may be wider than usual, and is likely to gain by it.

    A regression of few features and outputs hardly ever does.
    """
    usual, _ = widths_of(None, "data", problem.rows.X.shape[1], problem.rows.target.shape[1])
    is_allowed = settings.max_width > usual and 1 in settings.depths
    is_small = max_nnz is not None and max_nnz <= WIDE_BUDGET
    return is_allowed and not is_small and (problem.has_classes or usual > DEFAULT_WIDTH)


def _all_are_above(share: float, refined: list[PathPoint], problem: Problem) -> bool:
    """Say whether none is below a share of a constant's loss; where there is none, one might be."""
    enough = share * problem.constant_point.validation_loss
    return bool(refined) and not any(point.validation_loss < enough for point in refined)


def _ranked(points: list[PathPoint], price: float) -> list[PathPoint]:
    """Return points by what they cost, the best one first; NaN is last."""
    costs = [point.validation_loss + price * point.nnz for point in points]
    return [points[i] for i in np.argsort(costs, kind="stable")]


def _refined(
    networks: Sequence[SparseMLP],
    problem: Problem,
    n_jobs: int | None,
    ends: Deadline,
    pace: Pace = THOROUGH,
) -> Iterator[tuple[PathPoint | None, str | None]]:
    """Refine networks, and yield what time allows of each, in their order."""
    n = len(networks)
    n_workers = min(effective_n_jobs(n_jobs), n)
    calls = [
        delayed(_refine_first)(
            network, problem.fewest_train, problem.few_validation, problem.loss, ends, pace,
            share=share,
        )
        for network, share in zip(networks, _time_shares(n, n_workers), strict=True)
    ]  # fmt: skip
    return run_calls(calls, n_workers)


def _time_shares(n: int, n_workers: int) -> list[float]:
    """Return what share of the time that is left each of `n` calls may take once it begins.

    As many as are still to run one after another, on so many workers, share it.
    """
    return [1 / -(-(n - i) // n_workers) for i in range(n)]


def _refine_first(
    network: SparseMLP,
    train: Rows,
    validation: Rows,
    loss: Loss,
    ends: Deadline,
    pace: Pace,
    share: float,
) -> tuple[PathPoint | None, str | None]:
    """Return what a path makes of a network before it removes anything, and what cut it short."""
    own_end = ends.part(share)
    rounds = pruning_rounds(network, train, validation, loss, should_stop=own_end, **pace)
    _, refined = next(rounds), next(rounds)
    point = None if refined.network.is_constant else refined  # time was over, or nothing left
    return point, "max_time" if own_end.has_passed else None


def _brisk_if_large(point: PathPoint) -> Pace:
    """Return how a later path goes; that of a small network is quick as it is."""
    return BRISK if point.nnz > SMALL else THOROUGH


def run_paths(
    beginnings: list[Beginning],
    problem: Problem,
    n_jobs: int | None,
    control: Control,
    ends: Deadline,
    paths: list[list[PathPoint]],
    so_far: Callable[[], Any],
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
    trains = [problem.fewer_train if pace is WIDE else problem.few_train for _, pace in beginnings]
    calls = [
        delayed(_run_path)(
            network, train, problem.few_validation, problem.loss, ends, pace, share=share
        )
        for (network, pace), train, share in zip(
            beginnings, trains, _time_shares(n, n_workers), strict=True
        )
    ]
    try:
        for i, (path, reason) in enumerate(run_calls(calls, n_workers), start=1):
            refined = path[1:]  # the first is as it was given
            paths.append(problem.judged(refined, trains[i - 1]))
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


def average_paths(
    paths: list[list[PathPoint]],
    problem: Problem,
    settings: DescentSettings,
    control: Control,
    ends: Deadline,
) -> list[PathPoint]:
    """Return averages of the networks of several paths, as many as there is time for.

    All of them smooth the losses of classes; those of more than `LARGEST_AVERAGE` numbers are left
    out.
    """
    found: list[PathPoint] = []
    width, activations = settings.max_width, settings.activations
    try:
        for point in averages(paths, problem.candidate, max_width=width, activations=activations):
            found.append(point)
            if ends():
                control.stopped("max_time")
                break
    except KeyboardInterrupt:
        control.stopped("interrupt")
    return [point for point in problem.smoothed(found) if point.nnz <= LARGEST_AVERAGE]


def worth_their_size(points: Sequence[PathPoint], price: float) -> list[PathPoint]:
    """Leave out what has more than `LARGEST_AVERAGE` numbers and is not worth their price."""
    kept, least = [], np.inf
    for point in sorted(points, key=lambda point: point.nnz):
        cost = point.validation_loss + price * point.nnz
        if point.nnz <= LARGEST_AVERAGE or cost < least:
            kept.append(point)
        least = np.fmin(least, cost)
    return kept


def _path_line(path: list[PathPoint]) -> str:
    best = min(path, key=lambda point: point.validation_loss, default=None)
    if best is None:
        return "was interrupted before its first network"
    return (
        f"networks {len(path):3d}  best: validation loss {best.validation_loss:.4f}, "
        f"{best.nnz} non-zeros, depth {best.network.depth}"
    )

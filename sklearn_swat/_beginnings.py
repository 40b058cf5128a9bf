"""How pruning paths begin: at the best candidates of a descent, once these are refined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from joblib import delayed, effective_n_jobs

from ._control import Control, Deadline, time_shares
from ._fallback import run_calls
from ._losses import Loss
from ._network import SparseMLP
from ._problem import LITTLE_LOSS, Problem
from ._pruning import PathPoint, pruning_rounds
from ._rows import Rows


@dataclass(frozen=True)
class Pace:
    """How a pruning path goes.

    Attributes
    ----------
    rounds : mapping
        Options of `pruning_rounds`.
    sees_fewer : bool
        Whether it goes by `Problem.fewer_train`, instead of `Problem.few_train`.
    is_averaged : bool
        Whether its networks are averaged with those of other paths.
    """

    rounds: Mapping[str, Any]
    sees_fewer: bool = False
    is_averaged: bool = True


class Beginning(NamedTuple):
    """Where a path begins, and how it goes."""

    network: SparseMLP
    pace: Pace


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
THOROUGH = Pace({})
BRISK = Pace({"keep": 0.75, "keep_large": 0.6, "smallest": 40, "grows": False})
# Networks of so few numbers are quick as they are. Up to such a budget all paths are thorough, as
# brisk ones end too early for it, and begin at smaller networks, by a price of its own: at 12 to 30
# numbers 5 % less loss, in a tenth more time.
SMALL, SMALL_BUDGET_PRICE = 2 * BRISK.rounds["smallest"], 3e-4
REFINING_ENDS = 0.4  # a share of the paths' time


def best_beginnings(
    descents: Iterable[Sequence[SparseMLP]],
    price: float,
    problem: Problem,
    n_jobs: int | None,
    control: Control,
    ends: Deadline,
    points: list[PathPoint],
    max_nnz: int | None = None,
    n_refined: int = N_REFINED,
    n_paths: int = N_PATHS,
) -> list[Beginning]:
    """Refine the first candidates, add them to `points`, and return how paths begin at the best.

    What descents end at is given with the best network first; the next descent is asked for where
    those before it found nothing. A small budget `max_nnz` has a price of its own. There are
    `n_paths` at most, and `n_refined` are refined at a time.
    """
    refined: list[PathPoint] = []
    tried: list[SparseMLP] = []
    try:
        for networks in descents:
            refining_ends = ends.part(REFINING_ENDS)
            for i in range(0, min(len(networks), MOST_REFINED), n_refined):
                batch = networks[i : min(i + n_refined, MOST_REFINED)]
                tried += batch
                for point, reason in refine_all(batch, problem, n_jobs, refining_ends):
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
        return [Beginning(network, THOROUGH) for network in tried[:n_paths]]
    with control.interrupts_noted():
        points += problem.judged(refined, problem.fewest_train)
    is_small = max_nnz is not None and max_nnz <= SMALL
    least = _ranked(refined, 0.0)[0].validation_loss
    price = SMALL_BUDGET_PRICE if is_small else min(price, PRICE_PER_LOSS * least)
    chosen = _ranked(refined, price)[:n_paths]
    best = chosen[0]
    control.say(
        f"refined {len(refined)} of {len(tried)}  "
        f"best: validation loss {best.validation_loss:.4f}, {best.nnz} non-zeros, "
        f"depth {best.network.depth}"
    )
    n_thorough = n_paths if is_small else 2 if best.validation_loss < LITTLE_LOSS else 1
    return [
        Beginning(point.refined_as, THOROUGH if rank < n_thorough else _brisk_if_large(point))
        for rank, point in enumerate(chosen)
    ]


def _all_are_above(share: float, refined: list[PathPoint], problem: Problem) -> bool:
    """Say whether none is below a share of a constant's loss; where there is none, one might be."""
    enough = share * problem.constant_point.validation_loss
    return bool(refined) and not any(point.validation_loss < enough for point in refined)


def _ranked(points: list[PathPoint], price: float) -> list[PathPoint]:
    """Return points by what they cost, the best one first; NaN is last."""
    costs = [point.validation_loss + price * point.nnz for point in points]
    return [points[i] for i in np.argsort(costs, kind="stable")]


def refine_all(
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
        for network, share in zip(networks, time_shares(n, n_workers), strict=True)
    ]  # fmt: skip
    return run_calls(calls, n_workers)


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
    rounds = pruning_rounds(network, train, validation, loss, should_stop=own_end, **pace.rounds)
    _, refined = next(rounds), next(rounds)
    point = None if refined.network.is_constant else refined  # time was over, or nothing left
    return point, "max_time" if own_end.has_passed else None


def _brisk_if_large(point: PathPoint) -> Pace:
    """Return how a later path goes; that of a small network is quick as it is."""
    return BRISK if point.nnz > SMALL else THOROUGH

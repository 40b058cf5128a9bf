"""What a search keeps: a front of networks of raw rows, and the one that was chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._candidates import Descent
from ._online import Memory
from ._problem import Problem
from ._pruning import PathPoint

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


def result_of(
    problem: Problem, points: list[PathPoint], choice: Choice, descent: Descent | None
) -> SearchResult:
    """Keep the front, choose, and go back to raw rows."""
    front = problem.front(points)
    chosen = choice(front)
    return on_raw_rows(problem, front, chosen, problem.prior(chosen), descent)


def on_raw_rows(
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

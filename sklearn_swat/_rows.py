"""Rows of data as every stage of a fit takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of data as every loss takes them.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Features, float64.
    target : ndarray of shape (n, k)
        Targets as the loss wants them.
    weight : ndarray of shape (n,)
        Non-negative row weights of any positive sum.
    draws : ndarray of shape (n,), optional
        Whole numbers: independent draws that every row stands for. Without it each is one.
    may_be_left_out : bool, default=True
        Whether the others say nothing of a row but what they have in common. Where rows depend
        on one another, a network has all but seen each that is left out.
    """

    X: Array
    target: Array
    weight: Array
    draws: Array | None = None
    may_be_left_out: bool = True

    @property
    def n_draws(self) -> int:
        """Independent draws that all rows stand for."""
        return len(self.weight) if self.draws is None else int(self.draws.sum())

    @property
    def n_effective(self) -> float:
        """Draws of equal weight by which a mean is as certain as by these."""
        return float(self.weight.sum() ** 2 / (self.weight @ self.weight_per_draw))

    @property
    def weight_per_draw(self) -> Array:
        """Weight (n,) of each of the draws that a row stands for."""
        return self.weight if self.draws is None else self.weight / self.draws


def take_rows(rows: Rows, index: NDArray[np.intp]) -> Rows:
    """Return some of the rows."""
    draws = None if rows.draws is None else rows.draws[index]
    return replace(
        rows, X=rows.X[index], target=rows.target[index], weight=rows.weight[index], draws=draws
    )

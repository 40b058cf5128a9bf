"""What descends: candidates, each with the hard networks that are kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._network import SparseMLP

ERRORS_TO_BEAT = 1.0  # standard errors by which a later network must be better
# Normalised loss by which the last network may be behind the best one before it counts as spoilt:
# by too high a rate or price, or by an end before its neurons were hard.
SPOILT_BY = 0.5


@dataclass
class Candidate:
    """One (depth, restart), with the best hard network that it has passed through and the last.

    Attributes
    ----------
    depth, restart : int
    network : SparseMLP
        The best one, an answer by itself; on standardised rows.
    price : float
        Its J: normalised validation loss plus alpha times size.
    latest : SparseMLP, optional
        The one of the last verdict, if its loss was finite.
    latest_price : float
        Its J.
    row_losses : ndarray of shape (N,), optional
        The normalised loss of each validation row.
    """

    depth: int
    restart: int
    network: SparseMLP | None = None
    price: float = np.inf
    latest: SparseMLP | None = None
    latest_price: float = np.inf
    row_losses: NDArray[np.float64] | None = None

    @property
    def beginning(self) -> tuple[SparseMLP | None, float]:
        """Where a pruning path begins, and its J: the last network, unless that is spoilt.

        What was the best on the validation rows may be the start, of which paths make less.
        """
        is_spoilt = (
            self.latest is None
            or self.latest_price > self.price + SPOILT_BY
            or self.latest.is_constant
        )
        return (self.network, self.price) if is_spoilt else (self.latest, self.latest_price)

    def is_beaten(
        self, price: float, row_losses: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> bool:
        """Say whether a later network's lower price is more than luck with its rows."""
        if self.row_losses is None:
            return True
        difference = row_losses - self.row_losses
        spread = weight * (difference - difference @ weight)
        error = np.sqrt(spread @ spread * len(weight) / max(1, len(weight) - 1))
        return bool(price < self.price - ERRORS_TO_BEAT * error)


@dataclass
class Descent:
    """What a descent found.

    Attributes
    ----------
    candidates : list of Candidate, best first
    history : list of dict
        A record per verdict: "step", "seconds", "candidates" (depth, restart), and of
        each candidate's hard network "train_loss" (of a minibatch, where there are any),
        "validation_loss" and "nnz".
    n_iter : int
        Steps taken.
    was_interrupted : bool
        By Ctrl-C; the candidates are the best so far.
    """

    candidates: list[Candidate]
    history: list[dict[str, Any]] = field(default_factory=list)
    n_iter: int = 0
    was_interrupted: bool = False

"""What a descent is given: rows to fit, and how to go about it. Loads without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._network import SparseMLP

if TYPE_CHECKING:
    import torch

    from ._rows import Rows

EVALUATION_STEPS = 5  # steps between two verdicts on the hard networks


@dataclass(frozen=True)
class DescentTask:
    """What networks are to fit.

    Attributes
    ----------
    train, validation : Rows
        Standardised.
    loss_name : {"squared_error", "logistic", "softmax"}
    reference : float
        The loss of the best constant, which losses are divided by.
    relevant : int ndarray, optional
        The features that every second restart sees; all if not given.
    """

    train: Rows
    validation: Rows
    loss_name: str
    reference: float
    relevant: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class DescentSettings:
    """What a descent is to do; see the estimators for the meaning of the parameters.

    Attributes
    ----------
    alpha : float
        Price of one non-zero, in units of the normalised loss.
    depths : tuple of int, ascending
    n_restarts : int
        Candidates per depth.
    n_slots : int
        Neurons per layer at most.
    max_width : int
        The same of averages of several networks, and of a wider one that is tried beside them.
    activations : tuple of str
    start : {"data", "random"} or SparseMLP
        A network on standardised rows, or how to choose the start points.
    space : {"both", "latent", "weights"}
    max_iter : int
    learning_rate : float
    batch_size : int or "auto"
    n_iter_no_change : int
    tol : float
    device : torch.device
    """

    alpha: float
    depths: tuple[int, ...]
    n_restarts: int
    n_slots: int
    max_width: int
    activations: tuple[str, ...]
    start: str | SparseMLP
    space: str
    max_iter: int
    learning_rate: float
    batch_size: int | str
    n_iter_no_change: int
    tol: float
    device: torch.device

    @property
    def n_verdicts(self) -> int:
        """How often the networks of a descent are judged that takes all of its steps."""
        return 1 + -(-self.max_iter // EVALUATION_STEPS)

"""Training of torch networks of which some weights are held at zero.

What magnitude pruning and the fine-tuning of LassoNet's networks have in common: Adam
on minibatches, a rate that falls to zero, and the best moment by validation loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder, StandardScaler
from torch import Tensor

Parameters = dict[str, Tensor]
Forward = Callable[[Parameters, Tensor], Tensor]

BATCH_ROWS = 256
STEPS_BETWEEN_VERDICTS = 25
VALIDATION_FRACTION = 0.2  # as in the package


@dataclass(frozen=True)
class TorchRows:
    """Scaled rows: X (n, d) and the target, (n, 1) numbers or (n,) positions of classes."""

    X: Tensor
    target: Tensor


class Problem:
    """Scaled training and validation rows of a table, and the way back.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    X, y : ndarray
        Training rows.
    seed : int
        Of the split.
    """

    def __init__(self, task: str, X: NDArray[Any], y: NDArray[Any], seed: int) -> None:
        self.task = task
        self.input_scaler = StandardScaler().fit(X)
        if task == "regression":
            self.target_scaler = StandardScaler().fit(y[:, None])
            target = torch.from_numpy(self.target_scaler.transform(y[:, None]).astype(np.float32))
            self.n_outputs = 1
        else:
            self.encoder = LabelEncoder().fit(y)
            target = torch.from_numpy(self.encoder.transform(y))
            self.n_outputs = len(self.encoder.classes_)
        counts = np.unique(y, return_counts=True)[1]
        is_stratified = task == "classification" and counts.min() > 1
        train, validation = train_test_split(
            np.arange(len(X)), test_size=VALIDATION_FRACTION, random_state=seed,
            stratify=y if is_stratified else None,
        )  # fmt: skip
        self.rows = TorchRows(self.inputs(X), target)
        self.train, self.validation = (
            TorchRows(self.rows.X[part], target[part]) for part in (train, validation)
        )

    def inputs(self, X: NDArray[Any]) -> Tensor:
        """Return scaled inputs."""
        return torch.from_numpy(self.input_scaler.transform(X).astype(np.float32))

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error or the mean log-loss."""
        if self.task == "regression":
            return torch.nn.functional.mse_loss(outputs, target)
        return torch.nn.functional.cross_entropy(outputs, target)


class FittedNetwork:
    """A trained network with the methods of an estimator.

    Parameters
    ----------
    problem : Problem
        Its scaling and classes.
    forward : callable
        Of parameters and scaled inputs.
    parameters : dict of Tensor
        Trained.
    nnz : int
        Its non-zero weights and biases.
    """

    def __init__(self, problem: Problem, forward: Forward, parameters: Parameters, nnz: int):
        self.problem, self.forward, self.parameters, self.nnz = problem, forward, parameters, nnz

    def _outputs(self, X: NDArray[Any]) -> Tensor:
        with torch.no_grad():
            return self.forward(self.parameters, self.problem.inputs(X))

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return targets or classes."""
        outputs = self._outputs(X)
        if self.problem.task == "regression":
            return self.problem.target_scaler.inverse_transform(outputs.double().numpy())[:, 0]
        return self.problem.encoder.inverse_transform(outputs.argmax(1).numpy())

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the probabilities of the classes, sorted."""
        return self._outputs(X).double().softmax(1).numpy()


def train(
    problem: Problem,
    rows: TorchRows,
    forward: Forward,
    parameters: Parameters,
    masks: Parameters,
    n_steps: int,
    rate: float,
    seed: int,
    *,
    stop_at: int | None = None,
    falls: bool = True,
) -> tuple[Parameters, float, int]:
    """Train parameters under masks.

    Parameters
    ----------
    problem : Problem
        Loss and validation rows.
    rows : TorchRows
        To train on.
    forward : callable
        Of parameters and scaled inputs.
    parameters, masks : dict of Tensor
        Where to begin, and which entries may move, 1 or 0.
    n_steps : int
        Of Adam.
    rate : float
        The learning rate.
    seed : int
        Of the minibatches.
    stop_at : int, default=None
        End after so many steps, without validation. None judges on the way and
        returns the best moment.
    falls : bool, default=True
        Whether the rate falls to zero, as a half-cosine.

    Returns
    -------
    parameters : dict of Tensor
    validation_loss : float
    step : int
        When the best moment was.
    """
    generator = torch.Generator().manual_seed(seed)
    free = {name: (p * masks[name]).clone().requires_grad_() for name, p in parameters.items()}
    optimiser = torch.optim.Adam(list(free.values()), lr=rate)
    best, best_loss, best_step = _detached(free), np.inf, 0
    for step in range(n_steps + 1):
        if stop_at is None and (step % STEPS_BETWEEN_VERDICTS == 0 or step == n_steps):
            with torch.no_grad():
                validation = problem.validation
                loss = float(problem.loss(forward(free, validation.X), validation.target))
            if loss < best_loss:
                best, best_loss, best_step = _detached(free), loss, step
        if step in (n_steps, stop_at):
            break
        if falls:
            optimiser.param_groups[0]["lr"] = rate * (1 + np.cos(np.pi * step / n_steps)) / 2
        size = min(BATCH_ROWS, len(rows.X))
        batch = torch.randint(len(rows.X), (size,), generator=generator)
        optimiser.zero_grad()
        problem.loss(forward(free, rows.X[batch]), rows.target[batch]).backward()
        optimiser.step()
        with torch.no_grad():
            for name, mask in masks.items():
                free[name].mul_(mask)
    return (best if stop_at is None else _detached(free)), best_loss, best_step


def _detached(parameters: Parameters) -> Parameters:
    return {name: p.detach().clone() for name, p in parameters.items()}

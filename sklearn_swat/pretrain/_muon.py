"""Muon: steps of orthogonal matrices for weight matrices, AdamW's for everything else."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

# Newton-Schulz iteration towards the nearest orthogonal matrix: coefficients that bring all
# singular values near 1 in five rounds, published with Muon.
ROUNDS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.AdamW):
    """Muon [1]_ on the parameter groups with ``is_matrix=True``, AdamW on the others.

    A weight matrix moves along the orthogonalised momentum of its gradient, so that
    rare directions move as far as common ones: here they are what tells neurons
    apart. Matrices may come in batches, (..., n_in, n_out). (`torch.optim.Muon` takes
    single matrices only.)

    Parameters
    ----------
    params : iterable
        As for AdamW.
    momentum : float, default=0.95
    **options
        Of AdamW.

    References
    ----------
    .. [1] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """

    def __init__(self, params: Any, *, momentum: float = 0.95, **options: Any) -> None:
        super().__init__(params, **options)
        for group in self.param_groups:
            group.setdefault("is_matrix", False)
            group.setdefault("momentum", momentum)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take a step; `closure` computes the loss and its gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["is_matrix"]:
                self._step_matrices(group)
        super().step()
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        """Move all matrices of a group: those of one shape at once, which are few operations."""
        directions = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is not None:
                direction = self._accumulate(parameter, group["momentum"])
                directions[parameter.shape[-2:]].append((parameter, direction))
                parameter.grad = None  # AdamW leaves it alone
        for (n_in, n_out), of_shape in directions.items():
            rate = group["lr"] * max(1.0, n_out / n_in) ** 0.5
            parameters, matrices = zip(*of_shape, strict=True)
            flat = [matrix.reshape(-1, n_in, n_out) for matrix in matrices]
            steps = orthogonalise(torch.cat(flat)).split([len(part) for part in flat])
            for parameter, step in zip(parameters, steps, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(rate * step.view_as(parameter))

    def _accumulate(self, parameter: Tensor, momentum: float) -> Tensor:
        """Add the gradient to the momentum; return where the two lead."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)  # AdamW looks for it when it loads a state
            state["momentum"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["momentum"].mul_(momentum).add_(parameter.grad)
        ahead: Tensor = parameter.grad + momentum * state["momentum"]
        return ahead


def orthogonalise(matrices: Tensor) -> Tensor:
    """Bring the singular values of matrices (..., n, m) near 1, their vectors as they are."""
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    X = matrices.mT if is_tall else matrices
    X = X / (torch.linalg.matrix_norm(X, keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ROUNDS):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X.mT if is_tall else X

"""Adam for tensors of which lines are dropped on the way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """The moments of one tensor's gradients, for torch's functional Adam.

    Adam treats every number by itself, so candidates do not interact and can be
    dropped. (`torch.optim.Adam` would import torch's compiler: a second per process.)
    """

    def __init__(self, like: Tensor) -> None:
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)
        # On a GPU, so that a CUDA graph of a step counts it; elsewhere torch reads it on the host.
        self.n_steps = torch.tensor(0.0, device=like.device if like.is_cuda else "cpu")

    def step(self, tensor: Tensor, gradient: Tensor, rate: float | Tensor) -> None:
        """Move a tensor by one step, in place."""
        adam(
            [tensor], [gradient], [self.first], [self.second], [], [self.n_steps],
            foreach=False, capturable=tensor.is_cuda, amsgrad=False, beta1=0.9, beta2=0.999,
            lr=rate, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip

    def keep(self, lines: list[int]) -> None:
        """Forget all lines but these."""
        self.first, self.second = self.first[lines], self.second[lines]

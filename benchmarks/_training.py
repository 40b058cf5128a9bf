"""Training for a given time: optimizers, and the loop that the pretraining studies share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_swat.pretrain._muon import Muon
from sklearn_swat.pretrain._training import MATRIX_RATE, cosine

WARM_UP = 0.1  # share of the training time over which the learning rate rises


def muon(module: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return pretraining's optimizer: Muon on the weight matrices, AdamW on the rest.

    Parameters
    ----------
    module : Module
        Whose parameters are trained; matrices are those named ``weight``.
    learning_rate : float
        The peak of AdamW's rate; Muon's is ten times it.

    Returns
    -------
    Optimizer
    """
    named = dict(module.named_parameters())
    matrices = [parameter for name, parameter in named.items() if name.endswith(".weight")]
    others = [parameter for name, parameter in named.items() if not name.endswith(".weight")]
    of_matrices = {"is_matrix": True, "lr": MATRIX_RATE * learning_rate, "weight_decay": 1e-3}
    return Muon(
        [{"params": matrices, **of_matrices}, {"params": others}],
        lr=learning_rate,
        weight_decay=1e-4,
    )


def adamw(module: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return AdamW on all parameters of a module.

    Parameters
    ----------
    module : Module
    learning_rate : float
        The peak.

    Returns
    -------
    Optimizer
    """
    return torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=1e-4, fused=True)


def train_for(
    seconds: float, optimizer: torch.optim.Optimizer, loss_at: Callable[[float], Tensor]
) -> dict[str, Any]:
    """Minimise a loss until the time is over, with a rate that rises and falls over it.

    Parameters
    ----------
    seconds : float
        Of the processor: the wall time of an idle core, and fair on a busy one.
    optimizer : Optimizer
        Its learning rates are the peaks.
    loss_at : callable
        Draws the next batch and returns its loss, given the share of the time that is over.

    Returns
    -------
    dict
        ``n_parameters``, ``n_batches`` and ``seconds``.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    peaks = [group["lr"] for group in optimizer.param_groups]
    n_batches, started, elapsed = 0, time.process_time(), 0.0
    while elapsed < seconds:
        done = elapsed / seconds
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * min(1.0, done / WARM_UP) * cosine(done)
        loss = loss_at(done)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        n_batches += 1
        elapsed = time.process_time() - started
    n_parameters = sum(parameter.numel() for parameter in parameters)
    return {"n_parameters": n_parameters, "n_batches": n_batches, "seconds": elapsed}

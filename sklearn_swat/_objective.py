"""What descent minimises, in torch: the data losses and the price of size.

Shapes: C candidates, N rows, k outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ._soft_network import Layers, NetworkScores, SoftNetwork, presence

L1_SHARE = 0.1  # of a unit of weight in the price of a weight, as in arXiv 2410.08339


def row_losses(name: str, raw: Tensor, target: Tensor) -> Tensor:
    """Compute the loss of every candidate on every row.

    Parameters
    ----------
    name : {"squared_error", "logistic", "softmax"}
        `logistic` is the log-loss of k independent two-class outputs, `softmax`
        that of k exclusive classes.
    raw : Tensor of shape (C, N, k)
        Outputs before the output activation.
    target : Tensor of shape (N, k) or (C, N, k)

    Returns
    -------
    Tensor of shape (C, N)
        The mean over outputs (for `softmax`, the loss itself).
    """
    if name == "squared_error":
        return (raw - target).square().mean(-1)
    if name == "logistic":
        return (F.softplus(raw) - target * raw).mean(-1)
    return raw.logsumexp(-1) - (target * raw).sum(-1)


def data_loss(name: str, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average `row_losses` over the rows, by a `weight` (N,) or (C, N) that sums to 1.

    Returns
    -------
    Tensor of shape (C,)
    """
    return (row_losses(name, raw, target) * weight).sum(-1)


def soft_size(
    scores: NetworkScores, network: SoftNetwork, threshold: Tensor, sharpness: float | Tensor
) -> Tensor:
    """Count the non-zero numbers of every candidate softly, plus a share of their magnitude.

    The penalty of arXiv 2410.08339: the soft count ``sigmoid(slope * (abs(w) - t))``
    of the weights plus L1. A weight counts as far as both its ends exist, so that
    it is paid for what the network has, not for its padding. The biases of
    the neurons that exist count as one each.

    Parameters
    ----------
    scores : NetworkScores
        Before the threshold is applied.
    network : SoftNetwork
        The same, sharpened.
    threshold : Tensor of shape (C,)
    sharpness : float in [0, 1], or Tensor of shape ()

    Returns
    -------
    Tensor of shape (C,), in numbers
    """

    def price(w: Tensor) -> Tensor:
        return presence(w, threshold, sharpness) + L1_SHARE * w.abs()

    return _sum_over_numbers(scores, network, price)


def hard_size(network: SoftNetwork) -> Tensor:
    """Count the non-zero weights and the biases of the neurons of hard networks, (C,)."""
    return _sum_over_numbers(network, network, lambda w: (w != 0).to(w.dtype))


def _sum_over_numbers(
    layers: Layers, network: SoftNetwork, price: Callable[[Tensor], Tensor]
) -> Tensor:
    """Add up the price of every weight as far as both its ends exist, and 1 for every bias."""
    live = network.gates * network.live_layers()[..., None]  # (C, L, H)
    last = network.depth_tensor() - 1
    last_live = live[torch.arange(len(live), device=live.device), last]
    size = (price(layers.w_in) * live[:, None, 0]).sum((1, 2))
    size = size + (price(layers.w_out) * last_live[..., None]).sum((1, 2))
    if layers.w_hidden.shape[1]:
        both = live[:, :-1, :, None] * live[:, 1:, None, :]
        size = size + (price(layers.w_hidden) * both).sum((1, 2, 3))
    return size + live.sum((1, 2)) + layers.b_out.shape[1]

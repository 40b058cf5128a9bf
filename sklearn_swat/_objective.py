"""What descent minimises, in torch: the data losses and the price of size.

Shapes: C candidates, N rows, k outputs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ._soft_network import NetworkScores, SoftNetwork, presence

L1_SHARE = 0.1  # of a unit of weight in the price of a weight, as in arXiv 2410.08339


def data_loss(name: str, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average the loss of every candidate over the rows.

    Parameters
    ----------
    name : {"squared_error", "logistic", "softmax"}
        `logistic` is the log-loss of k independent two-class outputs, `softmax`
        that of k exclusive classes.
    raw : Tensor of shape (C, N, k)
        Outputs before the output activation.
    target : Tensor of shape (N, k) or (C, N, k)
    weight : Tensor of shape (N,) or (C, N)
        Sums to 1 over the rows.

    Returns
    -------
    Tensor of shape (C,)
        The mean over rows and outputs (for `softmax`, over rows).
    """
    if name == "squared_error":
        by_row = (raw - target).square().mean(-1)
    elif name == "logistic":
        by_row = (F.softplus(raw) - target * raw).mean(-1)
    else:
        by_row = raw.logsumexp(-1) - (target * raw).sum(-1)
    return (by_row * weight).sum(-1)


def soft_size(
    scores: NetworkScores, network: SoftNetwork, threshold: Tensor, sharpness: float
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
    sharpness : float in [0, 1]

    Returns
    -------
    Tensor of shape (C,), in numbers
    """
    live = network.gates * network.live_layers()[..., None]  # (C, L, H)
    last = live.gather(
        1, (live.new_tensor(network.depths).long() - 1).view(-1, 1, 1).expand(-1, 1, live.shape[2])
    )[:, 0]

    def price(w: Tensor) -> Tensor:
        return presence(w, threshold, sharpness) + L1_SHARE * w.abs()

    size = (price(scores.w_in) * live[:, None, 0]).sum((1, 2))
    size = size + (price(scores.w_out) * last[..., None]).sum((1, 2)) + scores.b_out.shape[1]
    if scores.w_hidden.shape[1]:
        both = live[:, :-1, :, None] * live[:, 1:, None, :]
        size = size + (price(scores.w_hidden) * both).sum((1, 2, 3))
    return size + live.sum((1, 2))

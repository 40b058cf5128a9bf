"""Distances between networks: in the latent space, and in what they compute.

The claim of arXiv 2410.08339 is that networks which compute alike lie close
together, whatever their depths. This module measures it, and trains for it.

Shapes: P pairs, T = d + H + k tokens, c the latent width, N points, k outputs.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ._soft_network import SoftNetwork


def latent_distances(one: Tensor, other: Tensor, d: int, k: int) -> Tensor:
    """Return the distances of pairs of latent points, hidden tokens matched as they fit best.

    Parameters
    ----------
    one, other : Tensor of shape (P, T, c)
        Pair by pair. Slots have no order, so the distance is the least over orders.
    d, k : int
        Feature and output tokens.

    Returns
    -------
    Tensor of shape (P,)
        Root mean square over tokens and numbers; differentiable, with the match fixed.
    """
    slots = slice(d, one.shape[1] - k)
    with torch.no_grad():
        costs = torch.cdist(one[:, slots], other[:, slots]).square().double().cpu().numpy()
        order = np.stack([linear_sum_assignment(cost)[1] for cost in costs])
        index = torch.from_numpy(order).to(other.device)[..., None].expand(-1, -1, one.shape[2])
    matched = torch.cat([other[:, :d], other[:, slots].gather(1, index), other[:, -k:]], 1)
    return ((one - matched).square().mean((1, 2)) + 1e-8).sqrt()


def functional_distances(one: Tensor, other: Tensor) -> Tensor:
    """Return the distances of pairs of networks in function.

    Parameters
    ----------
    one, other : Tensor of shape (P, N, k)
        Their standardised outputs at the same points.

    Returns
    -------
    Tensor of shape (P,)
        Root mean square; the square root of 2 for unrelated networks.
    """
    return (one - other).square().mean((1, 2)).sqrt()


def dissimilarity(in_latent: Tensor, in_function: Tensor) -> Tensor:
    """Return one minus the correlation of the two distances over pairs: the loss to train with.

    A correlation leaves the scale of the latent space alone.

    Parameters
    ----------
    in_latent, in_function : Tensor of shape (P,)

    Returns
    -------
    scalar Tensor from 0 to 2
    """
    # Beyond unrelated there is only "opposed", which needs no more room.
    a, b = in_latent - in_latent.mean(), in_function.clamp(max=1.6)
    b = b - b.mean()
    return 1 - (a * b).sum() / (a.square().sum() * b.square().sum() + 1e-8).sqrt()


def standardise_outputs(networks: SoftNetwork, X: Tensor) -> tuple[SoftNetwork, Tensor]:
    """Rescale networks so that their outputs on X (N, d) or (C, N, d) are standardised.

    Returns
    -------
    networks : SoftNetwork
    outputs : Tensor of shape (C, N, k)
    """
    raw = networks(X)
    mean, deviation = raw.mean(1), raw.std(1).clamp(min=1e-3)
    rescaled = networks.rescale_outputs(1 / deviation, -mean / deviation)
    return rescaled, (raw - mean[:, None]) / deviation[:, None]

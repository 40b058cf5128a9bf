"""Where descent starts: at networks that the data suggest, at a given one, or at random.

Latent starts are points (R, T, c) of the autoencoder's space, one per restart, the
same for every depth; starts on the weights are scores, one line per candidate.
Everything random is drawn on the CPU, so that a seed means the same on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from ._activations import ACTIVATION_NAMES
from ._autoencoder import MultiScaleAutoencoder
from ._network import SparseMLP
from ._soft_network import NetworkScores, per_candidate, soften

ENCODED_ROWS = 1024  # rows that a start is made of; pretraining saw up to 512
INPUT_BOUND = 6.0  # standardised inputs are clipped to this for the data-set encoder
TARGET_BOUND = 12.0
SPREAD = 1.0  # between the restarts from the same rows, in random networks
# Of the random first layers that every second restart is moved by: features of a neuron, and how
# many times as large they are. They find waves, which the others miss.
STEEP_FEATURES, STEEPNESS = 2, 4.0
NOISE_AROUND_A_NETWORK = 0.1  # between the restarts around a given network, of tokens of size 1


def normal(shape: Sequence[int], generator: Generator, device: torch.device) -> Tensor:
    """Draw standard normal numbers."""
    return torch.randn(*shape, generator=generator, dtype=torch.float32).to(device)


def latent_from_data(
    autoencoder: MultiScaleAutoencoder,
    X: Tensor,
    y: Tensor,
    weight: Tensor,
    n_restarts: int,
    n_slots: int,
    generator: Generator,
) -> Tensor:
    """Let the data-set encoder read the rows, once per restart with other seeds of slots.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    X : Tensor of shape (N, d), standardised
    y : Tensor of shape (N, k), standardised
    weight : Tensor of shape (N,)
    n_restarts, n_slots : int
    generator : torch.Generator
        Of the seeds, and of the rows where there are more than `ENCODED_ROWS`.

    Returns
    -------
    Tensor of shape (n_restarts, d + n_slots + k, c)
    """
    if len(X) > ENCODED_ROWS:
        chosen = torch.randperm(len(X), generator=generator)[:ENCODED_ROWS].sort().values
        X, y, weight = (part[chosen.to(X.device)] for part in (X, y, weight))
    seeds = autoencoder.dataset_encoder.draw_seeds(n_restarts, n_slots, generator)
    rows = (
        X.clamp(-INPUT_BOUND, INPUT_BOUND),
        y.clamp(-TARGET_BOUND, TARGET_BOUND),
        weight / weight.sum(),
    )
    with torch.no_grad():
        expanded = (part.expand(n_restarts, *part.shape) for part in rows)
        latent: Tensor = autoencoder.dataset_encoder(*expanded, seeds)
    return latent


def latent_around_network(
    autoencoder: MultiScaleAutoencoder,
    network: SparseMLP,
    scale: Tensor,
    shift: Tensor,
    n_restarts: int,
    n_slots: int,
    generator: Generator,
) -> Tensor:
    """Encode a network; the first restart is the network itself, the others surround it.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    network : SparseMLP
        On standardised rows.
    scale, shift : Tensor of shape (k,)
        What a decoded network's outputs are multiplied by and shifted to.
    n_restarts, n_slots : int
    generator : torch.Generator

    Returns
    -------
    Tensor of shape (n_restarts, d + n_slots + k, c)
    """
    soft = soften([network], n_slots)
    moved: dict[str, Any] = {name: part.to(scale.device) for name, part in soft.tensors().items()}
    soft = replace(soft, **moved).rescale_outputs(1 / scale, -shift / scale)
    with torch.no_grad():
        latent = autoencoder.encode(soft)
    noise = normal((n_restarts, *latent.shape[1:]), generator, scale.device)
    noise[0] = 0
    return latent + NOISE_AROUND_A_NETWORK * noise


def random_scores(
    depths: Sequence[int], n_slots: int, scale: Tensor, shift: Tensor, d: int, generator: Generator
) -> dict[str, Tensor]:
    """Draw networks of Glorot's scale with a random activation per neuron.

    Parameters
    ----------
    depths : sequence of int of length C
    n_slots : int
    scale, shift : Tensor of shape (k,)
        What the networks' outputs are multiplied by and shifted to.
    d : int
    generator : torch.Generator

    Returns
    -------
    dict of Tensor
        The tensors of `NetworkScores`.
    """
    C, H, L, k, A = len(depths), n_slots, max(depths), len(shift), len(ACTIVATION_NAMES)

    def draw(*shape: int) -> Tensor:
        return normal(shape, generator, shift.device)

    return {
        "w_in": draw(C, d, H) * (2 / (d + H)) ** 0.5,
        "w_hidden": draw(C, L - 1, H, H) * (1 / H) ** 0.5,
        "w_out": draw(C, H, k) * (2 / (k + H)) ** 0.5 * scale,
        "b_hidden": 0.1 * draw(C, L, H),
        "b_out": shift.expand(C, k).clone(),
        "activation_scores": 0.5 * draw(C, L, H, A),
        "gate_scores": torch.ones(C, L, H, device=shift.device),
    }


def spread(
    scores: NetworkScores, restarts: Sequence[int], sees: Tensor, generator: Generator
) -> NetworkScores:
    """Move the hidden layers of later restarts by random networks.

    Those of every second one have steep first layers of few features.

    Parameters
    ----------
    scores : NetworkScores of C candidates
    restarts : sequence of int of length C
        Which one each candidate is: 0 is left where it is.
    sees : Tensor of shape (C, d, 1)
        1 for the features that each candidate sees, else 0.
    generator : torch.Generator

    Returns
    -------
    NetworkScores
        Of the features that are seen.
    """
    (_, d, n_slots), b_out = scores.w_in.shape, scores.b_out[0]
    drawn = random_scores(
        scores.depths, n_slots, torch.ones_like(b_out), torch.zeros_like(b_out), d, generator
    )
    is_steep = torch.tensor([restart % 2 == 1 for restart in restarts], device=b_out.device)
    _steepen(drawn, is_steep, sees, generator)
    is_moved = torch.tensor([float(restart > 0) for restart in restarts], device=b_out.device)
    moved: dict[str, Any] = {}
    for name in ("w_in", "w_hidden", "b_hidden", "activation_scores"):
        tensor = getattr(scores, name)
        moved[name] = tensor + drawn[name] * per_candidate(SPREAD * is_moved, tensor)
    moved["w_in"] = moved["w_in"] * sees
    return replace(scores, **moved)


def _steepen(
    scores: dict[str, Tensor], is_steep: Tensor, sees: Tensor, generator: Generator
) -> None:
    """Give some lines of random scores steep first layers of few features, in place.

    Few is `STEEP_FEATURES` on average; with a steepness of 1 their weights would have Glorot's
    scale for so many.
    """
    w_in = scores["w_in"]
    _, d, n_slots = w_in.shape
    n_seen = sees.sum(dim=1, keepdim=True)
    n_few = n_seen.clamp(max=STEEP_FEATURES)
    is_chosen = torch.rand(w_in.shape, generator=generator).to(w_in.device) * n_seen < n_few
    to_scale = ((d + n_slots) / (n_few + n_slots)) ** 0.5
    is_steep = per_candidate(is_steep, w_in)
    scores["w_in"] *= torch.where(is_steep, STEEPNESS * to_scale * is_chosen, 1.0)
    scores["b_hidden"][:, :1] *= torch.where(is_steep, STEEPNESS, 1.0)


def write_network(scores: dict[str, Tensor], line: int, network: SparseMLP) -> None:
    """Write a network over one line of scores, its neurons and activations all but certain.

    Parameters
    ----------
    scores : dict of Tensor
        As `random_scores` returns them; changed in place.
    line : int
    network : SparseMLP
        Of a depth that the scores have room for.
    """
    n_slots, L = scores["w_in"].shape[2], network.depth
    soft = soften([network], n_slots)
    scores["w_in"][line], scores["w_out"][line] = soft.w_in[0], soft.w_out[0]
    scores["w_hidden"][line, : L - 1] = soft.w_hidden[0]
    scores["b_hidden"][line, :L], scores["b_out"][line] = soft.b_hidden[0], soft.b_out[0]
    scores["activation_scores"][line, :L] = 2 * soft.mixture[0] - 1
    scores["gate_scores"][line, :L] = 2 * soft.gates[0] - 1

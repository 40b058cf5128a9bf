"""What an evaluation measures: the figures of one autoencoder.

Held-out losses; reconstruction per activation family and depth, by the measure of
arXiv 2410.08339, and per decoder; whether near in the latent space means alike in
function; and what lies between two networks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.manifold import ClassicalMDS
from torch import Generator, Tensor

from .._activations import ACTIVATION_NAMES
from .._autoencoder import MultiScaleAutoencoder
from .._checkpoint import load_checkpoint, read_header
from .._network import MAX_DEPTH
from .._similarity import functional_distances, latent_distances, standardise_outputs
from .._soft_network import sharpen
from ._losses import (
    ALL_DEPTHS,
    REDUCTIONS,
    PretrainingLosses,
    SamplingConfig,
)
from ._sampler import Sampler

# The networks of arXiv 2410.08339 in size; ours have biases and sharper weights beside.
N_FEATURES, N_SLOTS, N_OUTPUTS = 3, 7, 1
N_POINTS = 512  # where two networks are compared
FAMILIES = (*ACTIVATION_NAMES, "mixed")
N_BETWEEN = 9  # points of an interpolation, its ends included


def held_out_losses(
    autoencoder: MultiScaleAutoencoder,
    n_batches: int = 96,
    seed: int = 0,
    *,
    step_size: float | None = None,
    sampling: SamplingConfig | None = None,
) -> dict[str, float]:
    """Average each pretraining loss over batches that training never draws, hard networks only.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    n_batches : int, default=96
    seed : int, default=0
        Batches `seed * n_batches` and on.
    step_size : float, optional
        The learned size of the latent steps, as a checkpoint's training record has it;
        None takes the one that pretraining begins with.
    sampling : SamplingConfig, optional
        None takes the default batches.

    Returns
    -------
    dict of float
    """
    losses = PretrainingLosses(autoencoder, sampling or SamplingConfig()).eval()
    if step_size is not None:
        losses.step_size.data.fill_(step_size)
    return averages(losses, n_batches, seed)


def averages(losses: PretrainingLosses, n_batches: int, seed: int = 0) -> dict[str, float]:
    """Average each loss of a module in evaluation mode over batches `seed * n_batches` and on."""
    kept: dict[str, list[float]] = {}
    for index in range(seed * n_batches, (seed + 1) * n_batches):
        with torch.no_grad():
            for name, value in losses(torch.tensor([index])).items():
                kept.setdefault(name, []).append(float(value))
    return {name: float(np.mean(values)) for name, values in sorted(kept.items())}


def reconstruction(
    autoencoder: MultiScaleAutoencoder, n_networks: int = 100, seed: int = 0
) -> list[dict[str, Any]]:
    """Encode and decode random networks of every activation family and depth.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    n_networks : int, default=100
        Per family and depth.
    seed : int, default=0

    Returns
    -------
    list of dict
        Per family and depth: ``mpe``, the median over inputs of the percentage
        error, minimum over decoders, mean over networks (arXiv 2410.08339), with its
        median over networks; ``mpe_constant``, that of each network's best constant;
        ``mse``, on standardised outputs, of the best decoder (1 for a constant).
    """
    records = []
    losses = PretrainingLosses(autoencoder, SamplingConfig())
    for family in FAMILIES:
        sampler = Sampler(Generator().manual_seed(seed))
        networks = sampler.networks(
            n_networks, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS, family=family
        )
        X = sampler.normal(len(networks.depths), N_POINTS, N_FEATURES)
        with torch.no_grad():
            raw = networks(X)
            mean, deviation = raw.mean(1), raw.std(1).clamp(min=1e-3)
            per_decoder, _, output = losses.reconstruction_errors(networks, X)
            errors = per_decoder.min(0).values
            decoded = output * deviation[:, None] + mean[:, None]
            mpe = percentage_error(decoded, raw).min(0).values
            levels = raw.quantile(torch.linspace(0.02, 0.98, 49), 1)  # (49, C, k)
            constant = percentage_error(levels[:, :, None], raw).min(0).values
        for i, depth in enumerate(ALL_DEPTHS):
            part = slice(i * n_networks, (i + 1) * n_networks)
            records.append(
                {
                    "family": family,
                    "depth": depth,
                    "mpe": float(mpe[part].mean()),
                    "mpe_median": float(mpe[part].median()),
                    "mpe_constant": float(constant[part].mean()),
                    "mse": float(errors[part].median()),
                }
            )
    return records


def reconstruction_by_decoder(
    autoencoder: MultiScaleAutoencoder, n_networks: int = 100, seed: int = 0
) -> dict[str, Any]:
    """Reconstruct random networks by each decoder alone, and by all of them.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    n_networks : int, default=100
        Per depth, of the activations that pretraining draws.
    seed : int, default=0

    Returns
    -------
    dict
        ``mpe`` and ``mse``: the mean percentage error and the median squared error on
        standardised outputs, a list per depth of the networks with a number per depth
        of the decoder, then that of each network's best decoder. ``reductions``: the same
        two figures for all networks, with a network's errors reduced over the decoders
        by each of `REDUCTIONS`.
    """
    sampler = Sampler(Generator().manual_seed(seed))
    networks = sampler.networks(n_networks, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS)
    X = sampler.normal(len(networks.depths), N_POINTS, N_FEATURES)
    with torch.no_grad():
        raw = networks(X)
        mean, deviation = raw.mean(1), raw.std(1).clamp(min=1e-3)
        losses = PretrainingLosses(autoencoder, SamplingConfig())
        _, target, output = losses.reconstruction_errors(networks, X)
        decoded = output * deviation[:, None] + mean[:, None]
        errors = {  # each (decoders, networks)
            "mpe": percentage_error(decoded, raw),
            "mse": (output - target).square().mean((2, 3)),
        }
    average: dict[str, Callable[[Tensor], Tensor]] = {"mpe": torch.mean, "mse": torch.median}

    def by_depth(error: Tensor, name: str) -> list[list[float]]:
        rows = torch.cat([error, error.min(0, keepdim=True).values])
        parts = rows.split(n_networks, 1)
        return [[float(average[name](row)) for row in part] for part in parts]

    return {
        **{name: by_depth(error, name) for name, error in errors.items()},
        "reductions": {
            reduction: {name: float(average[name](reduce(e))) for name, e in errors.items()}
            for reduction, reduce in REDUCTIONS.items()
        },
    }


def percentage_error(output: Tensor, target: Tensor) -> Tensor:
    """Return the median over inputs of ``|output - target| / |target|`` in per cent.

    Parameters
    ----------
    output : Tensor of shape (D, C, N or 1, k)
    target : Tensor of shape (C, N, k)

    Returns
    -------
    Tensor of shape (D, C)
    """
    error = (output - target).abs() / target.abs().clamp(min=1e-9)
    return 100 * error.flatten(2).median(-1).values


def similarity(
    autoencoder: MultiScaleAutoencoder, n_networks: int = 60, seed: int = 0
) -> dict[str, Any]:
    """Compare distances in the latent space with distances in function.

    Pairs are of three kinds: a network and a perturbed copy, from nearly equal to
    unlike; two random networks; and a network and what a decoder of another depth
    makes of it, encoded again.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    n_networks : int, default=60
        Per depth.
    seed : int, default=0

    Returns
    -------
    dict
        Spearman's rank correlation over all pairs (``rank_correlation``) and per kind,
        the distances themselves; ``neighbour``: the median functional distance of the
        nearest network in the latent space, beside that of any network; ``map``: the
        networks in a plane that keeps their latent distances as well as one can, with
        their depths and the first principal component of what they compute.
    """
    sampler = Sampler(Generator().manual_seed(seed))
    X = sampler.normal(N_POINTS, N_FEATURES)
    networks = sampler.networks(n_networks, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS)
    with torch.no_grad():
        perturbed, near_output = standardise_outputs(sampler.perturb(networks), X)
        networks, output = standardise_outputs(networks, X)
        latent, near = autoencoder.encode(networks), autoencoder.encode(perturbed)
        scores = autoencoder.decode(
            latent.view(MAX_DEPTH, n_networks, *latent.shape[1:]).flip(0),
            N_FEATURES, N_OUTPUTS, ALL_DEPTHS,
        )  # fmt: skip
        decoded, across_output = standardise_outputs(sharpen(scores, 1.0), X)
        across = autoencoder.encode(decoded)
    flipped = torch.arange(len(latent)).view(MAX_DEPTH, n_networks).flip(0).flatten()
    shuffled = torch.from_numpy(np.random.RandomState(seed).permutation(len(latent)))
    pairs = {
        "perturbed": (latent, near, output, near_output),
        "random": (latent, latent[shuffled], output, output[shuffled]),
        "across_depths": (latent[flipped], across, output[flipped], across_output),
    }
    distances: dict[str, dict[str, list[float]]] = {}
    for kind, (a, b, f, g) in pairs.items():
        distances[kind] = {
            "latent": latent_distances(a, b, N_FEATURES, N_OUTPUTS).tolist(),
            "functional": functional_distances(f, g).tolist(),
        }
    all_pairs = [
        np.concatenate([v[axis] for v in distances.values()]) for axis in ("latent", "functional")
    ]
    result: dict[str, Any] = {
        "rank_correlation": float(spearmanr(*all_pairs)[0]),
        **{
            f"rank_correlation_{kind}": float(spearmanr(v["latent"], v["functional"])[0])
            for kind, v in distances.items()
        },
        "distances": distances,
    }
    chosen = np.random.RandomState(seed).permutation(len(latent))[:n_networks]
    square = np.array(
        [
            latent_distances(latent[chosen], latent[[i] * n_networks], d=N_FEATURES, k=N_OUTPUTS)
            for i in chosen
        ]
    )
    function = torch.cdist(output[chosen].flatten(1), output[chosen].flatten(1)).double().numpy()
    function /= np.sqrt(N_POINTS * N_OUTPUTS)
    np.fill_diagonal(square, np.inf)
    others = function[~np.eye(n_networks, dtype=bool)]
    nearest = function[np.arange(n_networks), square.argmin(1)]
    result["neighbour"] = {"nearest": float(np.median(nearest)), "any": float(np.median(others))}
    np.fill_diagonal(square, 0)
    flat = output[chosen].flatten(1).double().numpy() / np.sqrt(N_POINTS * N_OUTPUTS)
    plane = ClassicalMDS(n_components=2, metric="precomputed").fit_transform(
        (square + square.T) / 2
    )
    result["map"] = {
        "place": plane.tolist(),
        "depth": [networks.depths[i] for i in chosen],
        "first_component": PCA(1, svd_solver="full").fit_transform(flat)[:, 0].tolist(),
    }
    return result


def interpolation(
    autoencoder: MultiScaleAutoencoder, n_pairs: int = 40, seed: int = 0
) -> dict[str, list[float]]:
    """Walk from one network's latent point to another's and decode on the way.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    n_pairs : int, default=40
        Of networks of equal depth.
    seed : int, default=0

    Returns
    -------
    dict
        ``share``, from 0 to 1, and the median functional distance of what is decoded
        there from the decoded ends: ``from_first`` and ``from_second``.
    """
    sampler = Sampler(Generator().manual_seed(seed))
    X = sampler.normal(N_POINTS, N_FEATURES)
    networks = sampler.networks(2 * n_pairs, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS)
    share = torch.linspace(0, 1, N_BETWEEN)
    with torch.no_grad():
        latent = autoencoder.encode(standardise_outputs(networks, X)[0])
        ends = latent.view(MAX_DEPTH, 2, n_pairs, *latent.shape[1:])
        between = ends[:, 0, None] + share[None, :, None, None, None] * (
            ends[:, 1, None] - ends[:, 0, None]
        )
        scores = autoencoder.decode(
            between.flatten(1, 2), N_FEATURES, N_OUTPUTS, ALL_DEPTHS
        )  # each at its own depth
        output = sharpen(scores, 1.0)(X).view(MAX_DEPTH, N_BETWEEN, n_pairs, -1)
    distances = [
        (output - output[:, end, None]).square().mean(-1).sqrt().transpose(0, 1).flatten(1)
        for end in (0, -1)
    ]
    medians = [distance.median(1).values.tolist() for distance in distances]
    return {"share": share.tolist(), "from_first": medians[0], "from_second": medians[1]}


def evaluate(checkpoint: Path | None, n_networks: int = 100, seed: int = 0) -> dict[str, Any]:
    """Evaluate a checkpoint; see the functions above for what.

    Parameters
    ----------
    checkpoint : Path or None
        None is the bundled one.
    n_networks : int, default=100
        Per activation family and depth.
    seed : int, default=0
        Of everything that is drawn.

    Returns
    -------
    dict
    """
    autoencoder = load_checkpoint(checkpoint)
    training = read_header(checkpoint)[1]
    return {
        "training": training,
        "held_out_losses": held_out_losses(
            autoencoder, seed=seed, step_size=training.get("step_size")
        ),
        "reconstruction": reconstruction(autoencoder, n_networks, seed),
        "by_decoder": reconstruction_by_decoder(autoencoder, n_networks, seed),
        "similarity": similarity(autoencoder, max(8, n_networks // 2), seed),
        "interpolation": interpolation(autoencoder, max(8, n_networks // 3), seed),
    }

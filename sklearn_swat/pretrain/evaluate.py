"""Evaluates a checkpoint: ``python -m sklearn_swat.pretrain.evaluate CHECKPOINT``.

Held-out losses; reconstruction per activation family and depth, by the measure of
arXiv 2410.08339; whether near in the latent space means alike in function; and what
lies between two networks. Figures go to a JSON file, pictures beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
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
from .._soft_network import sharpen
from ._losses import ALL_DEPTHS, PretrainingLosses, SamplingConfig, standardise_outputs
from ._sampler import Sampler
from ._similarity import functional_distances, latent_distances

# The networks of arXiv 2410.08339 in size; ours have biases and sharper weights beside.
N_FEATURES, N_SLOTS, N_OUTPUTS = 3, 7, 1
N_POINTS = 512  # where two networks are compared
FAMILIES = (*ACTIVATION_NAMES, "mixed")
N_BETWEEN = 9  # points of an interpolation, its ends included


def held_out_losses(
    autoencoder: MultiScaleAutoencoder, n_batches: int = 96, seed: int = 0
) -> dict[str, float]:
    """Average each pretraining loss over batches that training never draws, hard networks only.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    n_batches : int, default=96
    seed : int, default=0
        Batches `seed * n_batches` and on.

    Returns
    -------
    dict of float
    """
    losses = PretrainingLosses(autoencoder, SamplingConfig()).eval()
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
            errors, _, output = losses.reconstruction_errors(networks, X)
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


def draw_pictures(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the distances, an interpolation, a map and the reconstruction; needs matplotlib.

    Parameters
    ----------
    results : dict
        What `evaluate` returns.
    folder : Path
        Where the PNG files go.

    Returns
    -------
    list of Path
    """
    from matplotlib.figure import Figure

    panels: dict[str, Callable[[Any, dict[str, Any]], None]] = {
        "similarity": _draw_distances,
        "interpolation": _draw_interpolation,
        "map": _draw_map,
        "reconstruction": _draw_reconstruction,
    }
    paths = []
    for name, draw in panels.items():
        figure = Figure(figsize=(7, 5), layout="constrained")
        draw(figure.subplots(), results)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=120)
    return paths


def _draw_distances(ax: Any, results: dict[str, Any]) -> None:
    names = {
        "perturbed": "a network and a perturbed copy",
        "random": "two random networks",
        "across_depths": "a network and its decoding at another depth",
    }
    for kind, values in results["similarity"]["distances"].items():
        ax.scatter(values["functional"], values["latent"], s=8, alpha=0.6, label=names[kind])
    correlation = results["similarity"]["rank_correlation"]
    ax.set(
        xlabel="distance in function (1: a standard deviation)",
        ylabel="distance in the latent space",
        title=f"Rank correlation of the distances: {correlation:.2f}",
        xlim=(0, 2.2),
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)


def _draw_interpolation(ax: Any, results: dict[str, Any]) -> None:
    walk = results["interpolation"]
    ax.plot(walk["share"], walk["from_first"], marker="o", label="from the first network")
    ax.plot(walk["share"], walk["from_second"], marker="o", label="from the second network")
    ax.set(
        xlabel="share of the way from the first to the second",
        ylabel="distance in function, median",
        title="On a straight line between two networks",
        ylim=(0, None),
    )
    ax.legend(loc="lower center")


def _draw_map(ax: Any, results: dict[str, Any]) -> None:
    found = results["similarity"]["map"]
    place, colour = np.array(found["place"]), np.array(found["first_component"])
    limit = np.abs(colour).max()
    for depth, marker in zip(ALL_DEPTHS, "osD^", strict=True):
        here = np.array(found["depth"]) == depth
        drawn = ax.scatter(
            *place[here].T, c=colour[here], marker=marker, cmap="coolwarm", vmin=-limit, vmax=limit,
            edgecolors="0.3", linewidths=0.5,
        )  # fmt: skip
        ax.plot([], [], marker, markerfacecolor="white", color="0.3", label=f"depth {depth}")
    ax.figure.colorbar(drawn, ax=ax, label="first principal component of what they compute")
    ax.set(title="Random networks, placed by their latent distances", xticks=[], yticks=[])
    ax.legend()


def _draw_reconstruction(ax: Any, results: dict[str, Any]) -> None:
    cells = results["reconstruction"]
    labels = [f"{cell['family']}, {cell['depth']}" for cell in cells]
    places = np.arange(len(cells))
    ax.barh(places, [c["mpe_constant"] for c in cells], color="0.85", label="best constant")
    ax.barh(places, [c["mpe"] for c in cells], height=0.5, label="min over decoders")
    ax.set_yticks(places, labels, fontsize=7)
    ax.invert_yaxis()
    ax.set(xlabel="median percentage error, mean over networks", title="Activation, source depth")
    ax.legend()


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
    return {
        "training": {} if checkpoint is None else read_header(checkpoint)[1],
        "held_out_losses": held_out_losses(autoencoder, seed=seed),
        "reconstruction": reconstruction(autoencoder, n_networks, seed),
        "similarity": similarity(autoencoder, max(8, n_networks // 2), seed),
        "interpolation": interpolation(autoencoder, max(8, n_networks // 3), seed),
    }


def make_report(results: dict[str, Any]) -> str:
    """Return the figures of an evaluation as text."""
    lines = ["Held-out losses, hard networks (1: the best constant)"]
    lines += [f"  {name:16} {value:.3f}" for name, value in results["held_out_losses"].items()]
    lines += ["", "Reconstruction: MPE in %, minimum over decoders, mean over networks"]
    lines += ["  (in brackets the median over networks; then the best constant's mean)"]
    lines += ["  family       " + "".join(f"depth {depth:<22}" for depth in ALL_DEPTHS)]
    for family in FAMILIES:
        cells = [r for r in results["reconstruction"] if r["family"] == family]
        lines.append(
            f"  {family:12} "
            + "".join(
                f"{r['mpe']:.0f} ({r['mpe_median']:.0f}), {r['mpe_constant']:.0f}".ljust(28)
                for r in cells
            )
        )
    found = results["similarity"]
    lines += ["", "Latent and functional distance, Spearman's rank correlation"]
    lines += [
        f"  {name.removeprefix('rank_correlation').strip('_') or 'all pairs':16} {value:.2f}"
        for name, value in found.items()
        if name.startswith("rank")
    ]
    neighbour = found["neighbour"]
    lines.append(
        f"  functional distance of the nearest network {neighbour['nearest']:.2f}, "
        f"of any network {neighbour['any']:.2f}"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, evaluate, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_swat.pretrain.evaluate",
        description="Evaluate a checkpoint of the multi-scale autoencoder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoint", nargs="?", type=Path, help="a safetensors file; default: the bundled one")
    add("--networks", type=int, default=100, help="random networks per family and depth")
    add("--seed", type=int, default=0, help="of everything that is drawn")
    add("--out", type=Path, help="a folder for a page, pictures and evaluation.json; default: none")
    options = parser.parse_args(arguments)
    results = evaluate(options.checkpoint, options.networks, options.seed)
    print(make_report(results))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        content = json.dumps(results, indent=1) + "\n"
        (options.out / "evaluation.json").write_text(content, encoding="utf-8")
        pictures = draw_pictures(results, options.out)
        page = ["# Evaluation of the autoencoder", "", "```text", make_report(results), "```", ""]
        page += [f"![{picture.stem}]({picture.name})" for picture in pictures]
        (options.out / "evaluation.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

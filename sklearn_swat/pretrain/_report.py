"""The page of an evaluation: its figures as text, and the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._evaluation import FAMILIES
from ._losses import ALL_DEPTHS


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
    lines += ["", *_describe_decoders(results["by_decoder"])]
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


def _describe_decoders(found: dict[str, Any]) -> list[str]:
    titles = {"mpe": "MPE in %, mean", "mse": "squared error on standardised outputs, median"}
    lines = ["Reconstruction when one decoder depth only is at hand, networks of all activations"]
    for name, title in titles.items():
        digits = 0 if name == "mpe" else 2
        lines.append(f"  {title} over networks")
        lines.append(
            "  network      " + "".join(f"decoder {depth:<4}" for depth in ALL_DEPTHS) + "best"
        )
        for depth, row in zip(ALL_DEPTHS, found[name], strict=True):
            cells = "".join(f"{value:.{digits}f}".ljust(12) for value in row).rstrip()
            lines.append(f"  depth {depth:<6} {cells}")
    lines += [
        "",
        "The same, the errors e of a network's decoders reduced to one number. The p-norm is",
        "(sum of e ** p) ** (1 / p): of four equal errors 4 times one (p = 1), or twice (p = 2)",
    ]
    lines += [
        f"  {reduction:12} MPE {figures['mpe']:.0f} %, squared error {figures['mse']:.2f}"
        for reduction, figures in found["reductions"].items()
    ]
    return lines


# What the pictures of the page show.
_CAPTIONS = {
    "similarity": "Each point is a pair of networks; unrelated ones lie at about 1.4.",
    "interpolation": "What is decoded on the straight line between the latent points of two "
    "networks.",
    "map": "What is near is near in the latent space; what has like colours computes alike.",
    "reconstruction": "Bars beyond the black marks are worse than a constant.",
}


def make_page(results: dict[str, Any], pictures: Sequence[Path]) -> str:
    """Return an evaluation as a page of Markdown.

    Parameters
    ----------
    results : dict
        What `evaluate` returns.
    pictures : sequence of Path
        What `draw_pictures` returns; they lie beside the page.

    Returns
    -------
    str
    """
    lines = ["# Evaluation of the autoencoder", ""]
    lines += ["MPE is the median over inputs of the percentage error of an output.", ""]
    lines += ["```text", *(line.rstrip() for line in make_report(results).splitlines()), "```"]
    for picture in pictures:
        caption = _CAPTIONS[picture.stem]
        lines += ["", f"![{caption}]({picture.name})", "", f"*{caption}*"]
    return "\n".join(lines) + "\n"


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
        ylabel="distance in function (1: a standard deviation), median over pairs",
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
    ax.barh(places, [c["mpe"] for c in cells], height=0.7, label="best of four decoders")
    constant = [c["mpe_constant"] for c in cells]
    ax.plot(constant, places, "|", color="black", ms=10, mew=2, label="best constant")
    ax.set_yticks(places, labels, fontsize=7)
    ax.invert_yaxis()
    ax.set(
        xlabel="median percentage error over inputs, mean over networks, %",
        ylabel="activation, depth of the network",
        title="Error of reconstruction",
    )
    ax.legend()

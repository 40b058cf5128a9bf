"""The latent space around a fit: its networks as points, near where the space has them near."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ._drawable import check_drawable
from ._style import DEPTH_COLOURS, FONT_SIZE, NEGATIVE, NEUTRAL, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure, SubFigure

    from .._network import SparseMLP

PROBES = 512  # standard normal rows that outputs are standardised on
FEWEST = 2  # points that a map can be made of


class LatentSpaceDisplay:
    """A map of the latent space: where the encoders put the networks of a front.

    Every network of the front that has a hidden layer is encoded, and classical scaling
    lays the points out in two dimensions, so that distances are as true as two
    dimensions allow. Networks lie near each other if the autoencoder takes them for
    alike, whatever their depth (arXiv 2410.08339).

    It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    positions : ndarray of shape (n_networks, 2)
        Coordinates, in the order of size.
    nnz : ndarray of shape (n_networks,)
        Sizes of the networks.
    depth : ndarray of shape (n_networks,)
        Their hidden layers.
    chosen : int or None
        Position of the chosen network; None if it has no hidden layer.
    share_shown : float
        Part of the squared distances that the two dimensions show.

    Attributes
    ----------
    points_ : matplotlib PathCollection
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.
    """

    points_: PathCollection
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        positions: NDArray[np.float64],
        nnz: NDArray[np.int_],
        depth: NDArray[np.int_],
        chosen: int | None,
        share_shown: float,
    ) -> None:
        self.positions = positions
        self.nnz = nnz
        self.depth = depth
        self.chosen = chosen
        self.share_shown = share_shown

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Encode the front of a fitted estimator and draw the map.

        Needs torch, and reads the estimator's checkpoint.

        Parameters
        ----------
        estimator : SWATRegressor or SWATClassifier
            A fitted estimator.
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure.

        Returns
        -------
        LatentSpaceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If fewer than two networks of the front have a hidden layer.
        """
        check_drawable(estimator, "path_")
        shown = [p.network for p in estimator.path_ if p.network.depth]
        if len(shown) < FEWEST:
            raise ValueError(
                f"{len(shown)} networks of the front have a hidden layer, and a map needs "
                f"{FEWEST}: fit with a lower alpha, which changes the descent, or draw "
                "ParetoDisplay"
            )
        positions, share = _lay_out(_latent_distances(estimator, shown))
        chosen = [i for i, network in enumerate(shown) if network is estimator.network_]
        return cls(
            positions=positions,
            nnz=np.array([network.nnz for network in shown]),
            depth=np.array([network.depth for network in shown]),
            chosen=chosen[0] if chosen else None,
            share_shown=share,
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure.

        Returns
        -------
        LatentSpaceDisplay
            The display itself.
        """
        ax = new_axes(ax, (6.0, 5.0))
        self.ax_, self.figure_ = ax, ax.figure
        x, y = self.positions.T
        ax.plot(x, y, color=NEUTRAL, linewidth=0.8, alpha=0.6, zorder=1)
        colours = [DEPTH_COLOURS.get(int(depth), NEUTRAL) for depth in self.depth]
        areas = 20 + 140 * self.nnz / self.nnz.max()
        self.points_ = ax.scatter(x, y, s=areas, c=colours, alpha=0.85, zorder=2)
        for depth in sorted(set(self.depth.tolist())):
            colour = DEPTH_COLOURS.get(depth, NEUTRAL)
            ax.scatter([], [], s=60, c=colour, label=f"depth {depth}")
        if self.chosen is not None:
            at, area = self.positions[self.chosen], areas[self.chosen] + 120
            label = f"chosen: {self.nnz[self.chosen]}"
            ax.scatter(
                at[:1], at[1:], s=area, facecolors="none", edgecolors=NEGATIVE, linewidths=2,
                zorder=3, label=label,
            )  # fmt: skip
        centre = self.positions.mean(axis=0)
        for end in {0, len(self.nnz) - 1} - {self.chosen}:
            away = np.sign(self.positions[end] - centre)  # from the cloud of the others
            ax.annotate(
                f"{self.nnz[end]}", self.positions[end], xytext=9 * away,
                textcoords="offset points", fontsize=FONT_SIZE, ha="center", va="center",
            )  # fmt: skip
        ax.margins(0.12)
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(
            "networks of the front with hidden neurons, by latent distance "
            f"({self.share_shown:.0%} of it shown)\n"
            "area: non-zeros; line: from the smallest to the largest",
            fontsize=FONT_SIZE,
        )
        ax.legend(fontsize=FONT_SIZE)
        return self


def _latent_distances(estimator: Any, networks: list[SparseMLP]) -> NDArray[np.float64]:
    """Return the distances (n, n) of networks of raw rows in the estimator's latent space."""
    import torch

    from .._similarity import latent_distances, standardise_outputs
    from .._soft_network import soften

    autoencoder = estimator._load_autoencoder(torch.device("cpu"))
    scaling = estimator._memory.scaling
    d, k = len(scaling.features), networks[0].n_outputs
    n_slots = max(max(network.hidden_layer_sizes) for network in networks)
    X = torch.randn(PROBES, d, generator=torch.Generator().manual_seed(0))
    latent = []
    with torch.no_grad():
        for network in networks:
            soft = soften([scaling.unfold(network)], n_slots)
            latent.append(autoencoder.encode(standardise_outputs(soft, X)[0]))
        points = torch.cat(latent)
        one, other = np.triu_indices(len(networks), 1)
        found = latent_distances(points[one], points[other], d, k).numpy()
    distances = np.zeros((len(networks), len(networks)))
    distances[one, other] = distances[other, one] = found
    return distances


def _lay_out(distances: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return positions (n, 2), and the part of the squared distances that they show."""
    from sklearn.manifold import ClassicalMDS

    scaling = ClassicalMDS(n_components=2, metric="precomputed")
    positions: NDArray[np.float64] = scaling.fit_transform(distances)
    total = (distances**2).sum() / (2 * len(distances))  # the trace of the Gram matrix
    share = float((positions**2).sum() / total) if total > 0 else 1.0
    return positions, min(1.0, share)

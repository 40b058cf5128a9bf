"""The network, drawn: its live weights, their signs, and the activations of its neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _names
from .._activations import ACTIVATIONS
from .._preprocessing import moments
from .._validation import validate_rows
from ._drawable import check_drawable
from ._style import (
    CROWDED,
    FONT_SIZE,
    LEGEND_COLUMN,
    LEGEND_ROW,
    LONGEST_NAME,
    NARROW,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    ROW_HEIGHT,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D
    from matplotlib.path import Path

    from .._network import SparseMLP


def _shorten(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    head = LONGEST_NAME // 2  # names often begin alike, and often end alike
    return name[:head] + "…" + name[len(name) - (LONGEST_NAME - head - 1) :]


def _input_spreads(network: SparseMLP, X: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the standard deviation of what enters each layer when `X` is predicted."""
    values, weight = X, np.ones(len(X))
    spreads = [moments(values, weight)[1]]  # of any scale, where squares would overflow
    hidden = zip(network.weights, network.biases, network.activations, strict=False)
    for weights, biases, names in hidden:
        z = values @ weights + biases
        for j, name in enumerate(names):
            z[:, j] = ACTIVATIONS[name].value(z[:, j])
        values = z
        spreads.append(moments(values, weight)[1])
    return spreads


def _activation_marker(name: str) -> Path:
    """Return a small drawing of an activation, in [-1, 1] both ways.

    Sigmoid and tanh differ by where they cross zero: a line stands for zero, at the
    bottom of the one and in the middle of the other.
    """
    from matplotlib.path import Path

    z = np.linspace(-1.0, 1.0, 33)
    match name:
        case "sigmoid":
            curve = Path(np.column_stack([z, 1.8 / (1.0 + np.exp(-5.0 * z)) - 1.0]))
            return Path.make_compound_path(curve, Path([(-1.0, -1.0), (1.0, -1.0)]))
        case "tanh":
            curve = Path(np.column_stack([z, np.tanh(4.0 * z)]))
            return Path.make_compound_path(curve, Path([(-1.0, 0.0), (1.0, 0.0)]))
        case "leaky_relu":
            return Path(np.column_stack([z, np.where(z > 0, 1.6 * z, 0.15 * z) - 0.6]))
        case _:
            return Path(np.column_stack([z, z]))


def _spread_evenly(n: int, height: float) -> NDArray[np.float64]:
    """Return `n` heights, the first on top, that divide `height` evenly."""
    return height * (1.0 - (np.arange(n) + 0.5) / max(n, 1))


class NetworkDisplay:
    """A network, drawn from its inputs on the left to its outputs on the right.

    Only the features that the network uses are drawn. A line is a weight that is not
    zero: its colour is the sign, its width the magnitude, relative to the largest of
    its layer. The curve in a neuron is its activation; the colour of its ring is the
    sign of its bias, grey where there is none. Neurons stand in the order in which
    lines cross least, not in the order of the arrays.

    It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    network : SparseMLP
        The network.
    feature_names : sequence of str, default=None
        A name per feature, used or not; by default x0, x1, and so on.
    output_names : sequence of str, default=None
        A name per output; by default y0, y1, and so on, or y.
    input_spreads : sequence of ndarray, default=None
        The standard deviation of what enters each layer. Where it is given, the width
        of a line is the weight times the spread of its input: how much the weight
        moves the neuron, whatever the unit of the feature. Without it, the width is
        the bare weight.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.
    """

    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        network: SparseMLP,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        input_spreads: Sequence[NDArray[np.float64]] | None = None,
    ) -> None:
        _names.feature_names(feature_names, network.n_features)
        _names.output_names(output_names, network.n_outputs)
        self.network = network
        self.feature_names = feature_names
        self.output_names = output_names
        self.input_spreads = input_spreads

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        ax: Axes | None = None,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> Self:
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : SWATRegressor or SWATClassifier
            A fitted estimator.
        X : array-like of shape (n_samples, n_features), default=None
            Rows, such as the training set, by which the width of a line takes the unit
            of its feature into account.
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure, as high as the network needs.
        feature_names : sequence of str, default=None
            A name per feature; by default those seen in `fit`.
        output_names : sequence of str, default=None
            A name per output, of two classes that of the positive one; by default the
            classes of a classifier.

        Returns
        -------
        NetworkDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If names are not as many as there are features or outputs, or `X` has
            other features than the estimator was fitted to.
        """
        check_drawable(estimator, "network_")
        network: SparseMLP = estimator.network_
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        if output_names is None:
            output_names = _names.outputs_of(estimator)
        spreads = None if X is None else _input_spreads(network, validate_rows(estimator, X))
        display = cls(
            network=network,
            feature_names=feature_names,
            output_names=output_names,
            input_spreads=spreads,
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure, as high as the network needs.

        Returns
        -------
        NetworkDisplay
            The display itself.
        """
        features = np.asarray(self.network.used_features, dtype=int)
        widths = [len(features), *(len(biases) for biases in self.network.biases)]
        rows = max(widths)
        names = self._left_names(features) + self._right_names()
        figsize = (
            2.2 * (len(widths) - 1) + 1.6 + 0.08 * max(len(name) for name in names),
            max(2.4, ROW_HEIGHT * rows + 0.9),
        )
        ax = new_axes(ax, figsize)
        self.ax_, self.figure_ = ax, ax.figure
        ax.set_axis_off()
        narrow = float(ax.bbox.width) / ax.figure.dpi < NARROW
        ax.set_title(("\n" if narrow else ", ").join(self._title(features)), fontsize=FONT_SIZE + 1)
        if ax.figure.get_layout_engine() is not None:
            ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # settles the size
        height_points = 72.0 * float(ax.bbox.height) / ax.figure.dpi

        columns = self._columns(features, rows)
        labels = self._legend_handles()
        legend_rows = self._draw_legend(labels)
        # Data units: a column is 1 wide, a row 1 high. The legend has its rows below 0.
        legend_points = 72.0 * (LEGEND_ROW * legend_rows + 0.1)
        row_points = max(height_points - legend_points, 36.0) / rows
        ax.set_ylim(-legend_points / row_points, rows)
        diameter = min(20.0, 0.82 * row_points)
        font_size = min(FONT_SIZE, 0.8 * row_points)

        self._draw_weights(features, columns, min(1.0, diameter / CROWDED))
        self._draw_nodes(columns, diameter)
        self._draw_names(features, columns, diameter, font_size)
        return self

    def _left_names(self, features: NDArray[np.int_]) -> list[str]:
        names = _names.feature_names(self.feature_names, self.network.n_features)
        return [_shorten(names[i]) for i in features]

    def _right_names(self) -> list[str]:
        names = _names.output_names(self.output_names, self.network.n_outputs)
        return [_shorten(name) for name in names]

    def _title(self, features: NDArray[np.int_]) -> tuple[str, str]:
        network = self.network
        hidden = sum(network.hidden_layer_sizes)
        return (
            f"{network.nnz} non-zero{'' if network.nnz == 1 else 's'}",
            f"{len(features)} of {network.n_features} features, "
            f"{hidden} hidden neuron{'' if hidden == 1 else 's'}",
        )

    def _matrices(self, features: NDArray[np.int_]) -> list[NDArray[np.float64]]:
        """Return the weight matrices with the rows of the used features only."""
        first, *rest = self.network.weights
        return [first[features], *rest]

    def _columns(self, features: NDArray[np.int_], rows: int) -> list[NDArray[np.float64]]:
        """Return the height of every node, a column per layer, with few crossings."""
        columns = [_spread_evenly(len(features), rows)]
        matrices = self._matrices(features)
        for weights in matrices[:-1]:
            strength = np.abs(weights)
            total = strength.sum(axis=0)
            middle = np.full(weights.shape[1], rows / 2)
            np.divide(columns[-1] @ strength, total, out=middle, where=total > 0)
            heights = np.empty(len(middle))
            heights[np.argsort(-middle, kind="stable")] = _spread_evenly(len(middle), rows)
            columns.append(heights)
        columns.append(_spread_evenly(matrices[-1].shape[1], rows))
        return columns

    def _draw_weights(
        self, features: NDArray[np.int_], columns: Sequence[NDArray[np.float64]], thickness: float
    ) -> None:
        from matplotlib.collections import LineCollection

        for layer, weights in enumerate(self._matrices(features)):
            strength = np.abs(weights)
            if self.input_spreads is not None:
                spread = self.input_spreads[layer]
                strength = strength * (spread[features] if layer == 0 else spread)[:, None]
            start, end = np.nonzero(weights)
            # Strong lines last, so that weak ones do not hide them.
            order = np.argsort(strength[start, end], kind="stable")
            start, end = start[order], end[order]
            relative = strength[start, end] / max(float(strength.max(initial=0.0)), 1e-300)
            left, right = columns[layer], columns[layer + 1]
            lines = [
                ((layer, left[i]), (layer + 1, right[j])) for i, j in zip(start, end, strict=True)
            ]
            positive = weights[start, end] > 0
            self.ax_.add_collection(
                LineCollection(
                    lines,
                    colors=np.where(positive, POSITIVE, NEGATIVE).tolist(),
                    linewidths=thickness * (0.5 + 3.0 * relative),
                    alpha=0.75,
                    zorder=1,
                ),
                autolim=False,
            )

    def _draw_nodes(self, columns: Sequence[NDArray[np.float64]], diameter: float) -> None:
        ax, network = self.ax_, self.network
        ax.scatter(
            np.zeros(len(columns[0])), columns[0], s=(0.4 * diameter) ** 2, c="black", zorder=2
        )
        for layer, biases in enumerate(network.biases, start=1):
            rings = np.select([biases > 0, biases < 0], [POSITIVE, NEGATIVE], NEUTRAL)
            ax.scatter(
                np.full(len(biases), layer),
                columns[layer],
                s=diameter**2,
                facecolors="white",
                edgecolors=rings.tolist(),
                linewidths=max(0.5, diameter / 12),
                zorder=2,
            )
        for layer, names in enumerate(network.activations, start=1):
            for name in sorted(set(names)):
                here = columns[layer][[other == name for other in names]]
                ax.scatter(
                    np.full(len(here), layer),
                    here,
                    s=(0.6 * diameter) ** 2,
                    marker=_activation_marker(name),
                    facecolors="none",
                    edgecolors="black",
                    linewidths=max(0.4, diameter / 16),
                    zorder=3,
                )

    def _draw_names(
        self,
        features: NDArray[np.int_],
        columns: Sequence[NDArray[np.float64]],
        diameter: float,
        font_size: float,
    ) -> None:
        """Write the names beside the outer columns and make room for them."""
        ax, last = self.ax_, len(columns) - 1
        room = []  # points to the left of the first column and to the right of the last
        for x, names, side in (
            (0, self._left_names(features), -1),
            (last, self._right_names(), 1),
        ):
            gap = diameter * (0.35 if side < 0 else 0.7) + 2.0
            texts = [
                ax.annotate(
                    name,
                    (x, y),
                    xytext=(side * gap, 0),
                    textcoords="offset points",
                    ha="right" if side < 0 else "left",
                    va="center_baseline",
                    fontsize=font_size,
                )
                for name, y in zip(names, columns[x], strict=True)
            ]
            pixels = max((text.get_window_extent().width for text in texts), default=0.0)
            room.append(gap + 2.0 + 72.0 * pixels / ax.figure.dpi)
        width_points = 72.0 * float(ax.bbox.width) / ax.figure.dpi
        unit = last / max(width_points - sum(room), 0.2 * width_points)  # data per point
        ax.set_xlim(-room[0] * unit, last + room[1] * unit)

    def _legend_handles(self) -> list[Line2D]:
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=POSITIVE, linewidth=2, label="positive"),
            Line2D([], [], color=NEGATIVE, linewidth=2, label="negative"),
        ]
        used = {name for names in self.network.activations for name in names}
        handles += [
            Line2D(
                [],
                [],
                linestyle="none",
                marker=_activation_marker(name),
                markersize=10,
                markerfacecolor="none",
                markeredgecolor="black",
                label=name,
            )
            for name in ACTIVATIONS
            if name in used
        ]
        return handles

    def _draw_legend(self, handles: Sequence[Line2D]) -> int:
        """Draw the legend along the bottom and return how many rows it has."""
        width = float(self.ax_.bbox.width) / self.ax_.figure.dpi
        n_columns = min(len(handles), max(1, int(width / LEGEND_COLUMN)))
        self.ax_.legend(
            handles=handles,
            loc="lower center",
            ncols=n_columns,
            fontsize=FONT_SIZE - 1,
            frameon=False,
            borderaxespad=0.0,
            columnspacing=1.2,
            handlelength=1.5,
        )
        return -(-len(handles) // n_columns)

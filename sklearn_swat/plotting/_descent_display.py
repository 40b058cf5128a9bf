"""The descent: every candidate's way down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ._drawable import check_drawable
from ._style import (
    DEPTH_COLOURS,
    FONT_SIZE,
    NEUTRAL,
    leads_with_2_or_5,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


class DescentDisplay:
    """The descent of every candidate: hard validation loss against step.

    A line that ends early is a candidate that was dropped.

    It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    curves : mapping of (int, int) to tuple of (ndarray, ndarray)
        For each candidate, by (depth, restart), the steps that were recorded and the
        normalised validation loss of the hard network at each.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        A line per candidate.
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.
    """

    lines_: list[Line2D]
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        curves: Mapping[tuple[int, int], tuple[NDArray[np.int_], NDArray[np.float64]]],
    ) -> None:
        self.curves = curves

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the descent of a fitted estimator.

        Parameters
        ----------
        estimator : SWATRegressor or SWATClassifier
            A fitted estimator.
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure.

        Returns
        -------
        DescentDisplay
            The display, drawn.
        """
        check_drawable(estimator, "history_")
        points: dict[tuple[int, int], list[tuple[int, float]]] = {}
        for record in estimator.history_:
            losses = zip(record["candidates"], record["validation_loss"], strict=True)
            for (depth, restart), loss in losses:
                key = (int(depth), int(restart))
                points.setdefault(key, []).append((record["step"], float(loss)))
        curves = {
            key: (
                np.array([step for step, _ in points[key]]),
                np.array([loss for _, loss in points[key]]),
            )
            for key in sorted(points)
        }
        return cls(curves=curves).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the descent.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure.

        Returns
        -------
        DescentDisplay
            The display itself.
        """
        ax = new_axes(ax, (6.0, 4.0))
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_ = []
        labelled = set()
        for (depth, _), (steps, losses) in self.curves.items():
            label = None if depth in labelled else f"depth {depth}"
            labelled.add(depth)
            (line,) = ax.plot(
                steps,
                losses,
                color=DEPTH_COLOURS.get(depth, NEUTRAL),
                marker="o" if len(steps) == 1 else None,
                linewidth=1.2,
                alpha=0.8,
                label=label,
            )
            self.lines_.append(line)
        if all(losses.min() > 0 for _, losses in self.curves.values()):
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.yaxis.set_minor_formatter(self._minor_label)
        ax.set_xlabel("step")
        ax.set_ylabel("normalised validation loss")
        ax.grid(alpha=0.3)
        if self.curves:
            ax.legend(fontsize=FONT_SIZE)
        else:
            words = "no descent: a constant is the answer"
            ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes)
        return self

    def _minor_label(self, loss: float, _: float) -> str:
        """Label a tick between powers of ten if its label finds room."""
        low, high = self.ax_.get_ylim()
        return f"{loss:g}" if high < 3 * low or leads_with_2_or_5(loss) else ""

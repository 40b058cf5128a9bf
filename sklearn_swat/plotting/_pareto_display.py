"""The front: what every further weight buys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring

from .._front import position
from ._drawable import check_drawable
from ._style import (
    FONT_SIZE,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    leads_with_2_or_5,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


class ParetoDisplay:
    """The Pareto front of a fit: what every further weight buys.

    It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    nnz : ndarray of shape (n_points,)
        Non-zero weights and biases of every network of the front.
    values : ndarray of shape (n_points,)
        The loss or score of every network.
    value_name : str
        What `values` are: the label of the vertical axis.
    chosen : int, default=None
        The position of the network that the estimator predicts with.
    reference : tuple of (str, int, float), default=None
        Another model to compare with: its name, its number of weights and its value.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The front.
    ax_ : matplotlib Axes
        What was drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.
    """

    line_: Line2D
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        nnz: ArrayLike,
        values: ArrayLike,
        value_name: str,
        chosen: int | None = None,
        reference: tuple[str, int, float] | None = None,
    ) -> None:
        if reference is not None and np.shape(reference) != (3,):
            raise ValueError(
                f"reference={reference!r} is not a name, a number of weights and a value: pass "
                "('MLP', 1151, 0.9), for example"
            )
        self.nnz = np.asarray(nnz, dtype=int)
        self.values = np.asarray(values, dtype=np.float64)
        self.value_name = value_name
        self.chosen = chosen
        self.reference = reference

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        scoring: str | Callable[..., float] | None = None,
        ax: Axes | None = None,
        reference: tuple[str, int, float] | None = None,
    ) -> Self:
        """Draw the front of a fitted estimator.

        Parameters
        ----------
        estimator : SWATRegressor or SWATClassifier
            A fitted estimator.
        X, y : array-like, default=None
            Rows to score every network of the front on. Without them the normalised
            validation loss of the fit is drawn.
        scoring : str or callable, default=None
            A score of scikit-learn's, as "neg_log_loss"; by default that of `score`, R² or
            accuracy.
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure.
        reference : tuple of (str, int, float), default=None
            Another model to compare with: its name, its number of weights and its
            value, a score where `X` and `y` are given.

        Returns
        -------
        ParetoDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `X` and `y` are not given together, `scoring` is given without them, or
            `reference` is none.
        """
        check_drawable(estimator, "path_")
        if (X is None) != (y is None):
            raise ValueError("X and y must be given together: pass both, or neither.")
        if scoring is not None and X is None:
            raise ValueError(f"scoring={scoring!r} needs rows: pass X and y, too")
        nnz = np.array([point.nnz for point in estimator.path_])
        if X is None:
            values = [point.validation_loss for point in estimator.path_]
            value_name = "normalised validation loss"
        else:
            score = check_scoring(estimator, scoring)
            values = [score(estimator.select(index=i), X, y) for i in range(len(nnz))]
            value_name = "accuracy" if is_classifier(estimator) else "R²"
            if scoring is not None:
                value_name = scoring if isinstance(scoring, str) else "score"
        display = cls(
            nnz=nnz,
            values=values,
            value_name=value_name,
            chosen=position(estimator.path_, estimator.network_),
            reference=reference,
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the front.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default on a new figure.

        Returns
        -------
        ParetoDisplay
            The display itself.
        """
        ax = new_axes(ax, (6.0, 4.0))
        self.ax_, self.figure_ = ax, ax.figure
        (self.line_,) = ax.plot(
            self.nnz, self.values, "o-", color=POSITIVE, markersize=4, label="front"
        )
        if self.chosen is not None:
            n, value = int(self.nnz[self.chosen]), float(self.values[self.chosen])
            ax.plot(
                n,
                value,
                "o",
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=NEGATIVE,
                markeredgewidth=2,
                label=f"chosen: {n} non-zeros, {value:.3f}",
            )
        if self.reference is not None:
            name, size, value = self.reference
            label = f"{name}: {size:,} weights, {value:.3f}"
            ax.axhline(value, color=NEUTRAL, linestyle="--", linewidth=1)
            ax.plot(size, value, "s", color=NEUTRAL, markersize=6, label=label)
        # A network of nothing but a zero has no place on a logarithmic axis.
        if self.nnz.min(initial=1) > 0:
            ax.set_xscale("log")
        else:
            ax.set_xscale("symlog", linthresh=1.0)
        ax.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}" if size % 1 == 0 else "")
        ax.xaxis.set_minor_formatter(self._minor_label)
        ax.set_xlabel("non-zero weights and biases")
        ax.set_ylabel(self.value_name)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=FONT_SIZE)
        return self

    def _minor_label(self, size: float, _: float) -> str:
        """Label a tick between powers of ten where there are few powers on the axis."""
        low, high = self.ax_.get_xlim()
        is_narrow = high < 30 * max(1.0, low)
        is_shown = is_narrow and size >= 1 and leads_with_2_or_5(size)
        return f"{size:,.0f}" if is_shown else ""

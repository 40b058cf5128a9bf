"""Colours and sizes that the pictures share, and the axes that they are drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that people with any colour vision tell apart (Okabe and Ito).
POSITIVE, NEGATIVE, NEUTRAL = "#0072B2", "#D55E00", "#999999"
DEPTH_COLOURS = {1: "#0072B2", 2: "#E69F00", 3: "#009E73", 4: "#CC79A7"}

FONT_SIZE = 9.0  # points
ROW_HEIGHT = 0.28  # inches between two nodes of the fullest column
CROWDED = 12.0  # points: below such a diameter of nodes, lines get thinner as they do
LEGEND_ROW = 0.24  # inches
LEGEND_COLUMN = 1.15  # inches
NARROW = 4.5  # inches: below, the title takes two lines
LONGEST_NAME = 32  # characters


def leads_with_2_or_5(value: float) -> bool:
    """Say whether a tick between powers of ten is one of those that find room for a label."""
    return f"{value:e}"[0] in "25"


def new_axes(ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure of this size in inches."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Drawing needs matplotlib, which is not installed: pip install 'sklearn_swat[plot]'"
        ) from error
    return plt.subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax

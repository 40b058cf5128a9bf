"""What networks of about the same size say of one another.

Few validation rows choose badly among hundreds of networks: the best of them was lucky. Of
labels, training rows cannot tell more (see `_leave_one_out`), but other networks of the path
can. They share most of their weights, so that a network whose loss is far below that of the
next smaller and the next larger ones owes this to the rows that it was judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ._pruning import PathPoint

Array = NDArray[np.float64]

# The standard deviation, in logarithms of sizes, of the weights of the others. Chosen networks are
# as good at 0.5, and half a per cent worse at 0.3.
BANDWIDTH = 0.4
_LEAST_LOSS = 1e-12  # that is told from none, whose logarithm is infinite
_LEAST_SPREAD = 1e-6  # of sizes that a slope is made of


def smoothed(points: Sequence[PathPoint]) -> list[PathPoint]:
    """Raise validation losses to what networks of about the same size suggest.

    That is a local linear regression [1]_ of the logarithm of the loss on that of the size:
    where the loss falls as a power of the size, it changes nothing.

    Parameters
    ----------
    points : sequence of PathPoint
        Of one path. Networks without weights and losses that are not finite stay as they
        are, and say nothing of others.

    Returns
    -------
    list of PathPoint
        In the same order; no validation loss is lower than before.

    References
    ----------
    .. [1] W. Cleveland, "Robust locally weighted regression and smoothing scatterplots",
       Journal of the American Statistical Association 74, 1979; without its robust steps.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat._network import SparseMLP
    >>> sizes, losses = (3, 4, 5, 6), (0.48, 0.36, 0.12, 0.24)
    >>> path = [
    ...     PathPoint(SparseMLP((np.ones((n - 1, 1)),), (np.ones(1),), ()), loss, loss)
    ...     for n, loss in zip(sizes, losses)
    ... ]
    >>> [round(point.validation_loss, 2) for point in smoothed(path)]
    [0.48, 0.36, 0.21, 0.24]
    """
    counting = [
        i
        for i, point in enumerate(points)
        if np.isfinite(point.validation_loss) and not point.network.is_constant
    ]
    if not counting:
        return list(points)
    losses = np.array([points[i].validation_loss for i in counting])
    sizes = np.array([points[i].nnz for i in counting], float)
    levels = _local_regression(np.log(sizes), np.log(np.maximum(losses, _LEAST_LOSS)))
    raised = list(points)
    for i, loss in zip(counting, np.exp(levels), strict=True):
        if loss > points[i].validation_loss:
            raised[i] = replace(points[i], validation_loss=float(loss))
    return raised


def _local_regression(x: Array, y: Array) -> Array:
    """Return at every x (m,) the value of the line through the y (m,) around it.

    None is above all y within the bandwidth: where y leaps, lines overshoot.
    """
    step = x - x[:, None]
    weight = np.exp(-0.5 * (step / BANDWIDTH) ** 2)
    once, twice = weight * step, weight * step * step
    n, first, second = weight.sum(axis=1), once.sum(axis=1), twice.sum(axis=1) + _LEAST_SPREAD
    level = (second * (weight @ y) - first * (once @ y)) / (n * second - first * first)
    highest = np.where(np.abs(step) <= BANDWIDTH, y, -np.inf).max(axis=1)
    return np.asarray(np.minimum(level, highest))

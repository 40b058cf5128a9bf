"""How exactly targets are known, as far as rows that lie close together tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ._rows import Rows

MOST_ASKED = 1024  # rows, of which the nearest others are looked for: milliseconds


def neighbour_noise(rows: Rows, seen: NDArray[np.intp]) -> float:
    """Return half of the mean squared difference of targets to those of the nearest other rows.

    That is the variance of their noise [1]_, and more where rows lie far apart: of many features,
    the nearest row says little.

    Parameters
    ----------
    rows : Rows
        Their targets are numbers, neither labels nor probabilities.
    seen : int ndarray
        The features that distances are of.

    Returns
    -------
    float
        Mean over outputs, in squared units of the targets; infinite of a single row.

    References
    ----------
    .. [1] H. Pi, C. Peterson, "Finding the embedding dimension and variable dependencies in
       time series", Neural Computation 6, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> X = rng.uniform(-1, 1, (2000, 1))
    >>> target = np.sin(9 * X) + 0.2 * rng.standard_normal((2000, 1))
    >>> print(f"{neighbour_noise(Rows(X, target, np.ones(2000)), np.array([0])):.2f}")
    0.04
    """
    n_asked = min(MOST_ASKED, len(rows.X) // 2)
    if not n_asked:
        return np.inf
    X = rows.X[:, seen]
    asked = np.linspace(0, len(X) - 1, n_asked).astype(int)
    others = np.setdiff1d(np.arange(len(X)), asked)
    nearest = others[cdist(X[asked], X[others], "sqeuclidean").argmin(axis=1)]
    squares = np.square(rows.target[asked] - rows.target[nearest]).mean(axis=1)
    return float(np.average(squares, weights=rows.weight[asked]) / 2)

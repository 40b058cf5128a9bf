"""How many independent draws rows stand for.

Equal rows may be one observation that is there several times, as in a bootstrap sample, or
as many observations of the same, as with a few features of a few values. What judges
networks has to know: of the former, copies must not be on both sides of a split, and the
latter are all the evidence there is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._canonical import lexicographic_order

Array = NDArray[np.float64]

_MOST = 2.0**20  # draws that a weight stands for
# Rows are drawn again where there are so many per distinct one: a bootstrap sample has 1.6, and a
# rare class that was repeated until it is half of the rows makes it at most 2.
_FEWEST_PER_ROW = 3.0
_LEAST_SHARE = 0.1  # of them, with features that have several targets: copies have one


def count_draws(weight: Array) -> Array:
    """Return how many rows a row of each weight is as, (n,).

    Weights that are whole numbers count rows. If one is not, or is above a million, they
    say what rows are worth, and each is one.

    Examples
    --------
    >>> import numpy as np
    >>> count_draws(np.array([2.0, 0.0, 3.0])), count_draws(np.array([0.5, 0.0, 1.0]))
    (array([2., 0., 3.]), array([1., 0., 1.]))
    """
    are_counts = weight.max(initial=0.0) <= _MOST and bool((weight == np.rint(weight)).all())
    return weight.copy() if are_counts else (weight > 0).astype(np.float64)


def independent_draws(n_equal: Array, X: Array) -> Array | None:
    """Tell whether equal rows are draws of their own.

    They are where there are many of each, and where the features of some of them, a tenth or
    more, occur with several targets.

    Parameters
    ----------
    n_equal : ndarray of shape (n,)
        How many rows every distinct row is as; 0 for one that is no observation.
    X : ndarray of shape (n, d)
        Features of the distinct rows.

    Returns
    -------
    ndarray of shape (n,) or None
        `n_equal`, of at least 1, or None: each is one draw.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.0], [1.0]])
    >>> independent_draws(np.array([60.0, 30.0, 10.0]), X)
    array([60., 30., 10.])
    >>> independent_draws(np.array([60.0, 30.0, 1000.0]), X)
    """
    is_drawn = n_equal > 0
    if n_equal.sum() < _FEWEST_PER_ROW * is_drawn.sum():
        return None
    order, is_new = lexicographic_order(X[is_drawn])
    group = np.cumsum(is_new)
    has_several = np.bincount(group)[group] > 1
    share = n_equal[is_drawn][order][has_several].sum() / n_equal.sum()
    return np.maximum(n_equal, 1.0) if share >= _LEAST_SHARE else None

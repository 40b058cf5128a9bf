"""The front of a fit: as a table, picking another network of it, and what features count."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._network import SparseMLP
from ._pruning import PathPoint, choose

Array = NDArray[np.float64]

RULES = ("one_standard_error",)

# The largest slope of an activation; that of the others is 1.
_LARGEST_SLOPE = {"sigmoid": 0.25}


def path_frame(path: Sequence[PathPoint], alpha: float, chosen: SparseMLP) -> Any:
    """Tabulate a front.

    Parameters
    ----------
    path : sequence of PathPoint
    alpha : float
        Price of one non-zero.
    chosen : SparseMLP
        The network in use, one of `path`.

    Returns
    -------
    pandas.DataFrame
        See `SWATRegressor.path_frame`.

    Raises
    ------
    ImportError
        If pandas is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> line = SparseMLP((np.ones((2, 1)),), (np.ones(1),), ())
    >>> frame = path_frame([PathPoint(line, 0.3, 0.4, 0.1)], alpha=0.1, chosen=line)
    >>> frame[["nnz", "depth", "n_features_used", "price", "is_chosen"]]
       nnz  depth  n_features_used  price  is_chosen
    0    3      0                2    0.7       True
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "path_frame needs pandas, which is not installed: pip install pandas, or read "
            "the points of path_ themselves"
        ) from error
    networks = [point.network for point in path]
    columns: dict[str, Any] = {
        "nnz": [point.nnz for point in path],
        "depth": [network.depth for network in networks],
        "hidden_layer_sizes": [network.hidden_layer_sizes for network in networks],
        "n_features_used": [len(network.used_features) for network in networks],
        "train_loss": [point.train_loss for point in path],
        "validation_loss": [point.validation_loss for point in path],
        "validation_error": [point.validation_error for point in path],
        "price": [point.validation_loss + alpha * point.nnz for point in path],
        "is_chosen": [network is chosen for network in networks],
    }
    return pd.DataFrame(columns)


def find(
    path: Sequence[PathPoint],
    *,
    max_nnz: int | None = None,
    alpha: float | None = None,
    rule: str | None = None,
    index: int | None = None,
) -> int:
    """Return the position of the point that a budget, a price, a rule or an index asks for.

    Parameters
    ----------
    path : sequence of PathPoint
        A front: by ascending size, and so by descending validation loss.
    max_nnz, alpha, rule, index : optional
        Exactly one of them; see `SWATRegressor.select`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If not exactly one of the four is given, or no point meets it.
    TypeError
        If `max_nnz` or `index` is no integer, `alpha` no number, or one of them a bool.

    Examples
    --------
    >>> import numpy as np
    >>> sizes, losses = (1, 3, 5), (1.0, 0.42, 0.4)
    >>> path = [
    ...     PathPoint(SparseMLP((np.ones((n, 1)),), (np.ones(1),), ()), loss, loss, 0.05)
    ...     for n, loss in zip(sizes, losses)
    ... ]
    >>> find(path, max_nnz=4), find(path, rule="one_standard_error"), find(path, index=-1)
    (1, 1, 2)
    >>> find(path, alpha=0.5), find(path, alpha=0.1), find(path, alpha=0.001)
    (0, 1, 2)
    """
    given = {
        name: value
        for name, value in (
            ("max_nnz", max_nnz), ("alpha", alpha), ("rule", rule), ("index", index),
        )
        if value is not None
    }  # fmt: skip
    if len(given) != 1:
        raise ValueError(
            "select takes exactly one of max_nnz, alpha, rule and index, got "
            f"{', '.join(given) or 'none'}: pass max_nnz=30, alpha=1e-3, "
            "rule='one_standard_error' or index=0, for example"
        )
    if max_nnz is not None:
        within = affordable(path, _integer("max_nnz", max_nnz, "a number of non-zeros"))
        return len(within) - 1  # of a front, the larger one has the lower loss
    if alpha is not None:
        return path.index(choose(path, _price(alpha)))
    if index is not None:
        return _at(path, _integer("index", index, "a position in path_"))
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} is unknown: pass {' or '.join(map(repr, RULES))}")
    return _within_one_standard_error(path)


def _integer(name: str, value: Any, meaning: str) -> int:
    if isinstance(value, bool | np.bool_):  # which Python takes for 0 or 1
        raise TypeError(f"{name}={value!r} is a bool and no integer; pass {meaning}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is no integer; pass {meaning}") from None


def _price(alpha: Any) -> float:
    if isinstance(alpha, bool | np.bool_) or not isinstance(alpha, Real):
        raise TypeError(f"alpha={alpha!r} is no number; pass the price of one non-zero, as 1e-3")
    if not 0 <= float(alpha) < np.inf:
        raise ValueError(f"alpha={alpha!r} is no price: pass a finite number that is at least 0")
    return float(alpha)


def affordable(path: Sequence[PathPoint], max_nnz: int) -> Sequence[PathPoint]:
    """Return the points of a front, ascending in size, that are within a budget.

    Raises
    ------
    ValueError
        If there are none.
    """
    n_within = sum(point.nnz <= max_nnz for point in path)
    if not n_within:
        smallest = path[0].nnz
        raise ValueError(
            f"max_nnz={max_nnz} is too small: the smallest network of the front has "
            f"{non_zeros(smallest)}; pass at least that"
        )
    return path[:n_within]


def position(path: Sequence[PathPoint], network: SparseMLP) -> int:
    """Return where on a front a network is."""
    return [point.network for point in path].index(network)


def non_zeros(n: int) -> str:
    """Return how messages call so many of them."""
    return f"{n} non-zero{'s' * (n != 1)}"


def _at(path: Sequence[PathPoint], index: int) -> int:
    if not -len(path) <= index < len(path):
        raise ValueError(
            f"index={index} is outside the front of {len(path)} networks: pass 0 (the "
            f"smallest) to {len(path) - 1} (the largest), or -1 for the last"
        )
    return index % len(path)


def _within_one_standard_error(path: Sequence[PathPoint]) -> int:
    best = path[-1]
    if not np.isfinite(best.validation_error):
        raise ValueError(
            f"rule='one_standard_error' needs the standard error of the lowest validation "
            f"loss, which is {best.validation_error}: it takes at least two distinct rows of "
            "positive weight; pass more rows to fit, or max_nnz or index"
        )
    limit = best.validation_loss + best.validation_error
    return next(i for i, point in enumerate(path) if point.validation_loss <= limit)


def feature_importances(
    network: SparseMLP, input_deviation: Array, output_deviation: Array
) -> Array:
    """Bound how much the outputs can move per standard deviation of every feature.

    For a feature and an output, the bound is the sum, over all paths between them
    through the network, of the product of the absolute weights on the path and of
    the largest slopes of its activations: 1/4 for a sigmoid, 1 for the others. No
    slope of the output (before the output activation) by the feature can be larger.

    Parameters
    ----------
    network : SparseMLP
        On raw rows.
    input_deviation : ndarray of shape (n_features,)
        A weight of 1 on a feature of deviation 2 counts 2.
    output_deviation : ndarray of shape (n_outputs,)
        A movement of 1 of an output of deviation 2 counts 1/2.

    Returns
    -------
    ndarray of shape (n_features,)
        The bounds, added over the outputs, as shares of their sum; all 0 for a
        constant network.

    Examples
    --------
    >>> import numpy as np
    >>> network = SparseMLP((np.array([[1.0], [-3.0], [0.0]]),), (np.zeros(1),), ())
    >>> feature_importances(network, np.ones(3), np.ones(1))
    array([0.25, 0.75, 0.  ])
    >>> feature_importances(network, np.array([3.0, 1.0, 1.0]), np.ones(1))
    array([0.5, 0.5, 0. ])
    """
    weights = [np.abs(each) for each in network.weights]
    weights[0] = weights[0] * input_deviation[:, None]
    weights[-1] = weights[-1] / output_deviation  # per deviation: no unit is left
    reach = np.ones(network.n_outputs)  # of what is before: how far it moves the outputs
    slopes = [[_LARGEST_SLOPE.get(name, 1.0) for name in names] for names in network.activations]
    for each, slope in zip(weights[:0:-1], slopes[::-1], strict=True):
        reach = _shares((each @ reach) * slope)
    return _shares(weights[0] @ reach)


def _shares(values: Array) -> Array:
    """Divide non-negative numbers by their sum, or leave them all 0."""
    largest = values.max()
    if not largest > 0:
        return np.zeros_like(values)
    shares = values / largest
    return np.asarray(shares / shares.sum())

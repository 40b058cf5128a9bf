"""Names of features and of outputs, as texts, exports and drawings show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def feature_names(names: Sequence[str] | None, n_features: int) -> list[str]:
    """Return a name per feature: those given, else x0, x1, ...

    Parameters
    ----------
    names : sequence of str or None
    n_features : int

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If there are more or fewer of them than features.

    Examples
    --------
    >>> feature_names(None, 2)
    ['x0', 'x1']
    """
    if names is None:
        return [f"x{j}" for j in range(n_features)]
    return _checked("feature_names", names, n_features, "feature")


def output_names(names: Sequence[str] | None, n_outputs: int) -> list[str]:
    """Return a name per output: those given, else y, or y0, y1, ... where there are several.

    Parameters
    ----------
    names : sequence of str or None
    n_outputs : int

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If there are more or fewer of them than outputs.
    """
    if names is None:
        return ["y"] if n_outputs == 1 else [f"y{j}" for j in range(n_outputs)]
    return _checked("output_names", names, n_outputs, "output")


def outputs_of(estimator: Any) -> list[str]:
    """Return a name per output of a fitted estimator: its class, of two the positive one.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier

    Returns
    -------
    list of str
        Where outputs are no classes: y, or y0, y1, ...
    """
    n = estimator.network_.n_outputs
    classes = getattr(estimator, "classes_", ())
    if len(classes) != max(n, 2):
        return output_names(None, n)
    return [str(label) for label in classes[-n:]]


def _checked(parameter: str, names: Sequence[str], n: int, what: str) -> list[str]:
    if len(names) != n:
        raise ValueError(
            f"{parameter} has {len(names)} names, but the network has {n} "
            f"{what}{'s' * (n != 1)}: pass a name for each"
        )
    return [str(name) for name in names]

"""The way in for all data: scikit-learn's checks, and what their refusals do not say.

A refusal is of scikit-learn's type and begins with its words; the place of the first
value that cannot be used, what it is, and the way out follow, where they are missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array, compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight, validate_data

from . import _refusals
from ._preprocessing import moments

Array = NDArray[np.float64]

# Deviations between the medians of rows, of one feature and of half of them: a later stretch of
# time is nearer.
_OTHER_UNITS, _OTHER_UNITS_OF_HALF = 20, 6
_REFUSALS = (ValueError, TypeError, OverflowError)  # the last is float()'s, of large integers


def validate_rows(
    estimator: Any, X: Any, *, reset: bool = False, ensure_min_samples: int = 1
) -> Array:
    """Return `X` as finite numbers, held against what an estimator has seen, or remembered.

    Parameters
    ----------
    estimator : estimator or None
        None holds `X` against nothing.
    X : array-like of shape (n_samples, n_features)
    reset : bool, default=False
        Remember the features rather than hold them against those remembered.
    ensure_min_samples : int, default=1

    Returns
    -------
    ndarray of shape (n_samples, n_features)

    Raises
    ------
    ValueError, TypeError
        If it cannot be used.
    """
    try:
        # scikit-learn looks for infinities in a sum, which finite numbers may overflow.
        with np.errstate(all="ignore"):
            rows: Array = (
                check_array(
                    X, dtype=np.float64, ensure_min_samples=ensure_min_samples, input_name="X"
                )
                if estimator is None
                else validate_data(
                    estimator, X, reset=reset, dtype=np.float64,
                    ensure_min_samples=ensure_min_samples,
                )
            )  # fmt: skip
    except _REFUSALS as error:
        raise _explained(error, lambda: _of_rows(estimator, X, reset, ensure_min_samples)) from None
    return rows


def validate_rows_and_targets(
    estimator: Any, X: Any, y: Any, *, is_regression: bool, reset: bool
) -> tuple[Array, NDArray[Any]]:
    """Return `X` as finite numbers and `y` as dense targets.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    is_regression : bool
        Whether the targets have to be numbers; classes else.
    reset : bool
        Remember the features, and ask for two rows, as to begin with.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)

    Raises
    ------
    ValueError, TypeError
        If they cannot be used.
    """
    least = 2 if reset else 1

    def what_is_wrong() -> str | None:
        in_X = None if y is None else _of_rows(estimator, X, reset, least)
        if in_X is not None:
            return in_X
        n_rows = None if y is None else len(np.asarray(X))
        return _refusals.of_targets(y, n_rows, is_regression=is_regression)

    try:
        rows, target = validate_data(
            estimator, X, y, dtype=np.float64, multi_output=True, y_numeric=is_regression,
            reset=reset, ensure_min_samples=least,
        )  # fmt: skip
        if issparse(target):
            raise TypeError("Sparse data was passed for y, but dense data is required.")
        if is_regression:
            target = np.asarray(target, dtype=np.float64)
            # None, and numbers beyond float64, pass scikit-learn's check and convert to these.
            if not np.isfinite(target).all():
                raise ValueError("Input y contains NaN or infinity.")
        else:
            check_classification_targets(target)
    except _REFUSALS as error:
        raise _explained(error, what_is_wrong) from None
    return rows, np.asarray(target)


def warn_of_other_units(X: Array, X_val: Array, stacklevel: int) -> None:
    """Warn if rows that judge are no rows of the same table, as where they have not been scaled.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    X_val : ndarray of shape (n_val, n_features)
    stacklevel : int
        Of whom it concerns, counted from the caller.
    """
    mean, deviation = moments(X, np.ones(len(X)))
    deviation[deviation == 0] = np.inf  # of a constant, which no network uses
    with np.errstate(all="ignore"):
        far = np.abs(np.median(X_val, axis=0) - mean) / deviation
    used = np.isfinite(deviation)
    half_is_far = used.any() and np.median(far[used]) > _OTHER_UNITS_OF_HALF
    if far.max() > _OTHER_UNITS or half_is_far:
        column = int(far.argmax())
        limit = f"{_OTHER_UNITS_OF_HALF} in half of the columns" if half_is_far else _OTHER_UNITS
        warnings.warn(
            f"half of X_val lies {far[column]:.3g} standard deviations of X or more from its mean "
            f"in column {column} (counted from 0), more than {limit}: hand over X_val in "
            "the units of X, from a pipeline with transform_input=['X_val']",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def validate_weights(sample_weight: Any, X: Array) -> Array:
    """Return a weight of 0 or more per row, of which one is positive.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
        A number weighs all rows alike, None is 1.
    X : ndarray of shape (n_samples, n_features)

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError, TypeError
        If the weights cannot be used.
    """
    try:
        weight: Array = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        # A number is not looked at by scikit-learn.
        if isinstance(sample_weight, Number) and not np.isfinite(weight[0]):
            raise ValueError("Input sample_weight contains NaN or infinity.")
    except _REFUSALS as error:
        raise _explained(error, lambda: _refusals.of_weights(sample_weight, len(X))) from None
    return weight


def weight_classes(
    weight: Array,
    class_weight: Any,
    y: NDArray[Any],
    classes: NDArray[Any] | None = None,
    *,
    may_be_none: bool = False,
) -> Array:
    """Return the weights of rows times those of their classes.

    Parameters
    ----------
    weight : ndarray of shape (n_samples,)
    class_weight : dict, list of dict or "balanced"
        "balanced" counts rows by their weights.
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
    classes : ndarray, optional
        Of a stream of which `y` is a part, which may lack some of them; of several
        labels the values of each. By default those of the rows that count.
    may_be_none : bool, default=False
        Whether all weights may be 0.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError, TypeError
        If a weight is none, or no row is left to count.
    """
    way_out = "pass positive numbers for classes that y has, or 'balanced'"
    of_labels = y.ndim == 2 and not isinstance(class_weight, str)
    try:
        if isinstance(class_weight, dict) and classes is not None and not may_be_none:
            unknown = set(class_weight) - set(np.asarray(classes).tolist())
            if unknown:
                raise ValueError(f"there are no classes {sorted(map(str, unknown))}")
        if of_labels and (classes is None or isinstance(class_weight, dict)):
            found = weight * compute_sample_weight(class_weight, y)
        else:
            columns = y.reshape(len(y), -1).T
            each = class_weight if isinstance(class_weight, list) else [class_weight] * len(columns)
            found = weight.copy()
            for column, of_classes in zip(columns, each, strict=True):
                found *= _weights_of_classes(of_classes, column, weight, classes)
    except _REFUSALS as error:
        raise _explained(error, lambda: f"class_weight={class_weight!r}: {way_out}") from None
    is_none = not (may_be_none or found.any())
    if is_none or found.min(initial=0.0) < 0 or not np.isfinite(found).all():
        raise ValueError(
            f"class_weight={class_weight!r} gives rows weights from {found.min():g} to "
            f"{found.max():g}; {way_out}"
        )
    return found


def _weights_of_classes(
    class_weight: Any, y: NDArray[Any], weight: Array, classes: NDArray[Any] | None
) -> Array:
    """Return the weight (n,) of each row's class; 1 for rows of other classes."""
    if isinstance(class_weight, dict) and classes is not None:  # of which y may lack some
        weights = {label: float(factor) for label, factor in class_weight.items()}
        for label, factor in weights.items():
            if not 0 <= factor < np.inf:
                raise ValueError(f"the weight {factor:g} of class {label!r} is none")
    else:
        counting = weight > 0
        labels = np.unique(y[counting])
        found = compute_class_weight(
            class_weight, classes=labels, y=y[counting], sample_weight=weight[counting]
        )
        weights = dict(zip(labels, found, strict=True))
    each = np.ones(len(y))
    for label, factor in weights.items():
        each[y == label] = factor
    return each


def is_multilabel(y: Any) -> bool:
    """Tell whether targets that are yet to be validated are several labels.

    Parameters
    ----------
    y : array-like

    Returns
    -------
    bool

    Raises
    ------
    ValueError, TypeError
        If they are no classes at all.
    """
    try:
        return bool(type_of_target(y).startswith("multilabel"))
    except _REFUSALS as error:
        raise _explained(
            error, lambda: _refusals.of_targets(y, None, is_regression=False)
        ) from None


def validate_classes(classes: Any) -> NDArray[Any]:
    """Return the classes that may come, ascending.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ValueError, TypeError
        If they are none.
    """
    try:
        found: NDArray[Any] = unique_labels(classes)
    except _REFUSALS as error:
        way_out = f"classes={classes!r}: pass a list of integers, or of text, one per class"
        raise _explained(error, lambda: way_out) from None
    return found


def _of_rows(estimator: Any, X: Any, reset: bool, min_rows: int) -> str | None:
    """Tell what is wrong with rows that are meant for an estimator."""
    names = getattr(estimator, "feature_names_in_", None)
    if not reset and (hint := _refusals.of_names(X, names)) is not None:
        return hint
    n_features = None if reset else getattr(estimator, "n_features_in_", None)
    return _refusals.of_rows(X, min_rows=min_rows, names=names, n_features=n_features)


def _explained(error: Exception, what_is_wrong: Callable[[], str | None]) -> Exception:
    """Return a refusal with what is missing in it."""
    try:
        hint = what_is_wrong()
    except Exception:  # data so odd that they cannot be looked at: the refusal is what counts
        hint = None
    return in_other_words(error, f"{str(error).rstrip()}\n{hint}" if hint else str(error))


def in_other_words(error: Exception, text: str) -> Exception:
    """Return a refusal of the same kind."""
    return TypeError(text) if isinstance(error, TypeError) else ValueError(text)

"""What is wrong with data that were refused: the value, where it is, the limit, the way out.

Looked for behind a refusal alone, so that it may take a pass over the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils._missing import is_pandas_na

_COUNTED = "counted from 0"
_LONGEST = 60  # characters of a value that are shown


def of_rows(
    X: Any, *, min_rows: int, names: Any = None, n_features: int | None = None
) -> str | None:
    """Tell what keeps `X` from being a table of finite numbers.

    Parameters
    ----------
    X : object
        As it was passed.
    min_rows : int
        How many there have to be.
    names : sequence of str, optional
        Of the columns, where `X` itself has none.
    n_features : int, optional
        How many there have to be.

    Returns
    -------
    str or None
        None if nothing is wrong, "" if scikit-learn's own sentence says it all.

    Examples
    --------
    >>> of_rows([[1.0, 2.0], [3.0, float("nan")]], min_rows=1)
    'X has nan in row 1, column 1 (counted from 0), but ...: impute missing values with ...'
    """
    if X is None or isinstance(X, str | bytes | Mapping) or np.isscalar(X):
        return (
            f"X is {_shown(X)}, but a table of finite numbers is needed: pass an array or a data "
            "frame of shape (n_samples, n_features)"
        )
    if issparse(X):
        return (
            f"X is a sparse {type(X).__name__}: pass X.toarray(); in a pipeline, "
            "OneHotEncoder(sparse_output=False) or ColumnTransformer(..., sparse_threshold=0)"
        )
    if hasattr(X, "sparse") and all(hasattr(each, "fill_value") for each in X.dtypes):
        return "X is a sparse data frame: pass X.sparse.to_dense()"
    try:
        table = np.asarray(X)
    except ValueError:
        return _ragged("X", X)
    if table.ndim > 2:
        return f"X has shape {table.shape}: pass two dimensions, X.reshape(len(X), -1) for example"
    if table.ndim == 0:
        return f"X is {_shown(X)}, but a table of finite numbers is needed: pass an array"
    found = _first_that_is_no_finite_number(table)
    if found is not None:
        place = _place(X, found, getattr(X, "columns", names))
        return _of_cell("X", table[found], place)
    if table.ndim == 1:
        return ""
    rows, columns = table.shape
    if rows < min_rows:
        return f"Pass at least {min_rows} row{'s' * (min_rows > 1)}"
    if columns < 1:
        return "Pass at least 1 column"
    if n_features is not None and columns != n_features:
        return f"Pass the {n_features} columns of the fit, in the same order, or fit again"
    return None


def of_names(X: Any, names: Any) -> str | None:
    """Tell how to get from a frame's columns to those of the fit.

    Parameters
    ----------
    X : object
    names : sequence of str or None
        Those of the fit.

    Returns
    -------
    str or None
        None if there is nothing to tell.
    """
    columns = getattr(X, "columns", None)
    if columns is None or names is None or list(columns) == list(names):
        return None
    if not all(isinstance(name, str) for name in columns):
        return None
    missing = [name for name in names if name not in set(columns)]
    if missing:
        return f"Column {missing[0]!r} of the fit is missing: pass it, or fit again without it"
    return "Pass the columns of the fit, in that order: X[list(estimator.feature_names_in_)]"


def of_targets(y: Any, n_rows: int | None, *, is_regression: bool) -> str | None:
    """Tell what keeps `y` from being the targets of a regression or classes.

    Parameters
    ----------
    y : object
        As it was passed.
    n_rows : int or None
        Of `X`; None if unknown.
    is_regression : bool

    Returns
    -------
    str or None
        None if nothing is wrong.

    Examples
    --------
    >>> of_targets([1, None], 2, is_regression=True)
    'y has None in row 1 (counted from 0), but ...: drop rows whose target is unknown'
    """
    needed = "a number" if is_regression else "a class"
    if y is None or isinstance(y, str | bytes | Mapping) or np.ndim(_dense(y)) == 0:
        return f"y is {_shown(y)}: pass {needed} per row of X, in an array of shape (n_samples,)"
    if issparse(y):
        return f"y is a sparse {type(y).__name__}, but has to be dense: pass y.toarray()"
    try:
        table = np.asarray(y)
    except ValueError:
        of_labels = ", or make columns of labels by sklearn.preprocessing.MultiLabelBinarizer"
        return _ragged("y", y, remedy="" if is_regression else of_labels)
    if table.ndim > 2:
        return f"y has shape {table.shape}: pass an array of shape (n_samples,) or (n_samples, k)"
    if table.ndim == 2 and not table.shape[1]:
        return f"y has shape {table.shape}: pass at least 1 column"
    names = getattr(y, "columns", None)
    if not is_regression:
        hint = _of_labels(table, y, names)
    elif (found := _first_that_is_no_finite_number(table)) is not None:
        hint = _of_cell("y", table[found], _place(y, found, names))
    else:
        hint = None
    if hint is None and n_rows is not None and len(table) != n_rows:
        return f"X has {n_rows} rows and y {len(table)}: pass {needed} per row of X, in its order"
    return hint


def of_weights(weight: Any, n_rows: int) -> str | None:
    """Tell what keeps `sample_weight` from being a weight per row.

    Parameters
    ----------
    weight : object
        As it was passed.
    n_rows : int
        Of `X`.

    Returns
    -------
    str or None
        None if nothing is wrong, "" if scikit-learn's own sentence says it all.

    Examples
    --------
    >>> of_weights([1.0, -2.0], 2)
    'sample_weight has -2.0 in row 1 (counted from 0), but ...: pass 0 for rows that ...'
    """
    needed = f"an array of {n_rows} weights of 0 or more, or None to weigh all rows alike"
    if isinstance(weight, str | bytes | Mapping):
        return f"sample_weight is {_shown(weight)}: pass {needed}"
    if issparse(weight):
        return ""
    try:
        table = np.asarray(weight)
    except ValueError:
        return _ragged("sample_weight", weight)
    if table.ndim in (1, 2):
        found = _first_that_is_no_finite_number(table)
        if found is not None:
            return _of_cell("sample_weight", table[found], _place(weight, found, None))
    if table.ndim and table.shape != (n_rows,):
        return f"sample_weight has shape {table.shape}, but {(n_rows,)} is needed: pass {needed}"
    numbers = table.astype(np.float64)
    if not table.ndim:
        return f"sample_weight is {_shown(weight)} for every row: pass {needed}"
    if not numbers.any():
        return (
            f"All {n_rows} weights are 0, but some row has to count: pass a positive weight for "
            "those that do, or None to weigh all rows alike"
        )
    found = _first(numbers < 0)
    if found is None:
        return None
    return (
        f"sample_weight has {_shown(table[found])} in {_place(weight, found, None)}, but no "
        "weight may be below 0: pass 0 for rows that are not to count, or leave these rows out"
    )


# --------------------------------------------------------------------- cells and places
def _dense(y: Any) -> Any:
    """Return what has as many dimensions as `y`, which may be ragged or sparse."""
    return y if hasattr(y, "ndim") else [None] if hasattr(y, "__len__") else y


def _first(is_bad: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """Return the place of the first true cell, row by row."""
    if not is_bad.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(is_bad.argmax()), is_bad.shape))


def _first_that_is_no_finite_number(table: NDArray[Any]) -> tuple[int, ...] | None:
    """Return the place of the first cell that is no number, else that is not finite.

    In this order, since scikit-learn makes numbers of the cells first.
    """
    if table.dtype.kind == "c":
        return _first(table.imag != 0) or (0,) * table.ndim
    if table.dtype.kind in "biu":
        return None
    if table.dtype.kind == "f":
        with np.errstate(over="ignore"):  # of longer numbers than float64
            return _first(~np.isfinite(table.astype(np.float64)))
    if table.dtype.kind in "mM":
        return _first(np.isnat(table))
    numbers = np.zeros(table.shape)
    no_numbers = []
    columns = table.reshape(len(table), -1)
    for j, column in enumerate(columns.T):
        try:
            numbers.reshape(columns.shape)[:, j] = column
        except (TypeError, ValueError, OverflowError):
            i = next(i for i, value in enumerate(column) if not _is_number(value))
            no_numbers.append((i, j))
    if no_numbers:
        return min(no_numbers)[: table.ndim]
    return _first(~np.isfinite(numbers))


def _is_number(value: Any) -> bool:
    try:
        np.zeros(1)[0] = value
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_missing(value: Any) -> bool:
    if value is None or is_pandas_na(value):
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    is_nat = type(value).__name__ == "NaTType"
    return is_nat or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _place(data: Any, found: tuple[int, ...], names: Any) -> str:
    """Describe a place: by the labels of a frame too, where it has any."""
    place = f"row {found[0]}"
    if len(found) == 2:
        place += f", column {_shown(names[found[1]]) if names is not None else found[1]}"
    index = getattr(data, "index", None)
    if index is None or callable(index) or index[found[0]] == found[0]:  # a list's is a method
        return f"{place} ({_COUNTED})"
    return f"{place} ({_COUNTED}; {_shown(index[found[0]])} in the index)"


def _shown(value: Any) -> str:
    """Return a short repr, as of Python's own scalars, with the type if that does not tell."""
    plain = value.item() if isinstance(value, np.generic) else value
    text = repr(plain)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    tells = plain is None or isinstance(plain, str | bytes | bool | int | float | complex)
    return text if tells else f"{text} (of type {type(plain).__name__})"


def _of_cell(what: str, value: Any, place: str) -> str:
    """Tell of a cell that has no finite number, and the way out for one of its kind."""
    return f"{what} has {_shown(value)} in {place}, but {_WAYS_OUT[what][_kind(value)]}"


def _kind(value: Any) -> str:
    if _is_missing(value):
        return "missing"
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, complex | np.complexfloating):
        return "complex"
    if isinstance(value, float | np.floating) and np.isinf(value):
        return "infinite"
    if isinstance(value, Number):
        return "large"
    if isinstance(value, date | np.datetime64):
        return "date"
    return "object"


_ONLY = "only finite numbers can be used"
_BEYOND = f"numbers up to {np.finfo(np.float64).max:.2g} can be used: rescale it"
_WAYS_OUT = {
    "X": {
        "missing": f"{_ONLY}: impute missing values with sklearn.impute.SimpleImputer in a "
        "pipeline, or drop the row",
        "infinite": f"{_ONLY}: replace it by a finite number, or drop the row",
        "large": _BEYOND,
        "text": f"{_ONLY}: encode text with sklearn.preprocessing.TargetEncoder or "
        "OneHotEncoder(sparse_output=False) in a pipeline, or drop the column",
        "complex": f"{_ONLY}: pass the real and the imaginary parts as columns of their own",
        "date": f"{_ONLY}: pass the time since a first date, as "
        "(column - column.min()).dt.total_seconds() in pandas, or drop the column",
        "object": f"{_ONLY}: pass a column per number, or drop the column",
    },
    "y": {
        "missing": f"{_ONLY}: drop rows whose target is unknown",
        "infinite": f"{_ONLY}: replace it by a finite number, or drop the row",
        "large": _BEYOND,
        "text": f"{_ONLY} in a regression: pass numbers, or use SWATClassifier for classes",
        "complex": f"{_ONLY}: pass the real and the imaginary parts as columns of their own",
        "date": f"{_ONLY}: pass the time since a first date, as a number",
        "object": f"{_ONLY}: pass a number per row, or a column per target",
    },
    "sample_weight": {
        "missing": f"{_ONLY}: pass 0 for rows that are not to count, or leave these rows out",
        "infinite": f"{_ONLY}: pass a finite weight, 0 for rows that are not to count",
        "large": _BEYOND,
        "text": f"{_ONLY}: pass a number per row",
        "complex": f"{_ONLY}: pass real weights",
        "date": f"{_ONLY}: pass a number per row",
        "object": f"{_ONLY}: pass a number per row",
    },
}


def _ragged(what: str, data: Any, remedy: str = "") -> str | None:
    """Tell which of several lists is not as long as the first, or is no list."""
    sizes = [len(row) if hasattr(row, "__len__") else None for row in data]
    other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if other is None:
        return (
            f"{what} has lists in its cells, but a number per cell is needed: pass a column per "
            "number"
        )

    def entries(i: int) -> str:
        return "is a single value" if sizes[i] is None else f"is of length {sizes[i]}"

    return (
        f"{what}: row 0 {entries(0)}, but row {other} {entries(other)} ({_COUNTED}): pass rows "
        f"of the same length{remedy}"
    )


def _of_labels(table: NDArray[Any], y: Any, names: Any) -> str | None:
    """Tell what keeps an array from being classes."""
    if table.dtype.kind == "c":
        found = _first_that_is_no_finite_number(table)
        assert found is not None
        return (
            f"y has {_shown(table[found])} in {_place(y, found, names)}, but classes are integers "
            "or text: pass such"
        )
    if table.dtype.kind == "f":
        if (found := _first(~np.isfinite(table))) is not None:
            return _of_label(table[found], _place(y, found, names))
        if (found := _first(table != np.round(table))) is not None:
            return (
                f"y has {_shown(table[found])} in {_place(y, found, names)}, but classes are "
                "integers or text: use SWATRegressor for continuous targets, or make classes of "
                "them, with numpy.digitize for example"
            )
        return None
    if table.dtype.kind != "O":
        return None
    first = table.flat[0] if table.size else None
    for found, value in np.ndenumerate(table):
        if _is_missing(value) or (isinstance(value, float) and np.isinf(value)):
            return _of_label(value, _place(y, found, names))
        if isinstance(value, str) != isinstance(first, str):
            return (
                f"y has {_shown(value)} in {_place(y, found, names)}, but {_shown(first)} before "
                "it, and classes are of one type: pass y.astype(str), for example"
            )
    if isinstance(first, str):
        return None
    return (
        f"y is of dtype object and begins with {_shown(first)}, but classes are integers or text: "
        "pass y.astype(int) or y.astype(str)"
    )


def _of_label(value: Any, place: str) -> str:
    return (
        f"y has {_shown(value)} in {place}, which is no class: drop rows whose class is unknown, "
        "or give them a class of their own"
    )

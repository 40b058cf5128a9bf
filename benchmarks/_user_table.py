"""A user's CSV as rows for estimators: what is to be predicted, and columns as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

MAX_CLASSES = 10  # of a target of whole numbers that is taken for classes
MAX_CATEGORIES = 20  # per column; the rarest share one


@dataclass(frozen=True)
class UserTable:
    """What was read.

    Attributes
    ----------
    X : DataFrame
        Numeric columns as floats, all others as strings; missing values as NaN.
    y : ndarray
        Floats, or classes as strings.
    task : {"regression", "classification"}
    notes : tuple of str
        What was left out or decided, in words for the user.
    """

    X: pd.DataFrame
    y: NDArray[Any]
    task: str
    notes: tuple[str, ...]


def read_table(path: Path, target: str, task: str = "auto", separator: str = ",") -> UserTable:
    """Read a CSV with a header.

    Parameters
    ----------
    path : Path
        A text file, or a compressed one that pandas reads.
    target : str
        The column to predict.
    task : {"auto", "regression", "classification"}, default="auto"
        "auto" takes text, truth values and up to `MAX_CLASSES` different whole numbers
        for classes, other numbers for a regression.
    separator : str, default=","

    Returns
    -------
    UserTable

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the target is no column, or the rows cannot be used for the task.
    """
    if not path.exists():
        raise FileNotFoundError(f"No file {path}: pass the path of a CSV file with a header")
    return as_table(pd.read_csv(path, sep=separator), target, task, str(path))


def as_table(frame: pd.DataFrame, target: str, task: str, name: str) -> UserTable:
    """Return a frame as a table: columns as numbers and strings, and rows that have a target.

    Parameters
    ----------
    frame : DataFrame
    target, task : str
        As of `read_table`.
    name : str
        What errors call it.

    Returns
    -------
    UserTable

    Raises
    ------
    ValueError
        As of `read_table`.
    """
    if target not in frame:
        close = get_close_matches(target, list(map(str, frame.columns)), n=3)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "pass one of them"
        raise ValueError(
            f"--target {target!r} is no column of {name}; the columns are "
            f"{_quoted(frame.columns[:20])}: {hint} (other separators: --separator)"
        )
    notes = []
    missing = frame[target].isna()
    if missing.any():
        notes.append(f"{int(missing.sum())} rows without a target are left out")
        frame = frame[~missing]
    y = frame.pop(target)
    useless = [column for column in frame if frame[column].nunique() < 2]
    if useless:
        notes.append(f"columns with less than two values are left out: {_quoted(useless)}")
        frame = frame.drop(columns=useless)
    if frame.shape[1] == 0 or len(frame) == 0:
        raise ValueError(
            f"{name} has {len(frame)} rows with a target and {frame.shape[1]} features of two or "
            "more values: at least one of each is needed"
        )
    if task == "auto":
        task = _guess_task(y)
        other = "regression" if task == "classification" else "classification"
        notes.append(f"taken for a {task} ({y.nunique()} different targets); else: --task {other}")
    if task == "regression":
        if not pd.api.types.is_numeric_dtype(y):
            raise ValueError(
                f"--task regression needs numbers, but {target!r} holds {y.iloc[0]!r}, for "
                "example: clean the column, or pass --task classification"
            )
        target_values = y.to_numpy(dtype=float)
    else:
        target_values = y.astype(str).to_numpy(dtype=str)
    X = pd.DataFrame(
        {
            str(column): values.astype(float)
            if pd.api.types.is_numeric_dtype(values)
            else values.astype(object).where(values.notna(), np.nan)
            for column, values in frame.items()
        }
    ).reset_index(drop=True)
    many = [c for c in X if X[c].dtype == object and X[c].nunique() > MAX_CATEGORIES]
    if many:
        notes.append(
            f"of {_quoted(many)} the {MAX_CATEGORIES - 1} most frequent values are kept apart"
        )
    return UserTable(X, target_values, task, tuple(notes))


def _quoted(columns: Iterable[Any]) -> str:
    """Return names of columns, which may hold blanks and commas, in quotes."""
    return ", ".join(repr(str(column)) for column in columns)


def _guess_task(y: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(y) or not pd.api.types.is_numeric_dtype(y):
        return "classification"
    is_whole = bool((y == y.round()).all())
    return "classification" if is_whole and y.nunique() <= MAX_CLASSES else "regression"


def preprocessor() -> ColumnTransformer:
    """Return what makes numbers of the columns, to be fitted on training rows.

    Returns
    -------
    ColumnTransformer
        Missing numbers become the median, with a column that says so; categories are
        one-hot encoded, a missing one is a category of its own.
    """
    numbers = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    categories = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES,
            drop="if_binary", sparse_output=False,
        ),
    )  # fmt: skip
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include=np.number)),
            ("categories", categories, make_column_selector(dtype_exclude=np.number)),
        ]
    )

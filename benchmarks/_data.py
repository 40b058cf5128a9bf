"""The benchmark tables: where they are, what their task is, how they are split.

The tables are files ``NAME.csv.gz`` (a header, the features, the last column
``target``) in the folder that the environment variable ``SWAT_DATA`` names, by
default ``../shared/data`` beside the repository.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

REGRESSION = (
    "concrete",
    "energy",
    "kin8nm",
    "power_plant",
    "wine_quality_red",
    "yacht",
    "airfoil",
    "auto_mpg",
    "abalone",
    "cpu_act",
    "computers",
    "diabetes_progression",
)
CLASSIFICATION = (
    "iris",
    "wine",
    "breast_cancer",
    "digits",
    "credit_g",
    "pima_diabetes",
    "vehicle",
    "segment",
    "phoneme",
    "banknote",
    "yeast",
    "cmc",
)
TASKS = {
    **dict.fromkeys(REGRESSION, "regression"),
    **dict.fromkeys(CLASSIFICATION, "classification"),
}

FUNCTION_ROWS = 4_000
_FIRST_FUNCTION_SEED = 10**9  # of random functions
_BATCH = 3  # the fewest that the sampler draws at once; one is taken


@dataclass(frozen=True)
class Table:
    """A table, ready for an estimator.

    Attributes
    ----------
    name : str
        The name of its file, without the ending.
    task : {"regression", "classification"}
        What is to be predicted.
    X : DataFrame of shape (n_rows, n_features)
        The features as floats, categorical columns one-hot encoded.
    y : ndarray of shape (n_rows,)
        The target: floats, or classes as strings.
    """

    name: str
    task: str
    X: pd.DataFrame
    y: NDArray[Any]


def data_folder() -> Path:
    """Return the folder of the tables: ``SWAT_DATA``, or ``../shared/data``.

    Returns
    -------
    Path
        The folder; it need not exist.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("SWAT_DATA") or beside)


def available_tables() -> list[str]:
    """Return the names of the known tables that are in the data folder.

    Returns
    -------
    list of str
        The regression tables first.
    """
    folder = data_folder()
    return [name for name in TASKS if (folder / f"{name}.csv.gz").exists()]


def load_table(name: str) -> Table:
    """Read one table.

    Parameters
    ----------
    name : str
        One of `TASKS`.

    Returns
    -------
    Table
        Its features, encoded, and its target.
    """
    if name not in TASKS:
        raise ValueError(f"Unknown table {name!r}; the tables are {', '.join(TASKS)}.")
    path = data_folder() / f"{name}.csv.gz"
    if not path.exists():
        raise FileNotFoundError(
            f"No table {path}: set SWAT_DATA to the folder that holds the NAME.csv.gz files."
        )
    task = TASKS[name]
    # Some classes look like numbers; they are names all the same.
    dtype = {"target": str} if task == "classification" else {"target": float}
    frame = pd.read_csv(path, dtype=dtype)
    y = frame.pop("target").to_numpy(dtype=object if task == "classification" else float)
    if task == "classification":
        y = y.astype(str)
    return Table(name, task, encode(frame), y)


def draw_function(index: int) -> Table:
    """Draw a random function of the family that pretraining draws from, with noise.

    Parameters
    ----------
    index : int
        Which one. All are other ones than those of any pretraining's batches.

    Returns
    -------
    Table
        Of 1 to 8 features, named ``function_`` and the index.
    """
    import torch

    from sklearn_swat.pretrain._sampler import Sampler

    d = 1 + index % 8
    generator = torch.Generator().manual_seed(_FIRST_FUNCTION_SEED + index)
    drawn = Sampler(generator).regression(_BATCH, FUNCTION_ROWS, 0, d, 1)
    X = pd.DataFrame(drawn.X[0].double().numpy(), columns=[f"x{j}" for j in range(d)])
    return Table(f"function_{index:02d}", "regression", X, drawn.y[0, :, 0].double().numpy())


def encode(frame: pd.DataFrame) -> pd.DataFrame:
    """One-hot encode the columns of strings; a column of two values becomes one.

    Parameters
    ----------
    frame : DataFrame
        Features, numeric or strings.

    Returns
    -------
    DataFrame
        Floats only, in the order of the columns.
    """
    parts = []
    for column in frame:
        values = frame[column]
        if pd.api.types.is_numeric_dtype(values):
            parts.append(values.astype(float).to_frame())
        else:
            drop_first = values.nunique() <= 2
            parts.append(pd.get_dummies(values, prefix=column, dtype=float, drop_first=drop_first))
    return pd.concat(parts, axis=1)


def split_table(
    table: Table, seed: int, test_size: float = 0.2
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[Any], NDArray[Any]]:
    """Split a table into training and test rows, stratified by class.

    Parameters
    ----------
    table : Table
        The table.
    seed : int
        Another seed, another split.
    test_size : float, default=0.2
        The fraction of the rows that are held out.

    Returns
    -------
    X_train, X_test, y_train, y_test
        As from scikit-learn's ``train_test_split``.
    """
    stratify = table.y if table.task == "classification" else None
    X_train, X_test, y_train, y_test = train_test_split(
        table.X, table.y, test_size=test_size, random_state=seed, stratify=stratify
    )
    return X_train, X_test, np.asarray(y_train), np.asarray(y_test)

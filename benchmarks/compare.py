"""Compare on your own CSV: ``python -m benchmarks.compare my.csv --target y``.

SWAT's default fit and the smaller networks of its front, beside scikit-learn's dense MLP
(default and early stopping), a linear model and gradient boosting, by cross-validation.
Columns of text are one-hot encoded, missing values imputed; both are fitted on the
training rows of each fold. The table is printed; ``--out`` keeps the figures as JSON,
``--picture`` draws score against size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._dense import count_weights, dense_mlp, fit_quietly
from benchmarks._results import describe_machine, save
from benchmarks._user_table import UserTable, preprocessor, read_table
from benchmarks.advantage import test_loss
from benchmarks.quick import swat

BUDGETS = (25, 50, 100)
ONE_ERROR = "SWAT, one standard error"


# --------------------------------------------------------------------- measurements


def splits(table: UserTable, n_folds: int, seed: int) -> list[tuple[Any, Any]]:
    """Return training and test positions.

    Parameters
    ----------
    table : UserTable
    n_folds : int
        1 holds out a fifth of the rows once.
    seed : int
        Another seed, another split.

    Returns
    -------
    list of tuple

    Raises
    ------
    ValueError
        If there are too few rows, or too few of a class.
    """
    if table.task == "classification":
        classes, counts = np.unique(table.y, return_counts=True)
        needed = max(2, n_folds)
        if len(classes) < 2 or counts.min() < needed:
            rarest = classes[counts.argmin()]
            raise ValueError(
                f"{len(classes)} classes, the rarest ({rarest!r}) with {counts.min()} rows: every "
                f"class needs at least {needed} rows, and there must be two; merge or drop rare "
                "classes, lower --folds, or pass --task regression"
            )
    elif len(table.y) < 2 * max(2, n_folds):
        raise ValueError(
            f"{len(table.y)} rows are too few for {n_folds} folds: pass a lower --folds, or more "
            "rows"
        )
    is_classes = table.task == "classification"
    if n_folds == 1:
        once = StratifiedShuffleSplit if is_classes else ShuffleSplit
        splitter: Any = once(1, test_size=0.2, random_state=seed)
    else:
        folds = StratifiedKFold if is_classes else KFold
        splitter = folds(n_folds, shuffle=True, random_state=seed)
    return list(splitter.split(table.X, table.y))


def others(task: str, seed: int) -> dict[str, Any]:
    """Return the unfitted models that SWAT is compared with.

    Parameters
    ----------
    task : {"regression", "classification"}
    seed : int
        Of all of them.

    Returns
    -------
    dict of estimator
    """
    is_classes = task == "classification"
    linear: Any = LogisticRegression(max_iter=1_000) if is_classes else LinearRegression()
    boosting = HistGradientBoostingClassifier if is_classes else HistGradientBoostingRegressor
    return {
        "MLP, defaults": dense_mlp(task, seed),
        "MLP, early stopping": dense_mlp(task, seed, early_stopping=True),
        "logistic regression" if is_classes else "linear regression": make_pipeline(
            StandardScaler(), linear
        ),
        "gradient boosting": boosting(random_state=seed),
    }


def count_numbers(model: Any) -> int:
    """Return how many numbers a fitted model predicts with.

    Parameters
    ----------
    model : estimator
        One of `others`.

    Returns
    -------
    int
        Weights and biases; of trees, thresholds and leaf values.
    """
    if hasattr(model, "_predictors"):
        return int(sum(len(tree.nodes) for trees in model._predictors for tree in trees))
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(last, "coef_"):
        return int(np.size(last.coef_) + np.size(last.intercept_))
    return count_weights(model)


def run_fold(
    table: UserTable, train: NDArray[Any], test: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Fit and judge all models on one fold.

    Parameters
    ----------
    table : UserTable
    train, test : ndarray of int
        Positions of rows.
    seed : int
        Of all models.

    Returns
    -------
    dict
        Per model its score, test loss, size, and seconds of the fit and of predicting
        the test rows. ``front`` holds size and score of every network of SWAT's front.
    """
    numbers = preprocessor().fit(table.X.iloc[train])
    X_train, X_test = (numbers.transform(table.X.iloc[part]) for part in (train, test))
    y_train, y_test = table.y[train], table.y[test]
    score = r2_score if table.task == "regression" else accuracy_score
    models: dict[str, dict[str, Any]] = {}

    def keep(name: str, model: Any, size: int, seconds: float) -> None:
        start = time.perf_counter()
        predicted = model.predict(X_test)
        elapsed = time.perf_counter() - start
        models[name] = {
            "score": float(score(y_test, predicted)),
            "test_loss": test_loss(model, table.task, X_test, y_test, y_train),
            "size": int(size),
            "fit_seconds": seconds,
            "predict_seconds": elapsed,
        }

    few = np.random.default_rng(seed).permutation(len(y_train))[:200]
    if table.task == "regression" or len(set(y_train[few])) > 1:  # the import of torch
        swat(table.task, seed, max_iter=1, refine=False).fit(X_train[few], y_train[few])
    start = time.perf_counter()
    model = swat(table.task, seed).fit(X_train, y_train)
    seconds = time.perf_counter() - start
    keep("SWAT", model, model.nnz_, seconds)
    try:
        cautious = model.select(rule="one_standard_error")
        keep(ONE_ERROR, cautious, cautious.nnz_, seconds)
    except ValueError:
        pass  # no standard error: the front has the constant only
    smallest = min(point.nnz for point in model.path_)
    for budget in BUDGETS:
        if budget >= smallest:
            selected = model.select(max_nnz=budget)
            keep(f"SWAT, at most {budget}", selected, selected.nnz_, seconds)
    front = []
    for i, point in enumerate(model.path_):
        predicted = model.select(index=i).predict(X_test)
        front.append([int(point.nnz), float(score(y_test, predicted))])
    for name, other in others(table.task, seed).items():
        start = time.perf_counter()
        try:
            fit_quietly(other, X_train, y_train)
        except ValueError as error:  # early stopping with a class of very few rows
            models[name] = {"error": str(error)}
            continue
        keep(name, other, count_numbers(other), time.perf_counter() - start)
    return {"models": models, "front": front}


# --------------------------------------------------------------------- report


def make_report(results: dict[str, Any]) -> str:
    """Return the table of kept results.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
        A line per model, best score first: mean and standard deviation over folds.
    """
    data = results["data"]
    folds = results["folds"]
    errors, rows = [], []
    for name in dict.fromkeys(name for fold in folds for name in fold["models"]):
        found = [fold["models"][name] for fold in folds if name in fold["models"]]
        failed = [f["error"] for f in found if "error" in f]
        if failed:
            errors.append(f"{name} is left out: {failed[0]}")
            continue
        scores = [f["score"] for f in found]
        rows.append(
            {
                "model": name,
                "score": f"{np.mean(scores):.3f} ± {np.std(scores):.3f}",
                "loss": f"{np.mean([f['test_loss'] for f in found]):.3f}",
                "numbers": f"{np.median([f['size'] for f in found]):,.0f}",
                "fit s": f"{np.median([f['fit_seconds'] for f in found]):.2f}",
                "predict ms": f"{1e3 * np.median([f['predict_seconds'] for f in found]):.2f}",
                "order": -float(np.mean(scores)),
            }
        )
    shown = pd.DataFrame(rows).sort_values("order", kind="stable").drop(columns="order")
    names = {"regression": "R2", "classification": "accuracy"}
    how = f"{len(folds)} folds" if len(folds) > 1 else "one held-out fifth"
    parts = [
        f"{data['path']}: {data['n_rows']:,} rows, {data['n_columns']} columns "
        f"({data['n_features']} features as numbers), {data['task']} of {data['target']!r}",
        *(f"note: {note}" for note in (*data["notes"], *errors)),
        "",
        f"Score: {names[data['task']]} on {how}, mean ± standard deviation; loss: test loss "
        "divided by that of the best constant.",
        "Numbers: non-zero weights and biases, or nodes of trees, in the median. All SWAT rows are "
        "of one fit.",
        "",
        shown.to_string(index=False),
    ]
    return "\n".join(parts)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw score against size: the fronts of all folds, and the other models.

    Parameters
    ----------
    results : dict
        What `run_all` returns.
    path : Path
        The picture; its ending tells the format.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("--picture needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    for i, fold in enumerate(results["folds"]):
        sizes, scores = zip(*fold["front"], strict=True)
        label = "SWAT: the front of each fold" if i == 0 else None
        axis.plot(sizes, scores, color="C0", alpha=0.5, marker=".", label=label)
    names = [n for n in results["folds"][0]["models"] if not n.startswith("SWAT")]
    for i, name in enumerate(["SWAT", *names]):
        found = [fold["models"][name] for fold in results["folds"]]
        if any("error" in f for f in found):
            continue
        scores = [f["score"] for f in found]
        size = np.median([f["size"] for f in found])
        label = "SWAT: chosen" if name == "SWAT" else name
        axis.errorbar(
            size, np.mean(scores), np.std(scores), fmt="*" if name == "SWAT" else "o",
            color=f"C{i}", capsize=3, ms=11 if name == "SWAT" else 6, label=label,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_xlabel("numbers that the model predicts with")
    task = results["data"]["task"]
    axis.set_ylabel("test R2" if task == "regression" else "test accuracy")
    axis.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


# --------------------------------------------------------------------- command line


def run_all(
    table: UserTable, parts: Sequence[tuple[Any, Any]], options: argparse.Namespace
) -> dict[str, Any]:
    """Fit all models on every fold.

    Parameters
    ----------
    table : UserTable
    parts : sequence of tuple
        Training and test positions of every fold.
    options : Namespace
        The command line.

    Returns
    -------
    dict
        The results.
    """
    n_features = preprocessor().fit_transform(table.X).shape[1]
    return {
        "meta": describe_machine(),
        "data": {
            "path": options.csv.name,
            "target": options.target,
            "task": table.task,
            "n_rows": len(table.y),
            "n_columns": table.X.shape[1],
            "n_features": n_features,
            "notes": list(table.notes),
        },
        "folds": [run_fold(table, train, test, options.seed) for train, test in parts],
    }


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Returns
    -------
    ArgumentParser
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("csv", type=Path, help="a CSV file with a header")
    add("--target", required=True, help="the column to predict")
    add("--task", default="auto", choices=("auto", "regression", "classification"), help="what for")
    add("--separator", default=",", help="between columns")
    add("--folds", type=int, default=5, help="of the cross-validation; 1 holds out a fifth once")
    add("--seed", type=int, default=0, help="of folds and models")
    add("--out", type=Path, help="keep the figures as JSON")
    add("--picture", type=Path, help="draw score against size into this file")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, and print the table.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.folds < 1:
        parser.error(f"--folds must be at least 1, got {options.folds}")
    try:
        table = read_table(options.csv, options.target, options.task, options.separator)
        parts = splits(table, options.folds, options.seed)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    results = run_all(table, parts, options)
    if options.out:
        save(results, options.out)
    print(make_report(results))
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    main()

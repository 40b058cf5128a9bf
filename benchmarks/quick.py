"""SWAT with its defaults against scikit-learn's dense MLP with its defaults.

Every table, several 80/20 splits: score, size, fit and predict time. Then the
default descent beside descent on the weights themselves, at the same wall time. Results are
kept as JSON, one record per table and seed, and every figure of the report is
computed from that file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._command import add_resume_option, add_table_options, make_parser, report
from benchmarks._data import load_table, split_table
from benchmarks._dense import count_weights, dense_mlp, fit_quietly, fitted_mlp
from benchmarks._report import STEPS, make_report
from benchmarks._results import begin, run_and_keep
from sklearn_swat import SWATClassifier, SWATRegressor

MAX_ROWS = 10_000
PREDICT_ROWS = 1_000
PREDICT_REPEATS = 30

NEVER = 1_000_000  # n_iter_no_change that no descent reaches: wall time alone ends it
# Descent on the weights gets the best of three rates at each table, the default one, a
# smaller and a larger one, each with the whole wall time that the default descent took.
WEIGHT_RATE_FACTORS = (0.3, 1.0, 3.0)
WEIGHT_STARTS = ("data", "random")

# Runs in a process of its own, where nothing has been imported.
PROBE = """
import json, sys, time
start = time.perf_counter()
import sklearn_swat
seconds = time.perf_counter() - start
imported_torch = "torch" in sys.modules
from sklearn.datasets import make_friedman1
X, y = make_friedman1(1000, 10, noise=1.0, random_state=0)
def fit():
    start = time.perf_counter()
    sklearn_swat.SWATRegressor(random_state=0).fit(X, y)
    return time.perf_counter() - start
first, second = fit(), fit()
from benchmarks._fit_probe import peak_megabytes
print(json.dumps({
    "import_seconds": seconds, "import_loads_torch": imported_torch,
    "first_fit_seconds": first, "second_fit_seconds": second, "peak_megabytes": peak_megabytes(),
}))
"""


# --------------------------------------------------------------------- measurements


def measure_process() -> dict[str, Any]:
    """Measure import, a default fit on 1,000 x 10 and its memory in a fresh process.

    Returns
    -------
    dict
        What the probe printed: seconds, megabytes (10**6 bytes), and whether the
        import of the package brought torch along.
    """
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the probe process failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def swat(task: str, seed: int, **parameters: Any) -> Any:
    """Return an unfitted SWAT estimator for a task.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    seed : int
        Its `random_state`.
    **parameters
        What differs from the defaults.

    Returns
    -------
    estimator
        A `SWATRegressor` or `SWATClassifier`.
    """
    estimator = SWATClassifier if task == "classification" else SWATRegressor
    return estimator(random_state=seed, **parameters)


def seconds_of(call: Callable[[], Any]) -> float:
    """Return the wall time of one call.

    Parameters
    ----------
    call : callable
        Called once, without arguments.

    Returns
    -------
    float
        Seconds.
    """
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def predict_seconds(models_and_rows: Sequence[tuple[Any, NDArray[Any]]]) -> list[float]:
    """Return the median time of `predict` of each model, taken in turns.

    Parameters
    ----------
    models_and_rows : sequence of tuple
        Fitted models, each with the rows that it predicts.

    Returns
    -------
    list of float
        Seconds per model.
    """
    times: list[list[float]] = [[] for _ in models_and_rows]
    for _ in range(PREDICT_REPEATS):
        for (model, rows), seconds in zip(models_and_rows, times, strict=True):
            seconds.append(seconds_of(lambda model=model, rows=rows: model.predict(rows)))
    return [statistics.median(seconds) for seconds in times]


def best_so_far(history: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    """Return, per recorded step, the lowest hard validation loss up to there.

    Parameters
    ----------
    history : sequence of dict
        The `history_` of a fitted estimator.

    Returns
    -------
    list of (int, float)
        Step and loss, over all candidates.
    """
    best, points = float("inf"), []
    for record in history:
        losses = np.asarray(record["validation_loss"], dtype=float)
        best = min(best, float(np.min(losses[np.isfinite(losses)], initial=np.inf)))
        points.append((int(record["step"]), best))
    return points


def summarise_descent(points: Sequence[tuple[int, float]], seconds: float) -> dict[str, Any]:
    """Return the losses at the start, at `STEPS` and at the end of a descent.

    Parameters
    ----------
    points : sequence of (int, float)
        What `best_so_far` returns.
    seconds : float
        The wall time of the steps, the verdicts on the hard networks included.

    Returns
    -------
    dict
        ``start``, one entry per step, ``end``, ``steps`` and ``seconds``. A descent
        that ended before a step holds its last loss there.
    """
    at = {str(step): [loss for s, loss in points if s <= step][-1] for step in STEPS}
    return {
        "start": points[0][1],
        **at,
        "end": points[-1][1],
        "steps": points[-1][0],
        "seconds": seconds,
    }


def descend(task: str, seed: int, X: Any, y: Any, **parameters: Any) -> dict[str, Any]:
    """Run one descent, without pruning path and early stopping, and summarise it.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    seed : int
        The `random_state`.
    X, y : array-like
        Training rows.
    **parameters
        Space, start, rate and length of the descent.

    Returns
    -------
    dict
        What `summarise_descent` returns.
    """
    model = swat(task, seed, refine=False, n_iter_no_change=NEVER, **parameters).fit(X, y)
    return summarise_descent(best_so_far(model.history_), float(model.history_[-1]["seconds"]))


def compare_descents(task: str, seed: int, X: Any, y: Any) -> dict[str, Any]:
    """Descend by default, then on the weights for the same wall time.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    seed : int
        The `random_state`.
    X, y : array-like
        Training rows.

    Returns
    -------
    dict
        A summary per descent: ``both``, and on the weights from the same start
        (``weights_data``) and from random weights (``weights_random``), each the
        best of three rates by its final loss.
    """
    both = descend(task, seed, X, y)
    defaults = swat(task, seed).get_params()
    max_iter = int(defaults["max_iter"])
    descents = {"both": both}
    for start in WEIGHT_STARTS:
        # How many steps fit into the wall time depends on the table: try, then scale.
        trial = descend(task, seed, X, y, space="weights", start=start, max_iter=max_iter)
        steps = max(1, round(max_iter * both["seconds"] / trial["seconds"]))
        runs = []
        for factor in WEIGHT_RATE_FACTORS:
            changed = {"max_iter": steps, "learning_rate": factor * defaults["learning_rate"]}
            run = descend(task, seed, X, y, space="weights", start=start, **changed)
            runs.append({**run, "learning_rate": changed["learning_rate"]})
        descents[f"weights_{start}"] = min(runs, key=lambda run: run["end"])
    return descents


def run_one(name: str, seed: int, descent: bool) -> dict[str, Any]:
    """Measure one table with one seed.

    Parameters
    ----------
    name : str
        The table.
    seed : int
        The seed of the split and of all models.
    descent : bool
        Whether to compare the descents too.

    Returns
    -------
    dict
        The record that is kept; with an ``error`` where a fit failed.
    """
    table = load_table(name)
    X_train, X_test, y_train, y_test = split_table(table, seed)
    X_train, X_test = X_train.to_numpy(), X_test.to_numpy()
    record: dict[str, Any] = {
        "table": name,
        "task": table.task,
        "seed": seed,
        "n_rows": len(table.X),
        "n_features": table.X.shape[1],
    }
    dense = dense_mlp(table.task, seed)
    record["dense_fit_seconds"] = seconds_of(lambda: fit_quietly(dense, X_train, y_train))
    record["dense_score"] = float(dense.score(X_test, y_test))
    record["dense_weights"] = count_weights(dense)
    try:
        # The import of torch is measured in `measure_process`, not once per worker here.
        swat(table.task, seed, max_iter=1, refine=False).fit(X_train[:200], y_train[:200])
        model = swat(table.task, seed)
        record["swat_fit_seconds"] = seconds_of(lambda: model.fit(X_train, y_train))
        record["swat_score"] = float(model.score(X_test, y_test))
        record["swat_nnz"] = int(model.nnz_)
        record["swat_depth"] = int(model.depth_)
        rows = X_test[np.arange(PREDICT_ROWS) % len(X_test)]
        scaler, mlp = fitted_mlp(dense)  # the bare MLP, its rows scaled already
        record["swat_predict_seconds"], record["dense_predict_seconds"] = predict_seconds(
            [(model, rows), (mlp, scaler.transform(rows))]
        )
        if descent:
            record["descent"] = compare_descents(table.task, seed, X_train, y_train)
    except Exception as error:  # a table that fails is a result: the report counts it
        record["error"] = f"{type(error).__name__}: {error}"
    return record


# --------------------------------------------------------------------- command line


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run what is missing and keep every record as it comes.

    Parameters
    ----------
    options : Namespace
        The command line.

    Returns
    -------
    dict
        The results.
    """
    results = begin(options)
    results["runs"] = [
        run
        for run in results["runs"]
        if "error" not in run and (options.skip_descent or "descent" in run)
    ]
    results["process"] = measure_process()
    done = {(run["table"], run["seed"]) for run in results["runs"]}
    todo = [
        (name, seed, not options.skip_descent)
        for name in options.tables
        for seed in range(options.seeds)
        if (name, seed) not in done and len(load_table(name).X) <= MAX_ROWS
    ]

    def describe(record: dict[str, Any]) -> str:
        outcome = record.get("error") or (
            f"{record['swat_score']:.3f} with {record['swat_nnz']}, dense "
            f"{record['dense_score']:.3f} with {record['dense_weights']:,}"
        )
        return f"{record['table']}, seed {record['seed']}: {outcome}"

    run_and_keep(results, options.out, run_one, todo, options.jobs, describe)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("quick", __doc__)
    add_table_options(parser, n_seeds=3)
    add_resume_option(parser)
    parser.add_argument(
        "--skip-descent", action="store_true", help="leave out the comparison of descents"
    )
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

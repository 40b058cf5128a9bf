"""CORNN's 54 functions: small sparse networks against dense ones of 261 weights.

Per function one fit with the defaults and one with tanh neurons alone. Of each, `select`
takes the networks of at most 65 and of at most 261 non-zeros. Against them stands
scikit-learn's MLP of 3 x 10 tanh neurons, trained by Adam and by L-BFGS on the same
rows. The score is the test error divided by that of the best constant. Results are kept
as JSON, one record per function and seed, and the report is computed from that file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neural_network import MLPRegressor

from benchmarks._command import add_resume_option, make_parser, report
from benchmarks._cornn_functions import NAMES, sample
from benchmarks._dense import fit_quietly
from benchmarks._report import verdict
from benchmarks._results import begin, missing, run_and_keep
from benchmarks.quick import swat

BUDGETS = (65, 261)  # non-zeros; the second is what a dense network of 3 x 10 has
SHAPE: dict[str, Any] = {"hidden_layer_sizes": (10, 10, 10), "activation": "tanh", "alpha": 0.0}
DENSE: dict[str, dict[str, Any]] = {
    # No stopping before the end: without noise nothing is overfitted.
    "adam": {"solver": "adam", "max_iter": 500, "tol": 0.0, "n_iter_no_change": 500},
    "lbfgs": {"solver": "lbfgs", "max_iter": 1_000, "max_fun": 100_000, "tol": 0.0},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    # The functions are smooth and without noise: what a user who knows that would set.
    "tanh": {"activations": "tanh", "alpha": 0.0, "max_width": 12},
}
# What the package must reach: within so many non-zeros, on so many functions, below whom.
WINS = ((65, 45, ("adam",)), (65, 27, ("lbfgs",)), (261, 45, ("adam", "lbfgs")))


# --------------------------------------------------------------------- measurements


def fit_and_judge(model: Any, rows: Sequence[Any]) -> dict[str, Any]:
    """Fit a model, and return its test error and the processor time of the fit.

    Parameters
    ----------
    model : estimator
        Unfitted.
    rows : sequence
        ``X_train, X_test, y_train, y_test``.

    Returns
    -------
    dict
        ``test_loss``, relative to the best constant of the training rows, and
        ``processor_seconds``.
    """
    X_train, X_test, y_train, y_test = rows
    start = time.process_time()
    fit_quietly(model, X_train, y_train)
    seconds = time.process_time() - start
    return {
        "test_loss": relative_error(model.predict(X_test), y_test, y_train),
        "processor_seconds": seconds,
    }


def relative_error(predicted: Any, y: Any, y_train: Any) -> float:
    """Return a mean squared error divided by that of the mean of the training rows.

    Parameters
    ----------
    predicted, y, y_train : ndarray of shape (n,)
        Predictions, the truth, the training targets.

    Returns
    -------
    float
    """
    return float(np.mean((predicted - y) ** 2) / np.mean((np.mean(y_train) - y) ** 2))


def run_one(name: str, n_rows: int, seed: int, max_epochs: int) -> dict[str, Any]:
    """Measure all networks on one function.

    Parameters
    ----------
    name : str
        The function.
    n_rows : int
        Training rows: the first ones.
    seed : int
        Of all models; the rows are the benchmark's own.
    max_epochs : int
        Epochs of Adam and iterations of L-BFGS at most.

    Returns
    -------
    dict
        The record that is kept; an entry of `SETTINGS` holds the networks selected by
        budget, and the whole front as ``[nnz, validation loss, test loss]``.
    """
    X_train, X_test, y_train, y_test = sample(name)
    rows = X_train[:n_rows], X_test, y_train[:n_rows], y_test
    record: dict[str, Any] = {"table": name, "n_rows": n_rows, "seed": seed}
    for method, parameters in DENSE.items():
        limited = {**parameters, "max_iter": min(max_epochs, parameters["max_iter"])}
        record[method] = fit_and_judge(MLPRegressor(random_state=seed, **SHAPE, **limited), rows)
    swat("regression", seed, max_iter=1, refine=False).fit(X_train[:100], y_train[:100])
    for setting, parameters in SETTINGS.items():
        model = swat("regression", seed, **parameters)
        found = fit_and_judge(model, rows)
        budgets = {}
        for budget in BUDGETS:
            selected = model.select(max_nnz=budget)
            budgets[str(budget)] = {
                "nnz": int(selected.nnz_),
                "depth": int(selected.depth_),
                "test_loss": relative_error(selected.predict(X_test), y_test, rows[2]),
            }
        front = [
            [
                int(point.nnz),
                float(point.validation_loss),
                relative_error(point.network.predict(X_test)[:, 0], y_test, rows[2]),
            ]
            for point in model.path_
        ]
        record[setting] = {**found, "nnz": int(model.nnz_), "budgets": budgets, "front": front}
    return record


# --------------------------------------------------------------------- report


def flatten(runs: Sequence[dict[str, Any]], setting: str) -> pd.DataFrame:
    """Return the median test loss over seeds.

    Parameters
    ----------
    runs : sequence of dict
        Records.
    setting : str
        One of `SETTINGS`.

    Returns
    -------
    DataFrame
        A row per function; columns ``adam``, ``lbfgs``, one per budget, ``nnz BUDGET``,
        and ``best BUDGET``: the lowest test loss on the front within the budget,
        which no choice could know.
    """
    rows = []
    for run in runs:
        row: dict[str, Any] = {"function": run["table"]}
        row |= {method: run[method]["test_loss"] for method in DENSE}
        for budget in BUDGETS:
            selected = run[setting]["budgets"][str(budget)]
            row[str(budget)] = selected["test_loss"]
            row[f"nnz {budget}"] = selected["nnz"]
            within = [loss for nnz, _, loss in run[setting]["front"] if nnz <= budget]
            row[f"best {budget}"] = min(within)
        rows.append(row)
    return pd.DataFrame(rows).groupby("function", sort=False).median()


def wins_lines(losses: pd.DataFrame) -> list[str]:
    """Return a line per requirement, met or missed.

    Parameters
    ----------
    losses : DataFrame
        What `flatten` returns.

    Returns
    -------
    list of str
        With fewer functions than there are, the requirement shrinks in proportion.
    """
    n, lines = len(losses), []

    def add(budget: int, required: int, names: Sequence[str]) -> None:
        rival = losses[list(names)].min(axis=1)
        won = int((losses[str(budget)] < rival).sum())
        could = int((losses[f"best {budget}"] < rival).sum())
        lines.append(
            verdict(
                won * len(NAMES) >= required * n,
                f"at most {budget} non-zeros, below {' and '.join(names)} on {required} of "
                f"{len(NAMES)}",
                f"{won} of {n} (the best of the front by test loss: {could})",
            )
        )

    for budget, required, names in WINS:
        add(budget, required, names)
    return lines


def table_of(losses: pd.DataFrame) -> str:
    """Return a line per function.

    Parameters
    ----------
    losses : DataFrame
        What `flatten` returns.

    Returns
    -------
    str
        An asterisk stands where a dense network is better.
    """
    shown = losses[list(DENSE)].map("{:.5f}".format)
    for budget in BUDGETS:
        shown[f"within {budget}"] = [
            f"{row[str(budget)]:.5f} ({row[f'nnz {budget}']:.0f})"
            f"{' *' if row[str(budget)] >= row[list(DENSE)].min() else '  '}"
            for _, row in losses.iterrows()
        ]
    return shown.to_string()


def make_report(results: dict[str, Any]) -> str:
    """Return the report of kept results.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
        Per setting a line per function, medians, and the requirements.
    """
    runs = results["runs"]
    seeds = len({run["seed"] for run in runs})
    parts = [
        f"Test error relative to the best constant (non-zeros), median over {seeds} seed(s);\n"
        "* where a dense network is better"
    ]
    for setting, parameters in SETTINGS.items():
        losses = flatten(runs, setting)
        medians = losses[[*DENSE, *map(str, BUDGETS)]].median()
        parts.append(f"{setting}: {parameters or 'no parameter given'}\n{table_of(losses)}")
        parts.append("median: " + ", ".join(f"{m} {loss:.4f}" for m, loss in medians.items()))
        parts.append("\n".join(wins_lines(losses)))
    seconds = {
        method: float(np.median([run[method]["processor_seconds"] for run in runs]))
        for method in (*DENSE, *SETTINGS)
    }
    times = ", ".join(f"{method} {value:.1f}" for method, value in seconds.items())
    parts.append(f"Median processor seconds of a fit: {times}")
    return "\n\n".join(parts)


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
    names, seeds = options.functions or NAMES, range(options.seeds)
    keys = ((name, options.rows, seed) for seed in seeds for name in names)
    todo = [(*key, options.max_epochs) for key in missing(results, keys)]

    def describe(record: dict[str, Any]) -> str:
        losses = {method: record[method]["test_loss"] for method in DENSE}
        for setting in SETTINGS:
            for budget, found in record[setting]["budgets"].items():
                losses[f"{setting} {budget}"] = found["test_loss"]
        text = ", ".join(f"{method} {loss:.5f}" for method, loss in losses.items())
        return f"{record['table']}, seed {record['seed']}: {text}"

    run_and_keep(results, options.out, run_one, todo, options.jobs, describe, NAMES)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("cornn", __doc__)
    add = parser.add_argument
    add("--functions", nargs="+", choices=NAMES, metavar="NAME", help="default: all 54")
    add("--seeds", type=int, default=1, help="of the models; the rows are always the same")
    add("--rows", type=int, default=3_750, help="training rows")
    add("--max-epochs", type=int, default=1_000, help="of Adam, and iterations of L-BFGS")
    add("--jobs", type=int, default=1, help="processes")
    add_resume_option(parser)
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

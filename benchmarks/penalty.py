"""What the price of size buys: alpha per activation function, and the parts of the penalty.

Two open questions of arXiv 2410.08339. First, the size and the test loss of the
descent's hard network over a grid of alpha, per activation function. Second, the
same with the penalty's parts one by one: L1, soft count, both, neither. No pruning
path follows, for it would hide what the penalty does. Results are kept as JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pandas as pd

from benchmarks._command import add_table_options, make_parser, report
from benchmarks._data import load_table
from benchmarks._results import describe_machine, run_and_keep
from benchmarks.advantage import take_rows, test_loss
from benchmarks.quick import swat
from sklearn_swat import _objective
from sklearn_swat._activations import ACTIVATION_NAMES

N_ROWS = 512  # for training
ALPHAS = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
ACTIVATIONS = (*ACTIVATION_NAMES, "all")
PARTS = ("L1 and soft count", "L1 only", "soft count only", "neither")


def penalised_by(part: str) -> Any:
    """Return a context in which descent's penalty consists of some of its parts.

    Parameters
    ----------
    part : str
        One of `PARTS`. What networks are judged by stays the hard count.

    Returns
    -------
    context manager
    """
    count = _objective.presence
    if part == "neither":
        return mock.patch("sklearn_swat._descent.soft_size", lambda s, n, t, _: 0.0 * t)
    if part == "soft count only":
        return mock.patch.object(_objective, "L1_SHARE", 0.0)
    if part == "L1 only":
        return mock.patch.object(_objective, "presence", lambda w, t, s: 0.0 * count(w, t, s))
    return nullcontext()


def run_one(name: str, n_rows: int, seed: int) -> dict[str, Any]:
    """Fit one table with every alpha, activation function and part of the penalty.

    Parameters
    ----------
    name : str
        The table.
    n_rows : int
        Training rows.
    seed : int
        Of the rows and of all models.

    Returns
    -------
    dict
        The record that is kept; ``fits`` holds alpha, activation, penalty, nnz, test loss.
    """
    table = load_table(name)
    X_train, X_test, y_train, y_test = take_rows(table, n_rows, seed)
    fits = []
    variants = [(activation, PARTS[0]) for activation in ACTIVATIONS]
    variants += [("all", part) for part in PARTS[1:]]
    for activation, part in variants:
        for alpha in ALPHAS:
            parameters = {"alpha": alpha, "activations": activation, "refine": False}
            model = swat(table.task, seed, **parameters)
            with penalised_by(part):
                model.fit(X_train, y_train)
            loss = test_loss(model, table.task, X_test, y_test, y_train)
            found = {"nnz": int(model.nnz_), "test_loss": loss}
            fits.append({"alpha": alpha, "activation": activation, "penalty": part, **found})
    return {"table": name, "task": table.task, "n_rows": n_rows, "seed": seed, "fits": fits}


def make_report(results: dict[str, Any]) -> str:
    """Return the medians of kept results as two tables.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
    """
    frame = pd.DataFrame(
        [
            {"table": run["table"], "seed": run["seed"], **fit}
            for run in results["runs"]
            for fit in run["fits"]
        ]
    )

    def cells(part: pd.DataFrame, key: str) -> str:
        medians = part.groupby([key, "alpha"], sort=False)[["nnz", "test_loss"]].median()
        text = medians.apply(lambda m: f"{m['nnz']:.0f}, {m['test_loss']:.3f}", axis=1)
        return text.unstack().to_string()

    return "\n".join(
        [
            "Non-zeros and normalised test loss: medians over tables and seeds",
            "",
            "Per activation function, over alpha",
            cells(frame[frame["penalty"] == PARTS[0]], "activation"),
            "",
            "Per part of the penalty, over alpha",
            cells(frame[frame["activation"] == "all"], "penalty"),
        ]
    )


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run every table and seed, and keep every record as it comes.

    Parameters
    ----------
    options : Namespace
        The command line.

    Returns
    -------
    dict
    """
    results: dict[str, Any] = {"meta": describe_machine(), "runs": []}
    todo = [
        (name, N_ROWS, seed)
        for name in options.tables
        for seed in range(options.seeds)
        if 1.25 * N_ROWS < len(load_table(name).X)
    ]
    run_and_keep(
        results, options.out, run_one, todo, options.jobs,
        lambda record: f"{record['table']}, seed {record['seed']}",
    )  # fmt: skip
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("penalty", __doc__)
    add_table_options(parser, n_seeds=2)
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

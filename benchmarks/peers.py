"""Score against size: one fit's front against other sparse networks and dense ones.

Per table and seed: the networks of 25, 50, 100 and 200 non-zeros that `select` takes of
one default fit, the same family trained directly (descent on random weights, then the
same pruning path), gradual magnitude pruning, LassoNet, scikit-learn's MLP (default, early
stopping, L-BFGS, grid search) and a torch MLP. Results are kept as JSON, one record per
table and seed; report and picture are computed from that file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from benchmarks._command import add_resume_option, add_table_options, make_parser, report
from benchmarks._data import load_table, split_table
from benchmarks._dense_peers import dense_peers
from benchmarks._peers_report import draw_curves, make_report
from benchmarks._results import begin, run_and_keep
from benchmarks._sparse_peers import lassonet_path, magnitude_pruning
from benchmarks.advantage import test_loss
from benchmarks.quick import MAX_ROWS, swat

BUDGETS = (25, 50, 100, 200)
FAMILY = {"swat": {}, "direct": {"space": "weights", "start": "random"}}
PEERS = {"magnitude": magnitude_pruning, "lassonet": lassonet_path}
WARM_UP_ROWS = 200


def run_one(
    name: str, n_rows: int, seed: int, wanted: Sequence[str], kept: dict[str, Any] | None
) -> dict[str, Any]:
    """Measure methods on one table with one seed.

    Parameters
    ----------
    name : str
        The table.
    n_rows : int
        Of the whole table; part of the key of a record.
    seed : int
        Of the split and of all models.
    wanted : sequence of str
        Methods to measure.
    kept : dict or None
        An earlier record of other methods.

    Returns
    -------
    dict
        The record that is kept: ``methods`` holds processor and wall seconds of each
        fit, the former also in fits of a default MLP (``mlp_fits``), and, per budget or
        once, score, test loss and size.
    """
    table = load_table(name)
    X_train, X_test, y_train, y_test = split_table(table, seed)
    X_train, X_test = X_train.to_numpy(), X_test.to_numpy()
    score = r2_score if table.task == "regression" else accuracy_score

    def judged(model: Any, nnz: int) -> dict[str, Any]:
        return {
            "nnz": int(nnz),
            "score": float(score(y_test, model.predict(X_test))),
            "test_loss": test_loss(model, table.task, X_test, y_test, y_train),
        }

    def of_family(parameters: dict[str, Any]) -> dict[str, Any]:
        clock = _Clock()
        model = swat(table.task, seed, **parameters).fit(X_train, y_train)
        seconds = clock.seconds()
        chosen = {b: model.select(max_nnz=b) for b in BUDGETS}
        front = [(point, model.select(index=i)) for i, point in enumerate(model.path_)]
        return {
            **seconds,
            **judged(model, model.nnz_),
            "budgets": {str(b): judged(selected, selected.nnz_) for b, selected in chosen.items()},
            "front": [
                {**judged(selected, selected.nnz_), "validation_loss": point.validation_loss}
                for point, selected in front
            ],
        }

    def of_peer(fit: Callable[..., dict[int, Any]]) -> dict[str, Any]:
        clock = _Clock()
        networks = fit(table.task, X_train, y_train, BUDGETS, seed)
        seconds = clock.seconds()
        budgets = {str(b): judged(n, n.nnz) for b, n in sorted(networks.items())}
        return {**seconds, "budgets": budgets}

    def of_dense(fit: Callable[..., tuple[Any, int]]) -> dict[str, Any]:
        clock = _Clock()
        try:
            model, weights = fit(X_train, y_train)
        except ValueError as error:  # early stopping with a class of one row
            return {"error": f"{type(error).__name__}: {error}"}
        return {**clock.seconds(), **judged(model, weights)}

    def in_mlp_fits(found: dict[str, Any]) -> dict[str, Any]:
        if "processor_seconds" not in found:
            return found
        return {**found, "mlp_fits": found["processor_seconds"] / mlp["processor_seconds"]}

    # The import of torch is nobody's.
    swat(table.task, seed, max_iter=1, refine=False).fit(
        X_train[:WARM_UP_ROWS], y_train[:WARM_UP_ROWS]
    )
    dense = dense_peers(table.task, seed)
    mlp = of_dense(dense["mlp"])  # the measure of all others: machines differ
    measures = {
        **{method: partial(of_family, parameters) for method, parameters in FAMILY.items()},
        **{method: partial(of_peer, fit) for method, fit in PEERS.items()},
        **{method: partial(of_dense, fit) for method, fit in dense.items()},
        "mlp": lambda: mlp,
    }
    methods = kept["methods"] if kept else {}
    methods = {
        method: in_mlp_fits(measure()) if method in wanted else methods[method]
        for method, measure in measures.items()
        if method in wanted or method in methods
    }
    return {
        "table": name, "task": table.task, "n_rows": n_rows, "seed": seed,
        "n_features": X_train.shape[1], "methods": methods,
    }  # fmt: skip


class _Clock:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def seconds(self) -> dict[str, float]:
        return {
            "wall_seconds": time.perf_counter() - self.wall,
            "processor_seconds": time.process_time() - self.processor,
        }


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
    skipped = list(options.skip)
    for method in ("lassonet", "skorch"):
        name = "torch_mlp" if method == "skorch" else method
        if name not in skipped and importlib.util.find_spec(method) is None:
            print(
                f"note: {name} is left out, for {method} is not installed: pip install {method}",
                file=sys.stderr,
            )
            skipped.append(name)
    results = begin(options)
    kept = {(run["table"], run["seed"]): run for run in results["runs"]}
    todo = []
    for seed in range(options.seeds):
        for name in options.tables:
            n_rows, before = len(load_table(name).X), kept.get((name, seed))
            there = before["methods"] if before else {}
            wanted = [
                method for method in _methods()
                if method not in skipped and (method in options.again or method not in there)
            ]  # fmt: skip
            if wanted and n_rows <= MAX_ROWS:
                todo.append((name, n_rows, seed, wanted, before))

    def describe(record: dict[str, Any]) -> str:
        parts = []
        for method, found in record["methods"].items():
            scores = [f"{b}: {v['score']:.3f}" for b, v in found.get("budgets", {}).items()]
            parts.append(f"{method} {', '.join(scores) or round(found.get('score', np.nan), 3)}")
        return f"{record['table']}, seed {record['seed']}: {'; '.join(parts)}"

    run_and_keep(results, options.out, run_one, todo, options.jobs, describe, replaces=True)
    return results


def _methods() -> tuple[str, ...]:
    """Return the names of all methods."""
    return (*FAMILY, *PEERS, *dense_peers("regression", 0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, print its report and draw its picture.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("peers", __doc__)
    add_table_options(parser, n_seeds=3)
    add = parser.add_argument
    add_resume_option(parser)
    several = {"nargs": "+", "default": [], "choices": _methods(), "metavar": "METHOD"}
    add("--skip", **several, help="leave out")
    add("--again", **several, help="with --resume, measure anew")
    add("--picture", type=Path, help="draw score against size into this file")
    options = parser.parse_args(arguments)
    report(options, run_all, make_report)
    if options.picture:
        results = json.loads(options.out.read_text(encoding="utf-8"))
        draw_curves(results, options.picture)


if __name__ == "__main__":
    main()

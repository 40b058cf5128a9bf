"""How small a network does what a 100-unit MLP does.

Per regression table: scikit-learn's MLP with its defaults, on scaled inputs and targets,
is compressed on its own training rows. Measured on test rows, which neither of
them has seen: R2 fidelity to the MLP, and the score beside the MLP's, of the most
faithful network of at most a tenth of its numbers, and of the smallest whose fidelity
on the rows that `compress` holds out is 0.99. Results are kept as JSON, one record
per table and seed, and the report is computed from that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from benchmarks._command import add_resume_option, add_table_options, make_parser, report
from benchmarks._data import REGRESSION, load_table, split_table
from benchmarks._dense import count_weights, dense_mlp, fit_quietly
from benchmarks._results import begin, run_and_keep
from sklearn_swat.compression import Compression, compress

MAX_ROWS = 3_000  # training rows, of the MLP and of `compress`
SHARE = 0.1  # of the numbers of the MLP
FIDELITY = 0.99
TABLES_TO_MEET = 0.5  # the share of the tables on which both are to hold
TITLES = {
    "default": "default alpha",
    "budget": f"within {SHARE:.0%}",
    "smallest": f"smallest of {FIDELITY}",
}


def describe(
    result: Compression, mlp: Any, X: NDArray[Any], y: NDArray[Any]
) -> dict[str, int | float]:
    """Measure the chosen network on test rows.

    Parameters
    ----------
    result : Compression
    mlp : estimator
        What was compressed.
    X, y : ndarray
        Test rows.

    Returns
    -------
    dict
        Size, fidelity on the rows held out by `compress` and on the test rows, score.
    """
    return {
        "nnz": result.nnz,
        "fidelity_held_out": result.fidelity,
        "fidelity": float(r2_score(mlp.predict(X), result.estimator.predict(X))),
        "score": float(result.estimator.score(X, y)),
    }


def run_one(name: str, seed: int) -> dict[str, Any]:
    """Compress the MLP of one table with one seed.

    Parameters
    ----------
    name : str
        The table.
    seed : int
        Of the split, the MLP and the search.

    Returns
    -------
    dict
        The record that is kept; its ``smallest`` is None where no network of the front
        is faithful enough.
    """
    table = load_table(name)
    X_train, X_test, y_train, y_test = split_table(table, seed)
    X, y = X_train.to_numpy()[:MAX_ROWS], y_train[:MAX_ROWS]
    rows = (X_test.to_numpy(), y_test)
    mlp = fit_quietly(dense_mlp(table.task, seed), X, y)
    before = count_weights(mlp)
    result = compress(mlp, X, random_state=seed)
    most_faithful = float(result.path_fidelity.max())
    smallest = None
    if most_faithful >= FIDELITY:
        smallest = describe(result.select(min_fidelity=FIDELITY), mlp, *rows)
    return {
        "table": name,
        "task": table.task,
        "n_rows": len(X),
        "was_cut": len(X) < len(X_train),
        "n_features": X.shape[1],
        "seed": seed,
        "nnz_before": before,
        "score_before": float(mlp.score(*rows)),
        "default": describe(result, mlp, *rows),
        "budget": describe(result.select(max_nnz=int(SHARE * before)), mlp, *rows),
        "smallest": smallest,
    }


def meets_target(run: dict[str, Any]) -> bool:
    """Say whether the network within the budget is faithful enough on the test rows."""
    budget = run["budget"]
    return bool(budget["nnz"] <= SHARE * run["nnz_before"] and budget["fidelity"] >= FIDELITY)


def make_report(results: dict[str, Any]) -> str:
    """Return a table and the verdict.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
    """

    def cells(run: dict[str, Any], key: str) -> tuple[str, ...]:
        found = run[key]
        if found is None:
            return "none", "", "", ""
        share = f"{found['nnz'] / run['nnz_before']:.1%}"
        return str(found["nnz"]), share, f"{found['fidelity']:.4f}", f"{found['score']:.3f}"

    names = ("nnz", "share", "fidelity", "its R2")
    lines = [
        {
            ("", "table"): run["table"] + ("*" if run["was_cut"] else ""),
            ("", "seed"): run["seed"],
            ("", "rows"): run["n_rows"],
            ("MLP", "numbers"): run["nnz_before"],
            ("MLP", "R2"): f"{run['score_before']:.3f}",
            **{
                (title, name): cell
                for key, title in TITLES.items()
                for name, cell in zip(names, cells(run, key), strict=True)
            },
            ("target", ""): "met" if meets_target(run) else "missed",
        }
        for run in results["runs"]
    ]
    n_runs, n_met = len(lines), sum(map(meets_target, results["runs"]))
    verdict = "met" if n_met >= TABLES_TO_MEET * n_runs else "NOT met"
    table = pd.DataFrame(lines)
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    return "\n".join(
        [
            "Small networks in place of an MLP of 100 units. On test rows: their R2 fidelity to",
            "it, and the R2 score of each. The network within the budget is chosen by its loss on",
            f"validation rows; the smallest has fidelity {FIDELITY} on the rows that compress held",
            f"out. * marks tables of which the first {MAX_ROWS:,} training rows were taken.",
            "",
            table.to_string(index=False),
            "",
            f"At most {SHARE:.0%} of the numbers at fidelity {FIDELITY}: {n_met} of {n_runs} fits.",
            f"The target, {TABLES_TO_MEET:.0%} of them, is {verdict}.",
        ]
    )


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run every regression table and seed that is missing, and keep every record as it comes.

    Parameters
    ----------
    options : Namespace
        The command line.

    Returns
    -------
    dict
    """
    results = begin(options)
    done = {(run["table"], run["seed"]) for run in results["runs"]}
    todo = [
        (name, seed)
        for name in options.tables
        for seed in range(options.seeds)
        if name in REGRESSION and (name, seed) not in done
    ]
    run_and_keep(
        results, options.out, run_one, todo, options.jobs,
        lambda record: f"{record['table']}, seed {record['seed']}: fidelity "
        f"{record['budget']['fidelity']:.4f} with {record['budget']['nnz']} numbers",
    )  # fmt: skip
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("compress", __doc__)
    add_table_options(parser, n_seeds=1)
    add_resume_option(parser)
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

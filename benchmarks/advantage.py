"""Is the latent space an advantage? Its networks against others, from few rows to all.

Per table or random function, number of training rows and seed, the hard test loss of: the data-set
encoder's network without any descent, latent descent from there and from a random
point, descent on the weights with the same penalty and the same wall time, the whole
fit in both spaces, and scikit-learn's MLP. Results are kept as JSON, one record per
table, number of rows and seed, and the report is computed from that file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from benchmarks._command import add_resume_option, add_table_options, make_parser, report
from benchmarks._data import TASKS, Table, draw_function, load_table, split_table
from benchmarks._dense import dense_mlp, fit_quietly
from benchmarks._results import begin, run_and_keep
from benchmarks.quick import MAX_ROWS, NEVER, WEIGHT_RATE_FACTORS, WEIGHT_STARTS, swat

ALL_ROWS = 0  # on the command line
TEST_ROWS = 2_000  # at most, which keeps the noise of a test loss far below that of the seeds
LEAST_PROBABILITY = 1e-3  # of a class, in a test loss: an unseen class must not cost infinity

FUNCTIONS = tuple(f"function_{i:02d}" for i in range(100))

LATENT_DESCENTS = {
    "latent": {"space": "latent"},
    "latent_random": {"space": "latent", "start": "random"},
}
WEIGHT_DESCENTS = {f"weights_{start}": start for start in WEIGHT_STARTS}
FITS = {"fit": {}, "fit_weights": {"space": "weights", "start": "random"}}
NAMES = {
    "start": "the data-set encoder's network, no descent",
    "both": "the default descent from there: latent, then weights",
    "latent": "descent on the latent point alone, from there",
    "latent_random": "descent on a random latent point alone",
    "weights_data": "descent on the weights from the same start",
    "weights_random": "descent on the weights from random ones",
    "fit": "the whole fit: the default descent, then pruning paths",
    "fit_weights": "the whole fit, with descent on random weights",
    "mlp": "scikit-learn's MLP, defaults",
    "mlp_early": "scikit-learn's MLP, early stopping on the same share of rows",
}


# --------------------------------------------------------------------- measurements


def load(name: str) -> Table:
    """Return a table, or a random function.

    Parameters
    ----------
    name : str
        Of a table, or of `FUNCTIONS`.

    Returns
    -------
    Table
    """
    return draw_function(FUNCTIONS.index(name)) if name in FUNCTIONS else load_table(name)


def take_rows(
    table: Table, n_rows: int, seed: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return training and test rows, the training rows as few as asked for.

    Parameters
    ----------
    table : Table
        The table.
    n_rows : int
        Training rows; `ALL_ROWS` for 80 % of the table.
    seed : int
        Of the split and of the choice.

    Returns
    -------
    X_train, X_test, y_train, y_test
        Arrays. Classes are stratified where every class has two rows.
    """
    X_train, X_test, y_train, y_test = split_table(table, seed)
    X_train, X_test = X_train.to_numpy(), X_test.to_numpy()[:TEST_ROWS]
    if n_rows != ALL_ROWS:
        counts = np.unique(y_train, return_counts=True)[1]
        can_stratify = table.task == "classification" and counts.min() > 1 and len(counts) < n_rows
        X_train, _, y_train, _ = train_test_split(
            X_train, y_train, train_size=n_rows, random_state=seed,
            stratify=y_train if can_stratify else None,
        )  # fmt: skip
    return X_train, X_test, y_train, y_test[:TEST_ROWS]


def test_loss(
    model: Any, task: str, X: NDArray[Any], y: NDArray[Any], y_train: NDArray[Any]
) -> float:
    """Return a model's loss on test rows, divided by that of the best constant.

    Parameters
    ----------
    model : estimator
        Fitted.
    task : {"regression", "classification"}
        Squared error or log-loss.
    X, y : ndarray
        Test rows.
    y_train : ndarray
        The training targets, which the constant is taken from.

    Returns
    -------
    float
        0 is perfect, 1 is worth nothing.
    """
    if task == "regression":
        error = np.mean((model.predict(X) - y) ** 2)
        return float(error / np.mean((np.mean(y_train) - y) ** 2))
    classes, counts = np.unique(y_train, return_counts=True)
    of_rows = {
        "model": model.predict_proba(X),
        "constant": np.tile(counts / counts.sum(), (len(y), 1)),
    }
    position = {name: i for i, name in enumerate(classes)}
    losses = {}
    for who, probabilities in of_rows.items():
        right = [p[position[c]] if c in position else 0.0 for p, c in zip(probabilities, y)]  # noqa: B905
        losses[who] = -np.mean(np.log(np.maximum(right, LEAST_PROBABILITY)))
    return float(losses["model"] / losses["constant"])


def run_one(
    name: str,
    n_rows: int,
    seed: int,
    kept: dict[str, Any] | None = None,
    again: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure every method on one table, number of rows and seed.

    Parameters
    ----------
    name : str
        Of a table, or of `FUNCTIONS`.
    n_rows : int
        Training rows, or `ALL_ROWS`.
    seed : int
        The seed of the rows and of all models.
    kept : dict, optional
        An earlier record, of which the methods `again` are measured anew.
    again : sequence of str, default=()
        Keys of `NAMES`.

    Returns
    -------
    dict
        The record that is kept: ``methods`` holds test loss, nnz and seconds.
    """
    table = load(name)
    X_train, X_test, y_train, y_test = take_rows(table, n_rows, seed)
    defaults = swat(table.task, seed)
    methods: dict[str, dict[str, float]] = dict(kept["methods"]) if kept else {}
    todo = set(again) if kept else set(NAMES)

    def keep(method: str, model: Any, seconds: float) -> None:
        loss = test_loss(model, table.task, X_test, y_test, y_train)
        methods[method] = {"test_loss": loss, "seconds": seconds}
        if hasattr(model, "nnz_"):
            methods[method]["nnz"] = int(model.nnz_)

    def fitted(**parameters: Any) -> tuple[Any, float]:
        start = time.perf_counter()
        model = swat(table.task, seed, **parameters).fit(X_train, y_train)
        return model, time.perf_counter() - start

    def steps_within(seconds: float, **parameters: Any) -> int:
        """Return how many steps take so long."""
        _, trial = fitted(**parameters)
        return max(1, round(defaults.max_iter * seconds / trial))

    record = {
        "table": name, "task": table.task, "n_rows": n_rows, "seed": seed, "methods": methods,
    }  # fmt: skip
    fitted(max_iter=1, refine=False)  # the import of torch is nobody's
    for method, parameters in FITS.items():
        if method in todo:
            keep(method, *fitted(**parameters))
    if "start" in todo:
        keep("start", *fitted(refine=False, max_iter=0))
    if todo & {"both", *LATENT_DESCENTS, *WEIGHT_DESCENTS}:  # its time is what they all get
        keep("both", *fitted(refine=False))
    seconds, rate = methods["both"]["seconds"], defaults.learning_rate
    free = {"refine": False, "n_iter_no_change": NEVER}
    for method, parameters in LATENT_DESCENTS.items():
        if method not in todo:
            continue
        steps = steps_within(seconds, **free, **parameters)
        keep(method, *fitted(max_iter=steps, **free, **parameters))
    for method, start in WEIGHT_DESCENTS.items():
        if method not in todo:
            continue
        on_weights = {**free, "space": "weights", "start": start}
        steps = steps_within(seconds, **on_weights)
        runs = [
            fitted(max_iter=steps, learning_rate=factor * rate, **on_weights)
            for factor in WEIGHT_RATE_FACTORS
        ]
        best = min(runs, key=lambda run: min(p.validation_loss for p in run[0].path_))
        keep(method, *best)
    for method, early in (("mlp", False), ("mlp_early", True)):
        if method not in todo:
            continue
        stopping = {"early_stopping": True, "validation_fraction": 0.2} if early else {}
        dense = dense_mlp(table.task, seed, **stopping)
        if early:
            counts = np.unique(y_train, return_counts=True)[1]
            if table.task == "classification" and counts.min() < 2:
                continue  # scikit-learn's early stopping needs two rows of every class
        start_time = time.perf_counter()
        try:
            fit_quietly(dense, X_train, y_train)
        except ValueError:
            if not early:
                raise
            continue  # its validation rows lack a class
        keep(method, dense, time.perf_counter() - start_time)
    return record


def start_loss(name: str, n_rows: int, seed: int, **parameters: Any) -> float:
    """Return the test loss of the data-set encoder's network, without any descent.

    Parameters
    ----------
    name : str
        Of a table, or of `FUNCTIONS`.
    n_rows : int
        Training rows at most, or `ALL_ROWS`; small tables have fewer.
    seed : int
        The seed of the rows and of the fit.
    **parameters
        Of the estimator, as ``checkpoint``.

    Returns
    -------
    float
    """
    table = load(name)
    n_all = int(0.8 * len(table.y))
    rows = take_rows(table, n_rows if n_rows < n_all else ALL_ROWS, seed)
    X_train, X_test, y_train, y_test = rows
    model = swat(table.task, seed, refine=False, max_iter=0, **parameters)
    model.fit(X_train, y_train)
    return test_loss(model, table.task, X_test, y_test, y_train)


# --------------------------------------------------------------------- report


def flatten(runs: Sequence[dict[str, Any]], statistic: str = "median") -> pd.DataFrame:
    """Return the test loss over seeds: a row per table and rows, a column per method.

    Parameters
    ----------
    runs : sequence of dict
        Records.
    statistic : {"median", "std"}, default="median"
        Of the losses of the seeds.

    Returns
    -------
    DataFrame
        Indexed by ``n_rows`` and ``table``.
    """
    records = [
        {"n_rows": run["n_rows"] or np.inf, "table": run["table"], "method": method, **values}
        for run in runs
        for method, values in run["methods"].items()
    ]
    frame = pd.DataFrame(records)
    return frame.pivot_table(
        index=["n_rows", "table"], columns="method", values="test_loss", aggfunc=statistic
    )


def share_won(losses: pd.DataFrame, method: str, rival: str) -> str:
    """Return on how many tables a method's median test loss is below a rival's.

    Parameters
    ----------
    losses : DataFrame
        A row per table, a column per method.
    method, rival : str
        Columns.

    Returns
    -------
    str
        ``won of all (median difference)``.
    """
    both = losses[[method, rival]].dropna()
    difference = both[method] - both[rival]
    return f"{(difference < 0).sum()} of {len(both)} ({difference.median():+.3f})"


def rows_label(n: float) -> str:
    """Return how the report calls ``n`` training rows, of which infinitely many are all."""
    return "all rows" if n == np.inf else f"{int(n)} rows"


def make_report(results: dict[str, Any]) -> str:
    """Return the report of kept results.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
        For tables, and for random functions.
    """
    runs = results["runs"]
    of_functions = [run for run in runs if run["table"] in FUNCTIONS]
    of_tables = [run for run in runs if run["table"] not in FUNCTIONS]
    kinds = (("tables", of_tables), ("random functions", of_functions))
    return "\n\n".join(report_of(kind, found) for kind, found in kinds if found)


def report_of(kind: str, runs: Sequence[dict[str, Any]]) -> str:
    """Return the report of one kind of data.

    Parameters
    ----------
    kind : str
        What the report calls them.
    runs : sequence of dict
        Records.

    Returns
    -------
    str
        A table of medians and spreads, and who wins against whom.
    """
    losses = flatten(runs)
    lines = [
        f"Normalised hard test loss, median over {kind} of the median over seeds "
        "(in brackets of the standard deviation)",
        "",
    ]
    methods = [method for method in NAMES if method in losses]
    loss, spread = (
        numbers.groupby(level="n_rows").median().reindex(columns=methods).T
        for numbers in (losses, flatten(runs, "std"))
    )
    cells = pd.DataFrame(
        {
            rows_label(n): [
                f"{value:.3f} ({deviation:.3f})" if deviation >= 0 else f"{value:.3f}"
                for value, deviation in zip(loss[n], spread.get(n, loss[n] * np.nan), strict=True)
            ]
            for n in loss
        },
        index=[f"{method:14s}  {NAMES[method]}" for method in methods],
    )
    lines += [cells.to_string(), ""]
    rivals = (
        ("both", "weights_random"),
        ("both", "weights_data"),
        ("latent", "weights_random"),
        ("latent", "weights_data"),
        ("latent", "latent_random"),
        ("start", "mlp"),
        ("start", "mlp_early"),
        ("both", "mlp"),
        ("fit", "fit_weights"),
        ("fit", "mlp"),
    )
    pairs = [pair for pair in rivals if set(pair) <= set(losses)]
    won = pd.DataFrame(
        {
            rows_label(n): [share_won(group, method, rival) for method, rival in pairs]
            for n, group in losses.groupby(level="n_rows")
        },
        index=[f"{method} against {rival}" for method, rival in pairs],
    )
    lines += [f"{kind.capitalize()} won (median difference of the loss; below 0 is better)", ""]
    lines += [won.to_string()]
    return "\n".join(lines)


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
    done = {(run["table"], run["n_rows"], run["seed"]): run for run in results["runs"]}
    todo = []
    for name in (*options.tables, *FUNCTIONS[: options.functions]):
        n_table = len(load(name).X)
        keys = [
            (name, n_rows, seed)
            for n_rows in options.rows
            for seed in range(options.seeds)
            if n_table <= MAX_ROWS and 1.25 * n_rows < n_table
        ]
        if options.again:
            todo += [(*key, done[key], options.again) for key in keys if key in done]
        else:
            todo += [(*key, None, ()) for key in keys if key not in done]

    def describe(record: dict[str, Any]) -> str:
        losses = {m: round(v["test_loss"], 3) for m, v in record["methods"].items()}
        name, n_rows, seed = record["table"], record["n_rows"] or "all", record["seed"]
        return f"{name}, {n_rows} rows, seed {seed}: {losses}"

    names = (*TASKS, *FUNCTIONS)
    run_and_keep(
        results, options.out, run_one, todo, options.jobs, describe, names,
        replaces=bool(options.again),
    )  # fmt: skip
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("advantage", __doc__)
    add_table_options(parser, n_seeds=5)
    add = parser.add_argument
    add("--rows", nargs="+", type=int, default=[32, 128, 512, ALL_ROWS], help="0 for all")
    add("--functions", type=int, default=12, help="random functions beside the tables")
    add_resume_option(parser)
    add(
        "--again", nargs="+", choices=list(NAMES), default=[], metavar="METHOD",
        help="with --resume: these of the records that there are, anew, and before a descent the "
        "default one, whose time it gets",
    )  # fmt: skip
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

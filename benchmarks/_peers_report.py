"""The report and the picture of ``benchmarks.peers``, computed from the kept results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._report import verdict

# What the package must reach. At equal size: the share of tables on which it is better.
SHARES = {"magnitude": 0.95, "lassonet": 0.95, "direct": 0.75}
SCORE_MARGIN = 0.005  # behind the grid search, on at most a quarter of the tables
MIN_FRACTION_WITHIN = 0.75
MAX_WEIGHT_SHARE = 0.05
MAX_GRID_TIME, MAX_MLP_TIME = 0.1, 4.0

ALPHAS = (0.0, 1e-5, 2e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # prices to choose by

NAMES = {
    "swat": "SWAT, default fit",
    "direct": "direct training, same family",
    "magnitude": "magnitude pruning",
    "lassonet": "LassoNet",
    "mlp": "MLP, defaults",
    "mlp_early": "MLP, early stopping",
    "mlp_lbfgs": "MLP, L-BFGS",
    "torch_mlp": "torch MLP, early stopping",
    "grid": "MLP, grid search",
}


def by_budget(runs: Sequence[dict[str, Any]], value: str) -> pd.DataFrame:
    """Return a value at every budget, the median over seeds.

    Parameters
    ----------
    runs : sequence of dict
        Records.
    value : str
        ``score`` or ``test_loss``.

    Returns
    -------
    DataFrame
        Indexed by ``budget`` and ``table``, a column per method. A method without any
        network within a budget has NaN there.
    """
    rows = [
        {"budget": int(b), "table": run["table"], "method": method, "value": network[value]}
        for run in runs
        for method, found in run["methods"].items()
        for b, network in found.get("budgets", {}).items()
    ]
    return pd.DataFrame(rows).pivot_table(
        index=["budget", "table"], columns="method", values="value", aggfunc="median", sort=False
    )


def of_fits(runs: Sequence[dict[str, Any]], value: str) -> pd.DataFrame:
    """Return a value of the chosen networks, the median over seeds.

    Parameters
    ----------
    runs : sequence of dict
        Records.
    value : str
        Of a method: ``score``, ``test_loss``, ``nnz``, ``mlp_fits``.

    Returns
    -------
    DataFrame
        A row per table, a column per method that has the value.
    """
    rows = [
        {"table": run["table"], "method": method, "value": found[value]}
        for run in runs
        for method, found in run["methods"].items()
        if value in found
    ]
    return pd.DataFrame(rows).pivot_table(
        index="table", columns="method", values="value", aggfunc="median", sort=False
    )


def by_alpha(runs: Sequence[dict[str, Any]], alphas: Sequence[float] = ALPHAS) -> pd.DataFrame:
    """Return what every price would choose of the fronts of the default fits.

    Parameters
    ----------
    runs : sequence of dict
        Records.
    alphas : sequence of float

    Returns
    -------
    DataFrame
        Indexed by ``alpha``: ``score``, the mean over tables of the mean over seeds,
        ``nnz``, the median over tables of the median, and ``best``, on how many tables no
        other price of these has a higher mean score.
    """
    rows = []
    for run in runs:
        front = run["methods"]["swat"]["front"]
        for alpha in alphas:
            prices = [point["validation_loss"] + alpha * point["nnz"] for point in front]
            chosen = front[int(np.argmin(prices))]
            rows.append({"alpha": alpha, "table": run["table"], **chosen})
    frame = pd.DataFrame(rows).groupby(["alpha", "table"], sort=False)
    score, nnz = frame["score"].mean().unstack(), frame["nnz"].median().unstack()
    best = score.ge(score.max()).sum(axis=1)
    return pd.DataFrame({"score": score.mean(axis=1), "nnz": nnz.median(axis=1), "best": best})


def won_lines(scores: pd.DataFrame) -> list[str]:
    """Return a line per rival and budget: on how many tables the default fit is better.

    Parameters
    ----------
    scores : DataFrame
        What `by_budget` returns for ``score``.

    Returns
    -------
    list of str
        A tie is no win. A rival without a network within the budget loses.
    """
    lines = []
    for rival, share in SHARES.items():
        if rival not in scores:
            continue
        for budget, group in scores.groupby(level="budget"):
            ours, theirs = group["swat"], group[rival].fillna(-np.inf)
            won, tied = int((ours > theirs).sum()), int((ours == theirs).sum())
            difference = (ours - group[rival]).median()
            lines.append(
                verdict(
                    won >= share * len(group),
                    f"{budget} non-zeros, better than {NAMES[rival]} on {share:.0%} of tables",
                    f"{won} of {len(group)}, {tied} ties, median difference {difference:+.3f}",
                )
            )
    return lines


def dense_lines(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return the verdict on the default fit beside the dense networks.

    Parameters
    ----------
    runs : sequence of dict
        Records.

    Returns
    -------
    list of str
        A line per requirement.
    """
    scores, sizes = of_fits(runs, "score"), of_fits(runs, "nnz")
    times = of_fits(runs, "mlp_fits")
    lines = []
    if "grid" in scores:
        within = int((scores["swat"] >= scores["grid"] - SCORE_MARGIN).sum())
        share = float((sizes["swat"] / sizes["grid"]).median())
        ratio = float((times["swat"] / times["grid"]).median())
        lines = [
            verdict(
                within >= MIN_FRACTION_WITHIN * len(scores),
                f"default fit not below the grid search minus {SCORE_MARGIN} on "
                f"{MIN_FRACTION_WITHIN:.0%} of tables",
                f"{within} of {len(scores)}",
            ),
            verdict(
                share <= MAX_WEIGHT_SHARE,
                f"a median of at most {MAX_WEIGHT_SHARE:.0%} of its weights",
                f"{share:.1%}",
            ),
            verdict(
                ratio <= MAX_GRID_TIME,
                f"fit in at most {MAX_GRID_TIME:g} of its time",
                f"{ratio:.3f} in the median",
            ),
        ]
    if "mlp" in scores:
        ratio = float(times["swat"].median())
        lines.append(
            verdict(
                ratio <= MAX_MLP_TIME,
                f"fit in at most {MAX_MLP_TIME:g} times a default MLP's",
                f"{ratio:.1f} times in the median",
            )
        )
    return lines


def make_report(results: dict[str, Any]) -> str:
    """Return the report of kept results.

    Parameters
    ----------
    results : dict
        The content of the JSON file.

    Returns
    -------
    str
        Scores at every budget, scores of the chosen networks, and the requirements.
    """
    runs = results["runs"]
    scores = by_budget(runs, "score")
    methods = [method for method in NAMES if method in scores]
    parts = [
        ", ".join(f"{key} {value}" for key, value in results["meta"].items()),
        f"{len({run['table'] for run in runs})} tables, {len({run['seed'] for run in runs})} "
        "split(s); medians over splits; R2 for regression, accuracy for classification. Times "
        "are processor seconds, divided by those of a default MLP's fit in the same run.",
    ]
    for budget, group in scores.groupby(level="budget"):
        shown = group.droplevel("budget")[methods].rename(columns=NAMES)
        parts.append(f"At most {budget} non-zeros\n{shown.to_string(float_format='{:.3f}'.format)}")
    chosen, sizes = of_fits(runs, "score"), of_fits(runs, "nnz")
    times = of_fits(runs, "mlp_fits")
    rows = []
    for table, row in chosen.iterrows():
        cells = {"table": table}
        for method in NAMES:
            if method in row and np.isfinite(row[method]):
                size, time = sizes.loc[table, method], times.loc[table, method]
                cells[NAMES[method]] = f"{row[method]:.3f} ({size:,.0f}; {time:.1f})"
        rows.append(cells)
    text = pd.DataFrame(rows).to_string(index=False)
    parts.append(f"The fits themselves: score (weights; time)\n{text}")
    if all("front" in run["methods"]["swat"] for run in runs):
        prices = by_alpha(runs).to_string(float_format="{:.4g}".format)
        parts.append(
            "What other prices choose of the fronts of the default fits: mean score, median size, "
            f"tables without a better price\n{prices}"
        )
    parts.append("\n".join(won_lines(scores)))
    losses = by_budget(runs, "test_loss")
    loss_parts = [
        f"  {budget} non-zeros, {NAMES[rival]}: "
        f"{int((group['swat'] < group[rival].fillna(np.inf)).sum())} of {len(group)}"
        for rival in SHARES
        if rival in losses
        for budget, group in losses.groupby(level="budget")
    ]
    parts.append("Better by test loss (squared error, log-loss)\n" + "\n".join(loss_parts))
    parts.append("\n".join(dense_lines(runs)))
    return "\n\n".join(parts)


def draw_curves(results: dict[str, Any], path: Path) -> None:
    """Draw score against size, a panel per table.

    Parameters
    ----------
    results : dict
        The content of the JSON file.
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
        raise ImportError("The picture needs matplotlib: pip install matplotlib") from error
    runs = results["runs"]
    scores = {run["table"]: "R²" if run["task"] == "regression" else "accuracy" for run in runs}
    tables = list(scores)
    n_columns = min(4, len(tables))
    n_lines = -(-len(tables) // n_columns)
    figure = Figure(figsize=(3.2 * n_columns, 2.6 * n_lines + 0.6), layout="constrained")
    axes = figure.subplots(n_lines, n_columns, squeeze=False)
    for axis in axes.ravel()[len(tables) :]:
        axis.set_axis_off()
    colours = {"swat": "C0", "direct": "C2", "magnitude": "C1", "lassonet": "C3"}
    for axis, table in zip(axes.ravel(), tables, strict=False):
        of_table = [run["methods"] for run in runs if run["table"] == table]
        for method, colour in colours.items():
            points = _points(of_table, method)
            if points.empty:
                continue
            sizes = points.index.to_numpy()
            style = {"color": colour, "zorder": 3 if method == "swat" else 2}
            axis.plot(sizes, points["median"], marker="o", ms=4, label=NAMES[method], **style)
            axis.fill_between(sizes, points["min"], points["max"], alpha=0.1, color=colour)
        weights = []
        for method, line in (("mlp", ":"), ("grid", "--")):
            found = [methods[method] for methods in of_table if "score" in methods.get(method, {})]
            if found:
                level = float(np.median([f["score"] for f in found]))
                axis.axhline(level, color="0.4", ls=line, lw=1, label=NAMES[method])
                weights.append(f"{int(np.median([f['nnz'] for f in found])):,}")
        axis.set_xscale("log")
        axis.set_xticks(sizes_of(of_table), [str(b) for b in sizes_of(of_table)])
        axis.minorticks_off()
        axis.set_title(table + (f" ({' and '.join(weights)})" if weights else ""), fontsize=8)
        axis.set_ylabel(f"test {scores[table]}", fontsize=7)
        axis.tick_params(labelsize=7)
    figure.supxlabel("non-zero weights and biases, at most", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def sizes_of(of_table: Sequence[dict[str, Any]]) -> list[int]:
    """Return the budgets of a table's records, ascending.

    Parameters
    ----------
    of_table : sequence of dict
        The ``methods`` of its records.

    Returns
    -------
    list of int
    """
    return sorted({int(b) for methods in of_table for b in methods["swat"]["budgets"]})


def _points(of_table: Sequence[dict[str, Any]], method: str) -> pd.DataFrame:
    """Median, lowest and highest score over seeds, a row per budget."""
    rows = [
        {"budget": int(budget), "score": network["score"]}
        for methods in of_table
        for budget, network in methods.get(method, {}).get("budgets", {}).items()
    ]
    if not rows:
        return pd.DataFrame()
    return pd.DataFrame(rows).groupby("budget")["score"].agg(["median", "min", "max"])

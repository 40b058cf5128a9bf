"""The report of ``benchmarks.quick``: tables and verdict, computed from the kept results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

# What the package must reach.
SCORE_MARGIN = 0.01
MIN_FRACTION_WITHIN = 0.75
MAX_MEDIAN_NNZ = 120
MAX_FIT_SECONDS = 4.0
MAX_FIT_MEGABYTES = 700.0
MAX_PREDICT_RATIO = 1.0

STEPS = (20, 50, 100)  # where the descents are compared, beside start and end


def spread(values: Iterable[float], digits: int) -> str:
    """Return ``median (lowest to highest)``.

    Parameters
    ----------
    values : iterable of float
        One value per seed.
    digits : int
        Decimal places.

    Returns
    -------
    str
        Without the bracket where all values agree.
    """
    numbers = list(values)
    low, middle, high = (
        f"{number:,.{digits}f}" for number in (min(numbers), np.median(numbers), max(numbers))
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def verdict(met: bool, requirement: str, measured: str) -> str:
    """Return one line of the verdict.

    Parameters
    ----------
    met : bool
        Whether the requirement is met.
    requirement, measured : str
        What is required and what was found.

    Returns
    -------
    str
        The line.
    """
    return f"{'met   ' if met else 'MISSED'}  {requirement}: {measured}"


def per_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the medians over seeds that the verdict is made from.

    Parameters
    ----------
    runs : DataFrame
        The records of the tables without an error.

    Returns
    -------
    DataFrame
        A row per table: ``difference`` of the scores, ``nnz`` and ``predict_ratio``.
    """
    columns = {
        "table": runs["table"],
        "difference": runs["swat_score"] - runs["dense_score"],
        "nnz": runs["swat_nnz"],
        "predict_ratio": runs["swat_predict_seconds"] / runs["dense_predict_seconds"],
    }
    return pd.DataFrame(columns).groupby("table", sort=False).median()


def score_table(runs: pd.DataFrame) -> str:
    """Return the table of scores, sizes and times.

    Parameters
    ----------
    runs : DataFrame
        The records of the tables without an error.

    Returns
    -------
    str
        A row per table, median and spread over seeds.
    """
    medians = per_table(runs)
    rows = []
    for name, group in runs.groupby("table", sort=False):
        difference = medians.loc[name, "difference"]
        rows.append(
            {
                "table": name,
                "rows x features": f"{group['n_rows'].iloc[0]} x {group['n_features'].iloc[0]}",
                "SWAT score": spread(group["swat_score"], 3),
                "dense score": spread(group["dense_score"], 3),
                "difference": f"{difference:+.3f}{'' if difference >= -SCORE_MARGIN else ' *'}",
                "SWAT nnz": spread(group["swat_nnz"], 0),
                "dense weights": f"{int(group['dense_weights'].median()):,}",
                "fit s": spread(group["swat_fit_seconds"], 1),
                "dense fit s": spread(group["dense_fit_seconds"], 1),
                "predict ms": f"{1e3 * group['swat_predict_seconds'].median():.2f}",
                "dense ms": f"{1e3 * group['dense_predict_seconds'].median():.2f}",
            }
        )
    return pd.DataFrame(rows).to_string(index=False)


def verdict_lines(runs: pd.DataFrame, n_failed: int, process: dict[str, Any]) -> list[str]:
    """Return a line per requirement.

    Parameters
    ----------
    runs : DataFrame
        The records of the tables without an error.
    n_failed : int
        The number of tables with an error; they count as not within.
    process : dict
        What `measure_process` returned.

    Returns
    -------
    list of str
        Met or missed, the requirement, the figure.
    """
    medians = per_table(runs)
    n = len(medians) + n_failed
    within = int((medians["difference"] >= -SCORE_MARGIN).sum())
    nnz = float(medians["nnz"].median())
    ratio = float(medians["predict_ratio"].median())
    slower = int((medians["predict_ratio"] > MAX_PREDICT_RATIO).sum())
    first, peak = process["first_fit_seconds"], process["peak_megabytes"]
    return [
        verdict(
            within >= MIN_FRACTION_WITHIN * n,
            f"score within {SCORE_MARGIN} of the dense MLP or better on "
            f"{MIN_FRACTION_WITHIN:.0%} of tables",
            f"{within} of {n}",
        ),
        verdict(nnz <= MAX_MEDIAN_NNZ, f"median of at most {MAX_MEDIAN_NNZ} non-zeros", f"{nnz:g}"),
        verdict(
            first <= MAX_FIT_SECONDS,
            f"first default fit on 1,000 x 10 within {MAX_FIT_SECONDS:g} s, torch's import too",
            f"{first:.1f} s (a second fit: {process['second_fit_seconds']:.1f} s)",
        ),
        verdict(
            peak <= MAX_FIT_MEGABYTES,
            f"memory of that process within {MAX_FIT_MEGABYTES:g} MB",
            f"{peak:.0f} MB",
        ),
        verdict(
            not process["import_loads_torch"],
            "import without torch",
            f"torch {'IS' if process['import_loads_torch'] else 'is not'} imported, "
            f"{process['import_seconds']:.2f} s",
        ),
        verdict(
            ratio <= MAX_PREDICT_RATIO,
            "predict of 1,000 rows no slower than the dense MLP's",
            f"{ratio:.2f} of its time in the median, slower on {slower} of {len(medians)} tables",
        ),
    ]


def descent_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the losses of the descents, the median over seeds.

    Parameters
    ----------
    runs : DataFrame
        The records that have a ``descent``.

    Returns
    -------
    DataFrame
        A row per table, a column per (descent, moment).
    """
    moments = ("start", *map(str, STEPS), "end", "steps", "seconds")
    rows = [
        {
            "table": run["table"],
            **{
                f"{name} {moment}": values[moment]
                for name, values in run["descent"].items()
                for moment in moments
            },
        }
        for run in runs.to_dict("records")
    ]
    return pd.DataFrame(rows).groupby("table", sort=False).median()


def compare_words(table: pd.DataFrame, other: str, words: str) -> str:
    """Say in words whether the default descent wins against another.

    Parameters
    ----------
    table : DataFrame
        What `descent_table` returns.
    other : str
        The other descent, as its columns name it.
    words : str
        What to call it.

    Returns
    -------
    str
        One sentence.
    """
    both, weights = table["both end"], table[f"{other} end"]
    lower, higher = int((both < weights).sum()), int((both > weights).sum())
    outcome = "WINS against" if lower > higher else "LOSES to" if lower < higher else "draws with"
    return (
        f"The default descent {outcome} {words}: it ends lower on {lower} and higher on "
        f"{higher} of {len(table)} tables (median final loss {both.median():.4f} against "
        f"{weights.median():.4f}; wall time {table['both seconds'].median():.1f} s against "
        f"{table[f'{other} seconds'].median():.1f} s)."
    )


def descent_report(runs: pd.DataFrame) -> str:
    """Return the part of the report about the descents.

    Parameters
    ----------
    runs : DataFrame
        The records that have a ``descent``.

    Returns
    -------
    str
        A table per descent and the outcome in words.
    """
    table = descent_table(runs)
    titles = {
        "both": "the default descent (latent, then weights), default rate",
        "weights_data": "descent on the weights from the same start, the best of three rates",
        "weights_random": "descent on the weights from random ones, the best of three rates",
    }
    parts = [
        "Hard validation loss (normalised, the best so far of all candidates), at the same wall\n"
        "time, with the same penalty and the same candidates; no pruning path, no early stopping;\n"
        "median over seeds."
    ]
    for name, title in titles.items():
        part = table.filter(regex=f"^{name} ").rename(columns=lambda c: str(c).split(" ")[1])
        part.loc["median"] = part.median()
        text = part.to_string(
            float_format="{:.4f}".format,
            formatters={"steps": "{:.0f}".format, "seconds": "{:.1f}".format},
        )
        parts.append(f"{title}\n{text}")
    parts.append(compare_words(table, "weights_data", "weight-space descent from the same start"))
    parts.append(compare_words(table, "weights_random", "weight-space descent from random weights"))
    return "\n\n".join(parts)


def make_report(results: dict[str, Any]) -> str:
    """Compute the whole report from the kept results.

    Parameters
    ----------
    results : dict
        The content of the JSON file.

    Returns
    -------
    str
        The tables, the verdict and the comparison of descents.
    """
    runs = pd.DataFrame(results["runs"])
    errors = runs["error"].notna() if "error" in runs else pd.Series(False, index=runs.index)
    failed = runs[errors]
    runs = runs[~runs["table"].isin(failed["table"])]
    parts = [", ".join(f"{key} {value}" for key, value in results["meta"].items())]
    parts += [f"FAILED {run.table}, seed {run.seed}: {run.error}" for run in failed.itertuples()]
    if len(runs):
        lines = verdict_lines(runs, failed["table"].nunique(), results["process"])
        seeds = runs["seed"].nunique()
        parts.append(
            f"Median (lowest to highest) over {seeds} seeds; the score is R2 for regression and "
            f"accuracy for classification; * is more than {SCORE_MARGIN} behind.\n\n"
            + score_table(runs)
        )
        parts.append("\n".join(lines))
        if "descent" in runs and runs["descent"].notna().any():
            parts.append(descent_report(runs[runs["descent"].notna()]))
    return "\n\n".join(parts)

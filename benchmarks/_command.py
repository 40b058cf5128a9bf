"""The command line that the studies share: where the results lie, and the report of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._data import TASKS, available_tables, load_table


def make_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every study.

    Parameters
    ----------
    name : str
        Of the module in ``benchmarks``, and of its file of results.
    description : str or None
        What ``--help`` begins with.

    Returns
    -------
    ArgumentParser
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    out = Path("benchmarks/results") / f"{name}.json"
    parser.add_argument("--out", type=Path, default=out, help="the results")
    parser.add_argument(
        "--report-only", action="store_true", help="run nothing: the report of --out"
    )
    return parser


def add_resume_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that `benchmarks._results.begin` asks for.

    Parameters
    ----------
    parser : ArgumentParser
        Changed in place.
    """
    parser.add_argument("--resume", action="store_true", help="keep the records that --out holds")


def add_table_options(parser: argparse.ArgumentParser, n_seeds: int) -> None:
    """Add the options of a study of tables.

    Parameters
    ----------
    parser : ArgumentParser
        Changed in place.
    n_seeds : int
        Splits per table by default.
    """
    add = parser.add_argument
    add("--tables", nargs="+", choices=list(TASKS), metavar="NAME", help="default: all there are")
    add("--seeds", type=int, default=n_seeds, help="splits per table")
    add("--jobs", type=int, default=1, help="processes; more than 1 disturbs the times")


def report(
    options: argparse.Namespace,
    run_all: Callable[[argparse.Namespace], dict[str, Any]],
    make_report: Callable[[dict[str, Any]], str],
) -> None:
    """Print the report of results that are kept, or that are made now.

    Parameters
    ----------
    options : Namespace
        The command line.
    run_all : callable
        Makes the results and keeps them.
    make_report : callable

    Raises
    ------
    FileNotFoundError
        If a study of tables finds none.
    """
    if options.report_only:
        results = json.loads(options.out.read_text(encoding="utf-8"))
    else:
        if "tables" in options:
            options.tables = options.tables or available_tables()
            if not options.tables:
                load_table(next(iter(TASKS)))  # says where it looked and what to set
        results = run_all(options)
    print(make_report(results))

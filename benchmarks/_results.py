"""Results as files: JSON that is written whole, with the versions that it depends on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from benchmarks._data import TASKS
from sklearn_swat import __version__


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code: versions and cores.

    Returns
    -------
    dict
        Names and values.
    """
    packages = ("numpy", "scipy", "scikit-learn", "torch")
    return {
        "sklearn_swat": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "cores": os.cpu_count(),
    }


def begin(options: argparse.Namespace) -> dict[str, Any]:
    """Return results to add to: empty ones, or with ``--resume`` those that are kept.

    Parameters
    ----------
    options : Namespace
        The command line, with `out` and `resume`.

    Returns
    -------
    dict
        ``meta`` of this machine, and ``runs``. A file that was begun with other versions
        is gone on with, under a note.
    """
    results: dict[str, Any] = {"meta": describe_machine(), "runs": []}
    if options.resume and options.out.exists():
        kept = json.loads(options.out.read_text(encoding="utf-8"))
        results["runs"] = kept["runs"]
        if kept["meta"] != results["meta"]:
            print(f"note: {options.out} was begun with {kept['meta']}", file=sys.stderr)
    return results


def missing(
    results: dict[str, Any], keys: Iterable[tuple[str, int, int]]
) -> list[tuple[str, int, int]]:
    """Return what there is no record of.

    Parameters
    ----------
    results : dict
        With ``runs``.
    keys : iterable of tuple
        Table, rows and seed of what there is to be.

    Returns
    -------
    list of tuple
        The keys that are left, in their order.
    """
    done = {(run["table"], run["n_rows"], run["seed"]) for run in results["runs"]}
    return [key for key in keys if key not in done]


def save(results: dict[str, Any], path: Path) -> None:
    """Write the results in one go: an interrupted write leaves the old file.

    Parameters
    ----------
    results : dict
        The content of the file.
    path : Path
        The JSON file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def run_and_keep(
    results: dict[str, Any],
    path: Path,
    run_one: Callable[..., dict[str, Any]],
    todo: Sequence[tuple[Any, ...]],
    n_jobs: int,
    describe: Callable[[dict[str, Any]], str],
    names: Sequence[str] = tuple(TASKS),
    *,
    replaces: bool = False,
) -> None:
    """Run what is to do; add every record to the results, and keep them, as it comes.

    Parameters
    ----------
    results : dict
        Its ``runs`` grow; they stay sorted by table and by the numbers behind it.
    path : Path
        The JSON file.
    run_one : callable
        Called with each entry of `todo`; returns a record.
    todo : sequence of tuple
    n_jobs : int
        Processes.
    describe : callable
        Makes the line of a record that shows progress.
    names : sequence of str
        Of all tables that there are, in the order to keep.
    replaces : bool, default=False
        Whether a record takes the place of one of the same table and numbers.
    """

    def position(run: dict[str, Any]) -> tuple[int, int, int]:
        return names.index(run["table"]), run["n_rows"], run["seed"]

    started = time.perf_counter()
    calls = (delayed(run_one)(*arguments) for arguments in todo)
    records = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls)
    for i, record in enumerate(records, start=1):
        if replaces:
            others = [run for run in results["runs"] if position(run) != position(record)]
            results["runs"] = others
        results["runs"].append(record)
        results["runs"].sort(key=position)
        save(results, path)
        elapsed = time.perf_counter() - started
        print(f"[{i}/{len(todo)}, {elapsed:.0f} s] {describe(record)}", file=sys.stderr)
    save(results, path)

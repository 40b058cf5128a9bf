"""Fits of any data: how many kept the promises, how many were refused, and which failed.

The cases are those of ``tests/any_input.py``, many more of them than the test suite takes.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks._command import make_parser, report
from benchmarks._results import describe_machine, save
from tests.any_input import Case, broken_promises, cases

QUICK = {"max_iter": 3, "depth": 1, "max_width": 4, "n_restarts": 1, "random_state": 0}
KEPT_FAILURES = 20


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, fit, report."""
    parser = make_parser("fuzz", __doc__)
    add = parser.add_argument
    add("--examples", type=int, default=1000, help="up to 400 rows, 60 features; quick settings")
    add("--large-examples", type=int, default=150, help="up to 2,000 rows, 300 features; quick")
    add("--default-examples", type=int, default=150, help="up to 200 rows; default settings")
    add("--seed", type=int, default=0, help="of the cases")
    report(parser.parse_args(arguments), run_all, make_report)


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run all kinds of cases and keep what came of them.

    Parameters
    ----------
    options : Namespace

    Returns
    -------
    dict
    """
    results: dict[str, Any] = {"machine": describe_machine(), "runs": {}}
    quick = cases(max_rows=400, max_features=60)
    small = cases(max_rows=200, max_features=20, max_classes=10, max_outputs=5)
    runs = (
        ("quick settings", options.examples, quick, QUICK),
        ("large tables", options.large_examples, cases(), QUICK),
        ("default settings", options.default_examples, small, {"random_state": 0}),
    )
    for name, n_examples, strategy, parameters in runs:
        if n_examples:
            record = {"parameters": parameters, "seed": options.seed}
            results["runs"][name] = record
            run(record, n_examples, strategy, lambda: save(results, Path(options.out)))
    save(results, Path(options.out))
    return results


def run(record: dict[str, Any], n_examples: int, strategy: Any, keep: Any) -> None:
    """Fit the cases; count how each ended, and note those that broke a promise.

    Parameters
    ----------
    record : dict
        With the parameters and the seed; the counts go there.
    n_examples : int
    strategy : hypothesis strategy
    keep : callable
        Called now and then, to write what there is.
    """
    endings: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    distinct: set[Case] = set()
    record.update(examples=0, fitted=0, refused={}, tasks={}, n_failures=0, failures=[])
    started = time.perf_counter()

    @seed(record["seed"])
    @settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def fit(case: Case) -> None:
        if case in distinct:
            return
        distinct.add(case)
        broken, ending = broken_promises(case, **record["parameters"])
        endings[_kind(ending)] += 1
        tasks[case.task] += 1
        if broken:
            record["n_failures"] += 1
            if len(record["failures"]) < KEPT_FAILURES:
                record["failures"].append({"case": case.asdict(), "broken": broken})
        record["examples"] += 1
        if record["examples"] % 50 == 0:
            note()

    def note() -> None:
        record["fitted"] = endings["fitted"]
        record["refused"] = {kind: n for kind, n in endings.most_common() if kind != "fitted"}
        record["tasks"] = dict(tasks)
        record["minutes"] = round((time.perf_counter() - started) / 60, 1)
        keep()

    fit()
    note()


def _kind(ending: str) -> str:
    """Leave the numbers out of an error, so that errors of one kind are counted together."""
    return " ".join(
        word for word in ending.split() if not any(letter.isdigit() for letter in word)
    )[:100]


def make_report(results: dict[str, Any]) -> str:
    """Tell the counts.

    Parameters
    ----------
    results : dict

    Returns
    -------
    str
    """
    lines = []
    for name, record in results["runs"].items():
        lines.append(
            f"{name}: {record['examples']} cases, {record['fitted']} fitted, "
            f"{sum(record['refused'].values())} refused, {record['n_failures']} broke a promise"
        )
        lines += [f"  refused {n}: {kind}" for kind, n in record["refused"].items()]
        lines += [f"  failed: {each['broken']} {each['case']}" for each in record["failures"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

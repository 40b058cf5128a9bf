"""Kills of a pretraining, and Ctrl-C in a fit, at random moments: what each one left behind.

A training of tiny sizes is killed as ``kill -9`` does it, then resumed. A fit is sent SIGINT.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from benchmarks._command import make_parser, report
from benchmarks._results import describe_machine, save
from sklearn_swat import SWATClassifier, SWATRegressor, _checkpoint
from sklearn_swat._checkpoint import load_checkpoint
from sklearn_swat._token_layers import AutoencoderConfig
from sklearn_swat.pretrain import _training
from tests.whole import assert_is_whole

TINY = AutoencoderConfig(latent_width=8, model_width=16, rank=4, n_heads=2, data_rounds=1)
INTERVAL = 3  # batches from one writing to the next, which is all that a kill may lose
NAME = "young.safetensors"
CHILD = "import sys; from benchmarks.faults import train_and_tell; train_and_tell(*sys.argv[1:])"
AIMS = ("writing", "batches", "start")
LATEST = {"start": 0.4, "batches": 1.0, "writing": 0.02}  # seconds behind what the aim waits for
FIT = {"max_iter": 10, "n_restarts": 1, "depth": 1, "random_state": 0}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, kill and interrupt, report."""
    parser = make_parser("faults", __doc__)
    add = parser.add_argument
    add("--kills", type=int, default=50, help="of a pretraining")
    add("--interrupts", type=int, default=100, help="of a fit")
    add("--seed", type=int, default=0, help="of the moments")
    report(parser.parse_args(arguments), run_all, make_report)


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Do all the harm and keep what came of it.

    Parameters
    ----------
    options : Namespace

    Returns
    -------
    dict
    """
    results: dict[str, Any] = {
        "machine": describe_machine(), "seed": options.seed, "interval": INTERVAL,
        "kills": [], "interrupts": [],
    }  # fmt: skip
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(options.kills):
            # The first three of six begin anew, the others go on with what is there by then.
            path = Path(folder) / str(i // 6 * 3 + i % 3) / NAME
            results["kills"].append(kill_and_resume(path, AIMS[i % 3], rng))
            save(results, options.out)
    kinds = [(kind, is_first) for is_first in (False, True) for kind in _DATA]
    cases = [_Case(*kind) for kind in kinds[: options.interrupts]]
    for i in range(options.interrupts):
        results["interrupts"].append(cases[i % len(cases)].interrupt(rng))
    save(results, options.out)
    return results


# ------------------------------------------------------------------------ kill -9
@contextmanager
def tiny_training(tell: Callable[[str], Any]) -> Iterator[None]:
    """Make the intervals of pretraining short, and tell of each batch and each writing.

    Parameters
    ----------
    tell : callable
        Called with ``batch N`` before the N-th, with ``writing`` and ``written``.
    """

    class Budget(_training.TimeBudget):
        def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
            super().on_batch_begin(net, training=training, **kwargs)
            if training:
                tell(f"batch {int(net.module_.n_batches)}")

    write = _checkpoint.write_whole

    def write_and_tell(*arguments: Any) -> None:
        tell("writing")
        write(*arguments)
        tell("written")

    with (
        patch.multiple(
            _training, BATCHES_PER_EPOCH=INTERVAL, HELD_OUT_BATCHES=1, TimeBudget=Budget,
            write_whole=write_and_tell,
        ),
        patch.object(_checkpoint, "write_whole", write_and_tell),
    ):  # fmt: skip
        yield


def train(path: Path, minutes: float, *, resume: bool) -> list[dict[str, float]]:
    """Pretrain a tiny autoencoder; an epoch more than no time allows.

    Parameters
    ----------
    path : Path
    minutes : float
    resume : bool

    Returns
    -------
    list of dict
        The records of the epochs.
    """
    options: dict[str, Any] = {"batch_size": 4, "config": TINY, "verbose": False}
    torch.set_num_threads(1)  # several would wait for one another, where the cores have other work
    # A kill may leave a first checkpoint without progress: the training begins anew.
    return _training.pretrain(path, minutes=minutes, resume=resume, overwrite=not resume, **options)


def train_and_tell(path: str, descriptor: str) -> None:
    """Pretrain until somebody kills this process; resume if there is something to resume.

    Parameters
    ----------
    path : str
        The checkpoint.
    descriptor : str
        Of the pipe to tell the events to.
    """

    def tell(event: str) -> None:
        os.write(int(descriptor), f"{event}\n".encode())

    tell("begun")
    with tiny_training(tell):
        train(Path(path), 5.0, resume=Path(f"{path}.progress").exists())


def kill_and_resume(path: Path, aim: str, rng: random.Random) -> dict[str, Any]:
    """Begin a training, or go on with it; kill it; look at the files; go on.

    Parameters
    ----------
    path : Path
        The checkpoint; with its progress beside it, that is gone on with.
    aim : {"start", "batches", "writing"}
        What the moment is near to.
    rng : Random

    Returns
    -------
    dict
        The aim, what the process was doing when the kill came, how many batches had begun, how
        many the resumption began with, and what was broken.
    """
    path.parent.mkdir(exist_ok=True)
    progress = path.with_name(f"{path.name}.progress")
    before = _kept_batches(progress)
    events = _killed(path, aim, rng)
    begun = max((int(event.split()[1]) + 1 for event in events if " " in event), default=before)
    doing = "writing" if events[-1] == "writing" else "batches" if len(events) > 1 else "start"
    kept = _kept_batches(progress)
    broken = []
    if path.exists() != progress.exists() and not (path.exists() and doing == "writing"):
        broken.append("one of checkpoint and progress is missing")  # the checkpoint is first
    half = len(list(path.parent.glob(f"*{_checkpoint.DRAFT}")))
    try:
        if path.exists():
            load_checkpoint(path)
        epochs = _kept_epochs(progress)
        resumed: list[str] = []
        with tiny_training(resumed.append):
            after = train(path, 1e-9, resume=progress.exists())
        if resumed[0] != f"batch {kept}":
            broken.append(f"the resumption began with {resumed[0]}, not {kept}")
        if after[: len(epochs)] != epochs or len(after) != len(epochs) + 1:
            broken.append("the records of the epochs before the kill have changed")
        if after[-1]["seconds"] <= max((epoch["seconds"] for epoch in epochs), default=0):
            broken.append("the time that was spent before is lost")
        if _kept_batches(progress) != kept + INTERVAL:
            broken.append("the resumption did not go on by an interval")
        load_checkpoint(path)
    except Exception as error:
        broken.append(f"{type(error).__name__}: {error}")
    if begun - kept > INTERVAL or kept < before:
        broken.append("more than the last interval is lost")
    if {file.name for file in path.parent.iterdir()} != {path.name, progress.name}:
        broken.append("half files are left")
    return {
        "aim": aim, "doing": doing, "before": before, "begun": begun, "kept": kept,
        "half_files_of_the_kill": half, "broken": broken,
    }  # fmt: skip


def _killed(path: Path, aim: str, rng: random.Random) -> list[str]:
    """Return the events of a training up to its kill."""
    awaited, nth = {"start": ("begun", 1), "batches": ("batch", rng.randint(1, 6))}.get(
        aim, ("writing", rng.randint(1, 6))
    )
    delay = rng.uniform(0, LATEST[aim])
    reading, writing = os.pipe()
    command = [sys.executable, "-c", CHILD, str(path), str(writing)]
    process = subprocess.Popen(command, pass_fds=[writing])
    os.close(writing)
    told = b""
    try:
        while sum(line.startswith(awaited) for line in told.decode().splitlines()) < nth:
            if not select.select([reading], [], [], 120)[0] or not (new := os.read(reading, 4096)):
                raise RuntimeError(f"the training ended or hung by itself, after {told!r}")
            told += new
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        while new := os.read(reading, 4096):
            told += new
    finally:
        process.kill()
        process.wait()
        os.close(reading)
    return told.decode().splitlines()


def _progress(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True) if path.exists() else {}


def _kept_batches(path: Path) -> int:
    state = _progress(path)
    return int(state["module"]["n_batches"]) if state else 0


def _kept_epochs(path: Path) -> list[dict[str, float]]:
    return json.loads(_progress(path).get("epochs", "[]"))


# ------------------------------------------------------------------------- Ctrl-C
_DATA = {SWATRegressor: load_diabetes, SWATClassifier: load_iris}


class _Case:
    """Fits of one kind of estimator, new or fitted before.

    Parameters
    ----------
    kind : type
    is_first : bool
        Whether the estimators were never fitted before.
    """

    def __init__(self, kind: type[BaseEstimator], is_first: bool) -> None:
        X, y = _DATA[kind](return_X_y=True)
        self.X, self.y = X[::2], y[::2]
        self.before = kind(**FIT)
        if not is_first:
            # Of other features and targets, so that parts of two fits could not pass for one.
            self.before.fit(self.X[:, :3], self.y % 2)
        self.is_first = is_first
        copy.copy(self.before).fit(self.X, self.y)  # loads what is loaded once
        started = time.perf_counter()
        copy.copy(self.before).fit(self.X, self.y)
        self.seconds = time.perf_counter() - started

    def interrupt(self, rng: random.Random) -> dict[str, Any]:
        """Send SIGINT in the middle of a fit, and look at the estimator.

        Parameters
        ----------
        rng : Random

        Returns
        -------
        dict
        """
        while True:
            model = copy.copy(self.before)
            moment = rng.uniform(1e-6, self.seconds)
            started = time.perf_counter()
            is_sent, ending, told = self._fit_until(model, moment)
            if is_sent:
                return {
                    "estimator": type(model).__name__, "fitted_before": not self.is_first,
                    "second": round(moment, 4), "outcome": self._outcome(model, ending, told),
                }  # fmt: skip
            self.seconds = time.perf_counter() - started  # the fit was done before its moment

    def _fit_until(self, model: BaseEstimator, moment: float) -> tuple[bool, str, list[str]]:
        """Fit; return whether SIGINT came before the end, how it ended, and its warnings."""
        is_sent, ending = False, "finished"

        def send(*_: Any) -> None:
            nonlocal is_sent
            is_sent = True
            signal.raise_signal(signal.SIGINT)

        on_alarm = signal.signal(signal.SIGALRM, send)
        # A shell's background job begins with SIGINT ignored, and so Python without its handler.
        on_interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                signal.setitimer(signal.ITIMER_REAL, moment)
                try:
                    model.fit(self.X, self.y)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            ending = "stopped"
        except Exception as error:
            ending = f"{type(error).__name__}: {error}"
        finally:
            signal.signal(signal.SIGALRM, on_alarm)
            signal.signal(signal.SIGINT, on_interrupt)
        messages = [str(each.message) for each in caught if each.category is ConvergenceWarning]
        return is_sent, ending, messages

    def _outcome(self, model: BaseEstimator, ending: str, told: list[str]) -> str:
        if ending == "stopped" and vars(model) == vars(self.before):
            try:
                check_is_fitted(model)
            except NotFittedError:
                return "exception, as before" if self.is_first else "half-fitted"
            ending = "as before"
        elif ending not in ("finished", "stopped"):
            return ending
        try:
            assert_is_whole(model, self.X[:, :3] if ending == "as before" else self.X)
        except Exception as error:
            return f"half-fitted ({type(error).__name__}: {error})"
        if ending == "as before":
            return "exception, as before"
        if ending == "stopped":
            return "exception, fitted whole"
        was_kept = model.stop_reason_ == "interrupt"
        if was_kept != any("interrupted" in each for each in told):
            return "usable, but without a word of it"
        return "usable, the best until then" if was_kept else "usable, fitted to the end"


def make_report(results: dict[str, Any]) -> str:
    """Tell the counts.

    Parameters
    ----------
    results : dict

    Returns
    -------
    str
    """
    kills, interrupts = results["kills"], results["interrupts"]
    doing = Counter(each["doing"] for each in kills)
    lost = Counter(each["begun"] - each["kept"] for each in kills)
    lines = [
        f"{len(kills)} kills ({', '.join(f'{n} at {name}' for name, n in doing.items())}); "
        f"{sum(each['before'] > 0 for each in kills)} of a resumption; "
        f"{sum(each['half_files_of_the_kill'] > 0 for each in kills)} left a half file, which the "
        "resumption removed",
        f"  batches begun and lost, at most {results['interval']} allowed: "
        + ", ".join(f"{n_lost} in {n}" for n_lost, n in sorted(lost.items())),
        f"  broke a promise: {sum(bool(each['broken']) for each in kills)}",
    ]
    lines += [f"    {each['aim']}: {each['broken']}" for each in kills if each["broken"]]
    lines.append(f"{len(interrupts)} interrupts of a fit")
    outcomes = Counter(each["outcome"] for each in interrupts)
    lines += [f"  {n} {outcome}" for outcome, n in outcomes.most_common()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

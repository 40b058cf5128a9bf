"""Pruning paths, and averages of what they find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from joblib import delayed, effective_n_jobs

from ._averages import averages, mean_left_out
from ._beginnings import Beginning, Pace
from ._control import Control, Deadline, Stage, time_shares
from ._descent_settings import DescentSettings
from ._fallback import run_calls
from ._losses import Loss
from ._network import SparseMLP
from ._problem import Problem
from ._pruning import PathPoint, pruning_rounds
from ._rows import Rows

# What a number of large networks has to be worth where there is such a path: they are kilobytes.
LARGE_PRICE = 1e-5
# Numbers of an average: on digits, 1,700 more lower the validation loss from 0.033 to 0.029, and
# make 230 kB of the 90 kB of a fitted estimator.
LARGEST_AVERAGE = 700


def run_paths(
    beginnings: Sequence[Beginning],
    problems: Sequence[Problem],
    n_jobs: int | None,
    control: Control,
    ends: Deadline,
    paths: list[list[PathPoint]],
    so_far: Callable[[], Any],
) -> tuple[bool, bool]:
    """Run the pruning paths, each with the rows of its own problem, and add them to `paths`.

    Returns
    -------
    all_ran : bool
        Whether every path got as far as one refined network.
    asked_to_stop : bool
        Whether a callback asks to end the fit here.
    """
    n = len(beginnings)
    stage = Stage(control, "pruning paths", "path", n)
    n_workers = min(effective_n_jobs(n_jobs), n)
    n_ran = 0
    trains = [
        problem.fewer_train if pace.sees_fewer else problem.few_train
        for (_, pace), problem in zip(beginnings, problems, strict=True)
    ]
    calls = [
        delayed(_run_path)(
            network, train, problem.few_validation, problem.loss, ends, pace, share=share
        )
        for (network, pace), train, problem, share in zip(
            beginnings, trains, problems, time_shares(n, n_workers), strict=True
        )
    ]
    try:
        for i, (path, reason) in enumerate(run_calls(calls, n_workers), start=1):
            refined = path[1:]  # the first is as it was given
            paths.append(problems[i - 1].judged(refined, trains[i - 1]))
            n_ran += reason is None or len(path) > 2  # the last is the constant
            if reason is not None:
                control.stopped(reason)
            control.say(f"path {i} of {n}  {_path_line(path)}")
            if stage.part_done(so_far) or control.was_interrupted:
                break
    except KeyboardInterrupt:
        control.stopped("interrupt")
    except MemoryError:  # a fit may go on without these paths
        stage.close(so_far)
        raise
    return n_ran == n, stage.close(so_far)


def _run_path(
    network: SparseMLP,
    train: Rows,
    validation: Rows,
    loss: Loss,
    ends: Deadline,
    pace: Pace,
    share: float,
) -> tuple[list[PathPoint], str | None]:
    """Run a pruning path as far as it gets; return also what cut it short."""
    path: list[PathPoint] = []
    own_end = ends.part(share)
    rounds = pruning_rounds(network, train, validation, loss, should_stop=own_end, **pace.rounds)
    try:
        for point in rounds:
            path.append(point)  # as they come: Ctrl-C keeps them
    except KeyboardInterrupt:
        return path, "interrupt"
    return path, "max_time" if own_end.has_passed else None


def average_paths(
    paths: list[list[PathPoint]],
    problem: Problem,
    settings: DescentSettings,
    control: Control,
    ends: Deadline,
) -> list[PathPoint]:
    """Return averages of the networks of several paths, as many as there is time for.

    All of them smooth the losses of classes; those of more than `LARGEST_AVERAGE` numbers are left
    out.
    """

    def judge(network: SparseMLP, members: Sequence[PathPoint]) -> PathPoint:
        return problem.candidate(network, mean_left_out(members))

    found: list[PathPoint] = []
    width, activations = settings.max_width, settings.activations
    try:
        for point in averages(paths, judge, max_width=width, activations=activations):
            found.append(point)
            if ends():
                control.stopped("max_time")
                break
    except KeyboardInterrupt:
        control.stopped("interrupt")
    return [point for point in problem.smoothed(found) if point.nnz <= LARGEST_AVERAGE]


def worth_their_size(
    points: Sequence[PathPoint], price: float, beyond: int = LARGEST_AVERAGE
) -> list[PathPoint]:
    """Leave out what has more than `beyond` numbers and is not worth their price."""
    kept, least = [], np.inf
    for point in sorted(points, key=lambda point: point.nnz):
        cost = point.validation_loss + price * point.nnz
        if point.nnz <= beyond or cost < least:
            kept.append(point)
        least = np.fmin(least, cost)
    return kept


def _path_line(path: list[PathPoint]) -> str:
    best = min(path, key=lambda point: point.validation_loss, default=None)
    if best is None:
        return "was interrupted before its first network"
    return (
        f"networks {len(path):3d}  best: validation loss {best.validation_loss:.4f}, "
        f"{best.nnz} non-zeros, depth {best.network.depth}"
    )

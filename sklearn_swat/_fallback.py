"""What a fit does when a device or its workers fail: it goes on with less."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from joblib import Parallel

from ._threads import one_torch_thread

if TYPE_CHECKING:
    from ._candidates import Descent
    from ._descent import Report
    from ._descent_settings import DescentSettings, DescentTask

# What torch and the libraries below it say when memory is not enough.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed", "not enough memory")


def descend_within_memory(
    task: DescentTask,
    settings: DescentSettings,
    load_autoencoder: Callable[[Any], Any] | None,
    seed: int,
    report: Report | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Descent, DescentSettings]:
    """Descend on the device of `settings`, or on the CPU if its memory is not enough.

    The CPU takes all candidates: its memory is the larger one, and the descent then is
    that of ``device="cpu"`` to the last bit.

    Parameters
    ----------
    task, settings, seed, report, should_stop
        As of `sklearn_swat._descent.descend`.
    load_autoencoder : callable or None
        Returns the autoencoder on a device; None if the descent needs none.

    Returns
    -------
    descent : Descent
    settings : DescentSettings
        With the device that it ran on.

    Raises
    ------
    MemoryError
        If the memory of the CPU is not enough either.
    """
    import torch

    from ._descent import descend

    reason = ""
    try:
        with one_torch_thread():  # hundreds of small tensors are looked at
            autoencoder = load_autoencoder(settings.device) if load_autoencoder else None
        return descend(task, settings, autoencoder, seed, report, should_stop), settings
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0]
    # Out of the except clause, whose traceback would keep the tensors.
    n, d = task.train.X.shape
    size = f"{len(settings.depths) * settings.n_restarts} candidates, {n} rows, {d} features"
    if settings.device.type == "cpu":
        raise MemoryError(
            f"memory is not enough for the descent of {size} ({reason}); pass fewer depths, "
            "n_restarts=1, a smaller max_width or batch_size, or fewer rows"
        )
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    warnings.warn(
        f"the memory of device {str(settings.device)!r} is not enough for the descent of {size} "
        f"({reason}): it runs on the CPU; pass device='cpu', fewer depths, n_restarts=1 or a "
        "smaller batch_size",
        RuntimeWarning,
        stacklevel=9,
    )
    on_cpu = replace(settings, device=torch.device("cpu"))
    return descend_within_memory(task, on_cpu, load_autoencoder, seed, report, should_stop)


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def run_calls(calls: Sequence[Any], n_jobs: int | None) -> Iterator[Any]:
    """Yield the results of calls in their order, several at a time.

    Parameters
    ----------
    calls : sequence of joblib.delayed calls
    n_jobs : int or None
        Calls at a time. If a worker process dies, those whose results are missing run
        here, one after the other, under a warning.

    Yields
    ------
    result
    """
    n_done = 0
    try:
        for result in Parallel(n_jobs=n_jobs, return_as="generator")(calls):
            n_done += 1
            yield result
    except BrokenExecutor:
        warnings.warn(
            f"a worker process died, most likely for want of memory: the last "
            f"{len(calls) - n_done} of {len(calls)} refinements or pruning paths run in this "
            "process; pass n_jobs=1, or a smaller one",
            RuntimeWarning,
            stacklevel=10,
        )
    else:
        return
    for function, arguments, options in calls[n_done:]:
        yield function(*arguments, **options)

"""One thread where several would only wait for one another."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@cache
def _threadpools() -> Any:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which NumPy's and SciPy's matrix products use one thread.

    The products here take microseconds. Handing them to several threads makes a
    path slower, by a factor of 20 where the cores have other work.
    """
    limit: AbstractContextManager[Any] = _threadpools().limit(limits=1, user_api="blas")
    return limit


def one_torch_thread() -> AbstractContextManager[Any]:
    """Return a context in which torch, called from this thread, works in this thread.

    Steps of a few thousand rows are as fast on one thread, within a fifth, and four
    times as fast where the cores have other work. Call it once torch is imported.
    """
    limit: AbstractContextManager[Any] = ThreadpoolController().limit(limits=1, user_api="openmp")
    return limit

"""One thread where several would only wait for one another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

from threadpoolctl import (  # type: ignore[import-untyped]
    OpenBLASController,
    ThreadpoolController,
)

# Seconds to wait for a lock that is held for a millisecond: beyond, its holder is gone.
PATIENCE = 1.0


def _threadpools(user_api: str) -> Any:
    """Return the controller of one kind of pool: to lift a limit resets all that it holds."""
    return ThreadpoolController().select(user_api=user_api)


@cache
def _blas_threadpools() -> Any:
    return _threadpools("blas")


def _release_openblas() -> None:
    """Let any thread set OpenBLAS's limits again, whichever it was that could.

    threadpoolctl 3.8 ignores all threads but the one that set a limit first, while that
    one lives: the last to leave could not lift a limit that another has set, nor the first to
    come set one within a limit of the caller's.
    """
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


class _Limit:
    """A limit for the whole process, which the first to need it sets and the last lifts.

    Ctrl-C may strike between any two instructions. A use that it cuts off leaves at most
    its thread among the users, until the next use in that thread ends, or the lock held,
    which others wait for only so long.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users: set[int] = set()  # identifiers of threads
        self.limiter: Any = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.lock
        if not lock.acquire(timeout=PATIENCE):
            self.lock = lock = threading.Lock()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def enter(self) -> None:
        with self._locked():
            if self.limiter is None:
                _release_openblas()
                self.limiter = _blas_threadpools().limit(limits=1)
                _release_openblas()
            self.users.add(threading.get_ident())

    def leave(self) -> None:
        with self._locked():
            self.users.discard(threading.get_ident())
            if not self.users and self.limiter is not None:
                self.limiter.restore_original_limits()
                self.limiter = None
                _release_openblas()


_BLAS = _Limit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Return a context in which NumPy's and SciPy's matrix products use one thread.

    The products here take microseconds. Handing them to several threads makes a
    path slower, by a factor of 20 where the cores have other work, and sums of some ten
    thousand terms get other bits. Contexts of one thread are not to be nested.
    """
    try:
        _BLAS.enter()
        yield
    finally:
        _BLAS.leave()


def one_torch_thread() -> AbstractContextManager[Any]:
    """Return a context in which torch, called from this thread, works in this thread.

    Steps of a few thousand rows are as fast on one thread, within a fifth, and four
    times as fast where the cores have other work. Call it once torch is imported.
    """
    limit: AbstractContextManager[Any] = _threadpools("openmp").limit(limits=1)
    return limit

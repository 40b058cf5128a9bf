"""Ctrl-C that waits where it would leave something broken behind."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Return a context at whose end a Ctrl-C takes effect that came within it.

    Only the main thread is interrupted by Python, and only there handlers can be set:
    elsewhere, and where Ctrl-C is ignored, nothing is done.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *signalled: came.append(signalled))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(*came[0])


def import_torch() -> None:
    """Import torch, in one piece: half imported it can be used no more in this process."""
    if "torch" not in sys.modules:
        with interrupts_held():
            import torch  # noqa: F401

"""Steps of a descent on a GPU as CUDA graphs.

A step is hundreds of operations on small tensors: to launch them one by one takes longer
than they do. A graph of them is launched at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor


class _Streams(threading.local):
    """One per thread and GPU: torch keeps memory for every stream that it saw."""

    def __init__(self) -> None:
        self.by_gpu: dict[int, torch.cuda.Stream] = {}


_streams = _Streams()


@contextmanager
def stream_for_graphs(device: torch.device) -> Iterator[None]:
    """Work on a CUDA stream of this thread's own; graphs are not captured on the default one.

    On other devices it does nothing.
    """
    if device.type != "cuda":
        yield
        return
    gpu = torch.cuda.current_device() if device.index is None else device.index
    if gpu not in _streams.by_gpu:
        _streams.by_gpu[gpu] = torch.cuda.Stream(gpu)
    stream, before = _streams.by_gpu[gpu], torch.cuda.current_stream(gpu)
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        yield
    before.wait_stream(stream)


class CapturedStep:
    """Calls functions that work in place on a CUDA device: the second call captures a graph.

    A graph has memory of its own, as much as one call takes. Where that is too much, the
    function is called as it is.
    """

    def __init__(self) -> None:
        self.key: Hashable = None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.fits = True  # the memory of a graph beside that of calls
        self.arguments: list[Tensor] = []

    def __call__(self, function: Callable[..., None], key: Hashable, *arguments: Tensor) -> None:
        """Call a function, within `stream_for_graphs`.

        Parameters
        ----------
        function : callable
            Of the arguments. It copies nothing to the device or back.
        key : hashable
            While it is that of the call before, the function is the same too, and whatever
            it reads and writes beside its arguments is where it was.
        *arguments : Tensor
            On the device, of the same shapes while the key is the same.
        """
        if key != self.key:
            self.key, self.graph = key, None
            self.arguments = [argument.clone() for argument in arguments]
            function(*self.arguments)  # what libraries set up must not be in the graph
            return
        for own, argument in zip(self.arguments, arguments, strict=True):
            own.copy_(argument)
        if self.graph is None and self.fits:
            try:
                self.graph = self._capture(function)
            except torch.OutOfMemoryError:
                self.fits = False
                torch.cuda.empty_cache()
        if self.graph is None:
            function(*self.arguments)
        else:
            self.graph.replay()

    def _capture(self, function: Callable[..., None]) -> torch.cuda.CUDAGraph:
        # Not `torch.cuda.graph`: that collects garbage and empties torch's cache of memory,
        # which takes longer than the steps of a phase.
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            function(*self.arguments)
        except BaseException:
            with suppress(RuntimeError):  # that the capture failed; the reason is the other one
                graph.capture_end()
            raise
        graph.capture_end()
        return graph

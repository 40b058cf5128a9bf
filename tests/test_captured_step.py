"""Captured steps, with a stand-in for CUDA graphs; tests/test_gpu.py has the real ones."""

from collections.abc import Callable

import pytest
import torch

from sklearn_swat._captured_step import CapturedStep, stream_for_graphs


class Graph:
    """Notes what is asked of it; a replay calls what was captured."""

    log: list[str]
    captured: Callable[[], object] | None = None

    def capture_begin(self, **_):
        self.log.append("begin")

    def capture_end(self):
        self.log.append("end")
        if self.captured is None:
            raise RuntimeError("operation failed due to a previous error during capture")

    def replay(self):
        self.log.append("replay")
        type(self).captured()


@pytest.fixture
def log(monkeypatch):
    Graph.log = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    return Graph.log


def test_the_second_call_captures_and_later_ones_replay_until_the_key_changes(log):
    step, total = CapturedStep(), torch.zeros(())

    def add(number):
        log.append("call")
        total.add_(number)
        Graph.captured = lambda: total.add_(number)

    for number in (1.0, 10.0, 100.0):
        step(add, "first", torch.tensor(number))
    step(add, "second", torch.tensor(1000.0))
    assert log == ["call", "begin", "call", "end", "replay", "replay", "call"]
    # The stand-in executes what it captures, once more than a graph would.
    assert float(total) == 1 + 10 + 10 + 100 + 1000


def test_a_graph_reads_what_it_is_given_later(log):
    step, seen = CapturedStep(), []

    def note(number):
        Graph.captured = lambda: seen.append(float(number))

    for number in (1.0, 2.0, 3.0):
        step(note, "key", torch.tensor(number))
    assert seen == [2, 3]


def test_a_capture_that_fails_says_why(log):
    step = CapturedStep()
    Graph.captured = None

    def fail(_):
        if "begin" in log:
            raise RuntimeError("shapes do not match")

    step(fail, "key", torch.tensor(1.0))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        step(fail, "key", torch.tensor(1.0))
    assert log == ["begin", "end"]


def test_without_memory_for_a_graph_the_function_is_called_as_it_is(log, monkeypatch):
    step, calls = CapturedStep(), []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: log.append("emptied"))
    Graph.captured = None

    def work(_):
        if log[-1:] == ["begin"]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        calls.append(1)

    for _ in range(4):
        step(work, "key", torch.tensor(1.0))
    assert len(calls) == 4
    assert log == ["begin", "end", "emptied"]


def test_other_devices_have_no_streams():
    with stream_for_graphs(torch.device("cpu")):
        pass

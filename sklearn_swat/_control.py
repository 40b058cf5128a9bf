"""What a fit answers to while it runs: a time limit, scikit-learn's callbacks, `verbose`.

The search asks and reports here and nowhere else. A `Deadline` is asked between the
steps of every stage. A `Task` is a node in the tree of tasks that scikit-learn's
callbacks see: the fit, its stages, and their parts::

    fit
        descent             one part per verdict on the hard networks
        pruning paths       one part per path
        pruning paths       of few rows of classes: on other splits of the rows
        refit               one part per network of the front

A part is a leaf. A callback that returns True at the end of a task stops that level:
after a part no further one of its stage is begun, after a stage no further stage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ._interrupts import interrupts_held

Attributes = dict[str, Any]

# Shares of the time that is left when a search begins, or what it does on other splits, at which
# descent and pruning paths end at the latest: pruning takes about three times as long as descent.
# What a stage leaves is the next one's.
DESCENT_ENDS, PATHS_END = 0.35, 0.95


@dataclass
class Deadline:
    """A moment at which a stage is to end, to be asked as `should_stop`.

    It can be asked in another process: `time.time` is the one clock that all
    processes share on every platform.

    Attributes
    ----------
    at : float
        By `time.time`; infinite if there is none.
    has_passed : bool
        Whether a question was ever answered with True.

    Examples
    --------
    >>> never, now = Deadline(), Deadline.after(0.0)
    >>> never(), now(), now.has_passed
    (False, True, True)
    """

    at: float = math.inf
    has_passed: bool = False

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return the deadline that is `seconds` away; None is none."""
        return cls() if seconds is None else cls(time.time() + seconds)

    def part(self, share: float) -> Deadline:
        """Return the deadline at a share of the time that is left until this one."""
        if math.isinf(self.at):
            return Deadline()
        now = time.time()
        return Deadline(now + share * max(0.0, self.at - now))

    def leaves(self, seconds: float) -> bool:
        """Return whether there are so many seconds left."""
        return time.time() + seconds <= self.at

    def __call__(self) -> bool:
        if time.time() >= self.at:
            self.has_passed = True
            return True
        return False


def time_shares(n: int, n_workers: int) -> list[float]:
    """Return what share of the time that is left each of `n` calls may take once it begins.

    As many as are still to run one after another, on so many workers, share it.

    Examples
    --------
    >>> time_shares(4, 2)
    [0.5, 0.5, 1.0, 1.0]
    """
    return [1 / -(-(n - i) // n_workers) for i in range(n)]


@dataclass(frozen=True)
class Hooks:
    """What every call of a callback is given.

    Attributes
    ----------
    estimator : BaseSWAT
    X, y : array-like
        As the user passed them.
    metadata : dict
        Sample weights, if there are any.
    """

    estimator: Any
    X: Any
    y: Any
    metadata: dict[str, Any]

    def arguments(self) -> dict[str, Any]:
        """Return them as the context's methods take them."""
        return {"estimator": self.estimator, "X": self.X, "y": self.y, "metadata": self.metadata}


@dataclass(frozen=True)
class Task:
    """A task of a fit, as callbacks see it; without callbacks it does nothing.

    Attributes
    ----------
    context : sklearn.callback.CallbackContext or None
    hooks : Hooks or None
    """

    context: Any = None
    hooks: Hooks | None = None

    def begin(self, name: str, n_parts: int = 0) -> Task:
        """Begin a task below this one.

        Parameters
        ----------
        name : str
        n_parts : int, default=0
            How many tasks it may have below it, at most.

        Returns
        -------
        Task
        """
        if self.hooks is None:
            return self
        context = self.context.subcontext(task_name=name, max_subtasks=n_parts)
        context.call_on_fit_task_begin(**self.hooks.arguments())
        return Task(context, self.hooks)

    def end(self, attributes: Callable[[], Attributes] | None = None) -> bool:
        """End this task.

        Parameters
        ----------
        attributes : callable, optional
            Returns the fitted attributes that an estimator would have whose fit stopped
            here. Called only if a callback wants a fitted estimator.

        Returns
        -------
        bool
            Whether a callback asks to stop what this task is a part of.
        """
        if self.hooks is None:
            return False
        return bool(
            self.context.call_on_fit_task_end(
                **self.hooks.arguments(), reconstruction_attributes=attributes
            )
        )


@dataclass(eq=False)
class Control:
    """All that a search answers to.

    Attributes
    ----------
    deadline : Deadline
        Of the whole fit.
    task : Task
        The fit itself.
    attributes_of : callable
        Makes the estimator's fitted attributes of a search's result.
    is_verbose : bool
    stop_reason : {"max_time", "callback", "interrupt"} or None
        What first cut the search short; Ctrl-C outdoes the others.
    """

    deadline: Deadline = field(default_factory=Deadline)
    task: Task = field(default_factory=Task)
    attributes_of: Callable[[Any], Attributes] = lambda result: {}
    is_verbose: bool = False
    stop_reason: str | None = None

    def stopped(self, reason: str) -> None:
        """Remember what cut the search short."""
        if self.stop_reason is None or reason == "interrupt":
            self.stop_reason = reason

    @property
    def was_interrupted(self) -> bool:
        """Whether Ctrl-C was pressed: what is left to do must be short."""
        return self.stop_reason == "interrupt"

    def is_over(self) -> bool:
        """Whether something has cut the search short, or time is over."""
        if self.deadline():
            self.stopped("max_time")
        return self.stop_reason is not None

    @contextmanager
    def interrupts_noted(self) -> Iterator[None]:
        """Return a context that Ctrl-C does not cut short: it is remembered as what stopped."""
        is_done = False
        try:
            with interrupts_held():
                yield
                is_done = True
        except KeyboardInterrupt:
            if not is_done:  # raised by something else than a signal
                raise
            self.stopped("interrupt")

    def say(self, line: str) -> None:
        """Print a line of progress."""
        if self.is_verbose:
            print(line, flush=True)


class Stage:
    """A stage of a fit, whose parts come one after the other.

    Parameters
    ----------
    control : Control
        Its `stop_reason` will say so if a callback asks to stop.
    name, part_name : str
    n_parts : int
        At most.
    """

    def __init__(self, control: Control, name: str, part_name: str, n_parts: int) -> None:
        self.control, self.part_name, self.n_left = control, part_name, n_parts
        self.task = control.task.begin(name, n_parts)
        self.part = self._next_part()

    def _next_part(self) -> Task | None:
        if not self.n_left:
            return None
        self.n_left -= 1
        return self.task.begin(self.part_name)

    def part_done(self, so_far: Callable[[], Any]) -> bool:
        """End the part under way and begin the next one, if there is any.

        Parameters
        ----------
        so_far : callable
            Returns the result of a search that stopped here.

        Returns
        -------
        bool
            Whether to stop: a callback asks to.
        """
        if self.part is not None and self._end(self.part, so_far):
            self.part = None
            return True
        self.part = self._next_part()
        return False

    def close(self, so_far: Callable[[], Any]) -> bool:
        """End the stage; return whether to stop: a callback asks to."""
        if self.part is not None:  # begun, and not run
            self.part.end()
        return self._end(self.task, so_far)

    def _end(self, task: Task, so_far: Callable[[], Any]) -> bool:
        if not task.end(lambda: self.control.attributes_of(so_far())):
            return False
        self.control.stopped("callback")
        return True

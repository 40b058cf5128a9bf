"""What is found on one split of the rows: by descents, and by paths that begin at their ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ._beginnings import BEGINNING_PRICE, LITTLE_FOUND
from ._candidates import Descent
from ._control import DESCENT_ENDS, Control, Deadline
from ._descent_settings import DescentSettings, DescentTask
from ._fallback import descend_within_memory
from ._network import SparseMLP
from ._parameters import check_width
from ._paths import LARGE_PRICE, worth_their_size
from ._problem import Problem
from ._pruning import PathPoint
from ._screening import Screening
from ._simplification import folded_nnz

Load = Callable[[Any], Any]
# Restarts of a second descent, where what the first one ends at explains nothing, refined or not:
# it finds waves and some rings, and of noise fits take up to two seconds more.
MANY_RESTARTS = 8


@dataclass(eq=False)
class Split:
    """One split of the rows, and what is found there.

    Attributes
    ----------
    problem : Problem
    screening : Screening
        Features that descents see.
    seed : int
    start : SparseMLP or None
        A network of standardised rows that was given.
    descents : list of Descent
        Whose networks paths may begin at: the first one, and a second one if that found nothing.
        They may be those of another split.
    refined : list of PathPoint
        Candidates that were refined.
    paths : list of lists of PathPoint
        What pruning paths found.
    averaged : list of PathPoint
        Averages of it.
    begins_at_random, has_large : bool
        Whether a path begins at a random network, and whether at one of thousands of numbers.
    """

    problem: Problem
    screening: Screening
    seed: int
    start: SparseMLP | None = None
    descents: list[Descent] = field(default_factory=list)
    refined: list[PathPoint] = field(default_factory=list)
    paths: list[list[PathPoint]] = field(default_factory=list)
    averaged: list[PathPoint] = field(default_factory=list)
    begins_at_random: bool = False
    has_large: bool = False

    def task(self, loss_name: str) -> DescentTask:
        """Return what a descent has to do."""
        return DescentTask(
            train=self.screening.take(self.problem.train),
            validation=self.screening.take(self.problem.few_validation),
            loss_name=loss_name,
            reference=self.problem.reference,
            relevant=None if self.start is not None else self.screening.relevant,
        )

    @property
    def has_path(self) -> bool:
        """Whether the first pruning path, of the best candidate, got as far as one network."""
        return any(not point.network.is_constant for path in self.paths[:1] for point in path)

    def refinable(self, alpha: float) -> list[PathPoint]:
        """Return what was found by refining: the paths' networks, or those that they begin at."""
        problem = self.problem
        found = [problem.constant_point, *problem.smoothed_paths(self.paths), *self.averaged]
        if self.has_large:
            found = worth_their_size(found, min(alpha, LARGE_PRICE))
        # Of classes the best of several candidates was lucky, and there is no network of about its
        # size to tell: it is an answer only where the first pruning path has none.
        return found if self.has_path and problem.has_classes else [*found, *self.refined]

    def decoded(self) -> list[PathPoint]:
        """Return what descents found, and what was given."""
        given = [] if self.start is None else [self.start]
        return [self.problem.point(network) for network in (*self._networks(), *given)]

    def found(self, alpha: float) -> list[PathPoint]:
        """Return what was found."""
        points = self.refinable(alpha)
        # What descent found was judged at its luckiest step: it is an answer only there, too.
        if not self.has_path:
            if all(point.network.is_constant for point in points):
                # Rows are not left out of what descent found, and so not of the constant.
                points = [self._constant()]
            points += self.decoded()
        return points

    def stopped_at(self, descent: Descent) -> list[PathPoint]:
        """Return what there is while the first descent is under way."""
        return [self._constant(), *replace(self, descents=[descent]).decoded()]

    def _constant(self) -> PathPoint:
        """Return the best constant, judged by validation rows alone."""
        return self.problem.point(self.problem.constant_point.network)

    def _networks(self) -> list[SparseMLP]:
        """Return the candidates' best networks, of all features."""
        candidates = (each for descent in self.descents for each in descent.candidates)
        found = (candidate.network for candidate in candidates)
        return [self.screening.widen(network) for network in found if network is not None]

    def ends_of_descents(
        self,
        settings: DescentSettings,
        loss_name: str,
        load: Load | None,
        control: Control,
        paths_end: Deadline,
        *,
        descends_again: bool,
    ) -> Iterator[list[SparseMLP]]:
        """Yield what paths may begin at: of every descent, and of a second one if it is asked for.

        There is that if the search `descends_again` where the first one found next to nothing.
        """
        for descent in tuple(self.descents):
            yield self.beginnings(descent, settings.alpha)
        has_many = settings.n_restarts >= MANY_RESTARTS
        is_last = not descends_again or self.start is not None or has_many
        enough = LITTLE_FOUND * self.problem.constant_point.validation_loss
        if is_last or _lowest_loss(self.descents[0]) < enough or paths_end():
            return
        again = self._descend_again(settings, loss_name, load, control)
        if again is not None:
            self.descents.append(again)
            yield self.beginnings(again, settings.alpha)

    def beginnings(self, descent: Descent, alpha: float) -> list[SparseMLP]:
        """Return the networks that paths may begin at, of all features, the best first.

        A number costs them `BEGINNING_PRICE` at most, as it does once they are refined. Constants,
        which high prices make of candidates, are none: nothing can be removed from them.
        """
        excess = max(0.0, alpha - BEGINNING_PRICE)
        found = [
            (price - excess * folded_nnz(network), network)
            for network, price in (candidate.beginning for candidate in descent.candidates)
            if network is not None and not network.is_constant
        ]
        found.sort(key=lambda pair: pair[0])
        return [self.screening.widen(network) for _, network in found]

    def _descend_again(
        self, settings: DescentSettings, loss_name: str, load: Load | None, control: Control
    ) -> Descent | None:
        """Descend from more starts; None if Ctrl-C cuts that short, or memory is not enough."""
        control.say(f"nothing found: a second descent of {MANY_RESTARTS} candidates per depth")
        more = replace(settings, n_restarts=MANY_RESTARTS)
        try:
            check_width(more.n_slots, more.depths, more.n_restarts)
        except ValueError:
            return None
        try:
            ends = control.deadline.part(DESCENT_ENDS)
            descent, _ = self.descend(more, loss_name, load, control, self.seed + 1, ends)
        except MemoryError:
            return None
        return None if descent.was_interrupted else descent

    def descend(
        self,
        settings: DescentSettings,
        loss_name: str,
        load: Load | None,
        control: Control,
        seed: int,
        ends: Deadline,
        part_done: Callable[[Descent], bool] | None = None,
    ) -> tuple[Descent, DescentSettings]:
        """Descend, and tell `control` if that was cut short.

        `part_done`, if given, says after every verdict whether to end it there. The settings that
        are returned tell the device that it ran on.
        """

        def report(descent: Descent) -> bool:
            control.say(verdict_line(descent.history[-1]))
            return part_done is not None and part_done(descent)

        descent, settings = descend_within_memory(
            self.task(loss_name), settings, load, seed, report, ends
        )
        if descent.was_interrupted:
            control.stopped("interrupt")
        elif ends.has_passed:
            control.stopped("max_time")
        return descent, settings

    def found_on_all_rows(
        self, settings: DescentSettings, loss_name: str, load: Load | None, control: Control
    ) -> list[SparseMLP | None]:
        """Return what the first descent finds for each of its candidates on the rows of both parts.

        None for one that it finds nothing for, and for all if Ctrl-C cuts it short, or memory is
        not enough.
        """
        task = replace(self.task(loss_name), train=self.screening.take(self.problem.rows))
        try:
            again, _ = descend_within_memory(task, settings, load, self.seed)
        except MemoryError:
            again = Descent([])
        except KeyboardInterrupt:
            again = Descent([], was_interrupted=True)
        if again.was_interrupted:
            control.stopped("interrupt")
            again = Descent([])
        found = {
            (candidate.depth, candidate.restart): self.screening.widen(candidate.network)
            for candidate in again.candidates
            if candidate.network is not None
        }
        candidates = self.descents[0].candidates
        return [found.get((candidate.depth, candidate.restart)) for candidate in candidates]


def _lowest_loss(descent: Descent) -> float:
    """Return the lowest validation loss of any verdict."""
    losses = np.concatenate([record["validation_loss"] for record in descent.history])
    return float(losses[np.isfinite(losses)].min(initial=np.inf))


def verdict_line(record: dict[str, Any]) -> str:
    """Tell of a verdict in a line."""
    best = int(np.nan_to_num(record["validation_loss"], nan=np.inf).argmin())
    return (
        f"step {record['step']:5d}  candidates {len(record['candidates']):3d}  "
        f"best: validation loss {record['validation_loss'][best]:.4f}, "
        f"{record['nnz'][best]} non-zeros, depth {record['candidates'][best][0]}"
    )

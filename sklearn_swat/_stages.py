"""The stages of a search before the refit: descent, where paths begin, pruning paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ._beginnings import (
    BEGINNING_PRICE,
    N_PATHS,
    N_REFINED,
    THOROUGH,
    Beginning,
    best_beginnings,
)
from ._candidates import Descent
from ._control import Control, Deadline, Stage
from ._descent_settings import DescentSettings
from ._paths import average_paths, run_paths
from ._pruning import PathPoint
from ._random_beginnings import random_beginnings
from ._search_result import Choice, SearchResult, result_of
from ._split import Load, Split


@dataclass(eq=False)
class Stages:
    """The stages on one split of the rows or on several, each by itself.

    Attributes
    ----------
    splits : list of Split
        What is found is kept there.
    settings : DescentSettings
    loss_name : str
    load_autoencoder : callable or None
    choice : callable
    n_jobs : int or None
    max_nnz : int or None
    control : Control
    n_refined, n_paths : int
        Candidates that are refined at a time, and paths that begin at the best of them.
    descends_again : bool
        Whether a second descent follows one that found nothing.
    tries_random : bool
        Whether a path may begin at a random network.
    result_so_far : callable, optional
        Returns the result of a search that stops before the end of these stages. If it is given,
        no split or stage begins once anything has cut them short: what there is by then is of no
        use.
    all_ran : bool
        Whether every path got as far as one refined network.
    """

    splits: list[Split]
    settings: DescentSettings
    loss_name: str
    load_autoencoder: Load | None
    choice: Choice
    n_jobs: int | None
    max_nnz: int | None
    control: Control
    n_refined: int = N_REFINED
    n_paths: int = N_PATHS
    descends_again: bool = True
    tries_random: bool = True
    result_so_far: Callable[[], SearchResult] | None = None
    all_ran: bool = field(default=False, init=False)

    def refine(self, ends: Deadline) -> bool:
        """Go on where descents ended; return whether nobody asks to end the fit."""
        asked_to_stop, beginnings = False, self._begin(ends)
        if not self._is_cut_short():
            asked_to_stop = self._prune(beginnings, ends)
        return not (asked_to_stop or self.control.was_interrupted)

    def _is_cut_short(self) -> bool:
        is_stopped = self.control.stop_reason is not None
        return self.control.was_interrupted or (is_stopped and self.result_so_far is not None)

    def have_gone_well(self) -> bool:
        """Return whether nothing cut them short."""
        return self.all_ran and self.control.stop_reason is None

    def found(self) -> list[list[PathPoint]]:
        """Return what was found on every split."""
        return [split.found(self.settings.alpha) for split in self.splits]

    def descend(self, ends: Deadline) -> bool:
        """Descend on the first split; return whether nobody asks to end the fit."""
        control, split = self.control, self.splits[0]
        stage = Stage(control, "descent", "verdict", self.settings.n_verdicts)

        def so_far(descent: Descent) -> SearchResult:
            return result_of(split.problem, split.stopped_at(descent), self.choice, descent)

        def part_done(descent: Descent) -> bool:
            return stage.part_done(lambda: so_far(descent))

        descent, self.settings = split.descend(
            self.settings, self.loss_name, self.load_autoencoder, control, split.seed, ends,
            part_done,
        )  # fmt: skip
        split.descents.append(descent)
        asked_to_stop = stage.close(lambda: so_far(descent))
        return not (asked_to_stop or control.was_interrupted)

    def _begin(self, ends: Deadline) -> list[tuple[Split, Beginning]]:
        """Return where the paths of every split begin."""
        control, n = self.control, len(self.splits)
        found: list[tuple[Split, Beginning]] = []
        for i, split in enumerate(self.splits):
            own_end = ends if n == 1 else ends.part(1 / (n - i + 1))
            descents = split.ends_of_descents(
                self.settings, self.loss_name, self.load_autoencoder, control, own_end,
                descends_again=self.descends_again,
            )  # fmt: skip
            beginnings = best_beginnings(
                descents, BEGINNING_PRICE, split.problem, self.n_jobs, control, own_end,
                split.refined, max_nnz=self.max_nnz, n_refined=self.n_refined,
                n_paths=self.n_paths,
            )  # fmt: skip
            if self._is_cut_short():
                return []
            of_random: list[Beginning] = []
            if self.tries_random:
                of_random = random_beginnings(
                    beginnings, split.problem, split.screening, self.settings,
                    np.random.RandomState(split.seed + 2), control, own_end, max_nnz=self.max_nnz,
                )  # fmt: skip
            if of_random:
                beginnings = [*beginnings[: max(1, self.n_paths - 1)], *of_random]
                split.begins_at_random = True
                split.has_large = not all(pace.is_averaged for _, pace in of_random)
            if split.start is not None:
                beginnings.append(Beginning(split.start, THOROUGH))
            # What hidden neurons have to be better than.
            beginnings.append(Beginning(split.problem.linear(), THOROUGH))
            found += [(split, beginning) for beginning in beginnings]
        return found

    def _prune(self, beginnings: Sequence[tuple[Split, Beginning]], ends: Deadline) -> bool:
        """Run the paths, and average them; return whether a callback asks to end the fit."""
        first = self.splits[0]
        paths: list[list[PathPoint]] = []

        def hand_out() -> None:
            for split in self.splits:  # a callback may have ended the stage before the last path
                begun = zip(paths, beginnings, strict=False)
                split.paths = [path for path, (of, _) in begun if of is split]

        def so_far() -> SearchResult:
            if self.result_so_far is not None:
                return self.result_so_far()
            hand_out()
            points = self.found()[0]
            return result_of(first.problem, points, self.choice, first.descents[0])

        self.all_ran, asked_to_stop = run_paths(
            [beginning for _, beginning in beginnings],
            [split.problem for split, _ in beginnings],
            self.n_jobs, self.control, ends, paths, so_far,
        )  # fmt: skip
        hand_out()
        if not (asked_to_stop or self.control.was_interrupted):
            begun = list(zip(paths, beginnings, strict=False))
            for split in self.splits:
                own = [path for path, (of, each) in begun if of is split and each.pace.is_averaged]
                split.averaged = average_paths(
                    own, split.problem, self.settings, self.control, ends
                )
        return asked_to_stop

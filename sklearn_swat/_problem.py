"""What a fit has to solve: standardised rows, split, and what networks are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ._canonical import Columns, canonical_rows, counting_rows
from ._draws import independent_draws
from ._losses import Loss, normalised_loss
from ._network import SparseMLP
from ._preprocessing import Scaling, representative_rows, split_rows, total_weight
from ._pruning import (
    PathPoint,
    constant_network,
    judge,
    judged_constant,
    pareto_front,
    prior_strength,
)
from ._refinement import TOLERANCE, ShouldStop, refine
from ._rows import Rows, take_rows
from ._screening import Screening, screen
from ._smoothing import smoothed
from ._threads import one_blas_thread

Array = NDArray[np.float64]

SEARCH_ROWS = 2**16  # of either part, by which structures are found
WIDE_ROWS = 2**15  # training rows of a path that begins at thousands of numbers
BEGINNING_ROWS = 2**12  # training rows that are enough to choose what paths begin at
SPLIT_DRAWS = 2**16  # that are told apart, about, where rows are split
SCREENING_NUMBERS = 2**22  # of a table, by which features are screened
# Iterations and tolerance of a refit, and of one where less than so much loss is left: there, what
# suffices beside noise leaves networks a third more error.
REFIT, LONG_REFIT, LITTLE_LOSS = (60, TOLERANCE), (240, 1e-5), 0.01
# Rows times numbers of a refit that sees more rows than paths do: up to 536 numbers are refitted on
# all of a million rows, and 4,000 on 134,000 of them.
MOST_ROWS_TIMES_NUMBERS = 2**29
FARTHEST = 1e15  # deviations that given rows judge at, at most: float32 holds the square
NO_LOSS = 1e-20  # of the best constant, on standardised targets: rounding, not variation


@dataclass(frozen=True)
class Problem:
    """Standardised rows, split, and what they are measured by."""

    rows: Rows
    train: Rows
    validation: Rows
    loss: Loss
    scaling: Scaling
    total_weight: float

    @classmethod
    @one_blas_thread()
    def of(
        cls,
        data: Rows,
        loss: Loss,
        validation_fraction: float,
        random_state: np.random.RandomState,
        held_out: Rows | None = None,
    ) -> Problem:
        """Standardise and split rows; where rows are `held_out`, these judge, and all others train.

        `held_out` tell nothing but how good networks are: neither scaling nor order is theirs.
        """
        is_regression = loss.name == "squared_error"
        counting = _counting(data)
        columns = Columns.of(
            counting.X, counting.target, counting.weight, one_hot=loss.name == "softmax"
        )
        arranged = _arranged(counting, columns, is_regression)
        scaling = Scaling.of(
            arranged.X, arranged.target, arranged.weight, is_regression=is_regression
        )
        rows = _scaled(arranged, scaling)
        if held_out is None:
            train, validation = _split(rows, loss, validation_fraction, random_state)
        else:
            rows = train = replace(rows, may_be_left_out=False)
            judging = _arranged(_counting(held_out), columns, is_regression)
            validation = _within_reach(_scaled(judging, scaling))
            if not loss.constant_loss(train.target, train.weight) > NO_LOSS:
                validation = rows
        raw = columns.on_raw_columns(scaling)
        return cls(rows, train, validation, loss, raw, total_weight(data.weight))

    @one_blas_thread()
    def split_anew(self, fraction: float, random_state: np.random.RandomState) -> Problem:
        """Return the same with other rows for validation."""
        train, validation = _split(self.rows, self.loss, fraction, random_state)
        return replace(self, train=train, validation=validation)

    @one_blas_thread()
    def few(self, rows: Rows, n_rows: int) -> Rows:
        """Return at most about so many rows that stand for all."""
        index, weight = representative_rows(
            rows.target, rows.weight, n_rows, is_regression=not self.has_classes
        )
        if len(index) == len(rows.weight):
            return rows
        return replace(take_rows(rows, index), weight=weight)

    @cached_property
    def has_classes(self) -> bool:
        """Whether targets are labels, and neither numbers nor probabilities."""
        return self.loss.has_labels(self.rows.target)

    @cached_property
    def few_train(self) -> Rows:
        """Training rows of the pruning paths."""
        return self.few(self.train, SEARCH_ROWS)

    @property
    def fewer_train(self) -> Rows:
        """Training rows of the pruning path of a wide network: one path, and so not kept."""
        return self.few(self.train, WIDE_ROWS)

    @cached_property
    def fewest_train(self) -> Rows:
        """Training rows on which candidates are refined, of which paths begin at the best."""
        return self.few(self.train, BEGINNING_ROWS)

    @cached_property
    def few_validation(self) -> Rows:
        """Validation rows of descent and pruning paths; their points are judged by all."""
        return self.few(self.validation, SEARCH_ROWS)

    @cached_property
    def screening(self) -> Screening:
        """Features that networks with hidden neurons are looked for on."""
        n_rows = SCREENING_NUMBERS // self.train.X.shape[1]
        few = self.few(self.train, min(max(n_rows, 2**10), 2**13))
        with one_blas_thread():
            n_all = self.train.n_effective
        return screen(few, n_all)

    @cached_property
    @one_blas_thread()
    def reference(self) -> float:
        """The loss of the best constant."""
        return self.loss.constant_loss(self.train.target, self.train.weight)

    @property
    def divisor(self) -> float:
        """What losses are divided by: the best constant's, unless that is nothing.

        It is computed in a context of one thread, and so is not to be asked for in another.
        """
        return self.reference or 1.0

    def linear(self) -> SparseMLP:
        """Return a linear network of all features, to be refined."""
        d, k = self.rows.X.shape[1], self.rows.target.shape[1]
        all_but_zero = np.full((d, k), 1e-3)
        return SparseMLP((all_but_zero,), (np.zeros(k),), (), self.loss.out_activation)

    def prior(self, point: PathPoint) -> float:
        """The penalty on the numbers of a network that all rows are fitted by."""
        return prior_strength(point, self.rows, self.loss)

    def refine(self, point: PathPoint, should_stop: ShouldStop) -> SparseMLP:
        """Refit a network's numbers on all rows, or on a part of many rows if it has many."""
        max_iter, tolerance = LONG_REFIT if point.validation_loss < LITTLE_LOSS else REFIT
        network = point.refined_as
        rows = self.few(self.rows, max(SEARCH_ROWS, MOST_ROWS_TIMES_NUMBERS // network.nnz))
        return refine(
            network, rows, self.loss, l2=prior_strength(point, rows, self.loss),
            max_iter=max_iter, tolerance=tolerance, should_stop=should_stop,
        )  # fmt: skip

    @property
    def is_split(self) -> bool:
        """Whether rows that were given to be fitted judge instead, and so others could."""
        judges_less = self.validation.weight.sum() < self.rows.weight.sum()
        return self.rows.may_be_left_out and bool(judges_less)

    def validation_loss(self, network: SparseMLP) -> float:
        """Return the normalised loss of a network on the validation rows."""
        return self._loss_on(self.validation, network)

    def loss_on_all_rows(self, network: SparseMLP) -> float:
        """Return the normalised loss of a network on the rows of both parts."""
        return self._loss_on(self.rows, network)

    def _loss_on(self, rows: Rows, network: SparseMLP) -> float:
        divisor = self.divisor
        with one_blas_thread():
            raw = network.decision_function(rows.X)
            return normalised_loss(self.loss, raw, rows.target, rows.weight, divisor)

    @property
    def is_constant(self) -> bool:
        """Whether no network can be better than a constant."""
        target = self.rows.target
        # Of constant labels, the best constant is clipped, and has a loss.
        is_same = self.has_classes and bool((target == target[:1]).all())
        return not self.rows.X.any() or is_same or not self.reference > NO_LOSS

    def point(self, network: SparseMLP) -> PathPoint:
        """Judge a network of standardised rows."""
        return self._with_train_loss(self.candidate(network))

    def candidate(self, network: SparseMLP, left_out: Array | None = None) -> PathPoint:
        """Judge a network of which the training loss is told once it is on the front."""
        divisor = self.divisor
        with one_blas_thread():
            return judge(network, self.train, self.validation, self.loss, divisor, left_out)

    def _with_train_loss(self, point: PathPoint) -> PathPoint:
        if not np.isnan(point.train_loss):
            return point
        return replace(point, train_loss=self._loss_on(self.train, point.network))

    def judged(self, points: list[PathPoint], train: Rows) -> list[PathPoint]:
        """Judge points of few rows, of which those for training are told, by all rows."""
        if train is self.train and self.few_validation is self.validation:
            return points
        return [self.candidate(point.refined_as) for point in points]

    def smoothed(self, points: Sequence[PathPoint]) -> list[PathPoint]:
        """Of labels, raise losses to what networks of about the same size suggest.

        Of regressions of up to 768 rows, networks are 1 to 3 % worse by this, and no better of
        3,200 rows: what one of them is worth, others do not tell.
        """
        return smoothed(points) if self.has_classes else list(points)

    def smoothed_paths(self, paths: Sequence[Sequence[PathPoint]]) -> list[PathPoint]:
        """Return the points of several paths, each path smoothed by itself."""
        return list(chain(*map(self.smoothed, paths)))

    def front(self, points: list[PathPoint]) -> tuple[PathPoint, ...]:
        """Return the Pareto front of the networks that raw rows can be given to, in full."""
        front = pareto_front(p for p in points if self.scaling.can_fold(p.network))
        return tuple(map(self._with_train_loss, front))

    @cached_property
    def constant_point(self) -> PathPoint:
        """The best constant of the training rows with its losses."""
        divisor = self.divisor
        with one_blas_thread():
            return judged_constant(self.linear(), self.train, self.validation, self.loss, divisor)

    @one_blas_thread()
    def constant(self) -> SparseMLP:
        """Return the best constant of all rows."""
        return constant_network(self.linear(), self.rows, self.loss)


def _counting(rows: Rows) -> Rows:
    """Return the rows that count."""
    return Rows(*counting_rows(rows.X, rows.target, rows.weight, rows.draws))


def _arranged(rows: Rows, columns: Columns, is_regression: bool) -> Rows:
    """Return rows in their canonical form."""
    X, target = columns.arrange(rows.X, rows.target, is_regression=is_regression)
    X, target, weight, n_equal = canonical_rows(X, target, rows.weight, rows.draws)
    return Rows(X, target, weight, independent_draws(n_equal, X))


def _scaled(rows: Rows, scaling: Scaling) -> Rows:
    """Return rows standardised."""
    with np.errstate(over="ignore"):  # of rows that the scaling is not of
        X, target = scaling.scale_inputs(rows.X), scaling.scale_targets(rows.target)
    return replace(rows, X=X, target=target)


def _within_reach(rows: Rows) -> Rows:
    """Return standardised rows, no value of them so far off that its square overflows."""
    X, target = (np.clip(part, -FARTHEST, FARTHEST) for part in (rows.X, rows.target))
    return replace(rows, X=X, target=target)


def _split(
    rows: Rows, loss: Loss, fraction: float, random_state: np.random.RandomState
) -> tuple[Rows, Rows]:
    """Split rows for training and for validation, those of several draws between both.

    Where those for training would have nothing to tell, both are all rows.
    """
    # Probabilities to be reproduced are split as numbers are: they form no classes.
    is_regression = not loss.has_labels(rows.target)
    if rows.draws is None:
        parts = split_rows(rows.target, fraction, random_state, is_regression=is_regression)
        train, validation = (take_rows(rows, part) for part in parts)
    else:
        draws = np.ceil(rows.draws * min(1.0, SPLIT_DRAWS / rows.draws.sum())).astype(np.intp)
        row = np.repeat(np.arange(len(draws)), draws)
        parts = split_rows(rows.target[row], fraction, random_state, is_regression=is_regression)
        train, validation = (_share_of(rows, row[part], draws) for part in parts)
    if not loss.constant_loss(train.target, train.weight) > NO_LOSS:
        return rows, rows
    return train, validation


def _share_of(rows: Rows, drawn: NDArray[np.intp], draws: NDArray[np.intp]) -> Rows:
    """Return the rows that were drawn, of weights by how many of their draws were."""
    n_drawn = np.bincount(drawn, minlength=len(draws))
    index = np.flatnonzero(n_drawn)
    share = n_drawn[index] / draws[index]
    some = take_rows(rows, index)
    assert some.draws is not None
    return replace(
        some, weight=some.weight * share, draws=np.maximum(1, np.rint(some.draws * share))
    )

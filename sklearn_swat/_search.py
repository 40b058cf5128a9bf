"""From rows to a front of networks: descent, pruning paths, choice, refit.

Everything here happens on standardised canonical rows; what comes out are
networks of raw rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from ._losses import LOSSES, Loss
from ._network import SparseMLP
from ._preprocessing import Scaling, canonical_rows, split_rows
from ._pruning import PathPoint, choose, constant_network, judge, pareto_front, prune_path
from ._refinement import Rows, refine

if TYPE_CHECKING:
    from ._descent import Candidate, Descent, DescentSettings

N_PATHS = 3  # the best candidates of the descent that a pruning path starts from
# The paths refine under a penalty of PRIOR / n on squared weights of standardised rows: for
# a log-loss of n rows, the negative logarithm of a normal prior of unit variance.
PRIOR = 0.5
NO_LOSS = 1e-20  # of the best constant, on standardised targets: rounding, not variation


@dataclass(frozen=True)
class SearchResult:
    """What a fit keeps.

    Attributes
    ----------
    path : tuple of PathPoint
        The front, by ascending size, on raw rows.
    chosen : PathPoint
        The one of `path` with the lowest J.
    scaling : Scaling
        What the rows were standardised by.
    history : list of dict
        Records of the descent; empty where there was nothing to descend.
    n_iter : int
        Steps of the descent; 1 where a constant was the answer.
    was_interrupted : bool
    """

    path: tuple[PathPoint, ...]
    chosen: PathPoint
    scaling: Scaling
    history: list[dict[str, Any]]
    n_iter: int
    was_interrupted: bool


@dataclass(frozen=True)
class _Problem:
    """Standardised rows, split, and what they are measured by."""

    rows: Rows
    train: Rows
    validation: Rows
    loss: Loss
    scaling: Scaling

    @classmethod
    def of(
        cls,
        data: Rows,
        loss: Loss,
        validation_fraction: float,
        random_state: np.random.RandomState,
    ) -> _Problem:
        X, target, weight = canonical_rows(data.X, data.target, data.weight)
        is_regression = loss.name == "squared_error"
        scaling = Scaling.of(X, target, weight, is_regression=is_regression)
        rows = Rows(scaling.scale_inputs(X), scaling.scale_targets(target), weight)
        # Probabilities to be reproduced are split as numbers are: they form no classes.
        has_classes = not is_regression and bool(np.isin(target, (0.0, 1.0)).all())
        parts = split_rows(target, validation_fraction, random_state, is_regression=not has_classes)
        train, validation = (_take(rows, part) for part in parts)
        if not loss.constant_loss(train.target, train.weight) > NO_LOSS:
            train = validation = rows
        return cls(rows, train, validation, loss, scaling)

    @cached_property
    def reference(self) -> float:
        """The loss of the best constant, which losses are divided by."""
        return self.loss.constant_loss(self.train.target, self.train.weight)

    def linear(self) -> SparseMLP:
        """Return a linear network of all features, to be refined."""
        d, k = self.rows.X.shape[1], self.rows.target.shape[1]
        all_but_zero = np.full((d, k), 1e-3)
        return SparseMLP((all_but_zero,), (np.zeros(k),), (), self.loss.out_activation)

    def refine(self, network: SparseMLP) -> SparseMLP:
        """Refit a network's numbers on all rows."""
        return refine(network, self.rows, self.loss, l2=self.l2(self.rows))

    def l2(self, rows: Rows) -> float:
        """Return the penalty on squared weights."""
        # What diverges from given probabilities is small where they vary little.
        scale = self.reference if self.loss.entropy(rows.target).any() else 1.0
        return PRIOR * scale / len(rows.X)

    @property
    def is_constant(self) -> bool:
        """Whether no network can be better than a constant."""
        return not self.rows.X.any() or not self.reference > NO_LOSS

    def point(self, network: SparseMLP) -> PathPoint:
        """Judge a network of standardised rows."""
        return judge(network, self.train, self.validation, self.loss, self.reference or 1.0)

    def constant(self) -> SparseMLP:
        """Return the best constant of the training rows."""
        return constant_network(self.linear(), self.train, self.loss)


def search(
    data: Rows,
    loss_name: str,
    settings: DescentSettings,
    load_autoencoder: Callable[[], Any],
    *,
    refines: bool,
    validation_fraction: float,
    random_state: np.random.RandomState,
    n_jobs: int | None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> SearchResult:
    """Find the front of networks that are worth their size.

    Parameters
    ----------
    data : Rows
        Raw: features, encoded targets, weights.
    loss_name : {"squared_error", "logistic", "softmax"}
    settings : DescentSettings
        Its `start` is on raw rows if it is a network.
    load_autoencoder : callable
        Returns the autoencoder on the device; called if the descent needs it.
    refines : bool
        Whether pruning paths follow the descent.
    validation_fraction : float
    random_state : RandomState
    n_jobs : int or None
        Pruning paths at a time.
    report : callable, optional
        Called with every record of the descent.

    Returns
    -------
    SearchResult
    """
    problem = _Problem.of(data, LOSSES[loss_name], validation_fraction, random_state)
    seed = int(random_state.randint(np.iinfo(np.int32).max))
    if problem.is_constant:
        constant = problem.point(problem.constant())
        return _finish(problem, [constant], settings.alpha, None, refits=True)
    from ._descent import DescentTask, descend  # here, so that predicting needs no torch

    start = settings.start
    if isinstance(start, SparseMLP):
        settings = replace(settings, start=problem.scaling.unfold(start))
    needs_autoencoder = settings.space != "weights" or settings.start == "data"
    descent = descend(
        DescentTask(problem.train, problem.validation, loss_name, problem.reference),
        settings,
        load_autoencoder() if needs_autoencoder else None,
        seed,
        report,
    )
    networks = _networks(descent.candidates)
    beginnings = networks[:N_PATHS]
    if isinstance(settings.start, SparseMLP):
        networks.append(settings.start)
        beginnings.append(settings.start)
    beginnings.append(problem.linear())  # what hidden neurons have to be better than
    constant = problem.point(problem.constant())
    points: list[PathPoint] = []
    if refines and not descent.was_interrupted:
        points, descent.was_interrupted = _prune(beginnings, problem, n_jobs)
    # What descent found was judged at its luckiest step, and pruning starts at all of it:
    # it is an answer only where no pruning path is.
    if not points or descent.was_interrupted:
        points += [problem.point(network) for network in networks]
        refines = False
    return _finish(problem, [constant, *points], settings.alpha, descent, refits=refines)


def _networks(candidates: list[Candidate]) -> list[SparseMLP]:
    return [candidate.network for candidate in candidates if candidate.network is not None]


def _prune(
    networks: list[SparseMLP], problem: _Problem, n_jobs: int | None
) -> tuple[list[PathPoint], bool]:
    """Run the pruning paths; return their points, and whether Ctrl-C cut them short."""
    points: list[PathPoint] = []
    l2 = problem.l2(problem.train)
    paths = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(prune_path)(network, problem.train, problem.validation, problem.loss, l2=l2)
        for network in networks
    )
    try:
        for path in paths:
            points += path[1:]  # the first is as it was given
    except KeyboardInterrupt:
        return points, True
    return points, False


def _finish(
    problem: _Problem,
    points: list[PathPoint],
    alpha: float,
    descent: Descent | None,
    *,
    refits: bool,
) -> SearchResult:
    """Keep the front, choose, refit on all rows, and go back to raw rows.

    Decoded networks are not to be refitted: that would make other networks of them
    than those that were judged.
    """
    front = pareto_front(points)
    chosen = front.index(choose(front, alpha))
    was_interrupted = descent is not None and descent.was_interrupted
    if refits:
        try:
            front = tuple(_refit(point, problem) for point in front)
        except KeyboardInterrupt:
            was_interrupted = True
    front = tuple(replace(p, network=problem.scaling.fold(p.network)) for p in front)
    return SearchResult(
        path=front,
        chosen=front[chosen],
        scaling=problem.scaling,
        history=descent.history if descent is not None else [],
        n_iter=descent.n_iter if descent is not None else 1,
        was_interrupted=was_interrupted,
    )


def _refit(point: PathPoint, problem: _Problem) -> PathPoint:
    """Refit a network's numbers on all rows; its losses stay those of the training rows."""
    if point.network.weights[0].any():
        network = problem.refine(point.network)
    else:
        network = constant_network(point.network, problem.rows, problem.loss)
    # A refit that loses a weight would no longer be the network that was judged.
    return replace(point, network=network if network.nnz == point.network.nnz else point.network)


def _take(rows: Rows, index: NDArray[np.intp]) -> Rows:
    return Rows(rows.X[index], rows.target[index], rows.weight[index])


def to_device(autoencoder: Any, device: Any) -> Any:
    """Return the shared autoencoder itself on the CPU, a copy elsewhere."""
    return autoencoder if device.type == "cpu" else copy.deepcopy(autoencoder).to(device)

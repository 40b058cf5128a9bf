"""The pruning path: small networks out of large ones, in weight space.

Every round refines the live weights and then removes those whose removal costs
least, so every round is one point of the trade-off between size and loss. What a
removal costs is told by Optimal Brain Damage [1]_ while the network is large: the
diagonal of the Gauss-Newton matrix times the squared weight. Once it is small,
Optimal Brain Surgeon [2]_ takes the full matrix and moves the remaining weights to
make up for each one that it removes.

References
----------
.. [1] Y. LeCun, J. Denker, S. Solla, "Optimal Brain Damage", NIPS 1989 (1990).
.. [2] B. Hassibi, D. Stork, "Second order derivatives for network pruning: Optimal
   Brain Surgeon", NIPS 1992 (1993).
.. [3] D. MacKay, "Bayesian interpolation", Neural Computation 4, 1992.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri

from ._leave_one_out import (
    RIDGE,
    can_leave_out,
    expected_loss,
    leave_one_out,
    leave_one_out_of_constant,
)
from ._losses import PRECISION, Loss, normalised_loss
from ._network import SparseMLP
from ._penalised_loss import Objective, diagonal
from ._refinement import (
    FULL_CURVATURE_WEIGHTS,
    ShouldStop,
    minimise,
    refine,
    with_equal_neurons,
    without_negligible,
)
from ._rows import Rows
from ._simplification import fold_linear_layers, folded_nnz, merge_neurons
from ._threads import one_blas_thread

Array = NDArray[np.float64]

_FIRST_ITERATIONS = 3  # times as many iterations in the first round, which begins far off
# Of a round: what it leaves undone the next one does, and the refit of the front does it in full.
# A tenth of the tolerance takes 30 % more time per path, and a hundredth of the gain 6 % more per
# fit, for scores that are the same.
_ROUND_TOLERANCE, _ROUND_GAIN = 1e-3, 1e-5
# Small networks get so many weights back in every second round before it removes as many more:
# which weights serve a network of 20 numbers, one of 200 does not tell. In larger ones they fit
# noise, and in every round they take 10 % more time for networks that are no better.
_GROWS_BELOW, _GROWN, _FEWEST_GROWN = 80, 0.2, 3
# Validation loss down to which rounds compute in single precision, beside noise far above its
# rounding. Refits of the front do not, nor do the curvatures that are inverted.
_PRECISE_BELOW = 0.01
_MOST_PRECISION = 90.0  # of the prior on the weights of linear networks
_SINGLE_STEPS_BELOW = 40  # below this size remove one weight per round
_NOMINATED = 8  # removals that are tried by their true loss, of which the best is done


@dataclass(frozen=True, eq=False)
class PathPoint:
    """One network of a pruning path with its losses.

    Attributes
    ----------
    network : SparseMLP
    train_loss, validation_loss : float
        Data losses divided by that of the best constant predictor of the training
        rows: 1 is worth nothing, 0 is perfect. `train_loss` is NaN until it is computed.
        `validation_loss` is that on the validation rows; of regressions on few rows that
        on all rows where it is higher, each training row as by a network that was fitted
        without it; of classes what other networks of its path suggest where that is higher.
    validation_error : float
        Standard error of `validation_loss` over the rows that it is of, in its units;
        NaN if it is not known.
    left_out : ndarray of shape (n_train, n_outputs) or None
        What the network says of training rows that are left out, if they were; not
        kept in a `path_`.
    unmerged : SparseMLP or None
        `network` before neurons were merged, if some were: it is refined like this, as one
        neuron would do less under the prior than several. Not kept in a `path_` either.
    nnz : int
        Size of the network once the scaling of the data is folded into it.
    """

    network: SparseMLP
    train_loss: float
    validation_loss: float
    validation_error: float = float("nan")
    left_out: Array | None = field(default=None, kw_only=True, repr=False)
    unmerged: SparseMLP | None = field(default=None, kw_only=True, repr=False)
    nnz: int = field(init=False)

    def __post_init__(self) -> None:
        # Once: a front is searched many times.
        object.__setattr__(self, "nnz", folded_nnz(self.network))

    @property
    def refined_as(self) -> SparseMLP:
        """What a refit begins at."""
        return self.unmerged or self.network


def pruning_rounds(
    network: SparseMLP,
    train: Rows,
    validation: Rows,
    loss: Loss,
    *,
    max_iter: int = 60,
    keep: float = 0.87,
    keep_large: float = 0.8,
    smallest: int = 0,
    grows: bool = True,
    full_curvature: int | None = None,
    should_stop: ShouldStop | None = None,
) -> Iterator[PathPoint]:
    """Refine a network and remove its least salient weights, round after round.

    Parameters
    ----------
    network : SparseMLP
        Where the path begins.
    train, validation : Rows
        Rows to optimise and to judge by. A validation loss is divided by the same
        constant as a training loss, so it exists however few its rows are. Of few
        training rows of a regression, each judges as well, left out.
    loss : Loss
    max_iter : int, default=60
        As for `refine`, in every round; the first one takes three times as many
        iterations.
    keep : float, default=0.87
        Fraction of the weights that a round keeps in a network of 40 to 300
        weights; smaller ones lose a single weight. A smaller fraction is faster and
        worse: more is removed on one quadratic model. At 0.93 fits take 7 % more time,
        for scores that are the same.
    keep_large : float, default=0.8
        The same of larger networks, whose full curvature is not known.
    smallest : int, default=0
        End the rounds once a network has at most this many non-zeros.
    grows : bool, default=True
        Whether small networks get weights back in every second round.
    full_curvature : int, optional
        Live weights up to which the full curvature tells how to refine and what to remove; by
        default 300.
    should_stop : callable, default=None
        Asked between rounds and iterations; True ends the path early.

    Yields
    ------
    PathPoint
        From large to small: the given network as it is, one point per round, and
        last the constant network, output biases only.

    Raises
    ------
    ValueError
        If `keep` or `keep_large` lies outside (0, 1), or the training targets are constant.
    """
    for name, share, usual in (("keep", keep, 0.87), ("keep_large", keep_large, 0.8)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie strictly between 0 and 1, got {share}: try {usual}")
    limit = FULL_CURVATURE_WEIGHTS if full_curvature is None else full_curvature
    with one_blas_thread():
        reference = loss.constant_loss(train.target, train.weight)

    def judged(network: SparseMLP, left_out: Array | None = None) -> PathPoint:
        return judge(network, train, validation, loss, reference, left_out)

    with one_blas_thread():
        point = judged(network)
    yield point
    network, n_iter = fold_linear_layers(network), max_iter * _FIRST_ITERATIONS
    if not network.depth:  # its prior depends on its weights
        l2 = loss.prior_strength(1.0, train.target, _n_told(train, loss))
        network = refine(network, train, loss, l2=l2, should_stop=should_stop)
        with one_blas_thread():
            point = judged(network)
    features = network.used_features  # no others come back: those may have been screened out
    may_grow = False
    while network.depth or not network.is_constant:
        if folded_nnz(network) <= smallest or (should_stop is not None and should_stop()):
            break
        l2 = prior_strength(point, train, loss)
        is_rough = point.validation_loss > _PRECISE_BELOW
        with one_blas_thread(), np.errstate(all="ignore"):
            objective, rough = _objectives(network, train, loss, l2, is_rough)
            x = minimise(rough, n_iter, should_stop, _ROUND_TOLERANCE, _ROUND_GAIN, limit)
            left = without_negligible(objective, x)
            if (network := objective.to_network(left)).is_constant:
                break
            if left is not x:
                objective, rough = _objectives(network, train, loss, l2, is_rough)
                x = objective.start
            inverse, left_out = None, None
            if can_leave_out(train, loss, len(x)):
                inverse, left_out = _leave_out(objective, x)
            equal = with_equal_neurons(objective, x)
            shown = network if equal is x else objective.to_network(equal)
            point = judged(shown, left_out)
        yield point  # outside of the contexts, which are none of the caller's business
        with one_blas_thread(), np.errstate(all="ignore"):
            n_grown, size = 0, len(x)
            if may_grow and network.depth and size <= _GROWS_BELOW:
                count = max(_FEWEST_GROWN, int(_GROWN * size))
                larger = Objective(network, train, loss, l2, features).more(count)
                grown, rough_grown = _objectives(larger, train, loss, l2, is_rough)
                x_grown = minimise(rough_grown, n_iter, should_stop, _ROUND_TOLERANCE, _ROUND_GAIN)
                if grown.value(x_grown) <= objective.value(x):
                    objective, rough, x, inverse = grown, rough_grown, x_grown, None
                    n_grown = max(0, len(x) - size)  # neurons may have died
            kept = keep if len(x) <= limit else keep_large
            x = _remove_least_salient(objective, x, kept, n_grown, inverse, rough, limit)
            network = fold_linear_layers(objective.to_network(x))
        n_iter, may_grow = max_iter, grows and not may_grow
    with one_blas_thread():
        point = judged_constant(network, train, validation, loss, reference)
    yield point


def _objectives(
    network: SparseMLP, train: Rows, loss: Loss, l2: float, is_rough: bool
) -> tuple[Objective, Objective]:
    """Return a network's objective, and what it is minimised by: in single precision if rough."""
    objective = Objective(network, train, loss, l2)
    return objective, objective.in_single() if is_rough else objective


def prior_strength(point: PathPoint, rows: Rows, loss: Loss) -> float:
    """Return the penalty to refine under on `rows`, after a network of known validation loss.

    A network is refined under a normal prior on its weights. How much the rows say against
    it is told by the validation loss: the training loss of a network of many weights would
    call its overfitting precision.
    """
    is_better = point.validation_loss < 1  # than a constant, and a number
    value = point.validation_loss if is_better else 1.0
    n_told = _n_told(rows, loss)
    precision = _precision(point.refined_as, n_told)
    return loss.prior_strength(value, rows.target, n_told, precision)


def _n_told(rows: Rows, loss: Loss) -> float:
    """Return how many draws rows are worth to the prior.

    To log-losses, rows of little weight tell little. In a regression weights may say how exactly
    targets are known, and all of these tell something.
    """
    return rows.n_draws if loss.name == "squared_error" else rows.n_effective


def _precision(network: SparseMLP, n_rows: float) -> float:
    """Return the precision of the prior on the weights of a network that was fitted.

    Those of a linear network share one target: the more there are, the smaller they have to
    be. What they came to tells their variance [3]_, by no more weights than rows can tell.
    """
    weights = network.weights[0].ravel()
    with np.errstate(all="ignore"):  # infinitely wide is as wide as the others
        squares = float(weights @ weights)
    if network.depth or not squares:
        return PRECISION
    n_told = min(int(np.count_nonzero(weights)), n_rows)
    return float(np.clip(n_told / squares, PRECISION, _MOST_PRECISION))


def judge(
    network: SparseMLP,
    train: Rows,
    validation: Rows,
    loss: Loss,
    reference: float,
    left_out: Array | None = None,
) -> PathPoint:
    """Return a network, its neurons merged, with its validation loss.

    It is divided by `reference`. What training rows say that were `left_out` may raise it. The
    training loss, which nothing is chosen by, is NaN: it is computed of what comes to the front.
    """
    unmerged, network = network, merge_neurons(network)
    raw = network.decision_function(validation.X)
    of_validation_rows = normalised_loss(loss, raw, validation.target, validation.weight, reference)
    with np.errstate(all="ignore"):  # losses that are not finite are told by being so
        error = loss.standard_error(
            raw, validation.target, validation.weight, validation.weight_per_draw
        )
        validation_loss = expected_loss(
            of_validation_rows, left_out, train, validation, loss, reference
        )
        if left_out is not None and validation_loss > of_validation_rows:  # it is of all rows
            raw = np.concatenate([left_out, raw])
            target = np.concatenate([train.target, validation.target])
            weight = np.concatenate([train.weight, validation.weight])
            per_draw = np.concatenate([train.weight_per_draw, validation.weight_per_draw])
            error = loss.standard_error(raw, target, weight, per_draw)
    return PathPoint(
        network, float("nan"), validation_loss, error / reference, left_out=left_out,
        unmerged=None if network is unmerged else unmerged,
    )  # fmt: skip


def constant_network(network: SparseMLP, rows: Rows, loss: Loss) -> SparseMLP:
    """Return the best network without weights, shaped as `network`."""
    weights = np.zeros((network.n_features, network.n_outputs))
    bias = loss.constant(rows.target, rows.weight)
    return SparseMLP((weights,), (bias,), (), network.out_activation)


def judged_constant(
    network: SparseMLP, train: Rows, validation: Rows, loss: Loss, reference: float
) -> PathPoint:
    """Return the best constant, shaped as `network`, judged by rows of both kinds as others are."""
    constant = constant_network(network, train, loss)
    left_out = leave_one_out_of_constant(constant.biases[0], train, loss)
    return judge(constant, train, validation, loss, reference, left_out)


def _leave_out(objective: Objective, x: Array) -> tuple[Array | None, Array | None]:
    """Return the inverse of the curvature (p, p), if it is known, and outputs (n, k) by it.

    It is not where a matrix of the rows was inverted instead.
    """
    curvature = objective.curvature_at(x)
    if len(x) > max(FULL_CURVATURE_WEIGHTS, objective.target.size):
        return None, leave_one_out(objective, curvature)
    inverse = _inverted(curvature.matrix)
    if inverse is None:
        return None, None
    return inverse, leave_one_out(objective, curvature, inverse)


def _inverted(matrix: Array) -> Array | None:
    """Return the inverse of a curvature (p, p), if there is one to working precision."""
    matrix = matrix.copy()
    diagonal(matrix)[:] += RIDGE * diagonal(matrix).max()
    lower, failed = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)  # symmetric: no copy
    if failed:
        return None
    inverse, _ = dpotri(lower, lower=1, overwrite_c=1)  # its upper triangle is left over
    inverse = np.where(np.tri(len(inverse), dtype=bool), inverse, inverse.T)
    return inverse if np.isfinite(inverse).all() else None


def _remove_least_salient(
    objective: Objective,
    x: Array,
    keep: float,
    n_grown: int,
    inverse: Array | None,
    rough: Objective,
    full_curvature: int,
) -> Array:
    """Live parameters (p,) with the least salient ones of this round set to zero.

    Those are the share ``1 - keep`` of the parameters that were not grown, but at most half of
    those that may go, and `n_grown` more. An inverse of the curvature that is known already is
    used up. Removals are tried by the `rough` objective.
    """
    size, n_prunable = len(x), int(objective.prunable.sum())
    most = n_prunable // 2  # where most numbers are biases that stay
    if size > full_curvature:
        saliency = objective.curvature_diagonal(x) * x * x
        return _without_least(objective, x, saliency, max(1, min(int(size * (1 - keep)), most)))
    size -= n_grown
    count = 1 if size <= _SINGLE_STEPS_BELOW else max(1, min(int(size * (1 - keep)), most))
    count = min(count + n_grown, n_prunable)
    if inverse is None:
        inverse = _inverted(objective.curvature(x))
    if inverse is None:
        return _without_least(objective, x, objective.curvature_diagonal(x) * x * x, count)
    return _surgeon(rough, x, inverse, count)


def _without_least(objective: Objective, x: Array, saliency: Array, count: int) -> Array:
    x = x.copy()
    x[np.argsort(np.where(objective.prunable, saliency, np.inf))[:count]] = 0
    return x


def _surgeon(objective: Objective, x: Array, inverse: Array, count: int) -> Array:
    """Remove `count` parameters one by one, each time adapting the others [2]_.

    The quadratic model nominates a few parameters, the loss itself decides.
    """
    candidates = objective.prunable.copy()
    removed = np.zeros(len(x), dtype=bool)
    n_nominated = max(1, _NOMINATED // count)
    for _ in range(count):
        variances = np.maximum(inverse.diagonal(), 1e-300)
        saliency = np.where(candidates, x * x / variances, np.inf)
        nominated = np.argsort(saliency, kind="stable")[: min(n_nominated, candidates.sum())]
        trials = []
        for i in nominated:
            trial = x - inverse[:, i] * (x[i] / variances[i])
            trial[removed] = 0  # exactly, not up to rounding
            trial[i] = 0
            trials.append(trial)
        values = [objective.value(trial) for trial in trials]
        best = int(np.argmin(values))
        if not np.isfinite(values[best]):  # the quadratic model is no guide here
            removed[nominated] = True
            return np.where(removed, 0.0, x)
        least, x = nominated[best], trials[best]
        inverse -= np.outer(inverse[:, least], inverse[least] / variances[least])
        candidates[least], removed[least] = False, True
    return x


def pareto_front(points: Iterable[PathPoint]) -> tuple[PathPoint, ...]:
    """Keep the points that no smaller or equally small one beats on validation.

    Parameters
    ----------
    points : iterable of PathPoint
        Of one path or of several.

    Returns
    -------
    tuple of PathPoint
        By size ascending; every validation loss is below the one before it.
    """
    front: list[PathPoint] = []
    finite = (point for point in points if np.isfinite(point.validation_loss))
    for point in sorted(finite, key=lambda point: (point.nnz, point.validation_loss)):
        if not front or point.validation_loss < front[-1].validation_loss:
            front.append(point)
    return tuple(front)


def choose(front: Sequence[PathPoint], alpha: float, max_nnz: int | None = None) -> PathPoint:
    """Return the point with the lowest ``validation_loss + alpha * nnz``.

    Parameters
    ----------
    front : sequence of PathPoint
    alpha : float
        Price of one non-zero.
    max_nnz : int, optional
        Non-zeros that it may have.

    Returns
    -------
    PathPoint
        Of equally good points the smallest.

    Raises
    ------
    ValueError
        If there is no point to choose from.
    """
    if not front:
        raise ValueError("the front has no points: no network had a finite validation loss")
    small = [point for point in front if max_nnz is None or point.nnz <= max_nnz]
    if not small:
        smallest = min(point.nnz for point in front)
        raise ValueError(
            f"max_nnz={max_nnz} is less than the {smallest} numbers of the smallest network, a "
            f"constant per output: allow {smallest} or more"
        )
    return min(small, key=lambda p: (p.validation_loss + alpha * p.nnz, p.nnz))

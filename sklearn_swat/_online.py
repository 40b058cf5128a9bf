"""Going on with a fitted network's numbers on further rows, without the rows before.

The network's structure stays: its live numbers w move from where they are, w0. Of the
rows before, of total weight W, two things stand for the loss that a move costs them, and
a batch of weight b and mean loss ``L(w)`` is fitted by

    minimise  b L(w) + W / 2 [(w - w0)^T C (w - w0) / 2 + D(w)]

- C is the mean over all rows so far of the Gauss-Newton matrix of their loss, with the
  penalty of the fit, at the numbers of their time: Laplace's approximation [1]_, right
  while the numbers stay near. It takes up the curvature of the batch at the new numbers.
- ``D(w)`` is by how much the network's outputs move away from those at w0, in units of the
  loss, on rows drawn from a normal distribution with the moments of the first fit's
  features: pseudo-rehearsal [2]_, which holds at any distance, but only as far as the
  features are normal and uncorrelated.

So all rows count alike, however long ago they came: a batch of few rows moves the numbers
by little, least of all where earlier rows speak. C alone fits a stream in random order as
well, but one sorted by its target leads it where C holds no more.

With squared errors, a network without hidden layers has C alone. Up to 64 numbers, of which
C is kept in full, nothing then is approximate: this is recursive least squares, and ends at
the numbers of a fit on all rows at once. With log-losses, a constant has ``2 D(w)`` alone, which
is exact too. Otherwise a stream ends near them.

References
----------
.. [1] H. Ritter, A. Botev, D. Barber, "Online structured Laplace approximations for
   overcoming catastrophic forgetting", NeurIPS 2018.
.. [2] A. Robins, "Catastrophic forgetting, rehearsal and pseudorehearsal", Connection
   Science 7(2), 1995.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._losses import Loss
from ._network import SparseMLP
from ._penalised_loss import Objective, diagonal
from ._preprocessing import Scaling, total_weight
from ._refinement import FULL_CURVATURE_WEIGHTS, minimise, solve
from ._rows import Rows, take_rows
from ._threads import one_blas_thread

Array = NDArray[np.float64]

_MAX_ITER = 20  # Gauss-Newton steps per batch; three to six are usual
_ENOUGH = 1e-7  # of the objective: a promised gain below it is not worth a step
_PSEUDO_ROWS = 512
_LAPLACE_SHARE = 0.5  # of C in what stands for the rows before; the rest is D
# Networks of more numbers keep the diagonal of C and its leading directions: streams end as
# low, and the matrix would outweigh all else in an estimator.
_FULL_MEMORY_WEIGHTS = 64
_LEADING = 16
_ABSENT_WEIGHT = 0.5  # of a row: what a label that the first batch lacks is worth
_ABSENT_ROWS = 50  # at most, that it is spread over


@dataclass(frozen=True, eq=False)
class Memory:
    """What the rows so far said about a network, in place of the rows.

    Attributes
    ----------
    scaling : Scaling
        What the rows of the first fit were standardised by.
    weight : float
        Of all rows so far.
    l2 : float
        The penalty of the fit on squared numbers, per unit of weight.
    network : SparseMLP
        Whose curvature it is, on raw rows.
    curvature : ndarray of shape (p, p), (p, 17) or (p,), or None
        See `mean_curvature`; None if it is not known.
    """

    scaling: Scaling
    weight: float
    l2: float
    network: SparseMLP
    curvature: Array | None


def mean_curvature(network: SparseMLP, rows: Rows, loss: Loss, l2: float) -> Array | None:
    """Return the Gauss-Newton matrix of the mean loss of rows by the live numbers.

    Parameters
    ----------
    network : SparseMLP
    rows : Rows
        Standardised, as the network takes them.
    loss : Loss
    l2 : float

    Returns
    -------
    ndarray of shape (p, p), (p, 17) or (p,), or None
        Up to 64 numbers the matrix. Up to 300 its diagonal, and in the other columns
        `U`, of its 16 leading directions: off the diagonal, it is nearly ``U @ U.T``.
        Beyond its diagonal. None if it is not finite.
    """
    with one_blas_thread(), np.errstate(all="ignore"):
        return _mean_curvature(network, rows, loss, l2)


def _mean_curvature(network: SparseMLP, rows: Rows, loss: Loss, l2: float) -> Array | None:
    objective = Objective(network, rows, loss, l2)
    curvature = _curvature(objective, objective.start)
    return _condensed(curvature) if np.isfinite(curvature).all() else None


def _condensed(curvature: Array) -> Array:
    """Return what is kept of a Gauss-Newton matrix; see `mean_curvature`."""
    if curvature.ndim == 1 or len(curvature) <= _FULL_MEMORY_WEIGHTS:
        return curvature
    diagonal = np.maximum(curvature.diagonal(), 0.0)
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    # Leading by correlation: numbers of other units would hide one another.
    values, directions = np.linalg.eigh(curvature / np.outer(unit, unit))
    leading = np.sqrt(np.maximum(values[-_LEADING:], 0.0)) * directions[:, -_LEADING:]
    return np.column_stack([diagonal, unit[:, None] * leading])


def _expanded(kept: Array) -> Array:
    """Return the matrix, or diagonal, that `_condensed` kept: positive semi-definite."""
    if kept.ndim == 1 or kept.shape[0] == kept.shape[1]:
        return kept
    matrix = kept[:, 1:] @ kept[:, 1:].T
    np.fill_diagonal(matrix, kept[:, 0])
    return np.asarray(matrix)


def _curvature(objective: Objective, x: Array) -> Array:
    if len(x) <= FULL_CURVATURE_WEIGHTS:
        return objective.curvature(x)
    return objective.curvature_diagonal(x)


def update(network: SparseMLP, memory: Memory, rows: Rows, loss: Loss) -> tuple[SparseMLP, Memory]:
    """Fit a network's live numbers to a batch without forgetting the rows before.

    Parameters
    ----------
    network : SparseMLP
        On raw rows.
    memory : Memory
        If it is of another network, C is that of the pseudo-rows.
    rows : Rows
        The batch, raw.
    loss : Loss

    Returns
    -------
    network : SparseMLP
        The same structure, with other numbers.
    memory : Memory
        With the batch in it.

    Raises
    ------
    ValueError
        If the loss of the batch is not finite.
    """
    if not rows.weight.any():
        return network, memory
    scaling = memory.scaling
    standard = scaling.unfold(network)
    counting = take_rows(rows, np.flatnonzero(rows.weight))  # the curvature takes some of them
    with one_blas_thread(), np.errstate(all="ignore"):
        X, target = scaling.scale_inputs(counting.X), scaling.scale_targets(counting.target)
        # A power of two rounds nothing, and sums of what it leaves do not overflow.
        weight = np.ldexp(counting.weight, -np.frexp(counting.weight.max())[1])
        batch = Rows(X, target, weight)
        share = total_weight(rows.weight) / memory.weight
        prior = memory.curvature if memory.network is network else None
        is_told = prior is not None and not _pseudo_share(standard, loss)
        pseudo = _pseudo_rows(standard, 1 if is_told else _PSEUDO_ROWS)
        if prior is None:
            prior = _mean_curvature(standard, pseudo, loss, memory.l2)
        prior = None if prior is None else _expanded(prior)
        objective = _AnchoredObjective(standard, batch, loss, prior, pseudo, memory.l2, share)
        if not np.isfinite(objective.value(objective.start)):
            raise ValueError(
                "the loss of the batch overflows: its rows are too far from those of the first "
                f"fit (up to {_largest(batch.X):.3g} standard deviations of a feature, "
                f"{_largest(batch.target):.3g} of a target); leave such rows out, or fit again"
            )
        x = _minimise(objective)
        curvature = objective.prior + share * objective.data_curvature(x)
        if np.isfinite(curvature).all():
            curvature = curvature / (1 + share)
        else:
            x, curvature = objective.start, objective.prior
        kept = _condensed(curvature)
    updated = scaling.fold(objective.to_network(x)) if x is not objective.start else network
    if not _have_the_same_structure(updated, network):  # a number became exactly 0
        updated = network
    total = total_weight(np.array([memory.weight, memory.weight * share]))
    return updated, replace(memory, weight=total, network=updated, curvature=kept)


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))


def _have_the_same_structure(one: SparseMLP, other: SparseMLP) -> bool:
    return one.activations == other.activations and all(
        np.array_equal(v != 0, w != 0) for v, w in zip(one.weights, other.weights, strict=True)
    )


def _pseudo_share(network: SparseMLP, loss: Loss) -> float:
    """Return the share of the pseudo-rows in what stands for the rows before.

    Of squared errors of a linear network, the curvature tells all. Of log-losses it is that
    at the present probabilities, and next to nothing where these are near 0 or 1; the answers of
    a constant are all that rows can say of it.
    """
    if loss.name == "squared_error" and not network.depth:
        return 0.0
    return 1.0 if network.is_constant else 1 - _LAPLACE_SHARE


def _pseudo_rows(network: SparseMLP, n: int) -> Rows:
    """Draw `n` standard normal rows, with the network's own outputs as their targets."""
    used = network.used_features
    X = np.zeros((n, network.n_features))
    X[:, used] = np.random.default_rng(0).standard_normal((n, len(used)))
    return Rows(X, network.predict(X), np.ones(n))


class _AnchoredObjective(Objective):
    """Loss of a batch, times its share of the weight before it, plus what a move costs that.

    Parameters
    ----------
    network, batch, loss
        As of `Objective`.
    prior : ndarray of shape (p, p) or (p,), or None
        The curvature C of the rows before, or its diagonal; None is 0.
    pseudo : Rows
    l2 : float
    share : float
        Weight of the batch, divided by that of the rows before.
    """

    def __init__(
        self,
        network: SparseMLP,
        batch: Rows,
        loss: Loss,
        prior: Array | None,
        pseudo: Rows,
        l2: float,
        share: float,
    ) -> None:
        super().__init__(network, batch, loss, 0.0)
        self.share = share
        self.pseudo = Objective(network, pseudo, loss, 0.0)
        self.pseudo_share = _pseudo_share(network, loss)
        self.pseudo_loss = self.pseudo.data_loss(self.start)
        penalised = self.live < len(self.full) - network.n_outputs
        ridge = np.where(penalised, 2 * l2, 0.0)  # which the pseudo-rows know nothing of
        if len(self.start) <= FULL_CURVATURE_WEIGHTS:
            ridge = np.diag(ridge)
        self.prior = ridge if prior is None else prior
        self.quadratic = (1 - self.pseudo_share) * self.prior + self.pseudo_share * ridge

    def _pull(self, x: Array) -> Array:
        """Gradient of the quadratic."""
        away = x - self.start
        return self.quadratic @ away if self.quadratic.ndim == 2 else self.quadratic * away

    def value(self, x: Array) -> float:
        """Objective; infinite where it cannot be computed."""
        value = self.share * self.data_loss(x) + 0.5 * float((x - self.start) @ self._pull(x))
        value += self.pseudo_share * (self.pseudo.data_loss(x) - self.pseudo_loss)
        return value if np.isfinite(value) else np.inf

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Objective and its gradient (p,)."""
        loss, gradient = super().value_and_gradient(x)
        pull = self._pull(x)
        pseudo_loss, pseudo_gradient = self.pseudo.value_and_gradient(x)
        value = self.share * loss + 0.5 * float((x - self.start) @ pull)
        value += self.pseudo_share * (pseudo_loss - self.pseudo_loss)
        return value, self.share * gradient + pull + self.pseudo_share * pseudo_gradient

    def curvature(self, x: Array) -> Array:
        """Gauss-Newton matrix (p, p), of earlier rows too: `curvature_at` is of the batch alone."""
        quadratic = self.quadratic if self.quadratic.ndim == 2 else np.diag(self.quadratic)
        matrix = self.share * super().curvature(x) + quadratic
        return matrix + self.pseudo_share * self.pseudo.curvature(x)

    def data_curvature(self, x: Array) -> Array:
        """Gauss-Newton matrix of the batch alone, shaped as `prior`."""
        return super().curvature(x) if self.prior.ndim == 2 else self.curvature_diagonal(x)


def _minimise(objective: _AnchoredObjective) -> Array:
    """Live numbers (p,) that minimise the objective: by Gauss-Newton with backtracking."""
    x = objective.start
    if len(x) > FULL_CURVATURE_WEIGHTS:
        return minimise(objective, 5 * _MAX_ITER, None)
    value, gradient = objective.value_and_gradient(x)
    for _ in range(_MAX_ITER):
        matrix = objective.curvature(x)
        diagonal(matrix)[:] += 1e-12 * diagonal(matrix).max(initial=1e-12)
        step = solve(matrix, gradient)
        if step is None:
            return x
        promised, length = float(gradient @ step), 1.0
        if not promised > _ENOUGH * value:
            return x
        # The matrix is positive definite, so a step that is short enough is a gain.
        while not objective.value(x - length * step) < value - 0.25 * length * promised:
            length /= 2
            if length < 1e-6:
                return x
        x = x - length * step
        value, gradient = objective.value_and_gradient(x)
    return x


def with_absent_labels(rows: Rows, loss: Loss) -> Rows:
    """Add rows of little weight for every class, or value of a label, that no row has.

    Without one, nothing keeps the log-odds of an absent class from minus infinity, where
    no later row could move them.

    Parameters
    ----------
    rows : Rows
        Their targets one-hot for softmax, else 0/1 labels.
    loss : Loss

    Returns
    -------
    Rows
        The added ones are spread over the rows that are there, and weigh half a mean row.

    Examples
    --------
    >>> from sklearn_swat._losses import LOSSES
    >>> rows = Rows(np.array([[1.0], [3.0]]), np.array([[1.0, 0, 0], [0, 1, 0]]), np.ones(2))
    >>> more = with_absent_labels(rows, LOSSES["softmax"])
    >>> more.X[2:].T, more.target[2], more.weight
    (array([[1., 3.]]), array([0., 0., 1.]), array([1.  , 1.  , 0.25, 0.25]))
    """
    is_counting = rows.weight > 0
    target, weight = rows.target[is_counting], rows.weight[is_counting]
    if loss.name == "softmax":
        absent = np.eye(target.shape[1])[~target.any(axis=0)]
    else:
        lacks = (target == target[:1]).all(axis=0)
        absent = np.tile(np.round(target.mean(axis=0)), (int(lacks.sum()), 1))
        columns = np.flatnonzero(lacks)
        absent[np.arange(len(columns)), columns] = 1 - target[0, columns]
    if not len(absent):
        return rows
    # Spread over rows that are there, so that no network finds a place of their own for them.
    X = rows.X[is_counting][:: -(-len(weight) // _ABSENT_ROWS)]
    draws = np.ones(len(rows.weight)) if rows.draws is None else rows.draws
    n, each = len(X), _ABSENT_WEIGHT * (total_weight(weight) / len(weight)) / len(X)
    return Rows(
        np.vstack([rows.X, np.tile(X, (len(absent), 1))]),
        np.vstack([rows.target, np.repeat(absent, n, axis=0)]),
        np.concatenate([rows.weight, np.full(n * len(absent), each)]),
        np.concatenate([draws, np.zeros(n * len(absent))]),  # no observations
    )

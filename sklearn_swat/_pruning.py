"""The pruning path: small networks out of large ones, in weight space.

Every round refines the live weights and then removes those whose removal costs
least, so every round is one point of the trade-off between size and loss. Both
steps use the Gauss-Newton approximation of the loss's curvature:

- refining: L-BFGS while the network is large, Levenberg-Marquardt [1]_ once it is small;
- removing: Optimal Brain Damage [2]_ (curvature diagonal times squared weight)
  while the network is large; Optimal Brain Surgeon [3]_ once it is small, which
  takes the full curvature matrix and moves the remaining weights to make up for
  each one that it removes.

References
----------
.. [1] J. Moré, "The Levenberg-Marquardt algorithm", 1978.
.. [2] Y. LeCun, J. Denker, S. Solla, "Optimal Brain Damage", NIPS 1989.
.. [3] B. Hassibi, D. Stork, "Second order derivatives for network pruning:
   Optimal Brain Surgeon", NIPS 1992.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from ._activations import ACTIVATIONS
from ._losses import Loss, normalised_loss
from ._network import SparseMLP, activation_slices

Array = NDArray[np.float64]
ShouldStop = Callable[[], bool]

# Up to this many live weights the full curvature matrix is used. Its cost grows with
# the square of their number: about 2 ms for 150 weights and 800 rows on one core.
_FULL_CURVATURE_WEIGHTS = 150
# The curvature is taken from at most about this many (row, output) pairs, evenly
# spaced: a step in a slightly wrong metric is still judged by the exact loss.
_CURVATURE_PAIRS = 4000
_LARGE_NETWORK, _LARGE_KEEP = 300, 0.7  # above this size, keep this fraction per round
_MEDIUM_KEEP = 0.8  # between small (full curvature) and large
_SINGLE_STEPS_BELOW = 20  # below this size remove one weight per round


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of data as every loss takes them.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Features, float64.
    target : ndarray of shape (n, k)
        Targets as the loss wants them.
    weight : ndarray of shape (n,)
        Non-negative row weights of any positive sum.
    """

    X: Array
    target: Array
    weight: Array


@dataclass(frozen=True, eq=False)
class PathPoint:
    """One network of a pruning path with its losses.

    Attributes
    ----------
    network : SparseMLP
    train_loss, validation_loss : float
        Data losses divided by that of the best constant predictor of the training
        rows: 1 is worth nothing, 0 is perfect.
    """

    network: SparseMLP
    train_loss: float
    validation_loss: float

    @property
    def nnz(self) -> int:
        """Size of the network once the scaling of the data is folded into it."""
        return folded_nnz(self.network)


def folded_nnz(network: SparseMLP) -> int:
    """Count the non-zeros that a network has once scaling is folded into it.

    Folding the centring of features and targets into a network gives every neuron
    of its first layer and every output a non-zero bias. So these biases cost one
    each, whatever their value, and pruning gains nothing by removing one alone.

    Parameters
    ----------
    network : SparseMLP

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> network = SparseMLP((np.ones((3, 1)),), (np.zeros(1),), ())
    >>> network.nnz, folded_nnz(network)
    (3, 4)
    """
    free = {0, network.depth}
    biases = (b.size if i in free else np.count_nonzero(b) for i, b in enumerate(network.biases))
    return int(sum(map(np.count_nonzero, network.weights)) + sum(biases))


class _Objective:
    """Penalised training loss of a network as a function of its live parameters.

    Live are the non-zero weights, the biases of the first and of the last layer,
    and the non-zero biases between. All arrays are feature-major, one line per
    feature or neuron, so that each activation works on contiguous memory.

    Parameters
    ----------
    network : SparseMLP
        Fixes the structure; its values are `start`.
    rows : Rows
    loss : Loss
    l2 : float
        Penalty on the squares of all live parameters but the output biases, whose
        best value must not depend on it.
    """

    def __init__(self, network: SparseMLP, rows: Rows, loss: Loss, l2: float) -> None:
        self.network, self.loss = network, loss
        self.used = network.used_features
        self.inputs = np.ascontiguousarray(rows.X.T[self.used])  # (d used, n)
        self.target, self.weight = rows.target, rows.weight
        self.slices = [activation_slices(names) for names in network.activations]

        weights = [network.weights[0][self.used], *network.weights[1:]]
        self.shapes = [w.shape for w in weights]
        free = {0, network.depth}
        live = [w.ravel() != 0 for w in weights]
        live += [(b != 0) | (i in free) for i, b in enumerate(network.biases)]
        self.live = np.flatnonzero(np.concatenate(live))
        self.full = np.concatenate([w.ravel() for w in weights] + list(network.biases))
        self.start = self.full[self.live]
        self.offsets = np.cumsum([0, *(w.size for w in weights), *map(len, network.biases)])

        first_output_bias = len(self.full) - network.n_outputs
        self.penalty = np.where(self.live < first_output_bias, l2, 0.0)
        # positions among the live parameters that pruning may remove on their own
        n_weights = self.offsets[len(weights)]
        first_bias_end = n_weights + len(network.biases[0])
        is_free = (self.live >= n_weights) & (self.live < first_bias_end)
        self.prunable = ~(is_free | (self.live >= first_output_bias))

    # ------------------------------------------------------------------- parameters
    def layers(self, x: Array) -> tuple[list[Array], list[Array]]:
        """Dense weights and biases for live parameters (p,)."""
        full = np.zeros_like(self.full)
        full[self.live] = x
        parts = [full[a:b] for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True)]
        count = len(self.shapes)
        return [p.reshape(s) for p, s in zip(parts, self.shapes, strict=False)], parts[count:]

    def to_network(self, x: Array) -> SparseMLP:
        """Return the network with live parameters (p,); a zero removes its weight."""
        weights, biases = self.layers(x)
        first = np.zeros((self.network.n_features, weights[0].shape[1]))
        first[self.used] = weights[0]
        return replace(self.network, weights=(first, *weights[1:]), biases=tuple(biases))

    # -------------------------------------------------------------- loss and gradient
    def _forward(self, weights: list[Array], biases: list[Array], inputs: Array):  # type: ignore[no-untyped-def]
        """Raw outputs (k, n), activations and slopes of the hidden layers."""
        hidden, slopes = [inputs], []
        for w, b, groups in zip(weights[:-1], biases[:-1], self.slices, strict=True):
            z = w.T @ hidden[-1]
            z += b[:, None]
            a, slope = np.empty_like(z), np.empty_like(z)
            for name, group in groups:
                activation = ACTIVATIONS[name]
                a[group] = activation.value(z[group])
                slope[group] = activation.slope(z[group], a[group])
            hidden.append(a)
            slopes.append(slope)
        return weights[-1].T @ hidden[-1] + biases[-1][:, None], hidden, slopes

    def data_loss(self, x: Array) -> float:
        """Loss without the penalty."""
        raw, _, _ = self._forward(*self.layers(x), self.inputs)
        return self.loss.value(raw.T, self.target, self.weight)

    def value(self, x: Array) -> float:
        """Penalised loss; infinite where it cannot be computed."""
        with np.errstate(all="ignore"):
            value = self.data_loss(x) + float(self.penalty @ (x * x))
        return value if np.isfinite(value) else np.inf

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Penalised loss and its gradient (p,)."""
        weights, biases = self.layers(x)
        raw, hidden, slopes = self._forward(weights, biases, self.inputs)
        value, out = self.loss.value_and_gradient(raw.T, self.target, self.weight)
        delta: Array = np.ascontiguousarray(out.T)  # (k, n)
        products, sums = [], []
        for i in range(len(weights) - 1, -1, -1):
            products.append((hidden[i] @ delta.T).ravel())
            sums.append(delta.sum(axis=1))
            if i:
                delta = (weights[i] @ delta) * slopes[i - 1]
        gradient = np.concatenate(products[::-1] + sums[::-1])[self.live]
        return value + float(self.penalty @ (x * x)), gradient + 2 * self.penalty * x

    # ------------------------------------------------------------------- curvature
    def _factors(self, x: Array) -> tuple[list[Array], list[Array]]:
        """Inputs (n_in, n) of every layer, and its curvature factors (n_out, r, n)."""
        every = -(-len(self.weight) * len(self.target[0]) // _CURVATURE_PAIRS)
        weights, biases = self.layers(x)
        raw, hidden, slopes = self._forward(weights, biases, self.inputs[:, ::every])
        factor = self.loss.curvature_factor(raw.T, self.weight[::every])  # (r, n, k)
        delta = np.ascontiguousarray(np.moveaxis(factor, -1, 0))
        deltas = [delta]
        for i in range(len(weights) - 1, 0, -1):
            delta = np.tensordot(weights[i], delta, 1) * slopes[i - 1][:, None, :]
            deltas.append(delta)
        return hidden, deltas[::-1]

    def curvature_diagonal(self, x: Array) -> Array:
        """Diagonal of the Gauss-Newton matrix, penalty included, (p,)."""
        hidden, deltas = self._factors(x)
        squares = [np.einsum("orn,orn->on", delta, delta) for delta in deltas]
        weights = [((h * h) @ s.T).ravel() for h, s in zip(hidden, squares, strict=True)]
        diagonal = np.concatenate(weights + [s.sum(axis=1) for s in squares])[self.live]
        return np.asarray(diagonal + 2 * self.penalty)

    def curvature(self, x: Array) -> Array:
        """Gauss-Newton matrix, penalty included, (p, p)."""
        hidden, deltas = self._factors(x)
        lines = []
        bounds = np.searchsorted(self.live, self.offsets)
        for i, (h, delta) in enumerate(zip(hidden, deltas, strict=True)):
            source, target = np.divmod(
                self.live[bounds[i] : bounds[i + 1]] - self.offsets[i], self.shapes[i][1]
            )
            lines.append(h[source][:, None, :] * delta[target])
        for i, delta in enumerate(deltas, start=len(self.shapes)):
            lines.append(delta[self.live[bounds[i] : bounds[i + 1]] - self.offsets[i]])
        jacobian = np.concatenate(lines).reshape(len(self.live), -1)
        matrix = jacobian @ jacobian.T
        matrix[np.diag_indices_from(matrix)] += 2 * self.penalty
        return np.asarray(matrix)


def refine(
    network: SparseMLP,
    rows: Rows,
    loss: Loss,
    *,
    l2: float = 1e-4,
    max_iter: int = 60,
    should_stop: ShouldStop | None = None,
) -> SparseMLP:
    """Optimise the live weights of a network, its structure as it is.

    Parameters
    ----------
    network : SparseMLP
    rows : Rows
        Training rows.
    loss : Loss
    l2 : float, default=1e-4
        Penalty on squared parameters: enough to keep separable classes and
        saturated neurons from drifting to infinity, too little to be a bias.
    max_iter : int, default=60
        Iterations of L-BFGS; a Levenberg-Marquardt iteration, which costs and
        reaches more, counts as four.
    should_stop : callable, default=None
        Asked between iterations; True ends the optimisation with what there is.

    Returns
    -------
    SparseMLP
        Its data loss on `rows` is never worse than that of `network`.
    """
    objective = _Objective(network, rows, loss, l2)
    with np.errstate(all="ignore"):
        before = objective.data_loss(objective.start)
        x = _minimise(objective, max_iter, should_stop)
        after = objective.data_loss(x)
    return network if before <= after or not np.isfinite(after) else objective.to_network(x)


def _minimise(objective: _Objective, max_iter: int, should_stop: ShouldStop | None) -> Array:
    """Live parameters (p,) of the lowest penalised loss found."""
    with np.errstate(all="ignore"):  # a step that overflows is rejected by its value
        if len(objective.start) <= _FULL_CURVATURE_WEIGHTS:
            return _levenberg_marquardt(objective, -(-max_iter // 4), should_stop)
        return _lbfgs(objective, max_iter, should_stop)


def _lbfgs(objective: _Objective, max_iter: int, should_stop: ShouldStop | None) -> Array:
    best_value, best = np.inf, objective.start

    def evaluate(x: Array) -> tuple[float, Array]:
        nonlocal best_value, best
        value, gradient = objective.value_and_gradient(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e300, np.zeros_like(x)  # makes the line search turn back
        if value < best_value:
            best_value, best = value, x.copy()
        return value, gradient

    def callback(x: Array) -> None:
        if should_stop is not None and should_stop():
            raise StopIteration

    options = {"maxiter": max_iter, "ftol": 1e-7}
    minimize(
        evaluate, objective.start, jac=True, method="L-BFGS-B", callback=callback, options=options
    )
    return best


def _levenberg_marquardt(
    objective: _Objective, max_iter: int, should_stop: ShouldStop | None
) -> Array:
    x, damping = objective.start, 1e-3
    value, gradient = objective.value_and_gradient(x)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        return x
    for _ in range(max_iter):
        matrix = objective.curvature(x)
        diagonal = matrix.diagonal().copy()
        floor = 1e-8 * diagonal.max(initial=1e-8)  # for parameters without any effect
        for _ in range(8):
            damped = matrix.copy()
            damped[np.diag_indices_from(damped)] += damping * diagonal + floor
            step = _solve(damped, gradient)
            trial = objective.value(x - step) if step is not None else np.inf
            if trial < value:
                break
            damping *= 8
        else:
            return x
        gain, damping = value - trial, max(damping / 8, 1e-8)
        x = x - step
        if gain < 1e-4 * trial or (should_stop is not None and should_stop()):
            break
        value, gradient = objective.value_and_gradient(x)
    return x


def _solve(matrix: Array, right: Array) -> Array | None:
    """Solve a positive definite system; None if it is not one to working precision."""
    try:
        return np.asarray(cho_solve(cho_factor(matrix, lower=True), right))
    except (LinAlgError, ValueError):
        return None


def prune_path(
    network: SparseMLP,
    train: Rows,
    validation: Rows,
    loss: Loss,
    *,
    l2: float = 1e-4,
    max_iter: int = 60,
    keep: float = 0.87,
    smallest: int = 0,
    should_stop: ShouldStop | None = None,
) -> list[PathPoint]:
    """Refine a network and remove its least salient weights, round after round.

    Parameters
    ----------
    network : SparseMLP
        Where the path begins.
    train, validation : Rows
        Rows to optimise and to judge by. A validation loss is divided by the same
        constant as a training loss, so it exists however few its rows are.
    loss : Loss
    l2, max_iter : float, int
        As for `refine`, in every round.
    keep : float, default=0.87
        Fraction of the weights that a round keeps in a network of 20 to 150
        weights; larger ones lose more at once, smaller ones a single weight.
    smallest : int, default=0
        End the rounds once a network has at most this many non-zeros.
    should_stop : callable, default=None
        Asked between rounds and iterations; True ends the path early.

    Returns
    -------
    list of PathPoint
        From large to small: the given network as it is, one point per round, and
        last the constant network, output biases only.

    Raises
    ------
    ValueError
        If `keep` lies outside (0, 1), or the training targets are constant.
    """
    if not 0 < keep < 1:
        raise ValueError(f"keep must lie strictly between 0 and 1, got {keep}: try 0.87")
    reference = loss.constant_loss(train.target, train.weight)

    def point(network: SparseMLP) -> PathPoint:
        losses = (
            normalised_loss(
                loss, network.decision_function(rows.X), rows.target, rows.weight, reference
            )
            for rows in (train, validation)
        )
        return PathPoint(network, *losses)

    path = [point(network)]
    while network.depth or network.weights[0].any():
        if folded_nnz(network) <= smallest or (should_stop is not None and should_stop()):
            break
        objective = _Objective(network, train, loss, l2)
        x = _minimise(objective, max_iter, should_stop)
        path.append(point(objective.to_network(x)))
        with np.errstate(all="ignore"):
            network = objective.to_network(_remove_least_salient(objective, x, keep))
    path.append(point(constant_network(network, train, loss)))
    return path


def constant_network(network: SparseMLP, rows: Rows, loss: Loss) -> SparseMLP:
    """Return the best network without weights, shaped as `network`."""
    weights = np.zeros((network.n_features, network.n_outputs))
    bias = loss.constant(rows.target, rows.weight)
    return SparseMLP((weights,), (bias,), (), network.out_activation)


def _remove_least_salient(objective: _Objective, x: Array, keep: float) -> Array:
    """Live parameters (p,) with the least salient ones of this round set to zero."""
    size = len(x)
    if size > _FULL_CURVATURE_WEIGHTS:
        fraction = _LARGE_KEEP if size > _LARGE_NETWORK else _MEDIUM_KEEP
        saliency = np.where(objective.prunable, objective.curvature_diagonal(x) * x * x, np.inf)
        return _zeroed(x, np.argsort(saliency)[: max(1, int(size * (1 - fraction)))])
    count = 1 if size <= _SINGLE_STEPS_BELOW else max(1, int(size * (1 - keep)))
    return _surgeon(objective, x, min(count, int(objective.prunable.sum())))


def _surgeon(objective: _Objective, x: Array, count: int) -> Array:
    """Remove `count` parameters one by one, each time adapting the others [3]_."""
    matrix = objective.curvature(x)
    matrix[np.diag_indices_from(matrix)] += 1e-8 * matrix.diagonal().max()
    inverse = _solve(matrix, np.eye(len(x)))
    if inverse is None or not np.isfinite(inverse).all():
        saliency = np.where(objective.prunable, matrix.diagonal() * x * x, np.inf)
        return _zeroed(x, np.argsort(saliency)[:count])
    x, candidates = x.copy(), objective.prunable.copy()
    removed = []
    for _ in range(count):
        variances = np.maximum(inverse.diagonal(), 1e-300)
        least = int(np.argmin(np.where(candidates, x * x / variances, np.inf)))
        column = inverse[:, least] / variances[least]
        x -= x[least] * column
        inverse -= np.outer(column, inverse[least])
        candidates[least] = False
        removed.append(least)
    return _zeroed(x, np.array(removed, dtype=np.intp))


def _zeroed(x: Array, positions: NDArray[np.intp]) -> Array:
    x = x.copy()
    x[positions] = 0
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


def choose(front: Sequence[PathPoint], alpha: float) -> PathPoint:
    """Return the point with the lowest ``validation_loss + alpha * nnz``.

    Parameters
    ----------
    front : sequence of PathPoint
    alpha : float
        Price of one non-zero.

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
    return min(front, key=lambda p: (p.validation_loss + alpha * p.nnz, p.nnz))

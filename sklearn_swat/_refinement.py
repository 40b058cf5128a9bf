"""Refining a network in weight space: its structure stays, its live weights move.

L-BFGS while the network is large, Levenberg-Marquardt [1]_ once it is small. Both
the latter and the pruning path use the Gauss-Newton approximation of the loss's
curvature, ``J^T H J`` with the Jacobian J of the raw outputs and the exact second
derivative H of the loss by them [2]_.

References
----------
.. [1] J. Moré, "The Levenberg-Marquardt algorithm: implementation and theory", 1978.
.. [2] N. Schraudolph, "Fast curvature matrix-vector products for second-order
   gradient descent", Neural Computation 14, 2002.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.optimize import minimize

from ._activations import ACTIVATIONS
from ._losses import Loss, LossOnRows
from ._network import SparseMLP, activation_slices
from ._threads import one_blas_thread

Array = NDArray[np.float64]
ShouldStop = Callable[[], bool]
# Up to this many live weights the full curvature matrix is used. Its cost grows with
# the square of their number: about 2 ms for 150 weights and 800 rows on one core. At 150
# instead of 300, networks of clean tables stop short of what their weights can do.
FULL_CURVATURE_WEIGHTS = 300
# The curvature is taken from at most about this many (row, output) pairs, evenly
# spaced: a step in a slightly wrong metric is still judged by the exact loss.
CURVATURE_PAIRS = 2000
# Rows that L-BFGS takes at a time: what layers of 16 neurons say of them stays in a processor's
# cache. Of 24,000 rows and more, a gradient takes half of the time that it takes with all at once.
BLOCK_ROWS = 8192
LARGEST_IN_SINGLE = 1e6  # standard deviations: far from where sums of single precision overflow
TOLERANCE = 1e-4  # share of the loss that a step of Levenberg-Marquardt has to gain
# Damping of Levenberg-Marquardt, a share of the curvature's diagonal: at first, at least, and by
# what it falls after a step that gained most of what the quadratic model had promised, and rises
# after one that gained little or nothing [1]_. Steps that are tried in vain are 30 % fewer than
# where it falls after every gain.
FIRST_DAMPING, LEAST_DAMPING, DAMPING_FACTOR, DISTRUST = 1e-3, 1e-8, 8.0, 2.0
TRUSTED, DISTRUSTED = 0.75, 0.25  # shares of the promised gain
LEAST_GAIN = 1e-7  # what an iteration of L-BFGS has to gain; a share where the loss is above 1


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
    draws : ndarray of shape (n,), optional
        Whole numbers: independent draws that every row stands for. Without it each is one.
    """

    X: Array
    target: Array
    weight: Array
    draws: Array | None = None

    @property
    def n_draws(self) -> int:
        """Independent draws that all rows stand for."""
        return len(self.weight) if self.draws is None else int(self.draws.sum())

    @property
    def weight_per_draw(self) -> Array:
        """Weight (n,) of each of the draws that a row stands for."""
        return self.weight if self.draws is None else self.weight / self.draws


class Forward(NamedTuple):
    """A forward pass: weights, biases, inputs (n_in, n) of every layer, raw outputs (k, n)."""

    weights: list[Array]
    biases: list[Array]
    hidden: list[Array]
    raw: Array


@dataclass(frozen=True, eq=False)
class Curvature:
    """What is known of a loss's curvature at a point, by the rows that the curvature takes.

    Attributes
    ----------
    forward : Forward
        Through these rows.
    factors : ndarray of shape (p, r, n)
        G, of which ``G G^T`` is the Gauss-Newton matrix of the data loss.
    penalty : ndarray of shape (p,)
        On squared parameters.
    """

    forward: Forward
    factors: Array
    penalty: Array

    @cached_property
    def matrix(self) -> Array:
        """The Gauss-Newton matrix (p, p), penalty included."""
        lines = self.factors.reshape(len(self.factors), -1)
        matrix = np.asarray(lines @ lines.T, dtype=np.float64)
        diagonal(matrix)[:] += 2 * self.penalty
        return matrix


class Objective:
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
    features : int ndarray, optional
        Ascending, those of which `more` may add weights: `network` uses no others. By
        default those that it uses.
    """

    def __init__(
        self,
        network: SparseMLP,
        rows: Rows,
        loss: Loss,
        l2: float,
        features: NDArray[np.intp] | None = None,
    ) -> None:
        self.network, self.loss, self.l2 = network, loss, l2
        self.used = network.used_features if features is None else features
        self.inputs = np.ascontiguousarray(rows.X.T[self.used])  # (d used, n)
        self.target, self.weight, self.draws = rows.target, rows.weight, rows.draws
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
        full = np.zeros(len(self.full), dtype=self.inputs.dtype)
        full[self.live] = x
        return self._split(full)

    def in_single(self) -> Objective:
        """Return the same objective with layers and Gauss-Newton matrices in single precision.

        The arithmetic takes half of the time. Losses and parameters stay in double precision, and
        all does where features reach further than `LARGEST_IN_SINGLE`.
        """
        if not np.abs(self.inputs).max(initial=0.0) < LARGEST_IN_SINGLE:
            return self
        single = copy.copy(self)
        single.inputs = self.inputs.astype(np.float32)
        return single

    def _split(self, full: Array) -> tuple[list[Array], list[Array]]:
        parts = [full[a:b] for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True)]
        count = len(self.shapes)
        return [p.reshape(s) for p, s in zip(parts, self.shapes, strict=False)], parts[count:]

    def to_network(self, x: Array) -> SparseMLP:
        """Return the network with live parameters (p,); a zero removes its weight."""
        return self._network(*self.layers(x))

    def _network(self, weights: list[Array], biases: list[Array]) -> SparseMLP:
        first = np.zeros((self.network.n_features, weights[0].shape[1]))
        first[self.used] = weights[0]
        return replace(self.network, weights=(first, *weights[1:]), biases=tuple(biases))

    # -------------------------------------------------------------- loss and gradient
    def forward(self, x: Array, every: int = 1) -> Forward:
        """Compute the outputs of all rows, or of one in so many, for live parameters (p,)."""
        return self._forward(*self.layers(x), self.inputs[:, ::every])

    def _forward(self, weights: list[Array], biases: list[Array], inputs: Array) -> Forward:
        hidden = [inputs]
        for w, b, groups in zip(weights[:-1], biases[:-1], self.slices, strict=True):
            z = w.T @ hidden[-1]
            z += b[:, None]
            for name, group in groups:
                z[group] = ACTIVATIONS[name].value(z[group])
            hidden.append(z)
        raw = weights[-1].T @ hidden[-1] + biases[-1][:, None]
        return Forward(weights, biases, hidden, np.asarray(raw, dtype=np.float64))

    def _backward(self, forward: Forward, delta: Array) -> list[Array]:
        """Derivatives (n_out, r, n) by the sums of every layer, of `delta` by the raw outputs."""
        delta = delta.astype(self.inputs.dtype, copy=False)
        deltas = [delta]
        layers = zip(forward.weights[1:], forward.hidden[1:], self.slices, strict=True)
        for w, hidden, groups in reversed(list(layers)):
            slope = np.empty_like(hidden)
            for name, group in groups:
                slope[group] = ACTIVATIONS[name].slope(hidden[group])
            delta = (w @ delta.reshape(len(delta), -1)).reshape(len(w), *delta.shape[1:])
            delta *= slope[:, None, :]
            deltas.append(delta)
        return deltas[::-1]

    def data_loss(self, x: Array) -> float:
        """Loss without the penalty."""
        return self._loss.value(self.forward(x).raw.T)

    def value(self, x: Array) -> float:
        """Penalised loss; infinite where it cannot be computed."""
        with np.errstate(all="ignore"):
            return self.value_of(x, self.forward(x))

    def value_of(self, x: Array, forward: Forward) -> float:
        """`value`, after the forward pass; the caller silences NumPy."""
        value = self._loss.value(forward.raw.T)
        value += float(self.penalty @ (x * x))
        return value if np.isfinite(value) else np.inf

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Penalised loss and its gradient (p,)."""
        weights, biases = self.layers(x)
        value, gradient = float(self.penalty @ (x * x)), 2 * self.penalty * x
        for rows, loss, share in self._blocks:
            forward = self._forward(weights, biases, self.inputs[:, rows])
            value += share * loss.value(forward.raw.T)
            gradient += share * self._full_gradient(forward, loss)[self.live]
        return value, gradient

    @cached_property
    def _loss(self) -> LossOnRows:
        return self.loss.on(self.target, self.weight)

    @cached_property
    def _blocks(self) -> list[tuple[slice, LossOnRows, float]]:
        """Slices of so many rows, their losses and shares in the weight; without those of none."""
        total, n = self.weight.sum(), len(self.weight)
        slices = [slice(i, i + BLOCK_ROWS) for i in range(0, n, BLOCK_ROWS)]
        shares = [float(self.weight[rows].sum() / total) for rows in slices]
        return [
            (rows, self.loss.on(self.target[rows], self.weight[rows]), share)
            for rows, share in zip(slices, shares, strict=True)
            if share > 0
        ]

    def _gradient(self, x: Array, forward: Forward) -> Array:
        of_data = self._full_gradient(forward, self._loss)
        return of_data[self.live] + 2 * self.penalty * x

    def _full_gradient(self, forward: Forward, loss: LossOnRows) -> Array:
        """Return the gradient of the data loss by all parameters, live or not."""
        out = loss.gradient(forward.raw.T)
        deltas = self._backward(forward, np.ascontiguousarray(out.T)[:, None])
        pairs = zip(forward.hidden, deltas, strict=True)
        products = [(hidden @ delta[:, 0].T).ravel() for hidden, delta in pairs]
        return np.concatenate([*products, *(delta[:, 0].sum(axis=1) for delta in deltas)])

    # ------------------------------------------------------------------- curvature
    @property
    def _every(self) -> int:
        """Every how many rows the curvature takes one."""
        return -(-len(self.weight) * len(self.target[0]) // CURVATURE_PAIRS)

    def _factors(self, forward: Forward) -> tuple[list[Array], list[Array]]:
        """Return the inputs (n_in, n) and curvature factors (n_out, r, n) of all layers.

        The forward pass is one through the rows of the curvature.
        """
        weight = self.weight[:: self._every]
        factor = self.loss.curvature_factor(forward.raw.T, weight)  # (r, n, k)
        delta = np.ascontiguousarray(np.moveaxis(factor, -1, 0))
        return forward.hidden, self._backward(forward, delta)

    def _thinned(self, forward: Forward) -> Forward:
        """Keep of a forward pass through all rows what the curvature takes."""
        every = self._every
        if every == 1:
            return forward
        hidden = [np.ascontiguousarray(part[:, ::every]) for part in forward.hidden]
        return forward._replace(hidden=hidden, raw=forward.raw[:, ::every])

    def curvature_diagonal(self, x: Array) -> Array:
        """Diagonal of the Gauss-Newton matrix, penalty included, (p,)."""
        of_all = self._full_curvature_diagonal(*self._factors(self.forward(x, self._every)))
        return np.asarray(of_all[self.live] + 2 * self.penalty)

    def _full_curvature_diagonal(self, hidden: list[Array], deltas: list[Array]) -> Array:
        """Return that of the data loss by all parameters, live or not."""
        squares = [np.einsum("orn,orn->on", delta, delta) for delta in deltas]
        weights = [((h * h) @ s.T).ravel() for h, s in zip(hidden, squares, strict=True)]
        return np.concatenate(weights + [s.sum(axis=1) for s in squares])

    def curvature(self, x: Array) -> Array:
        """Gauss-Newton matrix, penalty included, (p, p)."""
        return self.curvature_at(x).matrix

    def curvature_at(self, x: Array) -> Curvature:
        """Compute the curvature for live parameters (p,), with what it is made of."""
        return self._curvature(self.forward(x, self._every))

    def quadratic_model(self, x: Array, forward: Forward) -> tuple[Array, Array]:
        """Gradient (p,) of the penalised loss, and the Gauss-Newton matrix (p, p)."""
        return self._gradient(x, forward), self._curvature(self._thinned(forward)).matrix

    def _curvature(self, forward: Forward) -> Curvature:
        return Curvature(forward, self._curvature_factors(forward), self.penalty)

    def _curvature_factors(self, forward: Forward) -> Array:
        hidden, deltas = self._factors(forward)
        lines = []
        bounds = np.searchsorted(self.live, self.offsets)
        for i, (h, delta) in enumerate(zip(hidden, deltas, strict=True)):
            source, target = np.divmod(
                self.live[bounds[i] : bounds[i + 1]] - self.offsets[i], self.shapes[i][1]
            )
            lines.append(h[source][:, None, :] * delta[target])
        for i, delta in enumerate(deltas, start=len(self.shapes)):
            lines.append(delta[self.live[bounds[i] : bounds[i + 1]] - self.offsets[i]])
        return np.concatenate(lines)

    def more(self, count: int) -> SparseMLP:
        """Return the network with more weights: the zeros that promise to gain most.

        What a weight gains is what a Newton step on it alone would, ``g ** 2 / (2 M)``; it
        begins half of that step away from zero, as others take their share of the gain.

        Parameters
        ----------
        count : int
            Weights to add at most: those that promise nothing are not.

        Returns
        -------
        SparseMLP
        """
        forward = self._forward(*self._split(self.full), self.inputs)
        gradient = self._full_gradient(forward, self._loss)
        factors = self._factors(self._thinned(forward))
        full, n_weights = self.full.copy(), self.offsets[len(self.shapes)]
        gradient = np.where(full[:n_weights] == 0, gradient[:n_weights], 0.0)
        curvature = self._full_curvature_diagonal(*factors)[:n_weights] + 2 * self.l2
        step, gain = -0.5 * gradient / curvature, gradient * gradient / curvature
        added = np.argsort(-gain, kind="stable")[:count]
        added = added[(gain[added] > 0) & np.isfinite(step[added])]
        full[added] = step[added]
        return self._network(*self._split(full))


def refine(
    network: SparseMLP,
    rows: Rows,
    loss: Loss,
    *,
    l2: float = 1e-4,
    max_iter: int = 60,
    tolerance: float = TOLERANCE,
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
    tolerance : float, default=1e-4
        Share of the loss that an iteration of Levenberg-Marquardt has to gain.
    should_stop : callable, default=None
        Asked between iterations; True ends the optimisation with what there is.

    Returns
    -------
    SparseMLP
        Its data loss on `rows` is never worse than that of `network`.
    """
    objective = Objective(network, rows, loss, l2)
    with one_blas_thread(), np.errstate(all="ignore"):
        before = objective.data_loss(objective.start)
        x = minimise(objective, max_iter, should_stop, tolerance)
        after = objective.data_loss(x)
    return network if before <= after or not np.isfinite(after) else objective.to_network(x)


def minimise(
    objective: Objective,
    max_iter: int,
    should_stop: ShouldStop | None,
    tolerance: float = TOLERANCE,
    least_gain: float = LEAST_GAIN,
) -> Array:
    """Live parameters (p,) of the lowest penalised loss found.

    Levenberg-Marquardt ends at a step that gains less than a share `tolerance` of it, and
    L-BFGS, which many parameters take, at one that gains less than `least_gain`.
    """
    with np.errstate(all="ignore"):  # a step that overflows is rejected by its value
        if len(objective.start) <= FULL_CURVATURE_WEIGHTS:
            return _levenberg_marquardt(objective, -(-max_iter // 4), should_stop, tolerance)
        return _lbfgs(objective, max_iter, should_stop, least_gain)


def _lbfgs(
    objective: Objective, max_iter: int, should_stop: ShouldStop | None, least_gain: float
) -> Array:
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

    options = {"maxiter": max_iter, "ftol": least_gain}
    minimize(
        evaluate, objective.start, jac=True, method="L-BFGS-B", callback=callback, options=options
    )
    return best


def _levenberg_marquardt(
    objective: Objective, max_iter: int, should_stop: ShouldStop | None, tolerance: float
) -> Array:
    x, damping = objective.start, FIRST_DAMPING
    forward = objective.forward(x)
    value = objective.value_of(x, forward)
    for _ in range(max_iter):
        gradient, matrix = objective.quadratic_model(x, forward)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return x
        largest = diagonal(matrix).max(initial=1e-8)
        # Where classes are all but certain, and wrong, there is a slope without a curvature.
        scale, floor = np.maximum(diagonal(matrix), 1e-4 * largest), 1e-8 * largest
        for _ in range(8):
            damped, added = matrix.copy(), damping * scale + floor
            diagonal(damped)[:] += added
            step = solve(damped, gradient)
            trial = x if step is None else x - step
            trial_forward = objective.forward(trial)
            trial_value = objective.value_of(trial, trial_forward)
            if trial_value < value:
                break
            damping *= DAMPING_FACTOR
        else:
            return x
        gain, promised = value - trial_value, 0.5 * float(step @ (gradient + added * step))
        if gain > TRUSTED * promised:
            damping = max(damping / DAMPING_FACTOR, LEAST_DAMPING)
        elif gain < DISTRUSTED * promised:
            damping *= DISTRUST
        x, forward, value = trial, trial_forward, trial_value
        if gain < tolerance * value or (should_stop is not None and should_stop()):
            break
    return x


def diagonal(matrix: Array) -> Array:
    """Return the diagonal of a square matrix, to be read or written."""
    return np.einsum("ii->i", matrix)


def solve(matrix: Array, right: Array) -> Array | None:
    """Solve a positive definite system; None if it is not one to working precision."""
    _, solution, failed = dposv(matrix, right, lower=1)
    return None if failed else np.asarray(solution)

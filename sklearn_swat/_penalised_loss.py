"""The loss of a network as a function of its live parameters, with derivatives.

Levenberg-Marquardt and the pruning path use the Gauss-Newton approximation of its
curvature, ``J^T H J`` with the Jacobian J of the raw outputs and the exact second
derivative H of the loss by them [1]_.

References
----------
.. [1] N. Schraudolph, "Fast curvature matrix-vector products for second-order
   gradient descent", Neural Computation 14, 2002.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._activations import ACTIVATIONS
from ._losses import Loss, LossOnRows
from ._network import SparseMLP, activation_slices
from ._rows import Rows

Array = NDArray[np.float64]
# The curvature is taken from at most about this many (row, output) pairs, evenly
# spaced: a step in a slightly wrong metric is still judged by the exact loss.
CURVATURE_PAIRS = 2000
# Rows that L-BFGS takes at a time: what layers of 16 neurons say of them stays in a processor's
# cache. Of 24,000 rows and more, a gradient takes half of the time that it takes with all at once.
BLOCK_ROWS = 8192
# More rows than these are not kept whole in any layer: pages of memory that are new each time take
# longer than another pass through cached blocks.
MOST_AT_ONCE = 2**16
LARGEST_IN_SINGLE = 1e6  # so that layer upon layer of products is far from an overflow


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
        self._places = [slice(a, b) for a, b in pairwise(self.offsets.tolist())]

        first_output_bias = len(self.full) - network.n_outputs
        self.penalty = np.where(self.live < first_output_bias, l2, 0.0)
        # positions among the live parameters that pruning may remove on their own
        n_weights = self.offsets[len(weights)]
        first_bias_end = n_weights + len(network.biases[0])
        is_free = (self.live >= n_weights) & (self.live < first_bias_end)
        self.prunable = ~(is_free | (self.live >= first_output_bias))

    # ------------------------------------------------------------------- parameters
    def layers(self, x: Array, dtype: DTypeLike | None = None) -> tuple[list[Array], list[Array]]:
        """Dense weights and biases for live parameters (p,), by default as precise as inputs."""
        full = np.zeros(len(self.full), dtype=dtype or self.inputs.dtype)
        full[self.live] = x
        return self._split(full)

    def parameters_of(self, weights: Sequence[Array], biases: Sequence[Array]) -> Array:
        """Live parameters (p,) of layers: what `layers` makes, undone."""
        return np.concatenate([*(w.ravel() for w in weights), *biases])[self.live]

    def in_single(self) -> Objective:
        """Return the same objective with layers and Gauss-Newton matrices in single precision.

        The arithmetic takes half of the time. Losses and parameters stay in double precision, and
        all does where features or weights reach further than `LARGEST_IN_SINGLE`.
        """
        largest = max(np.abs(part).max(initial=0.0) for part in (self.inputs, self.full))
        if not largest < LARGEST_IN_SINGLE:
            return self
        single = copy.copy(self)
        single.inputs = self.inputs.astype(np.float32)
        return single

    def _split(self, full: Array) -> tuple[list[Array], list[Array]]:
        n_layers = len(self.shapes)
        parts = [full[place] for place in self._places]
        weights = [p.reshape(s) for p, s in zip(parts[:n_layers], self.shapes, strict=True)]
        return weights, parts[n_layers:]

    def to_network(self, x: Array) -> SparseMLP:
        """Return the network with live parameters (p,); a zero removes its weight."""
        return self._network(*self.layers(x, np.float64))

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
                ACTIVATIONS[name].value(z[group], out=z[group])
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
        if self._are_few:
            return self._loss.value(self.forward(x).raw.T)
        layers = self.layers(x)
        return sum(
            share * loss.value(self._forward(*layers, self.inputs[:, rows]).raw.T)
            for rows, loss, share in self._blocks
        )

    def value(self, x: Array) -> float:
        """Penalised loss; infinite where it cannot be computed."""
        with np.errstate(all="ignore"):
            return self.at(x)[0]

    def at(self, x: Array) -> tuple[float, Forward | None]:
        """`value`, and its forward pass unless rows are many; the caller silences NumPy."""
        if not self._are_few:
            return self._penalised(self.data_loss(x), x), None
        forward = self.forward(x)
        return self.value_of(x, forward), forward

    def value_of(self, x: Array, forward: Forward) -> float:
        """`value`, after the forward pass; the caller silences NumPy."""
        return self._penalised(self._loss.value(forward.raw.T), x)

    def _penalised(self, loss: float, x: Array) -> float:
        value = loss + float(self.penalty @ (x * x))
        return value if np.isfinite(value) else np.inf

    @property
    def _are_few(self) -> bool:
        return len(self.weight) <= MOST_AT_ONCE

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
    def _thinned_loss(self) -> LossOnRows:
        """That of the rows that the curvature takes."""
        every = self._every
        if every == 1:
            return self._loss
        return self.loss.on(self.target[::every], self.weight[::every])

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
        factor = self._thinned_loss.curvature_factor(forward.raw.T)  # (r, n, k)
        delta = np.ascontiguousarray(factor.transpose(2, 0, 1))
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

    def quadratic_model(self, x: Array, forward: Forward | None) -> tuple[Array, Array]:
        """Gradient (p,) of the penalised loss, and the Gauss-Newton matrix (p, p).

        Without the forward pass through all rows, they are gone through in blocks.
        """
        if forward is None:
            return self.value_and_gradient(x)[1], self.curvature(x)
        return self._gradient(x, forward), self._curvature(self._thinned(forward)).matrix

    def _curvature(self, forward: Forward) -> Curvature:
        return Curvature(forward, self._curvature_factors(forward), self.penalty)

    def _curvature_factors(self, forward: Forward) -> Array:
        hidden, deltas = self._factors(forward)
        # Written in place: parts that are put together later are all copied once more.
        factors = np.empty((len(self.live), *deltas[0].shape[1:]), dtype=deltas[0].dtype)
        bounds = np.searchsorted(self.live, self.offsets)
        parts = [
            (factors[a:b], self.live[a:b] - offset)
            for (a, b), offset in zip(pairwise(bounds), self.offsets[:-1], strict=True)
        ]
        n_layers = len(self.shapes)
        for (out, place), h, delta in zip(parts[:n_layers], hidden, deltas, strict=True):
            if len(place) == len(h) * len(delta):
                by_layer = out.reshape(len(h), *delta.shape)
                np.multiply(h[:, None, None, :], delta, out=by_layer)
                continue
            source, target = np.divmod(place, len(delta))
            np.take(delta, target, axis=0, out=out, mode="clip")  # "raise" would copy it once more
            out *= h[source][:, None, :]
        for (out, place), delta in zip(parts[n_layers:], deltas, strict=True):
            np.take(delta, place, axis=0, out=out, mode="clip")
        return factors

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


def diagonal(matrix: Array) -> Array:
    """Return the diagonal of a square matrix, to be read or written."""
    return np.einsum("ii->i", matrix)

"""The same function in fewer numbers.

Nothing in a fit prefers one neuron to two that say the same: to the prior, two halves of a
weight even cost less than the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._network import SparseMLP

Array = NDArray[np.float64]

# How far the incoming weights of two neurons, brought to length 1, may lie apart: to say the same,
# and to be made to.
EXACT, ALIKE = 1e-9, 0.05
_EITHER_SIGN = ("identity", "tanh", "sigmoid")  # -z says what z says
_ANY_SCALE = ("identity", "leaky_relu")  # 2 z says what z says


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


def fold_linear_layers(network: SparseMLP) -> SparseMLP:
    """Multiply out hidden layers of identity neurons alone, where that adds no numbers.

    Parameters
    ----------
    network : SparseMLP

    Returns
    -------
    SparseMLP
        With the same outputs, up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> linear = SparseMLP(
    ...     (np.array([[3.0], [-1.5]]), np.array([[0.5]])),
    ...     (np.array([1.0]), np.array([2.0])),
    ...     (("identity",),),
    ... )
    >>> print(fold_linear_layers(linear))
    y = 1.5 x0 - 0.75 x1 + 2.5
    """
    for i, names in enumerate(network.activations):
        if set(names) == {"identity"}:
            weights, biases = network.weights, network.biases
            product, last = weights[i] @ weights[i + 1], biases[i] @ weights[i + 1] + biases[i + 1]
            shorter = replace(
                network,
                weights=(*weights[:i], product, *weights[i + 2 :]),
                biases=(*biases[:i], last, *biases[i + 2 :]),
                activations=(*network.activations[:i], *network.activations[i + 1 :]),
            )
            if folded_nnz(shorter) <= folded_nnz(network):
                return fold_linear_layers(shorter)
    return network


def merge_neurons(network: SparseMLP) -> SparseMLP:
    """Merge neurons of a layer that say the same, and multiply out what is linear then.

    Two say the same if their activation is, and their incoming weights and biases are but for
    a factor: any of identity neurons, a positive one of leaky ReLUs, a sign of the others.

    Parameters
    ----------
    network : SparseMLP

    Returns
    -------
    SparseMLP
        With the same outputs, up to rounding; `network` itself if there is nothing to merge.

    Examples
    --------
    >>> import numpy as np
    >>> twice = SparseMLP(
    ...     (np.array([[1.5, -1.5]]), np.array([[2.0], [-3.0]])),
    ...     (np.array([0.5, -0.5]), np.zeros(1)),
    ...     (("tanh", "tanh"),),
    ... )
    >>> print(merge_neurons(twice))
    h1.0 = tanh(1.5 x0 + 0.5)
    y = 5 h1.0
    """
    weights, biases = [w.copy() for w in network.weights], [b.copy() for b in network.biases]
    is_merged = False
    for layer, names in enumerate(network.activations):
        after = weights[layer + 1]
        for twin in _twins(weights[layer], biases[layer], names, EXACT):
            outgoing = after[twin.neuron].copy()
            total = _sum(after[twin.leader], twin.factor * outgoing)
            if not np.isfinite(total).all():
                continue
            if names[twin.neuron] == "sigmoid" and twin.factor < 0:  # 1 less that of the other
                biases[layer + 1] = _sum(biases[layer + 1], outgoing)
            after[twin.leader], after[twin.neuron] = total, 0
            is_merged = True
    if not is_merged:
        return network
    merged = fold_linear_layers(replace(network, weights=tuple(weights), biases=tuple(biases)))
    # Opposite sigmoid neurons may fill biases that were zero.
    return merged if folded_nnz(merged) < folded_nnz(network) else network


def _sum(one: Array, other: Array) -> Array:
    """Add, and leave nothing of what cancels but for rounding."""
    with np.errstate(over="ignore"):
        total = one + other
        rounding = 4 * np.finfo(np.float64).eps * (np.abs(one) + np.abs(other))
    return np.where(np.abs(total) <= rounding, 0.0, total)


@dataclass(frozen=True)
class AlikeNeurons:
    """Neurons of a layer that say the same but for small differences.

    Attributes
    ----------
    layer : int
    neurons : list of int
        Those first that differ least from the first one.
    factors : ndarray of shape (n_neurons,)
        How many times what the first one says each of them does.
    """

    layer: int
    neurons: list[int]
    factors: Array

    def only(self, places: Sequence[int]) -> AlikeNeurons:
        """Return those at some places of `neurons`."""
        return AlikeNeurons(self.layer, [self.neurons[i] for i in places], self.factors[places])

    def made_equal(
        self, weights: Sequence[Array], biases: Sequence[Array]
    ) -> tuple[list[Array], list[Array]]:
        """Return layers in which they have the mean of what they have in these.

        What one of them lacks, all of them do without.
        """
        lines = np.vstack([weights[self.layer], biases[self.layer]])
        alike = lines[:, self.neurons] / self.factors
        mean = np.where(alike.all(axis=1), alike.mean(axis=1), 0.0)
        lines[:, self.neurons] = np.outer(mean, self.factors)
        return (
            [*weights[: self.layer], lines[:-1], *weights[self.layer + 1 :]],
            [*biases[: self.layer], lines[-1], *biases[self.layer + 1 :]],
        )


def find_alike(
    weights: Sequence[Array], biases: Sequence[Array], activations: Sequence[Sequence[str]]
) -> list[AlikeNeurons]:
    """Find neurons that say nearly the same.

    Parameters
    ----------
    weights, biases : sequences of ndarray
        Layers, as of a network.
    activations : sequence of sequence of str

    Returns
    -------
    list of AlikeNeurons
        No neuron is in two of them.
    """
    found = []
    for layer, names in enumerate(activations):
        groups: dict[int, list[_Twin]] = {}
        for twin in _twins(weights[layer], biases[layer], names, ALIKE):
            groups.setdefault(twin.leader, []).append(twin)
        for leader, twins in groups.items():
            twins.sort(key=lambda twin: twin.distance)
            neurons = [leader, *(twin.neuron for twin in twins)]
            factors = np.array([1.0, *(twin.factor for twin in twins)])
            found.append(AlikeNeurons(layer, neurons, factors))
    return found


class _Twin(NamedTuple):
    """A neuron that says `factor` times what an earlier one says, its `leader`."""

    neuron: int
    leader: int
    factor: float
    distance: float  # of their incoming weights, brought to length 1


def _twins(weight: Array, bias: Array, names: Sequence[str], tolerance: float) -> list[_Twin]:
    lines = np.vstack([weight, bias])
    lengths = np.sqrt(np.einsum("ij,ij->j", lines, lines))
    units = lines / np.where(lengths > 0, lengths, 1.0)
    cosines = units.T @ units
    near = np.abs(cosines) > 1 - max(tolerance**2, 1e-12)
    found: list[_Twin] = []
    if not np.tril(near, -1).any():
        return found
    followers: set[int] = set()
    for neuron, leader in np.argwhere(np.tril(near, -1)).tolist():
        name, sign = names[neuron], float(np.sign(cosines[neuron, leader]))
        if {neuron, leader} & followers or names[leader] != name:
            continue
        ratio = lengths[neuron] / lengths[leader]
        is_twin = sign > 0 or name in _EITHER_SIGN
        if name not in _ANY_SCALE:
            is_twin &= abs(ratio - 1) <= tolerance
            ratio = 1.0
        distance = float(np.abs(units[:, neuron] - sign * units[:, leader]).max())
        if is_twin and distance <= tolerance:
            found.append(_Twin(neuron, leader, sign * ratio, distance))
            followers.add(neuron)
    return found

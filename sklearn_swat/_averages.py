"""Averages of networks of several pruning paths, each as one network.

Two networks that fit the same rows alike are wrong in different places, and their mean
is better than either [1]_. Side by side, with half of each output layer, they are one
network of the sum of their sizes; at some sizes nothing else is as good.

References
----------
.. [1] L. Hansen, P. Salamon, "Neural network ensembles", IEEE PAMI 12, 1990.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from ._network import SparseMLP
from ._pruning import PathPoint, choose, pareto_front
from ._simplification import fold_linear_layers

Array = NDArray[np.float64]

# Prices of a number, at each of which the networks that are best on their paths are averaged.
PRICES = tuple(np.geomspace(1e-7, 3e-2, 34))


@dataclass(frozen=True, eq=False)
class AveragePoint(PathPoint):
    """An average with its losses.

    Attributes
    ----------
    members : tuple of PathPoint
        What it is the average of.
    """

    members: tuple[PathPoint, ...] = ()


def averages(
    paths: Sequence[Sequence[PathPoint]],
    judge: Callable[[SparseMLP, tuple[PathPoint, ...]], PathPoint],
    *,
    max_width: int,
    activations: Sequence[str],
) -> Iterator[AveragePoint]:
    """Average the networks that are best at the same price on different paths.

    Parameters
    ----------
    paths : sequence of sequences of PathPoint
    judge : callable
        Returns an average with its losses, given it and its members.
    max_width : int
        Neurons that a hidden layer may have.
    activations : sequence of str
        Those that neurons may have. Networks of different depths are averaged if "identity"
        is among them: the shallower one's outputs pass through such neurons.

    Yields
    ------
    AveragePoint
        For every price the average of the best two paths, of the best three and so on.
    """
    fronts = [front for path in paths if (front := pareto_front(path))]
    seen = set()
    for price in PRICES:
        best = [choose(front, price) for front in fronts]
        best = [point for point in best if not point.network.is_constant]
        best.sort(key=lambda point: point.validation_loss + price * point.nnz)
        for n in range(2, len(best) + 1):
            members = tuple(best[:n])
            depths = {point.network.depth for point in members}
            if members in seen or not (len(depths) == 1 or "identity" in activations):
                continue
            seen.add(members)
            network = average([point.network for point in members])
            if max(network.hidden_layer_sizes, default=0) <= max_width:
                judged = judge(network, members)
                yield AveragePoint(
                    judged.network,
                    judged.train_loss,
                    judged.validation_loss,
                    judged.validation_error,
                    members,
                )


def mean_left_out(points: Sequence[PathPoint]) -> Array | None:
    """Return what an average says of training rows that are left out, if all its members do."""
    known = [point.left_out for point in points if point.left_out is not None]
    return np.mean(known, axis=0) if len(known) == len(points) else None


def average(networks: Sequence[SparseMLP]) -> SparseMLP:
    """Return one network whose outputs, before their activation, are the mean of several's.

    Parameters
    ----------
    networks : sequence of SparseMLP
        Of the same features, outputs and output activation.

    Returns
    -------
    SparseMLP
        Their hidden layers side by side. What is shallower than the deepest passes its
        outputs through identity neurons. Layers of these alone are multiplied out.

    Examples
    --------
    >>> import numpy as np
    >>> line = SparseMLP((np.array([[1.0], [0.0]]),), (np.array([3.0]),), ())
    >>> bend = SparseMLP(
    ...     (np.array([[0.0], [1.0]]), np.array([[2.0]])), (np.ones(1), np.zeros(1)), (("tanh",),)
    ... )
    >>> print(average([line, bend]))
    h1.0 = tanh(1 x1 + 1)
    h1.1 = 0.5 x0
    y = 1 h1.0 + 1 h1.1 + 1.5
    """
    so_far: list[_Layers] = []  # what is shallower is one network before it gets deeper
    for depth in sorted({network.depth for network in networks}):
        parts = [_share(each, len(networks)) for each in networks if each.depth == depth]
        so_far = [_sum([*parts, *(_deepened(shallower, depth) for shallower in so_far)])]
    return fold_linear_layers(SparseMLP(*so_far[0], networks[0].out_activation))


class _Layers(NamedTuple):
    """Layers that are not brought into a normal form: a constant may have several."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[tuple[str, ...], ...]


def _share(network: SparseMLP, n: int) -> _Layers:
    *weights, last = network.weights
    *biases, last_bias = network.biases
    return _Layers((*weights, last / n), (*biases, last_bias / n), network.activations)


def _sum(networks: Sequence[_Layers]) -> _Layers:
    """Return the layers that compute the sum of the outputs of several networks of one depth."""
    weights, biases, names = (list(zip(*part, strict=True)) for part in zip(*networks, strict=True))
    blocks = [np.hstack(weights[0]), *(block_diag(*layer) for layer in weights[1:])]
    lines = [np.concatenate(layer) for layer in biases]
    add_up = np.tile(np.eye(len(networks[0].biases[-1])), (len(networks), 1))
    return _Layers(
        (*blocks[:-1], blocks[-1] @ add_up),
        (*lines[:-1], lines[-1] @ add_up),
        tuple(tuple(chain(*layer)) for layer in names),
    )


def _deepened(network: _Layers, depth: int) -> _Layers:
    """Return more layers at the end, whose identity neurons hand the outputs on."""
    *biases, last = network.biases
    k, n_more = len(last), depth - len(network.activations)
    return _Layers(
        (*network.weights, *[np.eye(k)] * n_more),
        (*biases, *[np.zeros(k)] * n_more, last),
        (*network.activations, *[("identity",) * k] * n_more),
    )

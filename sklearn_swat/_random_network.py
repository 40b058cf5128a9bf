"""Networks of random neurons, which are refined beside what descents end at.

A descent over several times as many neurons as usual would take as long as all else in a fit, and
ends no lower than steps of second order do from random ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._network import SparseMLP

# Deviations of what is drawn, beside standardised features: that of what a neuron adds up. Later
# hidden layers see activations, which are smaller, and outputs are to be little to unlearn.
FIRST_SCALE, HIDDEN_SCALE, OUTPUT_SCALE = 1.0, 1.7, 0.3
LARGEST_BIASES = 1.0, 0.5  # of the first hidden layer, and of later ones


def random_network(
    n_features: int,
    seen: NDArray[np.intp],
    n_outputs: int,
    *,
    hidden_layer_sizes: Sequence[int],
    activations: Sequence[str],
    out_activation: str,
    random_state: np.random.RandomState,
) -> SparseMLP:
    """Draw a network whose neurons take all that the layer before them says.

    Parameters
    ----------
    n_features : int
    seen : int ndarray
        The features that it takes, standardised.
    n_outputs : int
    hidden_layer_sizes : sequence of int
        At least one.
    activations : sequence of str
        Those of the neurons of a layer, in turn.
    out_activation : str
    random_state : RandomState

    Returns
    -------
    SparseMLP

    Examples
    --------
    >>> import numpy as np
    >>> network = random_network(
    ...     3, np.array([0, 2]), 1, hidden_layer_sizes=(4, 2), activations=("leaky_relu", "tanh"),
    ...     out_activation="identity", random_state=np.random.RandomState(0),
    ... )
    >>> network.hidden_layer_sizes, network.used_features.tolist(), network.nnz
    ((4, 2), [0, 2], 24)
    >>> [sorted(layer) for layer in network.activations]
    [['leaky_relu', 'leaky_relu', 'tanh', 'tanh'], ['leaky_relu', 'tanh']]
    """
    draw = random_state.normal
    first, *others = hidden_layer_sizes
    incoming = np.zeros((n_features, first))
    incoming[seen] = draw(scale=FIRST_SCALE * len(seen) ** -0.5, size=(len(seen), first))
    weights, biases, width = [incoming], [_biases(first, LARGEST_BIASES[0], random_state)], first
    for size in others:
        weights.append(draw(scale=HIDDEN_SCALE * width**-0.5, size=(width, size)))
        biases.append(_biases(size, LARGEST_BIASES[1], random_state))
        width = size
    weights.append(draw(scale=OUTPUT_SCALE * width**-0.5, size=(width, n_outputs)))
    biases.append(np.zeros(n_outputs))
    names = tuple(
        tuple(activations[i % len(activations)] for i in range(size)) for size in hidden_layer_sizes
    )
    return SparseMLP(tuple(weights), tuple(biases), names, out_activation)


def _biases(size: int, largest: float, random_state: np.random.RandomState) -> NDArray[np.float64]:
    return np.asarray(random_state.uniform(-largest, largest, size=size))

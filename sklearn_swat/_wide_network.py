"""A wide network of random neurons, for what narrower ones have no room for.

A descent over networks of this width would take as long as all else in a fit, and ends no lower
than L-BFGS does from random neurons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._network import SparseMLP

# Activations of such neurons, in turn, as far as they are allowed: classes of images want leaky
# ReLUs, smooth targets tanh, and both together are never far from the better one.
PREFERRED = ("leaky_relu", "tanh")
OUTPUT_SCALE = 0.3  # of what random neurons add up to, in deviations: little to be unlearned


def random_wide_network(
    n_features: int,
    seen: NDArray[np.intp],
    n_outputs: int,
    *,
    width: int,
    activations: Sequence[str],
    out_activation: str,
    random_state: np.random.RandomState,
) -> SparseMLP | None:
    """Draw a network of one hidden layer, for standardised rows.

    Parameters
    ----------
    n_features : int
    seen : int ndarray
        The features that it takes.
    n_outputs : int
    width : int
        Neurons of the hidden layer.
    activations : sequence of str
        Those that neurons may have.
    out_activation : str
    random_state : RandomState

    Returns
    -------
    SparseMLP or None
        None if neurons may be linear only.

    Examples
    --------
    >>> import numpy as np
    >>> network = random_wide_network(
    ...     3, np.array([0, 2]), 1, width=40, activations=("identity", "tanh"),
    ...     out_activation="identity", random_state=np.random.RandomState(0),
    ... )
    >>> network.hidden_layer_sizes, network.used_features.tolist(), network.activations[0][:2]
    ((40,), [0, 2], ('tanh', 'tanh'))
    """
    names = [name for name in PREFERRED if name in activations]
    names = names or [name for name in activations if name != "identity"]
    if not names:
        return None
    incoming = np.zeros((n_features, width))
    incoming[seen] = random_state.normal(scale=len(seen) ** -0.5, size=(len(seen), width))
    bias = random_state.uniform(-1.0, 1.0, size=width)
    outgoing = random_state.normal(scale=OUTPUT_SCALE * width**-0.5, size=(width, n_outputs))
    neurons = tuple(names[i % len(names)] for i in range(width))
    return SparseMLP((incoming, outgoing), (bias, np.zeros(n_outputs)), (neurons,), out_activation)

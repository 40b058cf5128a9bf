"""The hidden activations that a neuron may have, in one table.

The order of the table is the order of the activation scores everywhere: in the
autoencoder, in the soft network and in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

if TYPE_CHECKING:
    from torch import Tensor

LEAKY_SLOPE = 0.01  # that of arXiv 2506.08270, and torch's default


@dataclass(frozen=True)
class Activation:
    """One activation function.

    Attributes
    ----------
    name : str
        The name that users write and read.
    value : callable
        NumPy, element by element: pre-activations to activations, in place where they are
        given once more as `out`.
    slope : callable
        NumPy: activations to derivatives, so that a backward pass needs no more than
        what the forward pass has kept.
    torch : callable
        The same function on a tensor; torch is loaded by whoever has one.
    """

    name: str
    value: Callable[..., NDArray[np.float64]]
    slope: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    torch: Callable[[Tensor], Tensor]


def _sigmoid(z: NDArray[np.float64], out: Any = None) -> NDArray[np.float64]:
    # NumPy's tanh takes a third of the time of SciPy's expit. Far below 0 the sum would cancel.
    half: NDArray[np.float64] = np.multiply(z, 0.5, out=out)
    is_low = half < -6
    low = expit(2 * half[is_low])
    np.tanh(half, out=half)
    half *= 0.5
    half += 0.5
    half[is_low] = low
    return half


def _leaky_relu(z: Tensor) -> Tensor:
    # Not z.maximum(LEAKY_SLOPE * z): its gradient takes four passes more.
    from torch.nn.functional import leaky_relu

    return leaky_relu(z, LEAKY_SLOPE)


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("sigmoid", _sigmoid, lambda a: a * (1 - a), lambda z: z.sigmoid()),
        Activation("tanh", np.tanh, lambda a: 1 - a * a, lambda z: z.tanh()),
        Activation(
            "leaky_relu",
            lambda z, out=None: np.maximum(z, LEAKY_SLOPE * z, out=out),
            lambda a: np.maximum(a > 0, LEAKY_SLOPE, dtype=a.dtype),  # half of np.where's time
            _leaky_relu,
        ),
        Activation("identity", lambda z, out=None: z, np.ones_like, lambda z: z),
    )
}
ACTIVATION_NAMES = tuple(ACTIVATIONS)

"""Layers in few bytes, for what pickle, copy and skops keep of a network: NumPy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Packed = tuple[tuple[int, ...], bytes, Array, str]


def pack(weights: Sequence[Array], biases: Sequence[Array], names: Sequence[Any]) -> Packed:
    r"""Keep the numbers that are not zero, and where they are.

    Parameters
    ----------
    weights : sequence of L + 1 arrays of shape (n_in, n_out)
    biases : sequence of L + 1 arrays of shape (n_out,)
    names : sequence of L sequences of str
        Activations, at most ten different ones, without spaces.

    Returns
    -------
    sizes : tuple of L + 2 int
        Of the layers, features and outputs included.
    is_kept : bytes
        A bit per number, weights first.
    kept : float64 ndarray
        Numbers whose bits are not all 0.
    names : str
        The different ones, with spaces between, and last a digit per neuron: which it has.

    Examples
    --------
    >>> import numpy as np
    >>> pack([np.array([[0.5, 0.0]]), np.ones((2, 1))], [np.zeros(2), np.zeros(1)], [["a", "b"]])
    ((1, 2, 1), b'\xb0', array([0.5, 1. , 1. ]), 'a b 01')
    """
    sizes = (len(weights[0]), *(len(b) for b in biases))
    numbers = np.concatenate([array.ravel() for array in (*weights, *biases)])
    is_kept = (numbers != 0) | np.signbit(numbers)  # -0.0 too: the same bits come back
    neurons = [name for layer in names for name in layer]
    different = sorted(set(neurons))
    digits = "".join(str(different.index(name)) for name in neurons)
    return sizes, np.packbits(is_kept).tobytes(), numbers[is_kept], " ".join([*different, digits])


def unpack(packed: Packed) -> tuple[list[Array], list[Array], list[tuple[str, ...]]]:
    """Return the weights, biases and names that `pack` was given.

    Examples
    --------
    >>> import numpy as np
    >>> unpack(pack([np.array([[0.5], [0.0]])], [np.array([3.0])], []))
    ([array([[0.5],
           [0. ]])], [array([3.])], [])
    """
    sizes = packed[0]
    shapes: list[tuple[int, ...]] = [*pairwise(sizes), *((size,) for size in sizes[1:])]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    numbers = np.zeros(ends[-1])
    bits = np.unpackbits(np.frombuffer(packed[1], dtype=np.uint8), count=int(ends[-1]))
    numbers[bits.astype(bool)] = packed[2]
    parts = zip(np.split(numbers, ends[:-1]), shapes, strict=True)
    arrays = [part.reshape(shape) for part, shape in parts]
    *different, digits = packed[3].split(" ")
    n, name = len(sizes) - 1, iter([different[int(digit)] for digit in digits])
    return arrays[:n], arrays[n:], [tuple(islice(name, size)) for size in sizes[1:-1]]

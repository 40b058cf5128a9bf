"""Layers in few bytes, for what pickle, copy and skops keep of a network: NumPy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Packed = tuple[NDArray[np.intp], NDArray[np.uint8], Array, str]


def pack(weights: Sequence[Array], biases: Sequence[Array], names: Sequence[Any]) -> Packed:
    """Keep the numbers that are not zero, and where they are.

    Parameters
    ----------
    weights : sequence of L + 1 arrays of shape (n_in, n_out)
    biases : sequence of L + 1 arrays of shape (n_out,)
    names : sequence of L sequences of str
        Activations, without spaces.

    Returns
    -------
    sizes : int ndarray of shape (L + 2,)
        Of the layers, features and outputs included.
    is_kept : uint8 ndarray
        A bit per number, weights first.
    kept : float64 ndarray
        Numbers whose bits are not all 0.
    names : str
        All of them, with spaces between.

    Examples
    --------
    >>> import numpy as np
    >>> pack([np.array([[0.5], [0.0]])], [np.array([3.0])], [])
    (array([2, 1]), array([160], dtype=uint8), array([0.5, 3. ]), '')
    """
    sizes = np.array([len(weights[0]), *(len(b) for b in biases)], dtype=np.intp)
    numbers = np.concatenate([array.ravel() for array in (*weights, *biases)])
    is_kept = (numbers != 0) | np.signbit(numbers)  # -0.0 too: the same bits come back
    text = " ".join(name for layer in names for name in layer)
    return sizes, np.packbits(is_kept), numbers[is_kept], text


def unpack(packed: Packed) -> tuple[list[Array], list[Array], list[tuple[str, ...]]]:
    """Return the weights, biases and names that `pack` was given.

    Examples
    --------
    >>> import numpy as np
    >>> unpack(pack([np.array([[0.5], [0.0]])], [np.array([3.0])], []))
    ([array([[0.5],
           [0. ]])], [array([3.])], [])
    """
    sizes = [int(size) for size in packed[0]]
    shapes: list[tuple[int, ...]] = [*pairwise(sizes), *((size,) for size in sizes[1:])]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    numbers = np.zeros(ends[-1])
    numbers[np.unpackbits(packed[1], count=int(ends[-1])).astype(bool)] = packed[2]
    parts = zip(np.split(numbers, ends[:-1]), shapes, strict=True)
    arrays = [part.reshape(shape) for part, shape in parts]
    n, name = len(sizes) - 1, iter(packed[3].split())
    return arrays[:n], arrays[n:], [tuple(islice(name, size)) for size in sizes[1:-1]]

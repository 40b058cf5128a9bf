"""The torch module that `to_torch` returns."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._activations import ACTIVATIONS
from .._network import SparseMLP, activation_slices

Array = NDArray[np.float64]


class SparseLinear(nn.Module):
    """A linear layer of which only the non-zero numbers are parameters.

    Parameters
    ----------
    weight : ndarray of shape (n_in, n_out)
    bias : ndarray of shape (n_out,)
    """

    places: Tensor

    def __init__(self, weight: Array, bias: Array) -> None:
        super().__init__()
        matrix = np.vstack([weight, bias])
        self.shape = matrix.shape
        self.values = nn.Parameter(torch.tensor(matrix[matrix.nonzero()]))
        self.register_buffer("places", torch.tensor(np.array(matrix.nonzero())))  # (2, nnz)

    def matrix(self) -> Tensor:
        """Return the weights, and below them the biases: (n_in + 1, n_out)."""
        rows, columns = self.places
        return self.values.new_zeros(self.shape).index_put((rows, columns), self.values)

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) -> (n, n_out)."""
        matrix = self.matrix()
        return x @ matrix[:-1] + matrix[-1]


class SparseModule(nn.Module):
    """A sparse network whose non-zero numbers can be trained; see `to_torch`.

    Parameters
    ----------
    network : SparseMLP
    is_binary : bool
        The one output is the probability of a class; that of the other goes before it.
    is_flat : bool
        The one output has no axis of its own.
    """

    def __init__(self, network: SparseMLP, *, is_binary: bool, is_flat: bool) -> None:
        super().__init__()
        pairs = zip(network.weights, network.biases, strict=True)
        self.layers = nn.ModuleList(SparseLinear(*pair) for pair in pairs)
        self.slices = [activation_slices(names) for names in network.activations]
        self.out_activation = network.out_activation
        self.is_binary = is_binary
        self.is_flat = is_flat

    def _raw(self, x: Tensor) -> Tensor:
        """(n, n_features) -> (n, n_outputs), before the output activation."""
        for layer, groups in zip(self.layers, self.slices, strict=False):
            z = layer(x)
            x = torch.cat([ACTIVATIONS[name].torch(z[:, part]) for name, part in groups], dim=1)
        raw: Tensor = self.layers[-1](x)
        return raw

    def decision_function(self, x: Tensor) -> Tensor:
        """Compute the outputs before the output activation: values, log-odds or logits."""
        raw = self._raw(x)
        return raw[:, 0] if self.is_flat or self.is_binary else raw

    def forward(self, x: Tensor) -> Tensor:
        """Compute predictions, or the probabilities of the classes."""
        raw = self._raw(x)
        if self.is_binary:
            return torch.cat([-raw, raw], dim=1).sigmoid()
        if self.out_activation == "softmax":
            return raw.softmax(dim=1)
        if self.out_activation == "logistic":
            return raw.sigmoid()
        return raw[:, 0] if self.is_flat else raw

"""The same activation functions in NumPy and torch, with the same slopes."""

import numpy as np
import pytest
import torch

from sklearn_swat._activations import ACTIVATIONS


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_numpy_and_torch_agree_on_values_and_slopes(activation):
    z = torch.tensor([-50.0, -2.0, -1e-8, 0.0, 1e-8, 0.5, 50.0], dtype=torch.float64)
    z.requires_grad_()
    a = activation.torch(z)
    (slope,) = torch.autograd.grad(a.sum(), z)
    expected = activation.value(z.detach().numpy())
    np.testing.assert_allclose(a.detach().numpy(), expected, rtol=1e-15)
    np.testing.assert_allclose(slope.numpy(), activation.slope(expected), rtol=1e-7, atol=1e-15)

"""The autoencoder of arXiv 2410.08339, rebuilt: convolutions over a network's matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from sklearn_swat._activations import ACTIVATION_NAMES
from sklearn_swat._network import MAX_DEPTH
from sklearn_swat._soft_network import NetworkScores, SoftNetwork
from sklearn_swat._token_layers import GroupedLinear, unit_tokens
from sklearn_swat.pretrain._evaluation import N_FEATURES, N_OUTPUTS, N_SLOTS
from sklearn_swat.pretrain._losses import ALL_DEPTHS

# The baseline's array: a row per neuron; per layer its incoming weights, bias, existence and
# activation; at the end its outgoing weight and the output's bias.
COLUMNS_PER_LAYER = N_SLOTS + 2 + len(ACTIVATION_NAMES)
LAST_COLUMNS = 2 * N_OUTPUTS
LATENT_SIZE = 128


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, stride, padding=1)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (C, n_in, rows, columns) to (C, n_out, rows / stride, columns / stride)."""
        inner = self.second(F.leaky_relu(self.first(x)))
        return F.leaky_relu(inner + self.shortcut(x))


class ConvolutionalAutoencoder(nn.Module):
    """An encoder of seven convolutions and a decoder of four linear layers per depth.

    It has the interface of `MultiScaleAutoencoder`, with a latent point of 128 numbers,
    for networks of 3 inputs, 1 output and 7 slots only.

    Parameters
    ----------
    generator : torch.Generator
        Draws the parameters.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(self._make_encoder(depth) for depth in ALL_DEPTHS)
        self.embedding = nn.Sequential(  # of all depths
            nn.LeakyReLU(), nn.Linear(512, 256), nn.LeakyReLU(), nn.Linear(256, LATENT_SIZE)
        )
        self._parts = _shapes_of_scores()
        sizes = (LATENT_SIZE, 256, 512, 1024, sum(map(math.prod, self._parts.values())))
        self.decoders = nn.Sequential()  # of all depths side by side
        for n_in, n_out in pairwise(sizes):
            self.decoders.extend([GroupedLinear(MAX_DEPTH, n_in, n_out), nn.LeakyReLU()])
        del self.decoders[-1]
        with torch.no_grad():
            self._draw_parameters(generator)

    @staticmethod
    def _make_encoder(depth: int) -> nn.Module:
        n_columns = depth * COLUMNS_PER_LAYER + LAST_COLUMNS
        halved_twice = math.ceil(N_SLOTS / 4) * math.ceil(n_columns / 4)
        return nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.LeakyReLU(),
            ResidualBlock(32, 64, stride=2),
            ResidualBlock(64, 128, stride=2),
            ResidualBlock(128, 128, stride=1),
            nn.Flatten(),
            nn.Linear(128 * halved_twice, 512),
        )

    def _draw_parameters(self, generator: Generator) -> None:
        for module in self.modules():
            if isinstance(module, GroupedLinear):
                module.draw_parameters(generator)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
                nn.init.zeros_(module.bias)

    def encode(self, networks: SoftNetwork) -> Tensor:
        """Encode C networks, sorted by depth: latent points (C, 128), scaled like ours."""
        depths = torch.tensor(networks.depths)
        encoded = [
            encoder(lay_out(networks.take((depths == depth).nonzero()[:, 0]))[:, None])
            for depth, encoder in zip(ALL_DEPTHS, self.encoders, strict=True)
        ]
        return unit_tokens(self.embedding(torch.cat(encoded)))

    def decode(self, latent: Tensor, d: int, k: int, depths: Sequence[int]) -> NetworkScores:
        """Decode (G, B, 128) latent points with the decoders of all depths, group by group.

        `d`, `k` and `depths` are what `MultiScaleAutoencoder.decode` takes; here they are fixed.
        """
        numbers = self.decoders(latent).flatten(0, 1)
        sizes = [math.prod(shape) for shape in self._parts.values()]
        parts = {
            name: part.unflatten(1, shape)
            for (name, shape), part in zip(
                self._parts.items(), numbers.split(sizes, 1), strict=True
            )
        }
        parts["gate_scores"] = parts["gate_scores"] + 1.0  # as in ours, neurons exist at first
        of_candidates = tuple(depth for depth in depths for _ in range(latent.shape[1]))
        return NetworkScores(**parts, depths=of_candidates)


def _shapes_of_scores() -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of `NetworkScores` for a network of the largest depth."""
    L, H = MAX_DEPTH, N_SLOTS
    return {
        "w_in": (N_FEATURES, H),
        "w_hidden": (L - 1, H, H),
        "w_out": (H, N_OUTPUTS),
        "b_hidden": (L, H),
        "b_out": (N_OUTPUTS,),
        "activation_scores": (L, H, len(ACTIVATION_NAMES)),
        "gate_scores": (L, H),
    }


def lay_out(networks: SoftNetwork) -> Tensor:
    """Write C networks of one depth as the arrays (C, slots, columns) that the baseline reads.

    Numbers go through asinh, which the baseline learns faster from: standardised outputs
    make some outgoing weights as large as 1,000.
    """
    depth, exists = networks.depths[0], networks.gates[..., None]
    w_in = F.pad(networks.w_in, (0, 0, 0, N_SLOTS - N_FEATURES))
    incoming = torch.cat([w_in[:, None], networks.w_hidden], 1).mT  # (C, L, to, from)
    facts = [incoming, networks.b_hidden[..., None], exists, networks.mixture * exists]
    layers = torch.cat(facts, -1)[:, :depth]
    b_out = networks.b_out[:, None].expand_as(networks.w_out)
    return torch.cat([layers.transpose(1, 2).flatten(2), networks.w_out, b_out], -1).asinh()

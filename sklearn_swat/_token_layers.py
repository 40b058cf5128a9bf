"""What encoders and decoders are built of: their sizes, and layers over tokens.

Shapes: G groups with parameters of their own, B items per group, T tokens, w the model width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class AutoencoderConfig:
    """The sizes of an autoencoder; a checkpoint carries them.

    Attributes
    ----------
    latent_width : int, default=32
        Numbers per token (c).
    model_width : int, default=64
        Numbers per token inside encoders and decoders (w); a multiple of `n_heads`.
    rank : int, default=16
        Rank of the decoded weight matrices: each weight is the product of a
        source's and a target's vector of this length.
    n_heads : int, default=4
    decoder_blocks : int, default=2
    message_rounds : int, default=3
        Rounds of message passing in the network encoder; 3 lets the two ends of
        a network of depth 4 hear of each other.
    data_rounds : int, default=4
        Rounds between rows and tokens in the data-set encoder.
    n_seeds : int, default=64
        Learned slot embeddings that break the symmetry of the hidden slots.
    """

    latent_width: int = 32
    model_width: int = 64
    rank: int = 16
    n_heads: int = 4
    decoder_blocks: int = 2
    message_rounds: int = 3
    data_rounds: int = 4
    n_seeds: int = 64


class GroupedLinear(nn.Module):
    """G linear maps side by side: (G, ..., n_in) -> (G, ..., n_out)."""

    def __init__(self, n_groups: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_groups, n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_groups, 1, n_out))

    def draw_parameters(self, generator: Generator) -> None:
        """Draw from the uniform distribution of the variance 1 / (3 n_in)."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        for parameter in (self.weight, self.bias):
            parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        return torch.baddbmm(self.bias, flat, self.weight).view(*x.shape[:-1], -1)


class GroupedMLP(nn.Module):
    """Norm, linear map, GELU, linear map, for G groups.

    The norms here have no gain or shift: the linear map behind absorbs them.
    """

    def __init__(self, n_groups: int, n_in: int, n_hidden: int, n_out: int) -> None:
        super().__init__()
        self.first = GroupedLinear(n_groups, n_in, n_hidden)
        self.second = GroupedLinear(n_groups, n_hidden, n_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.gelu(self.first(normalised(x))))


class TokenBlock(nn.Module):
    """A transformer block in which features attend to slots and outputs only."""

    def __init__(self, n_groups: int, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = GroupedLinear(n_groups, width, 3 * width)
        self.mix = GroupedLinear(n_groups, width, width)
        self.mlp = GroupedMLP(n_groups, width, 2 * width, width)

    def forward(self, tokens: Tensor, d: int) -> Tensor:  # (G, B, T, w)
        G, B, T, w = tokens.shape
        heads = self.query_key_value(normalised(tokens)).view(G * B, T, 3, self.n_heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each (G B, heads, T, w / heads)
        rest = F.scaled_dot_product_attention(q[:, :, d:], k, v)
        features = F.scaled_dot_product_attention(q[:, :, :d], k[:, :, d:], v[:, :, d:])
        mixed = torch.cat([features, rest], 2).transpose(1, 2).reshape(G, B, T, w)
        tokens = tokens + self.mix(mixed)
        return tokens + self.mlp(tokens)


def unit_tokens(tokens: Tensor) -> Tensor:
    """Scale each token to a mean square of 1, that of a random start's tokens on average."""
    return tokens * (tokens.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def normalised(x: Tensor) -> Tensor:
    """Centre each token and scale it to variance 1."""
    return F.layer_norm(x, x.shape[-1:])

"""The data-set encoder: from rows to a latent point where a network fits them already."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ._token_layers import (
    AutoencoderConfig,
    GroupedLinear,
    GroupedMLP,
    TokenBlock,
    normalised,
    unit_tokens,
)


class DatasetEncoder(nn.Module):
    """Rows -> latent point: a second door into the space, where a network fits already.

    Equivariant in features and outputs, invariant in rows; the cost is linear
    in N * d. A row of weight 2 counts as two rows.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        w = config.model_width
        self.n_heads = config.n_heads
        self.seeds = nn.Parameter(torch.empty(config.n_seeds, w))
        self.feature = nn.Parameter(torch.empty(w))
        self.output = nn.Parameter(torch.empty(w))
        self.moments = GroupedLinear(1, 4, w)
        self.first_rows = GroupedLinear(1, w, w)

        def per_round(n_in: int, n_out: int) -> nn.ModuleList:
            return nn.ModuleList(GroupedLinear(1, n_in, n_out) for _ in range(config.data_rounds))

        def mlp_per_round(n_in: int) -> nn.ModuleList:
            return nn.ModuleList(GroupedMLP(1, n_in, 2 * w, w) for _ in range(config.data_rounds))

        self.feature_to_rows, self.output_to_rows = per_round(w, 2 * w), per_round(w, w)
        self.update_rows = mlp_per_round(4 * w)
        self.row_values, self.row_keys = per_round(w, w), per_round(w, 2 * w)
        self.queries = per_round(w, w)
        self.update_features, self.update_outputs = mlp_per_round(3 * w), mlp_per_round(3 * w)
        self.update_slots = mlp_per_round(3 * w)
        self.blocks = nn.ModuleList(
            TokenBlock(1, w, config.n_heads) for _ in range(config.data_rounds)
        )
        self.leave = GroupedLinear(1, w, config.latent_width)
        self.leave_seeds = GroupedLinear(1, w, config.latent_width)

    def draw_parameters(self, generator: Generator) -> None:
        """Draw what the parts have not drawn."""
        self.seeds.normal_(generator=generator)
        self.feature.normal_(0, 0.1, generator=generator)
        self.output.normal_(generator=generator)

    def draw_seeds(
        self, n_sets: int, n_slots: int, generator: Generator, *, noise: bool = False
    ) -> Tensor:
        """Draw what tells the hidden slots apart.

        Parameters
        ----------
        n_sets, n_slots : int
        generator : torch.Generator
            On the CPU.
        noise : bool, default=False
            Draw every slot at random, which makes slots exchangeable exactly.
            Otherwise take random subsets of the learned seeds, which fit better;
            slots beyond their number are drawn at random.

        Returns
        -------
        Tensor of shape (n_sets, n_slots, w)
        """
        n_seeds, w = self.seeds.shape
        n_learned = 0 if noise else min(n_slots, n_seeds)
        order = torch.rand(n_sets, n_seeds, generator=generator).argsort(1)[:, :n_learned]
        drawn = torch.randn(n_sets, n_slots - n_learned, w, generator=generator)
        spread = self.seeds.detach().std()
        return torch.cat(
            [self.seeds[order.to(self.seeds.device)], drawn.to(self.seeds) * spread], 1
        )

    def forward(self, X: Tensor, y: Tensor, weight: Tensor, seeds: Tensor) -> Tensor:
        """Encode.

        Parameters
        ----------
        X : Tensor of shape (B, N, d), standardised
        y : Tensor of shape (B, N, k), standardised
        weight : Tensor of shape (B, N), summing to 1 over the rows
        seeds : Tensor of shape (B, H, w), see `draw_seeds`

        Returns
        -------
        Tensor of shape (B, d + H + k, c), each token of unit mean square
        """
        B, N, d = X.shape
        H, k = seeds.shape[1], y.shape[2]
        share = weight[..., None]
        squares = X * X - 1
        per_feature, per_output = 1 / math.sqrt(d), 1 / math.sqrt(k)
        weighted = y * share
        moments = torch.stack(
            [
                X.mT @ weighted,
                squares.mT @ weighted,
                X.abs().mT @ weighted,
                ((X * squares).mT @ share).expand(-1, -1, k),
            ],
            -1,
        )  # (B, d, k, 4)
        features = self.feature + self.moments(moments[None])[0].mean(2)
        outputs = self.output.expand(B, k, -1)
        tokens = torch.cat([features, seeds, outputs], 1)
        rows = y @ self.first_rows(outputs[None])[0] * per_output  # (B, N, w)
        prior = (weight * N).clamp(min=1e-30).log()[:, None, None]  # of being attended to
        for i, block in enumerate(self.blocks):
            features, rest = tokens[:, :d], tokens[:, d:]
            linear, quadratic = self.feature_to_rows[i](features[None])[0].chunk(2, -1)
            by_output = self.output_to_rows[i](rest[None, :, H:])[0]
            heard = [
                X @ linear * per_feature,
                squares @ quadratic * per_feature,
                y @ by_output * per_output,
                rows,
            ]
            rows = rows + self.update_rows[i](torch.cat(heard, -1)[None])[0]
            values = self.row_values[i](rows[None])[0] * share
            features = (
                features
                + self.update_features[i](
                    torch.cat([features, X.mT @ values, squares.mT @ values], -1)[None]
                )[0]
            )
            seen = self._attend(i, rest, rows, prior)
            # The seeds come in again each round: slots that all read the same rows
            # would drift into copies of one another.
            slots, outputs = rest[:, :H], rest[:, H:]
            slots = (
                slots + self.update_slots[i](torch.cat([slots, seen[:, :H], seeds], -1)[None])[0]
            )
            outputs = (
                outputs
                + self.update_outputs[i](
                    torch.cat([outputs, seen[:, H:], y.mT @ values], -1)[None]
                )[0]
            )
            tokens = block(torch.cat([features, slots, outputs], 1)[None], d)[0]
        latent = self.leave(normalised(tokens)[None])[0]
        identity = F.pad(self.leave_seeds(seeds[None])[0], (0, 0, d, k))
        return unit_tokens(latent + identity)

    def _attend(self, i: int, rest: Tensor, rows: Tensor, prior: Tensor) -> Tensor:
        def split(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)

        keys, values = self.row_keys[i](normalised(rows)[None])[0].chunk(2, -1)
        queries = self.queries[i](normalised(rest)[None])[0]
        seen = F.scaled_dot_product_attention(
            split(queries), split(keys), split(values), attn_mask=prior
        )
        return seen.transpose(1, 2).flatten(2)

"""The multi-scale autoencoder: networks of every depth, and data sets, in one latent space.

A latent point is a set of tokens, one per feature, per hidden slot and per
output (d + H + k tokens of c numbers). An encoder per depth reads a network
into it, the data-set encoder reads rows into it, a decoder per depth writes a
network out of it (arXiv 2410.08339: "multi-scale"). Every part is equivariant:
permuting features, slots or outputs permutes the result and nothing else, so
one checkpoint serves any d, H and k. Features attend to slots and outputs only:
the cost is linear in d.

Shapes: G groups with parameters of their own (the depths), B items per group,
T = d + H + k tokens, w the model width, c the latent width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ._activations import ACTIVATION_NAMES
from ._network import MAX_DEPTH
from ._soft_network import NetworkScores, SoftNetwork

N_ACTIVATIONS = len(ACTIVATION_NAMES)


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
        return self.second(F.gelu(self.first(_norm(x))))


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
        heads = self.query_key_value(_norm(tokens)).view(G * B, T, 3, self.n_heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each (G B, heads, T, w / heads)
        rest = F.scaled_dot_product_attention(q[:, :, d:], k, v)
        features = F.scaled_dot_product_attention(q[:, :, :d], k[:, :, d:], v[:, :, d:])
        mixed = torch.cat([features, rest], 2).transpose(1, 2).reshape(G, B, T, w)
        tokens = tokens + self.mix(mixed)
        return tokens + self.mlp(tokens)


class Decoder(nn.Module):
    """Latent points -> network scores, with parameters per depth.

    Each weight is bilinear in the tokens of its two ends; biases, gates and
    activation scores are linear in the token of their neuron. A slot's token
    serves the neurons of that slot in every layer.
    """

    def __init__(self, config: AutoencoderConfig, n_groups: int = MAX_DEPTH) -> None:
        super().__init__()
        w, r = config.model_width, config.rank
        self.rank = r
        self.enter = GroupedLinear(n_groups, config.latent_width, w)
        self.kind = nn.Parameter(torch.empty(n_groups, 3, w))
        self.blocks = nn.ModuleList(
            TokenBlock(n_groups, w, config.n_heads) for _ in range(config.decoder_blocks)
        )
        n_in = w + config.latent_width
        self.features = GroupedLinear(n_groups, n_in, r)
        self.outputs = GroupedLinear(n_groups, n_in, r + 1)
        self._slot_parts = (
            [r] * (2 * MAX_DEPTH)  # the ends of w_in, of each w_hidden twice, of w_out
            + [MAX_DEPTH, MAX_DEPTH, MAX_DEPTH * N_ACTIVATIONS]  # biases, gates, activations
        )
        self.slots = GroupedLinear(n_groups, n_in, sum(self._slot_parts))

    def draw_parameters(self, generator: Generator) -> None:
        """Draw what the parts have not drawn, and make their networks small to begin with."""
        self.kind.normal_(0, 0.02, generator=generator)
        for head in (self.features, self.slots, self.outputs):  # deep and large ones explode
            head.weight.mul_(0.5)
            head.bias.mul_(0.5)

    def forward(self, latent: Tensor, d: int, k: int, depths: Sequence[int]) -> NetworkScores:
        """Decode.

        Parameters
        ----------
        latent : Tensor of shape (G, B, d + H + k, c)
        d, k : int
            Numbers of features and outputs.
        depths : sequence of int of length G, ascending
            The depth that each group's parameters are of.

        Returns
        -------
        NetworkScores of G * B candidates
        """
        G, B, T, _ = latent.shape
        H, L, C = T - d - k, max(depths), G * B
        counts = torch.tensor([d, H, k], device=latent.device)
        kinds = self.kind.repeat_interleave(counts, 1, output_size=T)
        tokens = self.enter(latent) + kinds[:, None]
        for block in self.blocks:
            tokens = block(tokens, d)
        # The latent point goes to the heads directly too: what tells slots apart in it
        # stays, and descent has a straight way to each weight.
        tokens = torch.cat([_norm(tokens), latent], -1)
        from_feature = self.features(tokens[:, :, :d]).view(C, d, -1)
        to_output, b_out = (
            self.outputs(tokens[:, :, d + H :]).view(C, k, -1).split([self.rank, 1], -1)
        )
        slots = self.slots(tokens[:, :, d : d + H]).view(C, H, -1).split(self._slot_parts, -1)
        ends, (b_hidden, gates, activations) = slots[:-3], slots[-3:]
        # Hold the variance of the sums over slots, and over more features than pretraining
        # sees, where it is at 8 slots and 16 features.
        scale = 1 / math.sqrt(self.rank)
        by_slots = scale * math.sqrt(8 / H)
        w_in = from_feature @ ends[0].mT * (scale * min(1.0, math.sqrt(16 / d)))
        w_hidden = (
            torch.stack(ends[1:L], 1)
            @ torch.stack(ends[MAX_DEPTH : MAX_DEPTH + L - 1], 1).mT
            * by_slots
            if L > 1
            else w_in.new_zeros(C, 0, H, H)
        )
        return NetworkScores(
            w_in=w_in,
            w_hidden=w_hidden,
            w_out=ends[-1] @ to_output.mT * by_slots,
            b_hidden=b_hidden.mT[:, :L],
            b_out=b_out[..., 0],
            depths=tuple(depth for depth in depths for _ in range(B)),
            activation_scores=activations.view(C, H, MAX_DEPTH, -1).transpose(1, 2)[:, :L],
            # Neurons exist unless the decoder says otherwise.
            gate_scores=gates.mT[:, :L] + 1.0,
        )


class NetworkEncoder(nn.Module):
    """Networks -> latent points, with parameters per depth.

    Messages pass along the network's own weights and their magnitudes, in both
    directions; then a transformer block over the tokens, in which a slot gathers
    its neurons of every layer.
    """

    def __init__(self, config: AutoencoderConfig, n_groups: int = MAX_DEPTH) -> None:
        super().__init__()
        w = config.model_width
        self.feature = nn.Parameter(torch.empty(n_groups, 1, 1, w))
        self.neuron = GroupedLinear(n_groups, 2 + N_ACTIVATIONS, w)
        self.layer = nn.Parameter(torch.empty(n_groups, 1, MAX_DEPTH, 1, w))
        self.output = GroupedLinear(n_groups, 1, w)
        rounds = range(config.message_rounds)
        self.update = nn.ModuleList(GroupedMLP(n_groups, 5 * w, 2 * w, w) for _ in rounds)
        self.gather = GroupedLinear(n_groups, MAX_DEPTH * w, w)
        self.block = TokenBlock(n_groups, w, config.n_heads)
        self.leave = GroupedLinear(n_groups, w, config.latent_width)

    def draw_parameters(self, generator: Generator) -> None:
        """Draw what the parts have not drawn."""
        self.feature.normal_(0, 0.1, generator=generator)
        self.layer.normal_(0, 0.1, generator=generator)

    def forward(self, network: SoftNetwork, n_groups: int) -> Tensor:
        """Encode.

        Parameters
        ----------
        network : SoftNetwork of n_groups * B candidates
            Each group of one depth.
        n_groups : int
            How many groups of parameters there are (G).

        Returns
        -------
        Tensor of shape (G, B, d + H + k, c), each token of unit mean square
        """
        C, d, H = network.w_in.shape
        L, k, G = network.b_hidden.shape[1], network.b_out.shape[1], n_groups
        B = C // G
        there = (network.gates * network.live_layers()[..., None])[..., None]  # (C, L, H, 1)
        facts = torch.cat([network.b_hidden[..., None], there, network.mixture], -1)
        neurons = self.neuron(facts.view(G, B, L, H, -1)) + self.layer[:, :, :L]
        states = torch.cat(
            [
                self.feature.expand(G, B, d, -1),
                (neurons * there.view(G, B, L, H, 1)).flatten(2, 3),
                self.output(network.b_out.view(G, B, k, 1)),
            ],
            2,
        )  # (G, B, d + L H + k, w)
        for update in self.update:
            signed, magnitude = self._messages(network, states.view(C, d + L * H + k, -1), there)
            states = states + update(
                torch.cat(
                    [
                        states,
                        signed.view(G, B, d + L * H + k, -1),
                        magnitude.view(G, B, d + L * H + k, -1),
                    ],
                    -1,
                )
            )
        features, neurons, outputs = states.split([d, L * H, k], 2)
        neurons = (neurons.reshape(G, B, L, H, -1) * there.view(G, B, L, H, 1)).transpose(2, 3)
        by_slot = F.pad(neurons.flatten(3), (0, (MAX_DEPTH - L) * neurons.shape[-1]))
        tokens = self.block(torch.cat([features, self.gather(by_slot), outputs], 2), d)
        return unit_tokens(self.leave(_norm(tokens)))

    @staticmethod
    def _messages(network: SoftNetwork, states: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Pass states along the weights, and along their magnitudes.

        Returns
        -------
        signed, magnitude : Tensor of shape (C, d + L H + k, 2 w)
            What arrives from the inputs' side and from the outputs' side.
        """
        C, d, H = network.w_in.shape
        L, k = network.b_hidden.shape[1], network.b_out.shape[1]
        features, neurons, outputs = states.split([d, L * H, k], 1)
        neurons = neurons.view(C, L, H, -1) * there
        last = torch.as_tensor(network.depths, device=states.device) - 1
        is_last = F.one_hot(last, L).to(states.dtype)[:, :, None, None]
        last_neurons = neurons[torch.arange(C, device=states.device), last]
        inner = network.live_layers()[:, 1:, None, None]  # w_hidden beyond the depth is unused
        arrived = []
        for weights in (lambda w: w, torch.abs):
            w_in, w_out = weights(network.w_in), weights(network.w_out)
            w_hidden = weights(network.w_hidden) * inner
            ahead = torch.cat([(w_in.mT @ features)[:, None], w_hidden.mT @ neurons[:, :-1]], 1)
            back = F.pad(w_hidden @ neurons[:, 1:], (0, 0, 0, 0, 0, 1))
            back = back + is_last * (w_out @ outputs)[:, None]
            forward = torch.cat(
                [torch.zeros_like(features), ahead.flatten(1, 2), w_out.mT @ last_neurons], 1
            )
            backward = torch.cat(
                [w_in @ neurons[:, 0], back.flatten(1, 2), torch.zeros_like(outputs)], 1
            )
            arrived.append(torch.cat([forward, backward], -1))
        return arrived[0], arrived[1]


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
        latent = self.leave(_norm(tokens)[None])[0]
        identity = F.pad(self.leave_seeds(seeds[None])[0], (0, 0, d, k))
        return unit_tokens(latent + identity)

    def _attend(self, i: int, rest: Tensor, rows: Tensor, prior: Tensor) -> Tensor:
        def split(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)

        keys, values = self.row_keys[i](_norm(rows)[None])[0].chunk(2, -1)
        queries = self.queries[i](_norm(rest)[None])[0]
        seen = F.scaled_dot_product_attention(
            split(queries), split(keys), split(values), attn_mask=prior
        )
        return seen.transpose(1, 2).flatten(2)


class MultiScaleAutoencoder(nn.Module):
    """Encoders per depth and for data sets, and decoders per depth, around one latent space.

    Parameters
    ----------
    config : AutoencoderConfig, optional
        None takes the default sizes.
    generator : torch.Generator, optional
        Draws the parameters. None leaves them empty, to be loaded.
    """

    def __init__(
        self, config: AutoencoderConfig | None = None, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config or AutoencoderConfig()
        self.network_encoder = NetworkEncoder(self.config)
        self.dataset_encoder = DatasetEncoder(self.config)
        self.decoder = Decoder(self.config)
        if generator is not None:
            with torch.no_grad():
                for module in reversed(list(self.modules())):  # parts before what they are part of
                    if isinstance(
                        module, GroupedLinear | Decoder | NetworkEncoder | DatasetEncoder
                    ):
                        module.draw_parameters(generator)

    def encode(self, network: SoftNetwork) -> Tensor:
        """Encode networks: SoftNetwork of C candidates -> latent points (C, T, c).

        Candidates are grouped by depth; every depth that occurs must occur equally often.
        """
        depths = sorted(set(network.depths))
        parameters = select_depths(self.network_encoder, depths)
        latent = torch.func.functional_call(
            self.network_encoder, parameters, (network, len(depths))
        )
        return latent.flatten(0, 1)

    def decode(self, latent: Tensor, d: int, k: int, depths: Sequence[int]) -> NetworkScores:
        """Decode (G, B, T, c) latent points, group g at depth ``depths[g]`` (ascending)."""
        parameters = select_depths(self.decoder, depths)
        scores: NetworkScores = torch.func.functional_call(
            self.decoder, parameters, (latent, d, k, depths)
        )
        return scores


def select_depths(module: nn.Module, depths: Sequence[int]) -> dict[str, Tensor]:
    """Take the parameters of some depths, one group per entry of `depths`, by name."""
    if list(depths) == list(range(1, MAX_DEPTH + 1)):
        return dict(module.named_parameters())
    index = [depth - 1 for depth in depths]
    return {name: parameter[index] for name, parameter in module.named_parameters()}


def unit_tokens(tokens: Tensor) -> Tensor:
    """Scale each token to a mean square of 1, that of a random start's tokens on average."""
    return tokens * (tokens.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])

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

import copy
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ._activations import ACTIVATION_NAMES
from ._dataset_encoder import DatasetEncoder
from ._network import MAX_DEPTH
from ._soft_network import NetworkScores, SoftNetwork
from ._token_layers import (
    AutoencoderConfig,
    GroupedLinear,
    GroupedMLP,
    TokenBlock,
    normalised,
    unit_tokens,
)

N_ACTIVATIONS = len(ACTIVATION_NAMES)


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
        kinds = torch.cat(
            [self.kind[:, i : i + 1].expand(-1, n, -1) for i, n in enumerate((d, H, k))], 1
        )
        tokens = self.enter(latent) + kinds[:, None]
        for block in self.blocks:
            tokens = block(tokens, d)
        # The latent point goes to the heads directly too: what tells slots apart in it
        # stays, and descent has a straight way to each weight.
        tokens = torch.cat([normalised(tokens), latent], -1)
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
        return unit_tokens(self.leave(normalised(tokens)))

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
        last = network.depth_tensor() - 1
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


def to_device(autoencoder: MultiScaleAutoencoder, device: torch.device) -> MultiScaleAutoencoder:
    """Return a copy on a device; on the CPU it shares what no descent changes.

    These are the parameters and the encoder of data sets. Those of networks and the decoders
    run with other parameters swapped in: they cannot be those of another fit in another thread.
    """
    if device.type != "cpu":
        return copy.deepcopy(autoencoder).to(device)
    shared = [*autoencoder.parameters(), autoencoder.dataset_encoder]
    return copy.deepcopy(autoencoder, {id(part): part for part in shared})

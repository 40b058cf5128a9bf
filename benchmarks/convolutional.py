"""The convolutional autoencoder of arXiv 2410.08339 as a baseline, against the equivariant one.

Both are trained for the same wall time on one thread, on the same random networks of
3 inputs, 1 output and up to 7 neurons per layer, with the same loss: the best decoder's
error on standardised outputs. Then two comparisons. First, how well each reconstructs
held-out networks, per activation family and depth. Second, what gradient descent finds
in each latent space on random functions, from random start points and within the same
wall time, beside descent on the weights themselves. The bundled checkpoint, trained for
longer and on more, comes along as a third autoencoder.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from benchmarks._results import describe_machine, save
from sklearn_swat._activations import ACTIVATION_NAMES
from sklearn_swat._autoencoder import GroupedLinear, MultiScaleAutoencoder, unit_tokens
from sklearn_swat._checkpoint import load_checkpoint
from sklearn_swat._network import MAX_DEPTH
from sklearn_swat._objective import row_losses
from sklearn_swat._soft_network import NetworkScores, SoftNetwork, sharpen
from sklearn_swat._start_points import random_scores
from sklearn_swat._threads import one_torch_thread
from sklearn_swat.pretrain._losses import ALL_DEPTHS, PretrainingLosses, SamplingConfig
from sklearn_swat.pretrain._muon import Muon
from sklearn_swat.pretrain._sampler import Rows, Sampler
from sklearn_swat.pretrain._training import MATRIX_RATE
from sklearn_swat.pretrain.evaluate import FAMILIES, N_FEATURES, N_OUTPUTS, N_SLOTS, reconstruction

# The baseline's array: a row per neuron; per layer its incoming weights, bias, existence and
# activation; at the end its outgoing weight and the output's bias.
COLUMNS_PER_LAYER = N_SLOTS + 2 + len(ACTIVATION_NAMES)
LAST_COLUMNS = 2 * N_OUTPUTS
LATENT_SIZE = 128

N_POINTS = 64  # where a network and its reconstruction are compared in training
WARM_UP = 0.03  # share of the training time over which the learning rate rises
HARD_FROM = 0.6  # share of the training time after which decoded networks are hard
TRAINING_SEED, TEST_SEED, SEARCH_SEED = 1, 0, 2

N_SETS, N_CONTEXT, N_TRAIN, N_FRESH = 16, 128, 96, 200  # the context ends in validation rows
RATES = (0.01, 0.03, 0.1, 0.3)  # of Adam: a restart per rate, so that none favours a space
SEARCH_HARD_FROM = 0.7  # share of the search time, as in the package's own descent
STEPS_PER_VERDICT = 5  # on the hard networks

NAMES = {
    "convolutional": "convolutional",
    "ours": "equivariant",
    "bundled": "bundled checkpoint",
    "weights": "no autoencoder: weights",
}


# --------------------------------------------------------------------- the baseline


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
        for n_in, n_out in zip(sizes, sizes[1:], strict=False):
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
        """Encode C networks, sorted by depth: latent points (C, 128) of unit mean square."""
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
    """Write C networks of one depth as the arrays (C, slots, columns) that the baseline reads."""
    depth, exists = networks.depths[0], networks.gates[..., None]
    w_in = F.pad(networks.w_in, (0, 0, 0, N_SLOTS - N_FEATURES))
    incoming = torch.cat([w_in[:, None], networks.w_hidden], 1).mT  # (C, L, to, from)
    facts = [incoming, networks.b_hidden[..., None], exists, networks.mixture * exists]
    layers = torch.cat(facts, -1)[:, :depth]
    b_out = networks.b_out[:, None].expand_as(networks.w_out)
    return torch.cat([layers.transpose(1, 2).flatten(2), networks.w_out, b_out], -1)


Autoencoder = ConvolutionalAutoencoder | MultiScaleAutoencoder

# --------------------------------------------------------------------- training


@dataclass(frozen=True)
class Training:
    """An autoencoder and how it is trained.

    Attributes
    ----------
    autoencoder : ConvolutionalAutoencoder or MultiScaleAutoencoder
    optimizer : Optimizer
        Its groups' learning rates are the peaks.
    networks_per_depth : int
        In a batch.
    """

    autoencoder: Autoencoder
    optimizer: torch.optim.Optimizer
    networks_per_depth: int


def convolutional_training(generator: Generator) -> Training:
    """Set up the baseline's training."""
    autoencoder = ConvolutionalAutoencoder(generator)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=1e-3, weight_decay=1e-4)
    return Training(autoencoder, optimizer, networks_per_depth=10)


def our_training(generator: Generator) -> Training:
    """Set up our autoencoder's training: network encoder and decoder, as in pretraining."""
    autoencoder = MultiScaleAutoencoder(generator=generator)
    trained = nn.ModuleList([autoencoder.network_encoder, autoencoder.decoder])
    matrices, others = [], []
    for name, parameter in trained.named_parameters():
        (matrices if name.endswith(".weight") else others).append(parameter)
    optimizer = Muon(
        [
            {"params": matrices, "is_matrix": True, "lr": 1e-3 * MATRIX_RATE, "weight_decay": 1e-3},
            {"params": others},
        ],
        lr=1e-3,
        weight_decay=1e-4,
    )
    return Training(autoencoder, optimizer, networks_per_depth=10)


def train(training: Training, seconds: float) -> dict[str, Any]:
    """Train an autoencoder to reconstruct networks, until the time is over.

    Parameters
    ----------
    training : Training
    seconds : float
        The wall time. The learning rate and the networks' sharpness follow it.

    Returns
    -------
    dict
        What was done: numbers of parameters, batches and networks, and the seconds.
    """
    losses = PretrainingLosses(training.autoencoder, SamplingConfig())
    sampler = Sampler(Generator().manual_seed(TRAINING_SEED))
    parameters = [p for group in training.optimizer.param_groups for p in group["params"]]
    peaks = [group["lr"] for group in training.optimizer.param_groups]
    n_batches, started, elapsed = 0, time.perf_counter(), 0.0
    while elapsed < seconds:
        done = elapsed / seconds
        annealed = min(1.0, done / WARM_UP) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)
        for group, peak in zip(training.optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * annealed
        networks = sampler.networks(
            training.networks_per_depth, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS
        )
        X = sampler.normal(N_POINTS, N_FEATURES)
        sharpness = min(1.0, done / HARD_FROM)
        error = losses.reconstruction_errors(networks, X, sharpness)[0].mean()
        training.optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        training.optimizer.step()
        n_batches += 1
        elapsed = time.perf_counter() - started
    return {
        "n_parameters": sum(parameter.numel() for parameter in parameters),
        "n_batches": n_batches,
        "n_networks": n_batches * MAX_DEPTH * training.networks_per_depth,
        "seconds": elapsed,
    }

"""The convolutional autoencoder of arXiv 2410.08339 as a baseline, against the equivariant one.

Both are trained for the same time on one thread, on the same random networks of 3
inputs, 1 output and up to 7 neurons per layer, with the same loss: the best decoder's
error on standardised outputs. Then two comparisons. First, how well each reconstructs
held-out networks, per activation family and depth. Second, what gradient descent finds
in each latent space on random functions, from random start points and within the same
time, beside descent on the weights themselves. The bundled checkpoint, trained for
longer and on more, comes along as a third autoencoder. All times are the processor's:
the wall time of an idle core, and fair on a busy one.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from benchmarks._command import make_parser, report
from benchmarks._results import describe_machine, save
from sklearn_swat._activations import ACTIVATION_NAMES
from sklearn_swat._autoencoder import GroupedLinear, MultiScaleAutoencoder, unit_tokens
from sklearn_swat._checkpoint import load_checkpoint
from sklearn_swat._network import MAX_DEPTH
from sklearn_swat._objective import row_losses
from sklearn_swat._soft_network import NetworkScores, SoftNetwork, per_candidate, sharpen
from sklearn_swat._start_points import random_scores
from sklearn_swat._threads import one_torch_thread
from sklearn_swat.pretrain._losses import ALL_DEPTHS, PretrainingLosses, SamplingConfig
from sklearn_swat.pretrain._muon import Muon
from sklearn_swat.pretrain._sampler import Rows, Sampler
from sklearn_swat.pretrain._training import MATRIX_RATE, cosine
from sklearn_swat.pretrain.evaluate import N_FEATURES, N_OUTPUTS, N_SLOTS, reconstruction

# The baseline's array: a row per neuron; per layer its incoming weights, bias, existence and
# activation; at the end its outgoing weight and the output's bias.
COLUMNS_PER_LAYER = N_SLOTS + 2 + len(ACTIVATION_NAMES)
LAST_COLUMNS = 2 * N_OUTPUTS
LATENT_SIZE = 128

PER_DEPTH = 10  # networks of a training batch
N_POINTS = 64  # where a network and its reconstruction are compared in training
WARM_UP = 0.1  # share of the training time over which the learning rate rises
HARD_FROM = 0.6  # share of the training time after which decoded networks are hard
TRAINING_SEED, TEST_SEED, SEARCH_SEED = 1, 0, 2

N_SETS, N_CONTEXT, N_TRAIN, N_FRESH = 16, 128, 96, 200  # the context ends in validation rows
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # of Adam: a restart per rate, so that none favours a space
SEARCH_HARD_FROM = 0.7  # share of the search time, as in the package's own descent
STEPS_PER_VERDICT = 5  # on the hard networks

NAMES = {
    "convolutional": "convolutional",
    "ours": "ours",
    "bundled": "ours, bundled",
    "weights": "the weights",
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


Autoencoder = ConvolutionalAutoencoder | MultiScaleAutoencoder
Training = tuple[Autoencoder, torch.optim.Optimizer]  # its learning rates are the peaks

# --------------------------------------------------------------------- training


def convolutional_training(generator: Generator) -> Training:
    """Return a baseline and its optimizer.

    Its choices did best in trials of 40 to 50 seconds: batches of 20 to 160 networks, rates
    of 1e-4 to 3e-3, layers with and without norms, two scales of initial parameters.
    """
    autoencoder = ConvolutionalAutoencoder(generator)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=3e-4, weight_decay=1e-4, fused=True)
    return autoencoder, optimizer


def our_training(generator: Generator) -> Training:
    """Return one of ours and the optimizer of its network encoder and decoder.

    The optimizer is pretraining's at half its learning rate: the best of that, its half
    and its quarter in trials of 50 seconds.
    """
    autoencoder = MultiScaleAutoencoder(generator=generator)
    trained = nn.ModuleList([autoencoder.network_encoder, autoencoder.decoder])
    rate = 5e-4
    named = dict(trained.named_parameters())
    matrices = [parameter for name, parameter in named.items() if name.endswith(".weight")]
    others = [parameter for name, parameter in named.items() if not name.endswith(".weight")]
    optimizer = Muon(
        [
            {"params": matrices, "is_matrix": True, "lr": MATRIX_RATE * rate, "weight_decay": 1e-3},
            {"params": others},
        ],
        lr=rate,
        weight_decay=1e-4,
    )
    return autoencoder, optimizer


def train(
    autoencoder: Autoencoder, optimizer: torch.optim.Optimizer, seconds: float
) -> dict[str, Any]:
    """Train an autoencoder to reconstruct networks, until the time is over.

    Parameters
    ----------
    autoencoder : ConvolutionalAutoencoder or MultiScaleAutoencoder
    optimizer : Optimizer
        Of the parameters that are trained.
    seconds : float
        Of the processor. The learning rate and the networks' sharpness follow them.

    Returns
    -------
    dict
        What was done: numbers of parameters, batches and networks, and the seconds.
    """
    losses = PretrainingLosses(autoencoder, SamplingConfig())
    sampler = Sampler(Generator().manual_seed(TRAINING_SEED))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    peaks = [group["lr"] for group in optimizer.param_groups]
    n_batches, started, elapsed = 0, time.process_time(), 0.0
    while elapsed < seconds:
        done = elapsed / seconds
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * min(1.0, done / WARM_UP) * cosine(done)
        networks = sampler.networks(PER_DEPTH, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS)
        X = sampler.normal(N_POINTS, N_FEATURES)
        sharpness = min(1.0, done / HARD_FROM)
        error = losses.reconstruction_errors(networks, X, sharpness)[0].mean()
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        n_batches += 1
        elapsed = time.process_time() - started
    return {
        "n_parameters": sum(parameter.numel() for parameter in parameters),
        "n_batches": n_batches,
        "n_networks": n_batches * MAX_DEPTH * PER_DEPTH,
        "seconds": elapsed,
    }


# --------------------------------------------------------------------- search


@dataclass(frozen=True)
class Space:
    """Where descent moves.

    Attributes
    ----------
    start : dict of Tensor
        The free tensors, a line per candidate; candidates are sorted by depth.
    to_scores : callable
        Turns tensors like those into the candidates' `NetworkScores`.
    """

    start: dict[str, Tensor]
    to_scores: Callable[[dict[str, Tensor]], NetworkScores]


def latent_space(autoencoder: Autoencoder, n_per_depth: int, generator: Generator) -> Space:
    """Return an autoencoder's latent space, with random start points."""
    autoencoder.requires_grad_(False)
    example = Sampler(generator).networks(1, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS)
    shape = autoencoder.encode(example).shape[1:]
    start = torch.randn(MAX_DEPTH, n_per_depth, *shape, generator=generator)

    def to_scores(free: dict[str, Tensor]) -> NetworkScores:
        latent = free["latent"].view(MAX_DEPTH, n_per_depth, *shape)
        return autoencoder.decode(latent, N_FEATURES, N_OUTPUTS, ALL_DEPTHS)

    return Space({"latent": start.flatten(0, 1)}, to_scores)


def weight_space(n_per_depth: int, generator: Generator) -> Space:
    """Return the space of the soft networks' own numbers, with random networks to start at."""
    depths = tuple(depth for depth in ALL_DEPTHS for _ in range(n_per_depth))
    scale, shift = torch.ones(N_OUTPUTS), torch.zeros(N_OUTPUTS)
    start = random_scores(depths, N_SLOTS, scale, shift, N_FEATURES, generator)
    return Space(start, lambda free: NetworkScores(**free, depths=depths))


def search(space: Space, rows: Rows, seconds: float) -> dict[str, Any]:
    """Descend with a restart per depth and learning rate on every data set, all at once.

    Parameters
    ----------
    space : Space
        Its candidates are sorted by depth, then data set, then learning rate.
    rows : Rows
        Regression data sets.
    seconds : float
        Of the processor. The learning rates and the networks' sharpness follow them.

    Returns
    -------
    dict
        ``n_steps``, and per data set (``sets``) the candidate whose hard network was the
        best on the validation rows at any verdict: its depth and learning rate, and the
        normalised loss of that network on fresh rows.
    """
    X, y = (
        part.repeat_interleave(len(RATES), 0).repeat(MAX_DEPTH, 1, 1) for part in (rows.X, rows.y)
    )
    rates = torch.tensor(RATES).repeat(len(X) // len(RATES))
    # Adam's steps do not depend on the scale of gradients: descent on the distance moved, in
    # units of the rate, is descent at that rate.
    moved = {name: torch.zeros_like(t, requires_grad=True) for name, t in space.start.items()}
    optimizer = torch.optim.Adam(moved.values())
    validation, test = torch.full((2, len(X)), math.inf)
    n_steps, started, elapsed = 0, time.process_time(), 0.0
    while elapsed < seconds:
        done = elapsed / seconds
        optimizer.param_groups[0]["lr"] = cosine(done)
        scores = space.to_scores(
            {name: t + moved[name] * per_candidate(rates, t) for name, t in space.start.items()}
        )
        if n_steps % STEPS_PER_VERDICT == 0:
            now, test_now = judge(scores, X, y)
            test = torch.where(now < validation, test_now, test)
            validation = validation.fmin(now)
        network = sharpen(scores, min(1.0, done / SEARCH_HARD_FROM))
        loss = row_losses("squared_error", network(X[:, :N_TRAIN]), y[:, :N_TRAIN]).mean(1)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        n_steps += 1
        elapsed = time.process_time() - started
    constant = y[:, N_CONTEXT:].square().mean((1, 2))  # the context's mean is 0
    by_set = (MAX_DEPTH, len(rows.X), len(RATES))
    best = validation.view(by_set).transpose(0, 1).flatten(1).argmin(1)
    normalised = (test / constant).view(by_set).transpose(0, 1).flatten(1)
    return {
        "n_steps": n_steps,
        "sets": [
            {
                "test_loss": float(losses[i]),
                "depth": ALL_DEPTHS[i // len(RATES)],
                "rate": RATES[i % len(RATES)],
            }
            for losses, i in zip(normalised, best.tolist(), strict=True)
        ],
    }


def judge(scores: NetworkScores, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared error of the hard networks on the validation rows and on fresh ones."""
    with torch.no_grad():
        network = sharpen(scores, 1.0)
        losses = row_losses("squared_error", network(X[:, N_TRAIN:]), y[:, N_TRAIN:])
    n_validation = N_CONTEXT - N_TRAIN
    return losses[:, :n_validation].mean(1), losses[:, n_validation:].mean(1)


# --------------------------------------------------------------------- the study


def run_all(minutes: float, search_seconds: float, n_networks: int) -> dict[str, Any]:
    """Train both autoencoders, then compare what they and the bundled one can do.

    Parameters
    ----------
    minutes : float
        Training time of each.
    search_seconds : float
        Time of the descents in each space.
    n_networks : int
        Held-out networks per activation family and depth.

    Returns
    -------
    dict
        ``training`` and ``reconstruction`` per autoencoder, ``search`` per space.
    """
    training: dict[str, Any] = {}
    autoencoders: dict[str, Autoencoder] = {}
    for name, prepare in (("convolutional", convolutional_training), ("ours", our_training)):
        autoencoders[name], optimizer = prepare(Generator().manual_seed(TRAINING_SEED))
        training[name] = train(autoencoders[name], optimizer, 60 * minutes)
    autoencoders["bundled"] = load_checkpoint(None)
    drawn = Sampler(Generator().manual_seed(SEARCH_SEED))
    rows = drawn.regression(N_SETS, N_CONTEXT, N_FRESH, N_FEATURES, N_OUTPUTS)
    n_per_depth = N_SETS * len(RATES)
    spaces = {
        name: latent_space(autoencoder, n_per_depth, Generator().manual_seed(SEARCH_SEED))
        for name, autoencoder in autoencoders.items()
    }
    spaces["weights"] = weight_space(n_per_depth, Generator().manual_seed(SEARCH_SEED))
    return {
        "meta": {**describe_machine(), "minutes": minutes, "search_seconds": search_seconds},
        "training": training,
        "reconstruction": {
            name: reconstruction(autoencoder, n_networks, TEST_SEED)
            for name, autoencoder in autoencoders.items()
        },
        "search": {name: search(space, rows, search_seconds) for name, space in spaces.items()},
    }


# --------------------------------------------------------------------- report


def tabulate_reconstruction(reconstructions: dict[str, Any]) -> pd.DataFrame:
    """Return mean and median MPE per family and depth: a column per autoencoder.

    Parameters
    ----------
    reconstructions : dict
        Per autoencoder, what `sklearn_swat.pretrain.evaluate.reconstruction` returns.

    Returns
    -------
    DataFrame
        Of text. The last column is the best constant's mean MPE, the last row the average.
    """
    frames = {name: pd.DataFrame(records) for name, records in reconstructions.items()}
    index = ["family", "depth"]
    cells = {}
    for name, frame in frames.items():
        figures = frame.set_index(index)[["mpe", "mpe_median"]]
        figures.loc[("all", ""), :] = figures.mean()
        cells[NAMES[name]] = figures.apply(
            lambda row: f"{row['mpe']:.0f} ({row['mpe_median']:.0f})", axis=1
        )
    constant = next(iter(frames.values())).set_index(index)["mpe_constant"]
    constant.loc[("all", "")] = constant.mean()
    return pd.DataFrame({**cells, "best constant": constant.map("{:.0f}".format)})


def tabulate_search(searches: dict[str, Any]) -> pd.DataFrame:
    """Return what was found: a row per space.

    Parameters
    ----------
    searches : dict
        Per space, what `search` returns.

    Returns
    -------
    DataFrame
        Median and mean test loss over the data sets, on how many the weights were beaten,
        steps, and how often each learning rate gave the best candidate.
    """
    losses = pd.DataFrame(
        {name: [s["test_loss"] for s in found["sets"]] for name, found in searches.items()}
    )
    table = pd.DataFrame({"median": losses.median().round(3), "mean": losses.mean().round(3)})
    table["better than weights"] = losses.lt(losses["weights"], axis=0).sum()
    table["steps"] = {name: found["n_steps"] for name, found in searches.items()}
    for rate in RATES:
        table[f"rate {rate}"] = {
            name: sum(s["rate"] == rate for s in found["sets"]) for name, found in searches.items()
        }
    return table.rename(index=NAMES)


def make_report(results: dict[str, Any]) -> str:
    """Return the report of kept results.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
    """
    meta, searches = results["meta"], results["search"]
    training = pd.DataFrame(results["training"]).T.astype(int).rename(index=NAMES)
    n_sets = len(searches["weights"]["sets"])
    return "\n".join(
        [
            f"Trained for {meta['minutes']:g} minutes of one core each",
            training.to_string(),
            "",
            "Reconstruction of held-out networks by hard ones: MPE in %, minimum over decoders,",
            "mean (median) over networks",
            tabulate_reconstruction(results["reconstruction"]).to_string(),
            "",
            f"Search: normalised test loss (1: the best constant) of the best candidate, over "
            f"{n_sets} random functions,",
            f"after {meta['search_seconds']:g} seconds of one core for all of them at once",
            tabulate_search(searches).to_string(),
        ]
    )


# --------------------------------------------------------------------- command line


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("convolutional", __doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=8, help="training time of each autoencoder")
    add("--search-seconds", type=float, default=30, help="time of the descents in each space")
    add("--networks", type=int, default=100, help="held-out networks per family and depth")

    def run_and_save(options: argparse.Namespace) -> dict[str, Any]:
        with one_torch_thread():
            results = run_all(options.minutes, options.search_seconds, options.networks)
        save(results, options.out)
        return results

    report(parser.parse_args(arguments), run_and_save, make_report)


if __name__ == "__main__":
    main()

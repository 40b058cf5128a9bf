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
from typing import Any

import pandas as pd
import torch
from torch import Generator, Tensor, nn

from benchmarks._command import make_parser, report
from benchmarks._convolutional_autoencoder import ConvolutionalAutoencoder
from benchmarks._report import verdict
from benchmarks._results import describe_machine, save
from benchmarks._training import adamw, muon, train_for
from sklearn_swat._autoencoder import MultiScaleAutoencoder
from sklearn_swat._checkpoint import load_checkpoint
from sklearn_swat._network import MAX_DEPTH
from sklearn_swat._objective import row_losses
from sklearn_swat._soft_network import NetworkScores, per_candidate, sharpen
from sklearn_swat._start_points import random_scores
from sklearn_swat._threads import one_torch_thread
from sklearn_swat.pretrain._evaluation import N_FEATURES, N_OUTPUTS, N_SLOTS, reconstruction
from sklearn_swat.pretrain._losses import ALL_DEPTHS, PretrainingLosses, SamplingConfig
from sklearn_swat.pretrain._sampler import Rows, Sampler
from sklearn_swat.pretrain._training import cosine

PER_DEPTH = 10  # networks of a training batch
N_POINTS = 64  # where a network and its reconstruction are compared in training
HARD_FROM = 0.6  # share of the training time after which decoded networks are hard
TRAINING_SEED, TEST_SEED, SEARCH_SEED = 1, 0, 2

N_SETS, N_CONTEXT, N_TRAIN, N_FRESH = 16, 128, 96, 200  # the context ends in validation rows
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # of Adam: a restart per rate, so that none favours a space
SEARCH_HARD_FROM = 0.7  # share of the search time, as in the package's own descent
STEPS_PER_VERDICT = 5  # on the hard networks

AIM = 2.0  # times the baseline's reconstruction error over ours, at equal training time

NAMES = {
    "convolutional": "convolutional",
    "ours": "ours",
    "bundled": "ours, bundled",
    "weights": "the weights",
}


Autoencoder = ConvolutionalAutoencoder | MultiScaleAutoencoder
Training = tuple[Autoencoder, torch.optim.Optimizer]  # its learning rates are the peaks

# --------------------------------------------------------------------- training


def convolutional_training(generator: Generator) -> Training:
    """Return a baseline and its optimizer.

    Its choices did best in trials of 40 to 50 seconds: batches of 20 to 160 networks, rates
    of 1e-4 to 3e-3, layers with and without norms, two scales of initial parameters.
    """
    autoencoder = ConvolutionalAutoencoder(generator)
    return autoencoder, adamw(autoencoder, 3e-4)


def our_training(generator: Generator) -> Training:
    """Return one of ours and the optimizer of its network encoder and decoder.

    The optimizer is pretraining's at half its learning rate: the best of that, its half
    and its quarter in trials of 50 seconds.
    """
    autoencoder = MultiScaleAutoencoder(generator=generator)
    trained = nn.ModuleList([autoencoder.network_encoder, autoencoder.decoder])
    return autoencoder, muon(trained, 5e-4)


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

    def loss_at(done: float) -> Tensor:
        networks = sampler.networks(PER_DEPTH, ALL_DEPTHS, N_FEATURES, N_SLOTS, N_OUTPUTS)
        X = sampler.normal(N_POINTS, N_FEATURES)
        sharpness = min(1.0, done / HARD_FROM)
        return losses.reconstruction_errors(networks, X, sharpness)[0].min(0).values.mean()

    record = train_for(seconds, optimizer, loss_at)
    return {**record, "n_networks": record["n_batches"] * MAX_DEPTH * PER_DEPTH}


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
        Per autoencoder, what `sklearn_swat.pretrain._evaluation.reconstruction` returns.

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


def judge_reconstruction(reconstructions: dict[str, Any]) -> list[str]:
    """Return by how much we reconstruct better than the baseline, and whether that is enough.

    Parameters
    ----------
    reconstructions : dict
        As for `tabulate_reconstruction`.

    Returns
    -------
    list of str
        A verdict on the mean MPE, which is the paper's measure, and two more ratios.
    """
    ours, baseline = (
        pd.DataFrame(reconstructions[name])[["mpe", "mpe_median", "mse"]].mean()
        for name in ("ours", "convolutional")
    )
    ratio = baseline / ours
    return [
        verdict(
            bool(ratio["mpe"] >= AIM),
            f"a mean MPE at least {AIM:g} times as good as the baseline's at equal training time",
            f"{ours['mpe']:.1f} % against {baseline['mpe']:.1f} %, {ratio['mpe']:.2f} times",
        ),
        f"        (the median MPE is {ratio['mpe_median']:.2f} times as good, the median squared "
        f"error {ratio['mse']:.2f} times)",
    ]


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
            *judge_reconstruction(results["reconstruction"]),
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

"""What moves pretraining: variants of it, each trained for the same short time.

Every variant changes one thing of a base: sizes of the autoencoder (latent width among
them, an open question of arXiv 2410.08339), rates and optimizer, losses, how the
decoders' errors become one, contexts, the mix of functions, a price of size that the
encoder is told of, one scale against four. All are measured by the same held-out losses,
of hard networks, and by the start networks of the benchmark tables. The base has small
batches, so that a short trial has many, and a curriculum that follows the time. It is run
with several seeds: what they differ by is noise. Results are kept as they come, and a run
that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor, nn

from benchmarks._command import make_parser, report
from benchmarks._data import available_tables
from benchmarks._results import describe_machine, save
from benchmarks._training import adamw, muon, train_for
from benchmarks.advantage import start_loss
from benchmarks.convolutional import N_CONTEXT, N_FRESH, N_SETS, RATES, latent_space, search
from sklearn_swat._autoencoder import MultiScaleAutoencoder
from sklearn_swat._checkpoint import save_checkpoint
from sklearn_swat._threads import one_torch_thread
from sklearn_swat._token_layers import AutoencoderConfig
from sklearn_swat.pretrain._evaluation import (
    N_FEATURES,
    N_OUTPUTS,
    averages,
    held_out_losses,
)
from sklearn_swat.pretrain._losses import PretrainingLosses, SamplingConfig, total
from sklearn_swat.pretrain._sampler import FUNCTION_SHARES, Sampler

BASE = SamplingConfig(batch_size=10, rows_per_batch=600)
ONE_SCALE = {"depths": (2,), "depths_per_batch": 1}
WIDE_FROM, HARD_FROM = 0.3, 0.6  # shares of the time over which tasks widen, networks sharpen
LEARNING_RATE = 1e-3
SEARCH_SEED = 2
PRICES = (1e-6, 1e-2)  # of a number, where pretraining knows of one
MEASURED_PRICES = (1e-6, 1e-4, 1e-3, 1e-2)
TABLE_ROWS, TABLE_SEEDS = 128, (0, 1)  # of start networks on tables: rows, and splits

# The held-out batches that variants are measured on.
EVERYTHING = "everything"
DEPTH_2 = "depth 2 only"
LARGE_CONTEXTS = "contexts of 512 to 1,000 rows"
SEARCH = "search"  # not of batches: descent from random latent points
MEASURES = {
    EVERYTHING: SamplingConfig(),
    DEPTH_2: SamplingConfig(**ONE_SCALE),
    LARGE_CONTEXTS: SamplingConfig(
        smallest_context=512, largest_context=1000, reconstruction_share=0.0
    ),
}
LOSSES = ("start", "readout", "descended", "reconstruction", "similarity")
TABLES = "tables"  # a column beside those losses: start networks of the benchmark tables


@dataclass(frozen=True)
class Variant:
    """One way to pretrain.

    Attributes
    ----------
    config : AutoencoderConfig
    sampling : SamplingConfig
    learning_rate : float
        The peak.
    optimizer : callable
        Makes the optimizer of a module at a learning rate.
    seed : int
        Of parameters and batches.
    measures : tuple of str
        Keys of `MEASURES`, or `SEARCH`.
    """

    config: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    sampling: SamplingConfig = BASE
    learning_rate: float = LEARNING_RATE
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer] = muon
    seed: int = 0
    measures: tuple[str, ...] = (EVERYTHING,)


def of_sizes(*measures: str, **sizes: int) -> Variant:
    """Return the base with other sizes of the autoencoder."""
    return Variant(config=AutoencoderConfig(**sizes), measures=(EVERYTHING, *measures))


def of_batches(*measures: str, **options: Any) -> Variant:
    """Return the base with other batches or losses."""
    return Variant(sampling=replace(BASE, **options), measures=(EVERYTHING, *measures))


BASES = {
    f"base, seed {seed}": Variant(seed=seed, measures=(EVERYTHING, DEPTH_2, LARGE_CONTEXTS, SEARCH))
    for seed in (0, 1, 2)
}
VARIANTS = {
    **BASES,
    "latent width 16 (base: 32)": of_sizes(SEARCH, latent_width=16),
    "latent width 64": of_sizes(SEARCH, latent_width=64),
    "model width 32 (base: 64)": of_sizes(model_width=32),
    "model width 96": of_sizes(model_width=96),
    "2 rounds of the data-set encoder (base: 4)": of_sizes(data_rounds=2),
    "mean over decoders (base: min)": of_batches(reduction="mean"),
    "1-norm over decoders": of_batches(reduction="1-norm"),
    "2-norm over decoders": of_batches(reduction="2-norm"),
    "depth 2 only (base: 1 to 4)": replace(of_batches(**ONE_SCALE), measures=(DEPTH_2,)),
    "without similarity": of_batches(left_out=("similarity",)),
    "without readout": of_batches(left_out=("readout",)),
    "without descent": of_batches(descent_share=0.0),
    "half of the batches reconstruct (base: 1/4)": of_batches(reconstruction_share=0.5),
    "contexts of 24 to 1,000 rows (base: to 512)": of_batches(LARGE_CONTEXTS, largest_context=1000),
    "few contexts of 128 to 1,000 rows": of_batches(
        LARGE_CONTEXTS, smallest_context=128, largest_context=1000
    ),
    "many contexts of 24 to 96 rows": of_batches(
        LARGE_CONTEXTS, smallest_context=24, largest_context=96, batch_size=20
    ),
    "learning rate 3e-4 (base: 1e-3)": Variant(learning_rate=3e-4),
    "learning rate 3e-3": Variant(learning_rate=3e-3),
    "AdamW (base: Muon)": Variant(optimizer=adamw),
    "all kinds of functions alike often": of_batches(
        function_shares=dict.fromkeys(FUNCTION_SHARES, 1.0)
    ),
    **{
        f"functions: {kind} alone": of_batches(function_shares={kind: 1.0})
        for kind in ("networks", "smooth", "additive")
    },
    "a price of size, told to the encoder": of_batches(prices=PRICES),
}


class TimedLosses(PretrainingLosses):
    """The pretraining losses with a curriculum that follows the time, whatever a batch takes."""

    done = 0.0  # the share of the time that is over

    def progress(self) -> tuple[float, float]:
        """Return how far the tasks have widened and the networks sharpened, from 0 to 1."""
        return min(1.0, self.done / WIDE_FROM), min(1.0, self.done / HARD_FROM)


def run_variant(
    variant: Variant, seconds: float, search_seconds: float, n_batches: int
) -> dict[str, Any]:
    """Train a variant and measure it.

    Parameters
    ----------
    variant : Variant
    seconds : float
        Of the processor, to train.
    search_seconds : float
        Of the processor, for descent on 16 data sets at once.
    n_batches : int
        Held-out batches.

    Returns
    -------
    dict
        Numbers of parameters and batches, seconds, ``losses`` per measure, ``tables``, the
        start networks' loss on tables, if there are any; ``search``, the normalised test
        losses on the data sets, if it is among the measures; and ``prices``, losses and
        size per price, if the variant knows of any.
    """
    autoencoder = MultiScaleAutoencoder(variant.config, Generator().manual_seed(variant.seed))
    losses = TimedLosses(autoencoder, variant.sampling, variant.seed)

    def loss_at(done: float) -> Tensor:
        losses.done = done
        return total(losses(torch.tensor([0])))

    optimizer = variant.optimizer(losses, variant.learning_rate)
    record = train_for(seconds, optimizer, loss_at)
    record["losses"] = {
        measure: held_out_losses(
            autoencoder,
            n_batches,
            step_size=float(losses.step_size.detach()),
            sampling=MEASURES[measure],
        )
        for measure in variant.measures
        if measure != SEARCH
    }
    if SEARCH in variant.measures:
        drawn = Sampler(Generator().manual_seed(SEARCH_SEED))
        rows = drawn.regression(N_SETS, N_CONTEXT, N_FRESH, N_FEATURES, N_OUTPUTS)
        start = Generator().manual_seed(SEARCH_SEED)
        space = latent_space(autoencoder, N_SETS * len(RATES), start)
        found = search(space, rows, search_seconds)["sets"]
        record["search"] = [result["test_loss"] for result in found]
    if available_tables():
        record[TABLES] = loss_on_tables(autoencoder)
    if variant.sampling.prices is not None:
        record["prices"] = {
            f"{price:g}": of_price(losses, price, n_batches) for price in MEASURED_PRICES
        }
    return record


def loss_on_tables(autoencoder: MultiScaleAutoencoder) -> float:
    """Measure an autoencoder's start networks, without any descent, on the benchmark tables.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder

    Returns
    -------
    float
        Geometric mean over tables and splits of the normalised test loss.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variant.safetensors"
        save_checkpoint(path, autoencoder, {}, half=False)
        losses = [
            start_loss(name, TABLE_ROWS, seed, checkpoint=path)
            for name in available_tables()
            for seed in TABLE_SEEDS
        ]
    return float(np.exp(np.mean(np.log(np.maximum(losses, 1e-3)))))


def of_price(losses: PretrainingLosses, price: float, n_batches: int) -> dict[str, float]:
    """Measure what an autoencoder that was trained with prices makes of one.

    Parameters
    ----------
    losses : PretrainingLosses
        Its configuration and its mode are changed.
    price : float
    n_batches : int
        Held-out batches, of data sets alone.

    Returns
    -------
    dict of float
        With ``size``, the mean number of non-zeros.
    """
    losses.config = replace(SamplingConfig(reconstruction_share=0.0), prices=(price, price))
    return averages(losses.eval(), n_batches)


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run the variants whose results are not kept yet.

    Parameters
    ----------
    options : Namespace
        The command line.

    Returns
    -------
    dict
        ``meta`` and ``runs``, a record per variant.

    Raises
    ------
    ValueError
        If the file has results of trials of other lengths.
    """
    budgets = {
        "seconds": options.seconds,
        "search_seconds": options.search_seconds,
        "held_out_batches": options.batches,
    }
    results: dict[str, Any] = {"meta": {**describe_machine(), **budgets}, "runs": []}
    if options.out.exists():
        results = json.loads(options.out.read_text(encoding="utf-8"))
        kept = {name: results["meta"].get(name) for name in budgets}
        if kept != budgets:
            raise ValueError(
                f"{str(options.out)!r} holds results of {kept}, asked for are {budgets}: "
                "name another file with --out, or delete this one"
            )
    known = {run["variant"] for run in results["runs"]}
    todo = [name for name in options.variants or VARIANTS if name not in known]
    for i, name in enumerate(todo, start=1):
        with one_torch_thread():
            record = run_variant(VARIANTS[name], *budgets.values())
        results["runs"].append({"variant": name, **record})
        results["runs"].sort(key=lambda run: list(VARIANTS).index(run["variant"]))
        save(results, options.out)
        print(f"[{i}/{len(todo)}] {name}: {record['n_batches']} batches", file=sys.stderr)
    return results


def tabulate(runs: Sequence[dict[str, Any]], measure: str) -> pd.DataFrame:
    """Return the losses of the variants that one measure was taken of.

    Parameters
    ----------
    runs : sequence of dict
    measure : str
        A key of `MEASURES`.

    Returns
    -------
    DataFrame
        Of text. A star is outside the range of the bases by more than the widest such range
        of the table: two or three seeds may agree in a column by chance.
    """
    of_tables = [TABLES] if measure == EVERYTHING else []
    numbers = pd.DataFrame(
        {
            run["variant"]: run["losses"][measure] | {TABLES: run.get(TABLES, np.nan)}
            for run in runs
            if measure in run["losses"]
        }
    ).T
    numbers = numbers[[name for name in (*LOSSES, *of_tables) if name in numbers]]
    numbers = numbers.dropna(axis="columns", how="all")
    low, high = (
        getattr(numbers[numbers.index.isin(BASES)], extreme)() for extreme in ("min", "max")
    )
    spread = (high - low).max()
    is_outside = (numbers < low - spread) | (numbers > high + spread)
    marked = numbers.map("{:.3f}".format) + is_outside.replace({True: "*", False: " "})
    counts = {run["variant"]: [run["n_parameters"] // 1000, run["n_batches"]] for run in runs}
    marked.insert(0, "batches", [counts[name][1] for name in marked.index])
    marked.insert(0, "parameters / 1,000", [counts[name][0] for name in marked.index])
    return marked


def tabulate_search(runs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return what descent from random latent points found: a row per variant.

    Parameters
    ----------
    runs : sequence of dict

    Returns
    -------
    DataFrame
        Median and mean over data sets of the normalised test loss.
    """
    losses = pd.DataFrame({run["variant"]: run["search"] for run in runs if "search" in run})
    return pd.DataFrame({"median": losses.median(), "mean": losses.mean()}).round(3)


def tabulate_prices(runs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return what the start networks are like at different prices: a row per variant and price.

    Parameters
    ----------
    runs : sequence of dict

    Returns
    -------
    DataFrame
        Of text: the losses of the start, and its non-zeros.
    """
    rows = {
        (run["variant"], price): {
            "start": f"{measured['start']:.3f}",
            "readout": f"{measured['readout']:.3f}",
            "non-zeros": f"{measured['size']:.0f}",
        }
        for run in runs
        for price, measured in run.get("prices", {}).items()
    }
    return pd.DataFrame(rows).T.rename_axis(["variant", "price"])


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
    meta, runs = results["meta"], results["runs"]
    parts = [
        f"Trained for {meta['seconds']:g} seconds of one core each; held-out losses of hard "
        "networks (1: the best\nconstant; similarity: 1 less a correlation). In the last column, "
        f"start networks of the benchmark\ntables: {TABLE_ROWS} rows, geometric mean of the "
        "normalised test loss. A star: outside the range of the\nbases by more than the widest "
        "of these ranges in the table."
    ]
    for measure in MEASURES:
        if any(measure in run["losses"] for run in runs):
            parts.append(f"Held-out batches: {measure}\n" + tabulate(runs, measure).to_string())
    if any("search" in run for run in runs):
        parts.append(
            "Search from random latent points: normalised test loss over "
            f"{N_SETS} random functions,\nafter {meta['search_seconds']:g} seconds of one core "
            "for all of them at once\n" + tabulate_search(runs).to_string()
        )
    if any("prices" in run for run in runs):
        parts.append(
            "Start networks at a price per number, on held-out batches\n"
            + tabulate_prices(runs).to_string()
        )
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("pretraining", __doc__)
    add = parser.add_argument
    add("--variants", nargs="+", choices=list(VARIANTS), metavar="NAME", help="default: all")
    add("--seconds", type=float, default=120, help="training time of each variant")
    add("--search-seconds", type=float, default=12, help="time of the descents, where there are")
    add("--batches", type=int, default=64, help="held-out batches")
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

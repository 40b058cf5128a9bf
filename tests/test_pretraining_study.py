"""The study of pretraining: its variants, its budget, its report."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks import _training, convolutional, pretraining
from benchmarks.pretraining import (
    BASE,
    BASES,
    DEPTH_2,
    EVERYTHING,
    LOSSES,
    SEARCH,
    VARIANTS,
    TimedLosses,
    Variant,
    make_report,
    run_variant,
    tabulate,
)
from sklearn_swat._autoencoder import MultiScaleAutoencoder
from sklearn_swat._threads import one_torch_thread
from sklearn_swat._token_layers import AutoencoderConfig

TINY = AutoencoderConfig(latent_width=8, model_width=16, rank=4, n_heads=2, data_rounds=1)
BATCHES = replace(BASE, batch_size=4, rows_per_batch=100, largest_context=64)


@pytest.fixture(autouse=True)
def one_thread():
    with one_torch_thread():
        yield


@pytest.fixture(autouse=True)
def small_held_out_batches(monkeypatch):
    small = {
        measure: replace(sampling, batch_size=4, rows_per_batch=100)
        for measure, sampling in pretraining.MEASURES.items()
    }
    monkeypatch.setattr(pretraining, "MEASURES", small)


@pytest.fixture(autouse=True)
def few_tables(monkeypatch):
    monkeypatch.setattr(pretraining, "available_tables", lambda: ["function_00", "function_01"])
    monkeypatch.setattr(pretraining, "TABLE_SEEDS", (0,))


@pytest.fixture(autouse=True)
def steady_clock(monkeypatch):
    """Let a batch or step take a hundredth of a second, however busy the machine is."""
    ticks = itertools.count()
    clock = SimpleNamespace(process_time=lambda: next(ticks) / 100)
    for module in (_training, convolutional):
        monkeypatch.setattr(module, "time", clock)


def test_every_variant_differs_from_the_base_in_one_thing():
    base = VARIANTS["base, seed 0"]
    seen = []
    for name, variant in VARIANTS.items():
        plain = replace(variant, measures=base.measures)
        changed = [
            key
            for key in ("config", "sampling", "learning_rate", "optimizer", "seed")
            if getattr(plain, key) != getattr(base, key)
        ]
        assert len(changed) == (name != "base, seed 0"), name
        seen.append(plain)
    assert all(one != other for one, other in itertools.combinations(seen, 2))


def test_the_curriculum_follows_the_time_and_ends_before_it():
    losses = TimedLosses(MultiScaleAutoencoder(TINY, torch.Generator().manual_seed(0)), BATCHES)
    found = []
    for done in (0.0, 0.15, 0.3, 0.6, 1.0):
        losses.done = done
        found.append(losses.progress())
    assert found == [(0, 0), (0.5, 0.25), (1, 0.5), (1, 1), (1, 1)]


def test_a_variant_is_trained_and_measured_alike_every_time():
    variant = Variant(TINY, BATCHES, measures=(EVERYTHING, DEPTH_2, SEARCH))
    one, other = (run_variant(variant, 0.05, 0.02, 6) for _ in range(2))
    assert one["losses"] == other["losses"]
    assert one["search"] == other["search"]
    assert set(one["losses"]) == {EVERYTHING, DEPTH_2}
    assert set(one["losses"][EVERYTHING]) == set(LOSSES)
    assert one["losses"][EVERYTHING] != one["losses"][DEPTH_2]
    again = run_variant(replace(variant, seed=1), 0.05, 0.02, 6)
    assert again["losses"] != one["losses"]


def test_a_variant_with_prices_and_tables_is_measured_by_them():
    variant = Variant(TINY, replace(BATCHES, prices=pretraining.PRICES))
    record = run_variant(variant, 0.05, 0.02, 6)
    assert list(map(float, record["prices"])) == list(pretraining.MEASURED_PRICES)
    assert all(measured["size"] > 0 for measured in record["prices"].values())
    assert 0 < record[pretraining.TABLES] < 2
    runs = [{"variant": "base, seed 0", **record}]
    assert f"{record[pretraining.TABLES]:.3f}" in tabulate(runs, EVERYTHING)["tables"].iloc[0]
    table = pretraining.tabulate_prices(runs)
    assert table["non-zeros"].tolist() == [
        f"{measured['size']:.0f}" for measured in record["prices"].values()
    ]


def test_both_optimizers_train_every_parameter():
    for optimizer in (_training.muon, _training.adamw):
        losses = TimedLosses(MultiScaleAutoencoder(TINY, torch.Generator().manual_seed(0)), BATCHES)
        before = {name: p.detach().clone() for name, p in losses.named_parameters()}
        chosen = optimizer(losses, 1e-3)
        assert sum(len(group["params"]) for group in chosen.param_groups) == len(before)
        _training.train_for(0.1, chosen, lambda _, m=losses: sum(p.sum() for p in m.parameters()))
        assert all(not torch.equal(before[n], p) for n, p in losses.named_parameters())


def test_a_star_is_outside_the_bases_by_more_than_the_widest_of_their_ranges():
    def run(variant, start):
        readout = 0.6 if variant == "base, seed 1" else 0.5
        losses = {EVERYTHING: {"start": start, "readout": readout}}
        return {"variant": variant, "n_parameters": 1000, "n_batches": 7, "losses": losses}

    starts = {"base, seed 0": 0.50, "base, seed 1": 0.52, "AdamW (base: Muon)": 0.59}
    starts |= {"learning rate 3e-3": 0.39, "without descent": 0.63}
    table = tabulate([run(*item) for item in starts.items()], EVERYTHING)
    assert table["start"].str.contains("*", regex=False).tolist() == [False] * 3 + [True] * 2
    assert not table["readout"].str.contains("*", regex=False).any()
    assert table["batches"].tolist() == [7] * 5


def test_the_study_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    small = {
        name: replace(variant, config=TINY, sampling=BATCHES)
        for name, variant in VARIANTS.items()
        if name in list(BASES)[:2] or name == "learning rate 3e-4 (base: 1e-3)"
    }
    monkeypatch.setattr(pretraining, "VARIANTS", small)
    out = tmp_path / "results.json"
    budget = ["--seconds", "0.02", "--search-seconds", "0.02", "--batches", "6", "--out", str(out)]
    pretraining.main([*budget, "--variants", "base, seed 1"])
    first = json.loads(out.read_text(encoding="utf-8"))["runs"]
    capsys.readouterr()
    pretraining.main(budget)
    printed = capsys.readouterr().out
    results = json.loads(out.read_text(encoding="utf-8"))
    assert [run["variant"] for run in results["runs"]] == list(small)
    assert results["runs"][1] == first[0]
    assert printed.strip() == make_report(results).strip()
    pretraining.main(["--out", str(out), "--report-only"])
    assert capsys.readouterr().out == printed
    with pytest.raises(ValueError, match=r"'seconds': 0.02.* asked for are .*'seconds': 1.0"):
        pretraining.main([*budget, "--seconds", "1"])

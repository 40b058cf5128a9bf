"""The evaluation of a checkpoint: measures with known answers, and the command."""

import json

import numpy as np
import pytest
import torch

from sklearn_swat._autoencoder import MultiScaleAutoencoder
from sklearn_swat._checkpoint import load_checkpoint, save_checkpoint
from sklearn_swat._similarity import latent_distances
from sklearn_swat._token_layers import AutoencoderConfig
from sklearn_swat.pretrain import _evaluation, evaluate
from sklearn_swat.pretrain._losses import REDUCTIONS, SamplingConfig
from sklearn_swat.pretrain._sampler import Sampler


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = AutoencoderConfig(latent_width=8, model_width=16, rank=4, n_heads=2, data_rounds=1)
    autoencoder = MultiScaleAutoencoder(config, torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("young") / "young.safetensors"
    save_checkpoint(path, autoencoder, {"note": "untrained"})
    return path


def test_the_percentage_error_is_the_median_over_inputs():
    target = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1)
    output = torch.tensor([[1.1, 2.0, 8.0], [1.0, 2.0, 4.0]]).view(2, 1, 3, 1)
    error = _evaluation.percentage_error(output, target)
    torch.testing.assert_close(error, torch.tensor([[10.0], [0.0]]), rtol=1e-4, atol=1e-6)


def test_latent_distance_does_not_depend_on_the_order_of_the_slots():
    points = torch.randn(4, 10, 8, generator=torch.Generator().manual_seed(0))
    shuffled = points.clone()
    shuffled[:, 3:9] = points[:, [5, 3, 8, 4, 6, 7]]
    np.testing.assert_allclose(latent_distances(points, shuffled, d=3, k=1), 0, atol=2e-4)
    moved = points.clone()
    moved[:, 0] += 1.0  # a feature's token cannot be matched with another
    distances = latent_distances(points, moved, d=3, k=1)
    np.testing.assert_allclose(distances, np.sqrt(1 / 10), rtol=1e-5)


@pytest.mark.parametrize("family", _evaluation.FAMILIES)
def test_a_family_has_its_activation_only(family):
    sampler = Sampler(torch.Generator().manual_seed(0))
    networks = sampler.networks(20, (1, 2), 3, 5, 1, family=family)
    used = set(networks.mixture.argmax(-1).unique().tolist())
    expected = {0, 1, 2, 3} if family == "mixed" else {_evaluation.FAMILIES.index(family)}
    assert used == expected


@pytest.fixture(scope="module")
def autoencoder(checkpoint):
    return load_checkpoint(checkpoint)


def test_the_best_decoder_is_no_worse_than_any_and_norms_no_better(autoencoder):
    found = _evaluation.reconstruction_by_decoder(autoencoder, n_networks=6)
    for name in ("mpe", "mse"):
        table = np.array(found[name])
        assert table.shape == (4, 5)
        assert (table[:, -1:] <= table[:, :-1] + 1e-6).all()
        least, mean, one, two = (
            found["reductions"][r][name] for r in ("min", "mean", "1-norm", "2-norm")
        )
        assert least <= mean <= two <= one
        np.testing.assert_allclose(one, 4 * mean, rtol=1e-5)


@pytest.mark.parametrize(("reduction", "expected"), [("min", 3), ("mean", 3.5), ("2-norm", 5)])
def test_decoder_errors_are_reduced_network_by_network(reduction, expected):
    errors = torch.tensor([[3.0, 8.0], [4.0, 6.0]])
    assert REDUCTIONS[reduction](errors)[0] == expected


def test_the_learned_latent_step_counts_in_the_held_out_losses(autoencoder):
    sampling = SamplingConfig(batch_size=4, reconstruction_share=0.0, descent_share=1.0)
    short, long = (
        _evaluation.held_out_losses(autoencoder, 2, step_size=size, sampling=sampling)
        for size in (-30.0, 2.0)
    )
    assert short["start"] == long["start"] == pytest.approx(short["descended"], abs=1e-5)
    assert abs(long["descended"] - long["start"]) > 1e-4


def test_the_command_prints_and_writes_what_it_measured(checkpoint, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    losses = _evaluation.held_out_losses
    monkeypatch.setattr(
        _evaluation, "held_out_losses", lambda a, **options: losses(a, 3, **options)
    )
    evaluate.main([str(checkpoint), "--networks", "4", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "evaluation.json").read_text())
    assert len(results["reconstruction"]) == 20
    assert results["training"] == {"note": "untrained"}
    assert -1 <= results["similarity"]["rank_correlation"] <= 1
    walk = results["interpolation"]
    assert walk["from_first"][0] == walk["from_second"][-1] == 0
    assert np.shape(results["similarity"]["map"]["place"]) == (8, 2)
    page = (tmp_path / "evaluation.md").read_text()
    for name in ("similarity", "interpolation", "map", "reconstruction"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert f"({name}.png)" in page
    assert np.shape(results["by_decoder"]["mpe"]) == (4, 5)
    assert "2-norm" in page
    assert f"{results['held_out_losses']['start']:.3f}" in capsys.readouterr().out

"""The evaluation of a checkpoint: measures with known answers, and the command."""

import json

import numpy as np
import pytest
import torch

from sklearn_swat._autoencoder import AutoencoderConfig, MultiScaleAutoencoder
from sklearn_swat._checkpoint import save_checkpoint
from sklearn_swat.pretrain import evaluate
from sklearn_swat.pretrain._sampler import Sampler
from sklearn_swat.pretrain._similarity import latent_distances


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
    error = evaluate.percentage_error(output, target)
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


@pytest.mark.parametrize("family", evaluate.FAMILIES)
def test_a_family_has_its_activation_only(family):
    sampler = Sampler(torch.Generator().manual_seed(0))
    networks = sampler.networks(20, (1, 2), 3, 5, 1, family=family)
    used = set(networks.mixture.argmax(-1).unique().tolist())
    expected = {0, 1, 2, 3} if family == "mixed" else {evaluate.FAMILIES.index(family)}
    assert used == expected


def test_the_command_prints_and_writes_what_it_measured(checkpoint, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    losses = evaluate.held_out_losses
    monkeypatch.setattr(evaluate, "held_out_losses", lambda a, seed: losses(a, 3, seed))
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
    assert f"{results['held_out_losses']['start']:.3f}" in capsys.readouterr().out

"""Pretraining: what it draws, what it loses, and that it can be taken up again."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from sklearn_swat._autoencoder import MultiScaleAutoencoder
from sklearn_swat._checkpoint import load_checkpoint, read_header
from sklearn_swat._network import MAX_DEPTH
from sklearn_swat._similarity import dissimilarity
from sklearn_swat._threads import one_torch_thread
from sklearn_swat._token_layers import AutoencoderConfig
from sklearn_swat.pretrain import __main__ as command
from sklearn_swat.pretrain import _training
from sklearn_swat.pretrain._growth import grow
from sklearn_swat.pretrain._losses import (
    RIDGE,
    PretrainingLosses,
    SamplingConfig,
    ridge_read_out,
    saturate,
)
from sklearn_swat.pretrain._muon import Muon, orthogonalise
from sklearn_swat.pretrain._sampler import Sampler

TINY = AutoencoderConfig(latent_width=8, model_width=16, rank=4, n_heads=2, data_rounds=1)


@pytest.fixture(autouse=True)
def one_thread():
    with one_torch_thread():
        yield


def sampler(seed=0):
    return Sampler(torch.Generator().manual_seed(seed))


def tiny_losses(**config):
    autoencoder = MultiScaleAutoencoder(TINY, torch.Generator().manual_seed(0))
    return PretrainingLosses(autoencoder, SamplingConfig(batch_size=8, **config))


@pytest.mark.parametrize("draw", ["regression", "classification"])
@pytest.mark.parametrize(("d", "k"), [(1, 1), (5, 3)])
def test_context_rows_are_standardised(draw, d, k):
    rows = getattr(sampler(), draw)(6, 200, 50, d, k)
    assert rows.X.shape == (6, 250, d)
    assert rows.target.shape == (6, 250, k)
    mean, deviation = rows.y[:, :200].mean(1), rows.y[:, :200].std(1, correction=0)
    torch.testing.assert_close(mean, torch.zeros(6, k), rtol=0, atol=1e-4)
    assert (deviation < 1.01).all()
    assert torch.isfinite(rows.X).all()


def test_classes_are_one_hot():
    rows = sampler().classification(4, 60, 20, 3, 4)
    torch.testing.assert_close(rows.target.sum(-1), torch.ones(4, 80))


def test_random_networks_have_pure_activations_and_no_neuron_without_a_source():
    networks = sampler().networks(10, (1, 2, 3, 4), 6, 5, 2)
    assert set(networks.mixture.unique().tolist()) == {0.0, 1.0}
    exists = networks.gates[:, 0] > 0
    assert (networks.w_in != 0).any(1)[exists].all()
    assert not networks.w_in.transpose(1, 2)[~exists].any()


def test_the_ridge_read_out_is_a_ridge_regression_on_the_context():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 40, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(2, 30, 3, generator=generator, dtype=torch.float64)
    read = ridge_read_out(hidden, y).numpy()
    for h, target, out in zip(hidden.numpy(), y.numpy(), read, strict=True):
        expected = Ridge(alpha=30 * RIDGE).fit(h[:30], target).predict(h)
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-9)


def test_saturation_keeps_order_and_slope_at_the_seam():
    loss = torch.tensor([0.5, 1.999, 2.001, 50.0], requires_grad=True)
    saturated = saturate(loss)
    (slope,) = torch.autograd.grad(saturated.sum(), loss)
    assert (saturated.diff() > 0).all()
    torch.testing.assert_close(slope[:3], torch.ones(3), rtol=1e-2, atol=0)
    assert 0 < slope[3] < 0.1


def test_a_batch_has_the_losses_of_its_kind_and_is_the_same_again():
    first, again = (
        tiny_losses(reconstruction_share=0.0, descent_share=1.0).train() for _ in range(2)
    )
    again.load_state_dict(first.state_dict())
    one, other = first(torch.tensor([0])), again(torch.tensor([0]))
    assert set(one) == {"start", "readout", "descended"}
    assert all(torch.equal(one[name], other[name]) for name in one)
    reconstruction = tiny_losses(reconstruction_share=1.0)(torch.tensor([0]))
    assert set(reconstruction) == {"reconstruction", "similarity"}


def test_seeds_and_numbers_of_batches_tell_them_apart():
    def start(seed, number, is_training=True):
        losses = tiny_losses(reconstruction_share=0.0).train(is_training)
        losses.seed = seed
        losses.n_batches.fill_(number)
        return float(losses(torch.tensor([0]))["start"].detach())

    assert len({start(seed, number) for seed in (0, 2, 1000) for number in (0, 1)}) == 6
    assert start(0, 0, is_training=False) == start(2, 1, is_training=False)
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        PretrainingLosses(MultiScaleAutoencoder(TINY), SamplingConfig(), seed=-1)


def test_what_is_left_out_is_not_computed_and_changes_nothing_else():
    index = torch.tensor([0])
    for share, name in ((1.0, "similarity"), (0.0, "readout")):
        every = tiny_losses(reconstruction_share=share)(index)
        fewer = tiny_losses(reconstruction_share=share, left_out=(name,))(index)
        assert set(every) - set(fewer) == {name}
        assert all(torch.equal(every[kept], fewer[kept]) for kept in fewer)


@pytest.mark.parametrize("reduction", ["mean", "1-norm", "2-norm"])
def test_only_the_min_loss_leaves_decoders_alone(reduction):
    def taught(reduction):
        losses = tiny_losses(
            reconstruction_share=1.0, reduction=reduction, left_out=("similarity",)
        )
        losses.config = replace(losses.config, batch_size=4)  # a network per depth
        losses(torch.tensor([0]))["reconstruction"].backward()
        gradient = losses.autoencoder.decoder.enter.weight.grad
        return int(gradient.flatten(1).any(1).sum())

    assert taught(reduction) == MAX_DEPTH
    assert taught("min") < MAX_DEPTH


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_single_scale_teaches_the_encoder_and_decoder_of_its_depth_only(share):
    losses = tiny_losses(reconstruction_share=share, depths=(2,))
    sum(losses(torch.tensor([0])).values()).backward()
    gradient = losses.autoencoder.decoder.enter.weight.grad
    assert gradient.flatten(1).any(1).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depths": (2, 5)}, r"ascending order, got \(2, 5\)"),
        ({"depths": ()}, "depths must be some of"),
        ({"reduction": "max"}, "reduction must be one of .* got 'max'"),
        ({"left_out": ("start",)}, r"left_out can have .* got \['start'\]"),
        ({"function_shares": {"sines": 1.0}}, r"function_shares can have .* got \['sines'\]"),
    ],
)
def test_an_unknown_choice_is_an_error_at_once(option, message):
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**option)


def test_functions_of_one_kind_alone_are_of_that_kind():
    X = sampler().normal(6, 400, 2)
    generator = torch.Generator().manual_seed(1)
    y = Sampler(generator, {"linear": 1.0}).functions(X, 1)
    weights = [torch.linalg.lstsq(x, z).solution for x, z in zip(X, y, strict=True)]
    fitted = torch.stack([x @ w for x, w in zip(X, weights, strict=True)])
    unclamped = y.abs() < 3.9
    centred = (y - fitted) - (y - fitted).mean(1, keepdim=True)
    assert centred[unclamped].abs().max() < 0.1
    assert not torch.allclose(y, Sampler(torch.Generator().manual_seed(1)).functions(X, 1))


def test_a_price_is_told_to_the_encoder_and_paid_by_its_networks():
    losses = tiny_losses(reconstruction_share=0.0, prices=(1e-2, 1e-2)).eval()
    with torch.no_grad():
        losses.price_to_threshold.copy_(torch.tensor([-8.0, 4.0]))  # the dearer, the sparser
        dear = losses(torch.tensor([3]))
        losses.config = replace(losses.config, prices=(1e-6, 1e-6))
        cheap = losses(torch.tensor([3]))
        losses.price_to_seeds.add_(1.0)
        told = losses(torch.tensor([3]))
    assert dear["size"] < cheap["size"]
    assert dear["price"] > 100 * cheap["price"] > 0
    assert told["start"] != cheap["start"]
    assert "price" not in tiny_losses(reconstruction_share=0.0)(torch.tensor([0]))


@pytest.mark.parametrize("priced", [False, True])
def test_every_parameter_learns_from_some_batch(priced):
    losses = tiny_losses(descent_share=1.0, wide_after=1, prices=(1e-6, 1e-2) if priced else None)
    for _ in range(12):
        sum(losses(torch.tensor([0])).values()).backward()
    idle = [name for name, p in losses.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_training_begins_small_and_soft_and_evaluates_wide_and_hard():
    losses = tiny_losses(wide_after=1000, hard_after=1000)
    young = [losses._draw_rows(sampler(seed))[0] for seed in range(12)]
    assert max(rows.X.shape[2] for rows in young) <= 6
    assert {rows.loss for rows in young} == {"squared_error"}
    assert losses._draw_sharpness(sampler()) == 0
    losses.eval()
    grown = [losses._draw_rows(sampler(seed))[0] for seed in range(12)]
    assert max(rows.X.shape[2] for rows in grown) > 6
    assert len({rows.loss for rows in grown}) > 1
    assert losses._draw_sharpness(sampler()) == 1


@pytest.mark.parametrize("shape", [(3, 8, 5), (5, 8), (2, 2, 6, 6)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    moved = u.mT @ orthogonalise(matrices) @ vh.mT
    diagonal = torch.diagonal(moved, dim1=-2, dim2=-1)
    torch.testing.assert_close(moved, torch.diag_embed(diagonal), rtol=0, atol=1e-4)
    assert diagonal.min() > 0.3
    assert diagonal.max() < 1.3


def test_muon_steps_matrices_by_its_rate_and_leaves_the_rest_to_adamw():
    matrix, vector = (torch.nn.Parameter(torch.ones(shape)) for shape in [(4, 4), (4,)])
    groups = [{"params": [matrix], "is_matrix": True}, {"params": [vector]}]
    optimizer = Muon(groups, lr=0.1, weight_decay=0.0)
    (3 * matrix.square().sum() + 3 * vector.square().sum()).backward()
    optimizer.step()
    assert 0.03 < float((1 - matrix.detach()).norm()) < 0.13  # a matrix of rank 1, of norm 0.1
    torch.testing.assert_close(vector.detach(), torch.full((4,), 0.9))


def test_pretraining_writes_progress_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(_training, "BATCHES_PER_EPOCH", 2)
    monkeypatch.setattr(_training, "HELD_OUT_BATCHES", 2)
    path = tmp_path / "young.safetensors"
    options = {"minutes": 1e-6, "batch_size": 4, "config": TINY, "verbose": False}
    first = _training.pretrain(path, **options)
    assert np.isfinite(first[-1]["valid_loss"])
    load_checkpoint(path)
    assert read_header(path)[1]["n_batches"] == 2
    again = _training.pretrain(path, resume=True, **options)
    assert len(again) == len(first) + 1
    with pytest.raises(ValueError, match=r"begun with {'batch_size': 4}, got {'batch_size': 5}"):
        _training.pretrain(path, resume=True, **{**options, "batch_size": 5})


def test_training_can_begin_at_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(_training, "BATCHES_PER_EPOCH", 3)
    monkeypatch.setattr(_training, "HELD_OUT_BATCHES", 2)
    options = {"minutes": 1e-6, "batch_size": 4, "verbose": False}
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    _training.pretrain(first, config=TINY, **options)
    _training.pretrain(second, start=first, learning_rate=1e-12, **options)
    config, training = read_header(second)
    assert config == TINY
    assert training["n_batches"] == 6
    assert training["before"]["n_batches"] == 3
    one, other = (load_checkpoint(path).state_dict() for path in (first, second))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-6)


def test_a_grown_autoencoder_computes_the_same_and_learns_in_what_is_new():
    young = MultiScaleAutoencoder(TINY, torch.Generator().manual_seed(0))
    grown = grow(young, replace(TINY, data_rounds=3, decoder_blocks=4))
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(2, 30, 4, generator=generator)
    y = torch.randn(2, 30, 1, generator=generator)
    weight = torch.full((2, 30), 1 / 30)
    seeds = young.dataset_encoder.draw_seeds(2, 5, generator)
    points = [each.dataset_encoder(X, y, weight, seeds) for each in (young, grown)]
    assert torch.equal(*points)
    decoded = [
        each.decode(points[0].expand(2, *points[0].shape), 4, 1, [1, 3]) for each in (young, grown)
    ]
    for name, tensor in decoded[0].tensors().items():
        assert torch.equal(decoded[1].tensors()[name], tensor)
    points[1].square().sum().backward(retain_graph=True)
    decoded[1].w_in.square().sum().backward()
    ends = [p for name, p in grown.named_parameters() if "blocks.2.mix.weight" in name]
    assert len(ends) == 2
    assert all(end.grad.any() for end in ends)


@pytest.mark.parametrize("sizes", [{"data_rounds": 0}, {"model_width": 32}, {"decoder_blocks": 1}])
def test_an_autoencoder_grows_in_depth_only(sizes):
    young = MultiScaleAutoencoder(TINY, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="data_rounds and decoder_blocks only, got"):
        grow(young, replace(TINY, **sizes))


TRAINED = """
import sys
from pathlib import Path
import torch
from sklearn_swat._token_layers import AutoencoderConfig
from sklearn_swat.pretrain import _processes, _training

_training.BATCHES_PER_EPOCH, _training.HELD_OUT_BATCHES = _processes.BATCHES_APART, 1
_training.TimeBudget.on_batch_begin = lambda *_, **__: None  # the rate as it is
folder = Path(sys.argv[1])
config = AutoencoderConfig(latent_width=8, model_width=16, rank=4, n_heads=2, data_rounds=1)
ends = []
_training.PretrainingNet.on_train_end = lambda net, *_, **__: ends.append(
    torch.nn.utils.parameters_to_vector(net.module_.parameters()).detach()
)
with _processes.process_group():
    process = _processes.this_process()
    for name in sys.argv[2:]:
        if name == "second alone":  # on the batches that the second of several has
            _training.this_process = lambda: 1
        path = folder / f"{name} {process}.safetensors"
        _training.pretrain(path, minutes=1e-6, batch_size=4, config=config, verbose=False)
        torch.save(ends.pop(), folder / f"{name} {process}.end")
"""


def test_two_processes_train_one_autoencoder_on_batches_of_their_own(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TRAINED, encoding="utf-8")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for launcher, *names in ((torchrun, "both"), ([], "first alone", "second alone")):
        command = [sys.executable, *launcher, str(script), str(tmp_path), *names]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=one_thread)
        assert done.returncode == 0, done.stderr

    def end(name):
        return torch.load(tmp_path / f"{name}.end")

    assert torch.equal(end("both 0"), end("both 1"))
    first, second = end("first alone 0"), end("second alone 0")
    from_the_mean = (end("both 0") - (first + second) / 2).norm()
    assert from_the_mean < 0.01 * (first - second).norm()
    assert read_header(tmp_path / "both 0.safetensors")[1]["n_processes"] == 2
    assert not (tmp_path / "both 1.safetensors").exists()  # the first alone writes


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"minutes": 0.0}, "minutes must be above 0 and finite, got 0"),
        ({"minutes": float("nan")}, "minutes must be above 0 and finite, got nan"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0 and finite, got -1"),
        ({"largest_context": 10}, "largest_context must be 24 or more, got 10"),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(tmp_path, option, message):
    with pytest.raises(ValueError, match=message):
        _training.pretrain(tmp_path / "none.safetensors", **{"minutes": 1.0, **option})
    assert not list(tmp_path.iterdir())


def test_the_command_line_says_what_is_wrong_in_a_line(tmp_path, capsys):
    for arguments in (["--minutes", "0"], ["--start", "nowhere.safetensors"], ["--resume"]):
        with pytest.raises(SystemExit) as stop:
            command.main([str(tmp_path / "none.safetensors"), *arguments])
        assert stop.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": error: ")[1][:20] for line in told] == [
        "minutes must be abov", "the checkpoint 'nowh", "there is no progress",
    ]  # fmt: skip


def test_resuming_without_progress_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="start without --resume"):
        _training.pretrain(tmp_path / "none.safetensors", minutes=1, resume=True, verbose=False)


def test_dissimilarity_is_nothing_for_distances_in_proportion():
    distances = torch.tensor([0.1, 0.5, 0.9, 1.4])
    assert float(dissimilarity(3 * distances, distances)) == pytest.approx(0, abs=1e-5)
    assert float(dissimilarity(-distances, distances)) == pytest.approx(2, abs=1e-5)


def test_training_for_similarity_brings_the_distances_together():
    losses = tiny_losses(reconstruction_share=1.0)
    optimiser = torch.optim.Adam(losses.parameters(), lr=3e-3)

    def loss():  # of the same networks every time
        return losses.eval()(torch.tensor([0]))["similarity"]

    before = float(loss().detach())
    for _ in range(60):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert float(loss().detach()) < 0.5 * before


def test_the_command_line_passes_on_what_it_is_told(monkeypatch):
    told = {}
    monkeypatch.setattr(
        command, "pretrain", lambda path, **options: told.update(options, path=path)
    )
    command.main(["a.safetensors", "--minutes", "2", "--start", "b", "--seed", "3", "--quiet"])
    assert told == {
        "path": "a.safetensors", "minutes": 2.0, "device": "cpu", "batch_size": 40,
        "learning_rate": 1e-3, "resume": False, "start": "b", "seed": 3, "verbose": False,
        "config": None, "largest_context": 512, "overwrite": False,
    }  # fmt: skip
    command.main(["a.safetensors", "--from", "b"])
    assert told["start"] == "b"
    command.main(["a.safetensors", "--data-rounds", "6"])
    assert told["config"] == AutoencoderConfig(data_rounds=6)
    command.main(["a.safetensors", "--resume"])
    assert told["resume"]
    assert told["verbose"]

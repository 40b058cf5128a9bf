import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from torch import Generator

from benchmarks import _training, convolutional
from benchmarks._convolutional_autoencoder import (
    COLUMNS_PER_LAYER,
    LATENT_SIZE,
    ConvolutionalAutoencoder,
    lay_out,
)
from benchmarks.convolutional import (
    N_SETS,
    RATES,
    convolutional_training,
    judge,
    judge_reconstruction,
    latent_space,
    make_report,
    our_training,
    search,
    train,
    weight_space,
)
from sklearn_swat._network import MAX_DEPTH
from sklearn_swat._soft_network import sharpen
from sklearn_swat._threads import one_torch_thread
from sklearn_swat._token_layers import GroupedLinear
from sklearn_swat.pretrain._losses import ALL_DEPTHS
from sklearn_swat.pretrain._sampler import Sampler

PER_DEPTH = N_SETS * len(RATES)


@pytest.fixture
def steady_clock(monkeypatch):
    """Let a batch or step take a hundredth of a second, however busy the machine is."""
    ticks = itertools.count()
    clock = SimpleNamespace(process_time=lambda: next(ticks) / 100)
    for module in (_training, convolutional):
        monkeypatch.setattr(module, "time", clock)


def generator():
    return Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def one_thread():
    with one_torch_thread():
        yield


@pytest.fixture(scope="module")
def autoencoder():
    return ConvolutionalAutoencoder(generator())


@pytest.fixture
def networks():
    return Sampler(generator()).networks(2, ALL_DEPTHS, 3, 7, 1)


@pytest.mark.parametrize("depth", ALL_DEPTHS)
def test_the_array_has_a_row_per_neuron_with_all_that_it_is(networks, depth):
    network = networks.take(torch.tensor([2 * depth - 2, 2 * depth - 1]))
    array = lay_out(network).sinh()
    assert array.shape == (2, 7, depth * COLUMNS_PER_LAYER + 2)
    last = (depth - 1) * COLUMNS_PER_LAYER  # where the last hidden layer begins
    sources = 3 if depth == 1 else 7
    incoming = network.w_in if depth == 1 else network.w_hidden[:, depth - 2]
    torch.testing.assert_close(array[:, :, last : last + sources], incoming.mT)
    torch.testing.assert_close(array[:, :, last + 7], network.b_hidden[:, depth - 1])
    torch.testing.assert_close(array[:, :, last + 8], network.gates[:, depth - 1])
    activations = array[:, :, last + 9 : last + 13]
    torch.testing.assert_close(activations.sum(-1), network.gates[:, depth - 1])
    torch.testing.assert_close(array[:, :, -2:-1], network.w_out)
    torch.testing.assert_close(array[:, 4, -1:], network.b_out)


def test_encoders_have_seven_convolutions_and_decoders_four_layers(autoencoder):
    for encoder in autoencoder.encoders:
        sizes = [m.kernel_size for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
        assert sizes.count((3, 3)) == 7
    assert sum(isinstance(m, GroupedLinear) for m in autoencoder.decoders) == 4


def test_networks_of_every_depth_share_a_latent_space(autoencoder, networks):
    latent = autoencoder.encode(networks)
    assert latent.shape == (2 * MAX_DEPTH, LATENT_SIZE)
    size = latent.square().mean(1)  # not 1 from parameters as small as the first ones
    assert ((size > 0.1) & (size < 1.01)).all()
    scores = autoencoder.decode(latent.expand(MAX_DEPTH, -1, -1), 3, 1, ALL_DEPTHS)
    assert scores.depths == tuple(depth for depth in ALL_DEPTHS for _ in latent)
    output = sharpen(scores, 1.0)(torch.zeros(5, 3))
    assert output.shape == (MAX_DEPTH * len(latent), 5, 1)
    assert torch.isfinite(output).all()


def test_a_network_is_encoded_alone_as_among_others(autoencoder, networks):
    more = Sampler(generator()).networks(1, ALL_DEPTHS, 3, 7, 1)
    one = networks.take(torch.tensor([0, 2, 4, 6]))
    torch.testing.assert_close(autoencoder.encode(networks)[::2], autoencoder.encode(one))
    assert not torch.allclose(autoencoder.encode(more), autoencoder.encode(one))


@pytest.mark.parametrize("prepare", [convolutional_training, our_training])
def test_training_changes_what_encodes_and_decodes_and_nothing_else(prepare, steady_clock):
    autoencoder, optimizer = prepare(generator())
    before = {n: p.detach().clone() for n, p in autoencoder.named_parameters()}
    record = train(autoencoder, optimizer, seconds=0.05)
    after = dict(autoencoder.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if not name.startswith("dataset_encoder")}
    assert record["n_networks"] == 40 * record["n_batches"] > 0
    assert record["n_parameters"] == sum(before[name].numel() for name in changed)


def test_a_verdict_is_that_of_hard_networks_on_rows_apart(autoencoder):
    scores = autoencoder.decode(torch.zeros(MAX_DEPTH, 1, LATENT_SIZE), 3, 1, ALL_DEPTHS)
    X = Sampler(generator()).normal(MAX_DEPTH, 328, 3)
    y = sharpen(scores, 1.0)(X).detach()
    y[:, :96] += 9.0  # of training
    y[:, 96:128] += 2.0
    y[:, 128:] += 3.0
    validation, test = judge(scores, X, y)
    torch.testing.assert_close(validation, torch.full((MAX_DEPTH,), 4.0))
    torch.testing.assert_close(test, torch.full((MAX_DEPTH,), 9.0))


def test_search_on_the_weights_fits_every_linear_function(steady_clock):
    rows = Sampler(generator()).regression(N_SETS, 128, 200, 3, 1)
    y = rows.X @ torch.tensor([[0.5], [-0.5], [0.5]])
    rows = convolutional.Rows(**{**vars(rows), "y": y})
    found = search(weight_space(PER_DEPTH, generator()), rows, seconds=1.0)
    assert len(found["sets"]) == N_SETS
    assert max(result["test_loss"] for result in found["sets"]) < 0.2


def test_candidates_of_a_latent_space_are_sorted_by_depth(autoencoder):
    space = latent_space(autoencoder, 3, generator())
    assert space.start["latent"].shape == (3 * MAX_DEPTH, LATENT_SIZE)
    assert space.to_scores(space.start).depths == (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4)


@pytest.mark.parametrize(("mpe", "word"), [(10.0, "met"), (10.1, "MISSED")])
def test_the_aim_is_judged_by_the_mean_of_the_paper_s_measure(mpe, word):
    found = {
        "ours": [{"mpe": mpe, "mpe_median": 1.0, "mse": 0.1}],
        "convolutional": [{"mpe": 20.0, "mpe_median": 3.0, "mse": 0.4}],
    }
    line, more = judge_reconstruction(found)
    assert line.split()[0] == word
    assert "3.00 times as good" in more
    assert "4.00 times" in more


def test_the_study_is_one_command_and_its_report_comes_from_the_file(tmp_path, capsys):
    out = tmp_path / "results.json"
    options = ["--out", str(out), "--minutes", "0.003", "--search-seconds", "0.1"]
    convolutional.main([*options, "--networks", "2"])
    printed = capsys.readouterr().out
    results = json.loads(out.read_text(encoding="utf-8"))
    assert printed.strip() == make_report(results).strip()
    assert set(results["search"]) == {"convolutional", "ours", "bundled", "weights"}
    convolutional.main(["--out", str(out), "--report-only"])
    assert capsys.readouterr().out == printed

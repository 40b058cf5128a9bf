"""The autoencoder: any shape, equivariance, and hard networks equal to soft ones."""

import numpy as np
import pytest
import torch

from sklearn_swat._autoencoder import to_device
from sklearn_swat._checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from sklearn_swat._soft_network import harden, sharpen, soften
from sklearn_swat.pretrain._sampler import Sampler


@pytest.fixture(scope="module")
def autoencoder():
    return load_checkpoint()


def encode_rows(autoencoder, X, y, seeds):
    weight = torch.full(X.shape[:2], 1 / X.shape[1])
    with torch.no_grad():
        return autoencoder.dataset_encoder(X, y, weight, seeds)


def rows_of(d, k, n_slots, autoencoder, noise=True):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(1, 40, d, generator=generator)
    y = torch.randn(1, 40, k, generator=generator)
    return X, y, autoencoder.dataset_encoder.draw_seeds(1, n_slots, generator, noise=noise)


@pytest.mark.parametrize(("d", "k", "n_slots"), [(1, 1, 4), (3, 5, 16), (30, 10, 32), (500, 1, 4)])
def test_one_checkpoint_serves_any_shape(autoencoder, d, k, n_slots):
    X, y, seeds = rows_of(d, k, n_slots, autoencoder, noise=False)
    latent = encode_rows(autoencoder, X, y, seeds)
    assert latent.shape == (1, d + n_slots + k, 32)
    scores = autoencoder.decode(latent.expand(4, 1, -1, -1), d, k, (1, 2, 3, 4))
    outputs = sharpen(scores, 1.0)(X[0])
    assert outputs.shape == (4, 40, k)
    assert torch.isfinite(outputs).all()


def test_permuting_features_slots_and_outputs_permutes_the_network_and_nothing_else(autoencoder):
    d, k, n_slots = 5, 3, 6
    X, y, seeds = rows_of(d, k, n_slots, autoencoder)
    p, q, r = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (d, k, 6))

    def decode(latent):
        return autoencoder.decode(latent.expand(4, 1, -1, -1), d, k, (1, 2, 3, 4))

    plain = decode(encode_rows(autoencoder, X, y, seeds))
    permuted = decode(encode_rows(autoencoder, X[:, :, p], y[:, :, q], seeds[:, r]))
    torch.testing.assert_close(permuted.w_in, plain.w_in[:, p][:, :, r], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(permuted.w_out, plain.w_out[:, r][:, :, q], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(permuted.b_out, plain.b_out[:, q], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        permuted.gate_scores, plain.gate_scores[:, :, r], rtol=1e-3, atol=1e-4
    )


def test_the_order_of_rows_does_not_matter_and_weights_count_as_rows(autoencoder):
    X, y, seeds = rows_of(4, 1, 4, autoencoder)
    twice = encode_rows(autoencoder, X.repeat(1, 2, 1), y.repeat(1, 2, 1), seeds)
    torch.testing.assert_close(twice, encode_rows(autoencoder, X, y, seeds), rtol=1e-3, atol=1e-4)


def test_the_hard_network_is_the_soft_one_at_sharpness_one(autoencoder):
    X, y, seeds = rows_of(6, 2, 8, autoencoder)
    latent = encode_rows(autoencoder, X, y, seeds)
    scores = autoencoder.decode(latent.expand(4, 1, -1, -1), 6, 2, (1, 2, 3, 4))
    soft = sharpen(scores, 1.0, threshold=torch.full((4,), 0.1))
    outputs = soft(X[0]).numpy()
    for hard, output in zip(harden(soft, "identity"), outputs, strict=True):
        np.testing.assert_allclose(hard.predict(X[0].numpy()), output, rtol=1e-3, atol=1e-4)


def test_networks_survive_softening_and_hardening():
    sampler = Sampler(torch.Generator().manual_seed(3))
    networks = harden(sampler.networks(2, (1, 2, 3), 4, 7, 2), "identity")
    networks = [network for network in networks if network.depth]
    X = np.random.RandomState(0).standard_normal((9, 4))
    for network in networks:
        (again,) = harden(soften([network], 7), "identity")
        np.testing.assert_allclose(again.predict(X), network.predict(X), rtol=1e-4, atol=1e-5)


def test_every_depth_encodes_into_the_same_space(autoencoder):
    sampler = Sampler(torch.Generator().manual_seed(4))
    latent = autoencoder.encode(sampler.networks(2, (1, 2, 3, 4), 5, 6, 1))
    assert latent.shape == (8, 12, 32)
    torch.testing.assert_close(latent.square().mean(-1), torch.ones(8, 12), rtol=1e-2, atol=1e-2)


def test_a_checkpoint_comes_back_as_it_was_and_damage_is_named(autoencoder, tmp_path):
    path = tmp_path / "copy.safetensors"
    save_checkpoint(path, autoencoder, {"note": "copy"})
    again = load_checkpoint(path)
    for name, tensor in autoencoder.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert load_checkpoint(path) is again
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
        load_checkpoint(damaged)
    with pytest.raises(CheckpointError, match="bundled checkpoint"):
        load_checkpoint(tmp_path / "missing.safetensors")


def test_a_fit_has_modules_of_its_own_where_parameters_are_swapped(autoencoder):
    copied = to_device(autoencoder, torch.device("cpu"))
    assert copied.dataset_encoder is autoencoder.dataset_encoder
    own = [copied, *copied.decoder.modules(), *copied.network_encoder.modules()]
    assert not set(own) & set(autoencoder.modules())
    pairs = zip(copied.parameters(), autoencoder.parameters(), strict=True)
    assert all(one is other for one, other in pairs)

"""What holds on a GPU; these tests need one."""

import pickle
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification, make_friedman1

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._captured_step import CapturedStep
from sklearn_swat._checkpoint import load_checkpoint
from sklearn_swat._token_layers import AutoencoderConfig
from sklearn_swat.pretrain import _training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")

REGRESSION = make_friedman1(300, 6, noise=1.0, random_state=0)
CLASSES = make_classification(300, 6, n_informative=5, n_classes=3, n_redundant=0, random_state=0)


def regressor(**parameters):
    parameters = {"device": "cuda", "random_state": 0, "refine": False, **parameters}
    return SWATRegressor(**parameters)


def histories_agree(one, other):
    pairs = zip(one.history_, other.history_, strict=True)
    return all(
        np.array_equal(a[name], b[name])
        for a, b in pairs
        for name in ("train_loss", "validation_loss", "nnz")
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"batch_size": 50},
        {"space": "latent"},
        {"space": "weights", "start": "random"},
        {"start": "random"},
        {"max_iter": 7, "n_restarts": 3},
    ],
)
def test_the_same_fit_has_the_same_bits(parameters):
    first, again = (regressor(**parameters).fit(*REGRESSION) for _ in range(2))
    assert histories_agree(first, again)


@pytest.mark.parametrize("parameters", [{}, {"batch_size": 50}, {"space": "latent"}])
def test_graphs_do_what_their_operations_do_one_by_one(monkeypatch, parameters):
    captured = regressor(**parameters).fit(*REGRESSION)
    monkeypatch.setattr(CapturedStep, "__call__", lambda self, move, key, *args: move(*args))
    assert histories_agree(captured, regressor(**parameters).fit(*REGRESSION))


def test_a_gpu_finds_what_the_cpu_finds():
    gpu, cpu = (
        regressor(device=device, refine=True).fit(*REGRESSION) for device in ("cuda", "cpu")
    )
    assert abs(gpu.score(*REGRESSION) - cpu.score(*REGRESSION)) < 0.03
    gpu, cpu = (
        SWATClassifier(device=device, random_state=0).fit(*CLASSES) for device in ("cuda", "cpu")
    )
    assert abs(gpu.score(*CLASSES) - cpu.score(*CLASSES)) < 0.05


def test_a_fit_leaves_no_memory_taken():
    regressor().fit(*REGRESSION)
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        regressor().fit(*REGRESSION)
    assert torch.cuda.memory_allocated() == before


def test_fits_in_threads_do_not_meet():
    alone = regressor().fit(*REGRESSION)
    with ThreadPool(3) as pool:
        models = pool.map(lambda _: regressor().fit(*REGRESSION), range(6))
    assert all(histories_agree(model, alone) for model in models)


def test_a_fitted_model_is_plain_numbers():
    model = regressor().fit(*REGRESSION)
    assert b"torch" not in pickle.dumps(model)


def test_a_gpu_that_is_full_leaves_the_fit_to_the_cpu(monkeypatch):
    expected = regressor(device="cpu").fit(*REGRESSION)
    monkeypatch.setattr(CapturedStep, "__call__", lambda *_: fill_the_gpu())
    with pytest.warns(RuntimeWarning, match=r"'cuda' is not enough.*pass device='cpu'"):
        model = regressor().fit(*REGRESSION)
    np.testing.assert_array_equal(model.predict(REGRESSION[0]), expected.predict(REGRESSION[0]))
    monkeypatch.undo()
    regressor().fit(*REGRESSION)  # and the GPU is as good as before


def test_without_memory_for_graphs_the_bits_are_the_same(monkeypatch):
    expected = regressor().fit(*REGRESSION)
    capture = CapturedStep._capture

    def capture_too_much(self, move):
        return capture(self, lambda *arguments: (move(*arguments), fill_the_gpu()))

    monkeypatch.setattr(CapturedStep, "_capture", capture_too_much)
    assert histories_agree(regressor().fit(*REGRESSION), expected)


def fill_the_gpu():
    return torch.empty(10**12, device="cuda")


def test_pretraining_goes_on_from_its_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(_training, "BATCHES_PER_EPOCH", 3)
    monkeypatch.setattr(_training, "HELD_OUT_BATCHES", 2)
    tiny = AutoencoderConfig(latent_width=8, model_width=16, rank=4, n_heads=2, data_rounds=1)
    options = {"batch_size": 4, "config": tiny, "verbose": False, "device": "cuda"}
    path = tmp_path / "young.safetensors"
    first = _training.pretrain(path, minutes=1e-6, **options)
    again = _training.pretrain(path, minutes=1e-6, resume=True, **options)
    assert len(again) == len(first) + 1
    assert all(parameter.device.type == "cpu" for parameter in load_checkpoint(path).parameters())

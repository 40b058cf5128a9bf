"""Damaged files, full disks, kills, too little memory, dead workers: no harm, and a way out."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from joblib import delayed, parallel_config
from safetensors.torch import save_file

from benchmarks import faults
from sklearn_swat import SWATRegressor, _autoencoder, _base, _checkpoint, _descent
from sklearn_swat._autoencoder import MultiScaleAutoencoder
from sklearn_swat._checkpoint import CheckpointError, load_checkpoint, read_header, save_checkpoint
from sklearn_swat._fallback import run_calls
from sklearn_swat._token_layers import AutoencoderConfig
from sklearn_swat.pretrain import _training

QUICK = {"max_iter": 3, "depth": 1, "max_width": 4, "n_restarts": 1, "random_state": 0}
TINY = AutoencoderConfig(latent_width=8, model_width=16, rank=4, n_heads=2, data_rounds=1)
OPTIONS = {"minutes": 1e-6, "batch_size": 4, "config": TINY, "verbose": False}


@pytest.fixture(scope="module")
def tiny():
    return MultiScaleAutoencoder(TINY, torch.Generator().manual_seed(0))


def few_rows():
    X = np.random.RandomState(0).standard_normal((40, 2))
    return X, X[:, 0] - X[:, 1] ** 2


@pytest.fixture
def short_epochs(monkeypatch):
    monkeypatch.setattr(_training, "BATCHES_PER_EPOCH", 1)
    monkeypatch.setattr(_training, "HELD_OUT_BATCHES", 1)


# ------------------------------------------------------------------------- checkpoints
def write_changed(tiny, path, *, tensors=(), header=()):
    """Write a checkpoint with some tensors and parts of the header replaced."""
    save_checkpoint(path, tiny, {})
    with _checkpoint.safe_open(path, "pt") as file:
        metadata = file.metadata()
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    found.update(tensors)
    metadata.update(header)
    kept = {name: tensor for name, tensor in found.items() if tensor is not None}
    save_file(kept, path, {name: text for name, text in metadata.items() if text is not None})


SEEDS = "dataset_encoder.seeds"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"header": {"version": "2"}}, r"format and version .*'2'.*expected"),
        ({"header": {"format": "another"}}, r"format and version .*another"),
        ({"header": {"config": "not json"}}, "does not describe an autoencoder"),
        ({"header": {"config": None}}, "does not describe an autoencoder"),
        ({"header": {"config": '{"latent_width": 8}'}}, "does not describe an autoencoder"),
        ({"header": {"training": "["}}, "does not describe an autoencoder"),
        ({"tensors": {SEEDS: torch.zeros(3, 3)}}, r"shape \(3, 3\), expected \(64, 16\)"),
        ({"tensors": {SEEDS: torch.zeros(64, 16, dtype=torch.int64)}}, "type I64, expected F16"),
        ({"tensors": {SEEDS: torch.full((64, 16), torch.nan)}}, "not finite"),
        ({"tensors": {SEEDS: None}}, r"lacks the tensors \['dataset_encoder.seeds'\]"),
        ({"tensors": {"more": torch.zeros(1)}}, "'more'"),
    ],
)
def test_a_checkpoint_that_is_not_as_it_says_is_refused(tiny, tmp_path, change, message):
    path = tmp_path / "changed.safetensors"
    write_changed(tiny, path, **change)
    with pytest.raises(CheckpointError, match=rf"(?s){message}.*None for the bundled"):
        load_checkpoint(path)


@pytest.mark.parametrize("size", [0, 10**6, -1, True, "8", 8.0, None, [8]])
def test_sizes_of_a_header_are_whole_numbers_within_bounds(tiny, tmp_path, size):
    path = tmp_path / "sizes.safetensors"
    sizes = {**vars(TINY), "rank": size}
    write_changed(tiny, path, header={"config": json.dumps(sizes)})
    with pytest.raises(CheckpointError, match="integers from 1 to 4096"):
        load_checkpoint(path)


def test_any_damage_is_told_and_nothing_else_happens(tiny, tmp_path):
    path = tmp_path / "whole.safetensors"
    save_checkpoint(path, tiny, {})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for i in range(60):
        damaged = bytearray(whole[: rng.integers(len(whole))] if i % 2 else whole)
        for at in rng.integers(0, max(1, min(len(damaged), 4000)), 8 if len(damaged) else 0):
            damaged[at] = rng.integers(256)
        other = tmp_path / f"{i}.safetensors"
        other.write_bytes(damaged)
        try:
            load_checkpoint(other)  # bits of a number alone may be other bits of a number
        except CheckpointError:
            n_refused += 1
    assert n_refused > 40
    bomb = tmp_path / "bomb.safetensors"
    bomb.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(bomb)


def test_a_file_of_any_size_is_not_read(tmp_path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(_checkpoint.MAX_BYTES + 1)
    with pytest.raises(CheckpointError, match=r"has 268435457 bytes, at most 268435456"):
        load_checkpoint(path)


def test_a_pickle_is_not_run(tmp_path):
    path = tmp_path / "pickle.safetensors"
    mark = tmp_path / "mark"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    torch.save(Trap(), path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    progress = path.with_name(path.name + ".progress")
    path.replace(progress)
    with pytest.raises(CheckpointError, match=r"progress.*damaged.*--start"):
        _training.pretrain(path, resume=True, **OPTIONS)
    assert not mark.exists()


# ------------------------------------------------------------------------- pretraining
def fail(error):
    def raising(*arguments, **options):
        raise error

    return raising


def test_a_full_disk_leaves_the_last_good_files(tmp_path, short_epochs, monkeypatch):
    path = tmp_path / "young.safetensors"
    _training.pretrain(path, **OPTIONS)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def write_half(first, second, **options):
        draft = second if isinstance(second, str) else first
        with open(draft, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    for module, writer in ((torch, "save"), (Path, "write_bytes")):
        with monkeypatch.context() as patch:
            patch.setattr(module, writer, write_half)

            with pytest.raises(OSError, match=r"cannot write .*No space left.*make room"):
                _training.pretrain(path, resume=True, **OPTIONS)
        kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert set(kept) == set(before)
        assert kept[f"{path.name}.progress"] == before[f"{path.name}.progress"]
        load_checkpoint(path)
    assert len(_training.pretrain(path, resume=True, **OPTIONS)) == 2


def test_no_draft_is_written_that_a_resumption_does_not_know(tiny, tmp_path, monkeypatch):
    path = tmp_path / "whole.safetensors"
    expected = tmp_path / "expected.safetensors"
    save_file({name: tensor.half() for name, tensor in tiny.state_dict().items()}, expected)
    # The library's writer of files makes drafts of its own names, of which a kill leaves one.
    for module in (safetensors, safetensors.torch):
        monkeypatch.setattr(module, "serialize_file", fail(AssertionError("a file of its own")))
    save_checkpoint(path, tiny, {})
    with safetensors.safe_open(path, "np") as found, safetensors.safe_open(expected, "np") as like:
        assert found.keys() == like.keys()
        for name in like.keys():  # noqa: SIM118
            np.testing.assert_array_equal(found.get_tensor(name), like.get_tensor(name))


def test_a_folder_that_cannot_be_written_is_told_before_training(tmp_path):
    with pytest.raises(OSError, match=r"cannot write to the folder of .*make it, or name"):
        _training.pretrain(tmp_path / "none" / "young.safetensors", **OPTIONS)


def test_damaged_progress_is_told(tmp_path, short_epochs):
    path = tmp_path / "young.safetensors"
    _training.pretrain(path, **OPTIONS)
    progress = tmp_path / f"{path.name}.progress"
    whole = progress.read_bytes()
    for size in (0, 100, 5000, len(whole) - 10):
        progress.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"progress .* is damaged.*--start"):
            _training.pretrain(path, resume=True, **OPTIONS)


def test_progress_of_other_sizes_is_told(tmp_path, short_epochs):
    path = tmp_path / "young.safetensors"
    _training.pretrain(path, **OPTIONS)
    other = AutoencoderConfig(latent_width=8, model_width=32, rank=4, n_heads=2, data_rounds=1)
    with pytest.raises(CheckpointError, match="of other sizes"):
        _training.pretrain(path, resume=True, **{**OPTIONS, "config": other})


def test_a_checkpoint_is_not_replaced_unasked(tmp_path, short_epochs):
    path = tmp_path / "young.safetensors"
    _training.pretrain(path, **OPTIONS)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"young.*is there already: go on.*--overwrite"):
        _training.pretrain(path, **OPTIONS)
    assert path.read_bytes() == before
    path.with_name(f"{path.name}.progress").unlink()
    with pytest.raises(FileExistsError, match=r"go on with it \(as start, --start, of another\)"):
        _training.pretrain(path, **OPTIONS)
    _training.pretrain(path, overwrite=True, seed=1, **OPTIONS)
    assert read_header(path)[1]["seed"] == 1


# ------------------------------------------------------------------- memory and workers
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nmore lines"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
@pytest.mark.parametrize("where", ["loading", "descending"])
def test_a_device_without_memory_is_left_for_the_cpu(monkeypatch, error, where):
    X, y = few_rows()
    expected = SWATRegressor(device="cpu", **QUICK).fit(X, y)
    descend = _descent.descend

    def descend_short_of_memory(task, settings, *rest):
        if settings.device.type == "cuda":
            raise error
        return descend(task, settings, *rest)

    def load_short_of_memory(autoencoder, device):
        if device.type == "cuda" and where == "loading":
            raise error
        return autoencoder

    monkeypatch.setattr(_base, "torch_device", lambda device: torch.device("cuda"))
    monkeypatch.setattr(_autoencoder, "to_device", load_short_of_memory)
    monkeypatch.setattr(_descent, "descend", descend_short_of_memory)
    with pytest.warns(RuntimeWarning, match=r"'cuda' is not enough.*pass device='cpu'") as caught:
        model = SWATRegressor(**QUICK).fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_a_cpu_without_memory_is_told_and_other_errors_are_not_swallowed(monkeypatch):
    X, y = few_rows()
    short = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
    monkeypatch.setattr(_descent, "descend", fail(short))
    with pytest.raises(MemoryError, match=r"1 candidates, 32 rows, 2 features.*n_restarts=1"):
        SWATRegressor(device="cpu", **QUICK).fit(X, y)
    monkeypatch.setattr(_descent, "descend", fail(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        SWATRegressor(device="cpu", **QUICK).fit(X, y)


def test_what_a_dead_worker_left_is_run_here():
    here = os.getpid()

    def square(i):
        if i == 2 and os.getpid() != here:
            os._exit(1)
        return i * i

    calls = [delayed(square)(i) for i in range(4)]
    with (
        parallel_config("loky"),
        pytest.warns(RuntimeWarning, match="worker process died.*pass n_jobs=1"),
    ):
        assert list(run_calls(calls, n_jobs=2)) == [0, 1, 4, 9]


def test_random_kills_and_interrupts_break_no_promise(tmp_path, capsys):
    out = tmp_path / "faults.json"
    faults.main(["--kills", "1", "--interrupts", "2", "--out", str(out)])
    results = json.loads(out.read_text())
    (kill,) = results["kills"]
    assert kill["aim"] == "writing"
    assert kill["begun"] > 0
    assert kill["broken"] == []
    outcomes = [each["outcome"] for each in results["interrupts"]]
    assert {outcome.split(",")[0] for outcome in outcomes} <= {"usable", "exception"}
    assert len(outcomes) == 2
    assert "broke a promise: 0" in capsys.readouterr().out


def test_what_a_kill_breaks_is_found(tmp_path, monkeypatch):
    path = tmp_path / "young" / faults.NAME

    def lose_an_interval(path, aim, rng):
        faults.train(path, 1e-9, resume=False)
        (path.parent / f"{path.name}known.part").write_bytes(b"half")  # which is removed
        (path.parent / "unknown.part").write_bytes(b"half")
        return ["begun", f"batch {2 * _training.BATCHES_PER_EPOCH}"]

    monkeypatch.setattr(_training, "BATCHES_PER_EPOCH", faults.INTERVAL)
    monkeypatch.setattr(_training, "HELD_OUT_BATCHES", 1)
    monkeypatch.setattr(faults, "_killed", lose_an_interval)
    broken = faults.kill_and_resume(path, "batches", None)["broken"]
    assert read_header(path)[0] == faults.TINY
    assert broken == ["more than the last interval is lost", "half files are left"]


def test_a_half_fitted_estimator_is_found(monkeypatch):
    monkeypatch.setattr(faults, "FIT", QUICK)
    case = faults._Case(SWATRegressor, False)
    model = SWATRegressor(**QUICK).fit(case.X, case.y)
    assert case._outcome(model, "finished", []) == "usable, fitted to the end"
    assert case._outcome(model, "stopped", []) == "exception, fitted whole"
    model.loss_ += 1
    assert case._outcome(model, "stopped", []).startswith("half-fitted")

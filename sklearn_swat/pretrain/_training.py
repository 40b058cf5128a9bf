"""The training loop: skorch's, with a budget in time and progress that survives a kill."""

from __future__ import annotations

import glob
import json
import math
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, GradientNormClipping, PrintLog, ProgressBar
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor

from .._autoencoder import MultiScaleAutoencoder
from .._checkpoint import (
    DRAFT,
    CheckpointError,
    load_checkpoint,
    read_header,
    save_checkpoint,
    write_whole,
)
from .._token_layers import AutoencoderConfig
from ._growth import grow
from ._losses import PretrainingLosses, SamplingConfig, total
from ._muon import Muon
from ._processes import AverageParameters, n_processes, said_by_first, this_process

BATCHES_PER_EPOCH = 200  # an epoch is what a kill can lose: about a minute on one core
HELD_OUT_BATCHES = 24
WARM_UP_BATCHES = 300
MATRIX_RATE = 10.0  # times the learning rate, for Muon's steps of matrices


def cosine(done: float) -> float:
    """Return the share of the peak learning rate, from 1 down to 0.01, at a share of the time."""
    return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2


class PretrainingNet(NeuralNet):
    """A skorch net whose module returns its losses by name instead of predictions."""

    def get_loss(
        self, y_pred: dict[str, Tensor], y_true: Any, X: Any = None, training: bool = False
    ) -> Tensor:
        """Weigh the losses, and note each."""
        for name, value in y_pred.items():
            self.history.record_batch(f"{'train' if training else 'valid'}_{name}", value.item())
        return total(y_pred)


class TimeBudget(Callback):
    """Anneals the learning rate over a budget of training time, and stops when it is spent.

    Linear warm-up, then a cosine down to 1 % of the peak.

    Parameters
    ----------
    seconds : float
        The budget, with the time before a resumption.
    learning_rate : float
        The peak.
    spent : float, default=0
        Seconds of the budget that earlier runs used.
    first_batch : int, default=0
        The batch that warm-up begins at.
    """

    def __init__(
        self, seconds: float, learning_rate: float, spent: float = 0.0, first_batch: int = 0
    ) -> None:
        self.seconds = seconds
        self.learning_rate = learning_rate
        self.spent = spent
        self.first_batch = first_batch

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Start the clock."""
        self.started_ = time.monotonic() - self.spent

    def elapsed(self) -> float:
        """Return the seconds of training so far, earlier runs included."""
        return time.monotonic() - self.started_

    def on_batch_begin(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Set the learning rate."""
        done = min(1.0, self.elapsed() / self.seconds)
        n_batches = int(net.module_.n_batches) - self.first_batch
        warm_up = min(1.0, (n_batches + 1) / WARM_UP_BATCHES)
        rate = self.learning_rate * warm_up * cosine(done)
        for group in net.optimizer_.param_groups:
            group["lr"] = rate * group.get("rate_factor", 1.0)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Stop, in skorch's way, when the budget is spent."""
        if said_by_first(self.elapsed()) >= self.seconds:
            raise KeyboardInterrupt


class KeepProgress(Callback):
    """Averages the losses of an epoch, and writes what a resumption and a user need.

    Parameters
    ----------
    path : Path
        The checkpoint, written whenever the held-out loss is the best so far.
    progress_path : Path
        Everything that training needs to go on, written after every epoch.
    record : dict
        What the checkpoint says of its training.
    options : dict
        What a resumption has to repeat.
    budget : TimeBudget
    epochs : list of dict
        The records of earlier runs' epochs.
    """

    def __init__(
        self,
        path: Path,
        progress_path: Path,
        record: dict[str, Any],
        options: dict[str, Any],
        budget: TimeBudget,
        epochs: list[dict[str, float]],
    ) -> None:
        self.path = path
        self.progress_path = progress_path
        self.record, self.options = record, options
        self.budget = budget
        self.epochs = epochs

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Record, then save: the first process for all."""
        batches = net.history[-1]["batches"]
        names = sorted({name for batch in batches for name in batch if "_" in name})
        means = {
            name: float(np.mean([batch[name] for batch in batches if name in batch]))
            for name in names
            if not name.endswith("batch_size")
        }
        for name, mean in means.items():
            net.history.record(name, mean)
        best = min((epoch["valid_loss"] for epoch in self.epochs), default=math.inf)
        self.epochs.append({**means, "seconds": self.budget.elapsed()})
        if this_process() > 0:
            return
        if means["valid_loss"] < best:
            summary = {
                **self.record,
                "n_batches": int(net.module_.n_batches),
                "step_size": float(net.module_.step_size.detach()),
                "epoch": self.epochs[-1],
            }
            save_checkpoint(self.path, net.module_.autoencoder, summary)
        state = {
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "epochs": json.dumps(self.epochs),
            "options": json.dumps(self.options),
        }
        write_whole(self.progress_path, lambda draft: torch.save(state, draft))


def pretrain(
    path: str | os.PathLike[str],
    *,
    minutes: float,
    device: str = "cpu",
    batch_size: int = 40,
    learning_rate: float = 1e-3,
    resume: bool = False,
    overwrite: bool = False,
    start: str | os.PathLike[str] | None = None,
    seed: int = 0,
    config: AutoencoderConfig | None = None,
    largest_context: int = SamplingConfig.largest_context,
    verbose: bool = True,
) -> list[dict[str, float]]:
    """Pretrain an autoencoder.

    Parameters
    ----------
    path : path-like
        The checkpoint to write; ``path + ".progress"`` beside it holds what a
        resumption needs.
    minutes : float
        Training time, with that before a resumption. It is looked at after every epoch
        of 200 batches, so that a call trains one at least.
    device : str, default="cpu"
    batch_size : int, default=40
        Data sets or networks per batch.
    learning_rate : float, default=1e-3
        The peak of AdamW's rate; matrices take Muon's steps at ten times it.
    resume : bool, default=False
        Go on from the progress beside `path` as if nothing had happened, with the options
        that the run was begun with. (Of several processes, all go on with the moments of the
        first one's gradients.)
    overwrite : bool, default=False
        Whether a checkpoint that is there may be replaced by a new run's.
    start : path-like, optional
        Begin at the parameters of this checkpoint, with a rate that rises and falls
        anew: for training on where no progress was kept.
    seed : int, default=0
        Of the initial parameters and of the batches; 0 or more.
    config : AutoencoderConfig, optional
        None takes the default sizes, or those of `start`. Beside `start` it can have more
        rounds and blocks, which change nothing at first.
    largest_context : int, default=512
        Rows that a data set has at most for its encoder.
    verbose : bool, default=True
        Show a progress bar and a line per epoch.

    Returns
    -------
    list of dict
        A record per epoch: the mean of each loss in training and on held-out
        batches, and the seconds so far.

    Raises
    ------
    FileNotFoundError
        If there is no progress to resume.
    FileExistsError
        If there is a checkpoint, or progress, that is not to be resumed or replaced.
    ValueError
        If a number lies outside of its range, `config` does not continue `start`, or the
        progress is of a run with other options.
    CheckpointError
        If the progress, or the checkpoint to start at, is damaged or of other sizes.
    OSError
        If a file cannot be written, at the start or later; what was written before is
        whole, and training can be resumed from it.
    """
    _check_numbers(minutes, batch_size, learning_rate, largest_context)
    path = Path(path)
    progress_path = path.with_name(path.name + ".progress")
    known = [str(file) for file in (path, progress_path) if file.exists()]
    if known and not (resume or overwrite):
        has_progress = progress_path.exists()
        way_on = "resume=True, --resume" if has_progress else "as start, --start, of another"
        raise FileExistsError(
            f"{known[0]!r} is there already: go on with it ({way_on}), replace it "
            "(overwrite=True, --overwrite), or name another checkpoint"
        )
    for draft in path.parent.glob(f"{glob.escape(path.name)}*{DRAFT}"):
        draft.unlink(missing_ok=True)  # of a run that was killed while it wrote
    _check_writable(path)
    before: dict[str, Any] = {}
    if start is None:
        autoencoder = MultiScaleAutoencoder(config, torch.Generator().manual_seed(seed))
    else:
        sizes, before = read_header(start)
        autoencoder = grow(load_checkpoint(start), config or sizes, seed)
    first_batch = before.get("n_batches", 0)
    sampling = SamplingConfig(
        batch_size=batch_size, rows_per_batch=60 * batch_size, largest_context=largest_context
    )
    losses = PretrainingLosses(autoencoder, sampling, seed, this_process())
    with torch.no_grad():
        losses.n_batches.fill_(first_batch)
        losses.step_size.fill_(before.get("step_size", losses.step_size.item()))
    epochs: list[dict[str, float]] = []
    options = {
        "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed,
        "largest_context": largest_context,
    }  # fmt: skip
    state: dict[str, Any] = {}
    if resume:
        if not progress_path.exists():
            raise FileNotFoundError(
                f"there is no progress to resume at {str(progress_path)!r}; "
                "start without --resume, or name the checkpoint that was being trained"
            )
        state, epochs = _read_progress(progress_path, losses)
        _check_options(state.get("options", {}), options)
    spent = epochs[-1]["seconds"] if epochs else 0.0
    budget = TimeBudget(60 * minutes, learning_rate, spent, first_batch)
    record = {
        "sampling": asdict(sampling), "minutes": minutes, "device": device,
        "learning_rate": learning_rate, "seed": seed, "n_processes": n_processes(),
        **({"before": before} if before else {}),
    }  # fmt: skip
    net = PretrainingNet(
        losses,
        criterion=torch.nn.Identity,
        optimizer=Muon,
        optimizer__param_groups=[
            ("*.weight", {"is_matrix": True, "rate_factor": MATRIX_RATE, "weight_decay": 1e-3})
        ],
        optimizer__weight_decay=1e-4,
        lr=learning_rate,
        max_epochs=10**6,
        batch_size=1,
        iterator_train__shuffle=False,
        train_split=predefined_split(Dataset(np.arange(HELD_OUT_BATCHES))),
        device=device,
        callbacks=[
            ("clipping", GradientNormClipping(1.0)),
            ("averaging", AverageParameters()),
            ("progress", KeepProgress(path, progress_path, record, options, budget, epochs)),
            ("budget", budget),
            *([("bar", ProgressBar())] if verbose else []),
        ],
        callbacks__print_log=PrintLog() if verbose else None,
        warm_start=True,
    )
    net.initialize()
    if state:
        net.optimizer_.load_state_dict(state["optimizer"])
    net.partial_fit(np.arange(BATCHES_PER_EPOCH))
    return epochs


def _check_numbers(
    minutes: float, batch_size: int, learning_rate: float, largest_context: int
) -> None:
    smallest = SamplingConfig.smallest_context
    for name, value, is_right, range_ in (
        ("minutes", minutes, 0 < minutes < math.inf, "above 0 and finite"),
        ("batch_size", batch_size, batch_size >= 1, "1 or more"),
        ("learning_rate", learning_rate, 0 < learning_rate < math.inf, "above 0 and finite"),
        ("largest_context", largest_context, largest_context >= smallest, f"{smallest} or more"),
    ):
        if not is_right:
            raise ValueError(f"{name} must be {range_}, got {value}")


def _check_options(kept: dict[str, Any], given: dict[str, Any]) -> None:
    differing = {name: value for name, value in kept.items() if given[name] != value}
    if differing:
        raise ValueError(
            f"the run was begun with {differing}, got "
            f"{ {name: given[name] for name in differing} }: resume it with the former, or begin "
            "another run at its checkpoint (start, --start)"
        )


def _check_writable(path: Path) -> None:
    """Find out before the training, not after its first epoch."""
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise type(error)(
            f"cannot write to the folder of {str(path)!r} ({error.strerror}): make it, or name "
            "a checkpoint in a folder that can be written"
        ) from None


def _read_progress(
    path: Path, losses: PretrainingLosses
) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Read progress, and go on from its parameters; `weights_only` runs nothing of a file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        epochs: list[dict[str, float]] = json.loads(state["epochs"])
        losses.load_state_dict(state["module"])
        options = json.loads(state.get("options", "{}"))  # earlier versions kept none
        return {"optimizer": state["optimizer"], "options": options}, epochs
    except (
        OSError,
        RuntimeError,
        UnpicklingError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise CheckpointError(
            f"the progress {str(path)!r} is damaged, or of an autoencoder of other sizes "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); resume with "
            "the sizes that it was begun with, train on from the checkpoint with --start, or anew "
            "without --resume"
        ) from None

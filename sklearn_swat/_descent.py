"""Descent of all candidates at once, in the latent space or on the weights themselves.

A candidate is one (depth, restart). All descend in one batch: in the latent space
(arXiv 2410.08339, 2506.08270) on their latent points, through the decoders; in
weight space on their scores directly; or first on both and then, where a latent
point would not get lower, on the weights. On the way the soft networks sharpen until
they are hard, the weakest candidates are dropped, and every few steps each
candidate's HARD network is judged on the validation rows. The best of these networks
is a candidate's answer, whatever its soft loss says; the last one is where a pruning
path may begin.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ._activations import ACTIVATION_NAMES
from ._adam import Adam
from ._autoencoder import Decoder, MultiScaleAutoencoder, select_depths
from ._candidates import Candidate, Descent
from ._captured_step import CapturedStep, stream_for_graphs
from ._descent_settings import EVALUATION_STEPS, DescentSettings, DescentTask
from ._losses import LOSSES
from ._network import SparseMLP
from ._objective import data_loss, hard_size, row_losses, soft_size
from ._preprocessing import class_scores
from ._read_out import read_out
from ._soft_network import NetworkScores, SoftNetwork, harden, sharpen
from ._start_points import (
    ENCODED_ROWS,
    latent_around_network,
    latent_from_data,
    normal,
    random_scores,
    spread,
    write_network,
)
from ._threads import one_blas_thread, one_torch_thread

if TYPE_CHECKING:
    from ._rows import Rows

HARD_FROM = 0.7  # share of the steps after which the soft networks are hard
HALVING_AT = (0.35, 0.6)  # shares of the steps at which half the candidates are dropped
WEIGHTS_RATE = 0.4  # of the learning rate in weight space: weights are smaller than tokens
LATENT_RATE = 0.5  # of the learning rate
# Where there is nothing but a latent point that fits already: larger steps, and networks that are
# soft at first, lose what it is worth, a tenth of the loss.
GENTLE_LATENT_RATE = 0.125
# For start points that fit nothing yet. With such steps, starts that do lose their fit at once and
# need most of the other steps to come back to it.
RANDOM_RATE = 2.5
CORRECTION_RATE = 0.2  # of the learning rate, for the weights beside a latent point
LATENT_SHARE = 0.25  # of the steps that a descent in both spaces takes in the latent one
# For the thresholds, which make networks sparse. At a twentieth, those of a descent alone have 2,
# 7 and 28 % more loss and price at 1e-4, 1e-3 and 1e-2 a number.
THRESHOLD_RATE = 1.0
FULL_BATCH_ROWS = 512  # up to here "auto" takes all rows in every step
AUTO_BATCH_ROWS = 256  # and above, so many
ONE_THREAD_ROWS = 2048  # in a step, up to which more threads on a CPU cost more than they gain
# What every second restart has alone, where it is one of several activations: smooth targets are
# found with fewer neurons, and two kinds of candidates differ more than two of one kind. For
# that reason, too, they see the relevant features alone.
SMOOTH = "tanh"

Report = Callable[["Descent"], bool]


@dataclass(frozen=True)
class _TorchRows:
    """Rows on the device: X (N, d), target (N, k), weight (N,) summing to 1, entropy (N,)."""

    X: Tensor
    target: Tensor
    weight: Tensor
    entropy: Tensor

    @classmethod
    def of(cls, rows: Rows, loss_name: str, device: torch.device) -> _TorchRows:
        entropy = LOSSES[loss_name].entropy(rows.target)
        parts = (rows.X, rows.target, rows.weight / rows.weight.sum(), entropy)
        return cls(*(torch.from_numpy(p.astype(np.float32)).to(device) for p in parts))

    def take(self, index: Tensor) -> _TorchRows:
        weight = self.weight[index]
        parts = (self.X[index], self.target[index], weight / weight.sum(), self.entropy[index])
        return _TorchRows(*parts)


def descend(
    task: DescentTask,
    settings: DescentSettings,
    autoencoder: MultiScaleAutoencoder | None,
    seed: int,
    report: Report | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Descent:
    """Descend from the start points and return the hard networks of every candidate.

    Parameters
    ----------
    task : DescentTask
    settings : DescentSettings
    autoencoder : MultiScaleAutoencoder or None
        None is enough for random starts in weight space.
    seed : int
        Of the start points and minibatches.
    report : callable, optional
        Called after every verdict with the descent as it stands, of which the last
        record of the history is the new one; True ends the descent.
    should_stop : callable, optional
        Asked before every step but the first verdict; True ends the descent, with a
        last verdict.

    Returns
    -------
    Descent
    """
    size = settings.batch_size
    is_small = settings.device.type == "cpu" and (size == "auto" or int(size) <= ONE_THREAD_ROWS)
    with (
        torch.enable_grad(),
        one_torch_thread() if is_small else stream_for_graphs(settings.device),
    ):
        run = _Run(task, settings, autoencoder, seed)
        try:
            run.descend(report, should_stop)
        except KeyboardInterrupt:
            if all(candidate.network is None for candidate in run.candidates):
                raise
            run.result.was_interrupted = True
    known = [candidate for candidate in run.candidates if candidate.network is not None]
    run.result.candidates = sorted(known, key=lambda candidate: candidate.price)
    return run.result


class _Run:
    """The state of one descent."""

    def __init__(
        self,
        task: DescentTask,
        settings: DescentSettings,
        autoencoder: MultiScaleAutoencoder | None,
        seed: int,
    ) -> None:
        self.settings, self.loss_name, self.reference = settings, task.loss_name, task.reference
        self.autoencoder = autoencoder
        self.train = _TorchRows.of(task.train, task.loss_name, settings.device)
        self.validation = _TorchRows.of(task.validation, task.loss_name, settings.device)
        self.d, self.k = task.train.X.shape[1], task.train.target.shape[1]
        self.generator = Generator().manual_seed(seed)
        encoded, scale, shift = class_scores(task.train.target, task.train.weight, task.loss_name)
        self.encoded_target = self._tensor(encoded)
        self.scale, self.shift = self._tensor(scale), self._tensor(shift)
        self.candidates = [
            Candidate(depth, restart)
            for depth in settings.depths
            for restart in range(settings.n_restarts)
        ]
        self.alive = list(self.candidates)
        self.allowed = self._allowed_activations()
        self.sees = self._seen_features(task.relevant)
        self.result = Descent(self.candidates)
        self.best_price = np.inf
        self.decoder_parameters: dict[str, Tensor] = {}
        self.free = self._start()
        self.moments = {name: Adam(tensor) for name, tensor in self.free.items()}
        self._choose_decoders()
        self.captured = CapturedStep()
        self.verdict: tuple[SoftNetwork, NDArray[np.float64]]  # the last one's networks and prices

    def _tensor(self, array: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.settings.device)

    def _allowed_activations(self) -> Tensor:
        """Return which activations the neurons of every candidate may have, (C, 1, 1, A)."""
        settings = self.settings
        is_free = len(settings.activations) > 1 and not isinstance(settings.start, SparseMLP)
        has_tanh_alone = is_free and SMOOTH in settings.activations
        names = [
            {SMOOTH} if has_tanh_alone and candidate.restart % 2 else set(settings.activations)
            for candidate in self.alive
        ]
        allowed = [[name in chosen for name in ACTIVATION_NAMES] for chosen in names]
        return torch.tensor(allowed, device=settings.device)[:, None, None]

    def _seen_features(self, relevant: NDArray[np.intp] | None) -> Tensor:
        """Return 1 for the features that every candidate sees, else 0, (C, d, 1)."""
        sees = torch.ones(len(self.alive), self.d, 1, device=self.settings.device)
        if relevant is not None:
            of_all = torch.zeros(self.d, 1).index_fill_(0, torch.from_numpy(relevant), 1.0)
            for i, candidate in enumerate(self.alive):
                if candidate.restart % 2:
                    sees[i] = of_all
        return sees

    # ------------------------------------------------------------------ start points
    def _start(self) -> dict[str, Tensor]:
        """Return the free tensors, one line per candidate."""
        settings = self.settings
        in_latent = settings.space != "weights"
        if in_latent or settings.start == "data":
            latent = self._start_latent()
            with torch.no_grad():
                decoded = self._decode(latent)
                decoded = scores = decoded.rescale_outputs(self.scale, self.shift)
                if settings.start == "data":
                    restarts = [candidate.restart for candidate in self.alive]
                    scores = spread(scores, restarts, self.sees, self.generator)
                    scores = self._read_out(scores)
            free = {name: tensor.clone() for name, tensor in scores.tensors().items()}
        else:
            free = random_scores(
                self.depths, settings.n_slots, self.scale, self.shift, self.d, self.generator
            )
        if isinstance(settings.start, SparseMLP):
            for i, candidate in enumerate(self.alive):
                if (candidate.depth, candidate.restart) == (settings.start.depth, 0):
                    write_network(free, i, settings.start)
        if in_latent:  # the weights are corrections of what the latent points decode to
            free = {name: free[name] - part for name, part in decoded.tensors().items()}
            free["latent"] = latent
        free["threshold"] = torch.zeros(len(self.alive), device=settings.device)
        return {name: tensor.detach().clone().requires_grad_() for name, tensor in free.items()}

    def _read_out(self, scores: NetworkScores) -> NetworkScores:
        """Return the same hidden layers, with the output layers that fit the rows best."""
        chosen = torch.randperm(len(self.train.X), generator=self.generator)[:ENCODED_ROWS]
        chosen = chosen.sort().values.to(self.settings.device)
        network = sharpen(scores, 1.0, allowed=self.allowed)
        rows = self.train.take(chosen)
        w_out, b_out = read_out(network, rows.X, rows.target, rows.weight, self.loss_name)
        return replace(scores, w_out=w_out, b_out=b_out)

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths of the candidates under descent, ascending."""
        return tuple(candidate.depth for candidate in self.alive)

    def _start_latent(self) -> Tensor:
        """Return (C, d + H + k, c) latent points; a restart's are the same at every depth."""
        settings, n_depths = self.settings, len(self.settings.depths)
        size = (settings.n_restarts, settings.n_slots)
        assert self.autoencoder is not None
        if settings.start == "random":
            n_tokens, c = self.d + settings.n_slots + self.k, self.autoencoder.config.latent_width
            shape = (len(self.alive), n_tokens, c)
            return normal(shape, self.generator, settings.device)
        if isinstance(settings.start, SparseMLP):
            latent = latent_around_network(
                self.autoencoder, settings.start, self.scale, self.shift, *size, self.generator
            )
        else:
            rows = (self.train.X, self.encoded_target, self.train.weight)
            latent = latent_from_data(self.autoencoder, *rows, *size, self.generator)
        return latent.repeat(n_depths, 1, 1)

    @property
    def is_gentle(self) -> bool:
        """Whether latent points alone descend from where they fit already."""
        return self.settings.space == "latent" and self.settings.start != "random"

    # ----------------------------------------------------------------------- decoding
    def _choose_decoders(self) -> None:
        """Gather the decoder parameters of the candidates under descent, once for many steps."""
        if "latent" in self.free:
            assert self.autoencoder is not None
            self.decoder_parameters = select_depths(self.autoencoder.decoder, self.depths)

    def _decode(self, latent: Tensor) -> NetworkScores:
        assert self.autoencoder is not None
        decoder: Decoder = self.autoencoder.decoder
        parameters = self.decoder_parameters or select_depths(decoder, self.depths)
        scores: NetworkScores = torch.func.functional_call(
            decoder, parameters, (latent[:, None], self.d, self.k, self.depths)
        )
        return scores

    def _scores(self) -> NetworkScores:
        """Return the scores that the free tensors stand for."""
        L = max(self.depths)
        parts = {n: t for n, t in self.free.items() if n not in ("latent", "threshold")}
        for name in ("b_hidden", "activation_scores", "gate_scores"):
            parts[name] = parts[name][:, :L]
        parts["w_hidden"] = parts["w_hidden"][:, : L - 1]
        if "latent" in self.free:
            decoded = self._decode(self.free["latent"])
            decoded = decoded.rescale_outputs(self.scale, self.shift)
            parts = {name: part + parts[name] for name, part in decoded.tensors().items()}
        parts["w_in"] = parts["w_in"] * self.sees
        return NetworkScores(**parts, depths=self.depths)

    # ------------------------------------------------------------------------ descent
    def descend(self, report: Report | None, should_stop: Callable[[], bool] | None) -> None:
        """Take the steps."""
        settings, started = self.settings, time.monotonic()
        best, since_best = np.inf, 0
        for step in range(settings.max_iter + 1):
            done = step / max(1, settings.max_iter)
            is_last = step == settings.max_iter or (
                step > 0 and should_stop is not None and should_stop()
            )
            if step % EVALUATION_STEPS == 0 or is_last:
                record = self._evaluate(step, time.monotonic() - started)
                self.result.history.append(record)
                is_last |= report is not None and report(self.result)
                price = self.best_price
                since_best = 0 if price < best - settings.tol else since_best + EVALUATION_STEPS
                best = min(best, price)
                if is_last or since_best >= settings.n_iter_no_change:
                    break
            if step in [round(share * settings.max_iter) for share in HALVING_AT] and step:
                self._drop_weakest()
            if settings.space == "both" and done >= LATENT_SHARE and "latent" in self.free:
                self._leave_latent()
            sharpness = 1.0 if self.is_gentle else min(1.0, done / HARD_FROM)
            annealed = 0.05 + 0.95 * (1 + np.cos(np.pi * done)) / 2
            self._step(annealed * settings.learning_rate, sharpness)
            self.result.n_iter = step + 1
        self._keep_latest(range(len(self.alive)))

    def _leave_latent(self) -> None:
        """Go on with the weights that the latent points stand for."""
        with torch.no_grad():
            parts = self._scores().tensors()
        self.captured = CapturedStep()  # graphs know where tensors are
        del self.free["latent"], self.moments["latent"]
        self.decoder_parameters = {}
        for name, tensor in parts.items():
            self.free[name] = tensor.clone().requires_grad_()
            self.moments[name] = Adam(tensor)

    def _step(self, rate: float, sharpness: float) -> None:
        batch, device = self._draw_batch(), self.settings.device
        if device.type != "cuda":
            self._move(rate, sharpness, *batch)
            return
        is_hard = sharpness >= 1

        def move(rate: Tensor, soft: Tensor, *batch: Tensor) -> None:
            self._move(rate, 1.0 if is_hard else soft, *batch)

        numbers = (torch.full((), number, device=device) for number in (rate, sharpness))
        self.captured(move, is_hard, *numbers, *batch)

    def _move(self, rate: float | Tensor, sharpness: float | Tensor, *batch: Tensor) -> None:
        """Move the free tensors by one step."""
        rows = self._rows(*batch)
        scores = self._scores()
        threshold = self.free["threshold"]
        network = sharpen(scores, sharpness, threshold=threshold, allowed=self.allowed)
        loss = self._loss(network, rows)
        size = soft_size(scores, network, threshold, sharpness)
        price = (loss + self.settings.alpha * size).sum()
        rates = self._rates()
        moving = [self.free[name] for name in rates]
        gradients = torch.autograd.grad(price, moving, materialize_grads=True)
        with torch.no_grad():
            for (name, of_this), gradient in zip(rates.items(), gradients, strict=True):
                # A candidate that diverges must not stop the others.
                gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
                self.moments[name].step(self.free[name], gradient, of_this * rate)
            threshold.clamp_(0.0, 3.0)

    def _rates(self) -> dict[str, float]:
        """Return how many times the learning rate the moving tensors take."""
        start_rate = RANDOM_RATE if self.settings.start == "random" else 1.0
        threshold = {"threshold": THRESHOLD_RATE}
        if "latent" not in self.free:
            return dict.fromkeys(self.free, start_rate * WEIGHTS_RATE) | threshold
        latent_rate = GENTLE_LATENT_RATE if self.is_gentle else start_rate * LATENT_RATE
        rates = {"latent": latent_rate} | threshold
        if self.settings.space == "latent":  # its start's corrections stay as they are
            return rates
        return dict.fromkeys(self.free, start_rate * CORRECTION_RATE) | rates

    def _loss(self, network: SoftNetwork, rows: _TorchRows) -> Tensor:
        """Return the normalised loss of every candidate, (C,)."""
        raw = network(rows.X)
        loss = data_loss(self.loss_name, raw, rows.target, rows.weight)
        return (loss - rows.weight @ rows.entropy) / self.reference

    def _draw_batch(self) -> tuple[Tensor, ...]:
        """Draw which rows a step is to see: nothing for all, or one tensor of their indices."""
        n, size = len(self.train.X), self.settings.batch_size
        if size == "auto":
            size = n if n <= FULL_BATCH_ROWS else AUTO_BATCH_ROWS
        if int(size) >= n:
            return ()
        chosen = torch.randperm(n, generator=self.generator)[: int(size)]
        return (chosen.to(self.settings.device),)

    def _rows(self, *batch: Tensor) -> _TorchRows:
        return self.train.take(*batch) if batch else self.train

    @one_blas_thread()
    def _evaluate(self, step: int, seconds: float) -> dict[str, Any]:
        """Judge the hard networks; keep each candidate's best.

        A network replaces an earlier one if it is better by more than the standard
        error of the difference: on few validation rows the best of many verdicts
        would be the luckiest one.
        """
        with torch.no_grad():
            network = self._sharpened()
            train_loss = self._loss(network, self._rows(*self._draw_batch())).double().cpu().numpy()
            rows = self.validation
            losses = row_losses(self.loss_name, network(rows.X), rows.target) - rows.entropy
            losses = losses / self.reference
            by_row, weight = (part.double().cpu().numpy() for part in (losses, rows.weight))
            validation_loss = by_row @ weight
            size = hard_size(network).cpu().numpy()
            prices = validation_loss + self.settings.alpha * size
            self.best_price = prices[np.isfinite(prices)].min(initial=self.best_price)
            # A copy: in weight space the network shares its numbers with what goes on moving.
            self.verdict = network.take(torch.arange(len(prices))), prices
            better = [
                i
                for i, candidate in enumerate(self.alive)
                if np.isfinite(prices[i]) and candidate.is_beaten(prices[i], by_row[i], weight)
            ]
            if better:
                for i, hard in zip(better, self._harden(network, better), strict=True):
                    candidate = self.alive[i]
                    candidate.network, candidate.price = hard, float(prices[i])
                    candidate.row_losses = by_row[i]
        return {
            "step": step,
            "seconds": seconds,
            "candidates": [(candidate.depth, candidate.restart) for candidate in self.alive],
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "nnz": size.astype(int),
        }

    def _sharpened(self) -> SoftNetwork:
        return sharpen(self._scores(), 1.0, threshold=self.free["threshold"], allowed=self.allowed)

    def _harden(self, network: SoftNetwork, chosen: list[int]) -> list[SparseMLP]:
        hard = network.take(torch.tensor(chosen))
        return harden(hard, LOSSES[self.loss_name].out_activation)

    def _keep_latest(self, ending: Sequence[int]) -> None:
        """Keep the networks of the last verdict, of candidates (ascending) that end with it."""
        network, prices = self.verdict
        finite = [i for i in ending if np.isfinite(prices[i])]
        for i, hard in zip(finite, self._harden(network, finite) if finite else [], strict=True):
            self.alive[i].latest, self.alive[i].latest_price = hard, float(prices[i])

    def _drop_weakest(self) -> None:
        """Keep the half of the candidates that was better at the last verdict, and its moments."""
        n_kept = max(2, -(-len(self.alive) // 2))
        if n_kept >= len(self.alive):
            return
        network, prices = self.verdict
        ranking = np.argsort(prices, kind="stable").tolist()  # NaN is last
        kept = sorted(ranking[:n_kept])
        self._keep_latest(sorted(ranking[n_kept:]))
        self.verdict = network.take(torch.tensor(kept)), prices[kept]
        self.captured = CapturedStep()
        self.alive = [self.alive[i] for i in kept]
        self.free = {
            name: tensor.detach()[kept].requires_grad_() for name, tensor in self.free.items()
        }
        for moments in self.moments.values():
            moments.keep(kept)
        self.allowed, self.sees = self.allowed[kept], self.sees[kept]
        self._choose_decoders()

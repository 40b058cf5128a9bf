"""The pretraining losses, each of one batch that it draws itself.

1. Reconstruction: networks through encoder and decoders, min-loss (arXiv 2410.08339);
   with it similarity: networks that compute alike lie close together.
2. Start: the data-set encoder's network, on fresh rows of the function.
3. Read-out: the same hidden layers with the ridge regression on the context as their
   output layer. It tells every neuron what it would add to the others, where the
   start's own loss lets them all become the same linear function.
4. Descent: the start after a few latent gradient steps on the context.

Training widens as it goes: from soft networks on small regressions to hard ones
on all tasks. Begun with everything, it stays at linear functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .._autoencoder import MultiScaleAutoencoder
from .._network import MAX_DEPTH
from .._objective import data_loss, hard_size, soft_size
from .._similarity import (
    dissimilarity,
    functional_distances,
    latent_distances,
    standardise_outputs,
)
from .._soft_network import NetworkScores, SoftNetwork, sharpen
from ._sampler import FUNCTION_SHARES, Rows, Sampler

N_FEATURES = (1, 2, 3, 4, 6, 8, 10, 12, 16)
N_SLOTS = (4, 6, 8, 12, 16, 24)
N_OUTPUTS = (1, 2, 3, 4)
SLOT_WEIGHTS = (1, 1, 2, 2, 3, 1)  # chances of the numbers above
MORE_OUTPUTS = (0.15, 0.3, 0.15)  # chances of 2 and more outputs beside 1 for a single one
RIDGE = 0.01  # penalty of the read-out, beside hidden variances of the order of 1
ALL_DEPTHS = tuple(range(1, MAX_DEPTH + 1))
OPTIONAL_LOSSES = ("similarity", "readout")
USUAL_PRICE = 1e-4  # of a number in training: an encoder that is told of none assumes it

# How the decoders' errors of a network, (decoders, C), become one number: the least, as
# arXiv 2410.08339 does in the end, or what it compares with that. The p-norm of errors e is
# (sum over decoders of e ** p) ** (1 / p).
REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "min": lambda errors: errors.min(0).values,
    "mean": lambda errors: errors.mean(0),
    "1-norm": lambda errors: errors.norm(1, 0),
    "2-norm": lambda errors: errors.norm(2, 0),
}


@dataclass(frozen=True)
class SamplingConfig:
    """How large the batches are, and of what.

    Attributes
    ----------
    batch_size : int, default=40
        Data sets per batch at most; and networks per reconstruction batch.
    rows_per_batch : int, default=2400
        Context rows per batch at most: many small data sets or few large ones.
    smallest_context, largest_context : int, default=24, 512
        Context rows per data set, drawn on a logarithmic scale.
    fresh_rows : int, default=128
        Rows per data set that the losses are computed on.
    classification_share : float, default=0.3
        Share of the data-set batches that have class labels.
    reconstruction_share : float, default=0.25
        Share of the batches that reconstruct networks.
    latent_steps : int, default=2
        Gradient steps of the fourth loss.
    descent_share : float, default=0.5
        Share of the data-set batches that take these steps.
    depths_per_batch : int, default=2
        Decoders that a data-set batch goes through.
    wide_after : int, default=5000
        Batches over which the tasks widen: to more features, outputs and rows, and
        to classes.
    hard_after : int, default=20000
        Batches over which the networks sharpen.
    hard_share : float, default=0.3
        Share of the batches from then on whose networks are hard.
    depths : tuple of int, default=(1, 2, 3, 4)
        The scales: encoders and decoders that take part, ascending.
    reduction : {"min", "mean", "1-norm", "2-norm"}, default="min"
        How the decoders' errors of a network become its reconstruction loss. A norm or
        a mean asks every decoder to make every network.
    left_out : tuple of str, default=()
        Losses that are not computed: "similarity", "readout".
    function_shares : mapping of str to float, optional
        How often each kind of function is drawn; None takes the sampler's mix.
    prices : tuple of two floats, optional
        The range that the price of a number is drawn from, one per data set, on a logarithmic
        scale. The encoder is told of it, and its network pays it. None: size costs nothing.

    Raises
    ------
    ValueError
        If a depth, the reduction, a loss to leave out or a kind of function is unknown.
    """

    batch_size: int = 40
    rows_per_batch: int = 2400
    smallest_context: int = 24
    largest_context: int = 512
    fresh_rows: int = 128
    classification_share: float = 0.3
    reconstruction_share: float = 0.25
    latent_steps: int = 2
    descent_share: float = 0.5
    depths_per_batch: int = 2
    wide_after: int = 5000
    hard_after: int = 20000
    hard_share: float = 0.3
    depths: tuple[int, ...] = ALL_DEPTHS
    reduction: str = "min"
    left_out: tuple[str, ...] = ()
    function_shares: Mapping[str, float] | None = None
    prices: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.depths or list(self.depths) != sorted(set(self.depths) & set(ALL_DEPTHS)):
            raise ValueError(
                f"depths must be some of {ALL_DEPTHS} in ascending order, got {self.depths}"
            )
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {list(REDUCTIONS)}, got {self.reduction!r}")
        if not set(self.left_out) <= set(OPTIONAL_LOSSES):
            raise ValueError(
                f"left_out can have {list(OPTIONAL_LOSSES)}, got {list(self.left_out)}: the other "
                "losses end with the shares of their batches at 0"
            )
        if not set(self.function_shares or ()) <= set(FUNCTION_SHARES):
            raise ValueError(
                f"function_shares can have {list(FUNCTION_SHARES)}, got "
                f"{list(self.function_shares or ())}"
            )


class PretrainingLosses(nn.Module):
    """Draws batch number i and returns its losses.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    config : SamplingConfig
    seed : int, default=0
        Not negative. Batch i of a seed is the same in every run.
    process : int, default=0
        Which of several processes this is: each has batches of its own.

    Raises
    ------
    ValueError
        If the seed is negative.
    """

    def __init__(
        self,
        autoencoder: MultiScaleAutoencoder,
        config: SamplingConfig,
        seed: int = 0,
        process: int = 0,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        super().__init__()
        self.autoencoder = autoencoder
        self.config = config
        self.seed, self.process = seed, process
        self.step_size = nn.Parameter(torch.tensor(-1.0))
        if config.prices is not None:  # what a price's logarithm adds to seeds and threshold
            self.price_to_seeds = nn.Parameter(torch.zeros(autoencoder.config.model_width))
            self.price_to_threshold = nn.Parameter(torch.tensor([-3.0, 0.0]))
        self.n_batches: Tensor
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.int64))

    def forward(self, index: Tensor) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Parameters
        ----------
        index : int Tensor of shape (1,)
            In evaluation mode, the number of a held-out batch; ignored in training,
            where the batches are numbered as they come.

        Returns
        -------
        dict of scalar Tensor
            "reconstruction" and "similarity", or "start", "readout" and perhaps "descended";
            less what the configuration leaves out. Beside prices "price", what the start
            pays, and in evaluation mode "size", what it pays for.
        """
        if self.training:
            # Hashed to 32 bits, all that torch's generator on the CPU looks at.
            sequence = np.random.SeedSequence((self.seed, self.process, int(self.n_batches)))
            seed = int(sequence.generate_state(1)[0]) & ~1
            self.n_batches += 1
        else:
            seed = 2 * int(index) + 1  # odd: never one of training's
        generator = Generator(device=self.step_size.device).manual_seed(seed)
        sampler = Sampler(generator, self.config.function_shares)
        sharpness = self._draw_sharpness(sampler)
        if float(sampler.uniform()) < self.config.reconstruction_share:
            return self.reconstruction(sampler, sharpness)
        rows, n_slots = self._draw_rows(sampler)
        scales = self.config.depths
        order = torch.randperm(len(scales), generator=generator, device=generator.device)
        depths = sorted(scales[i] for i in order[: self.config.depths_per_batch].tolist())
        n_steps = self.config.latent_steps * int(
            float(sampler.uniform()) < self.config.descent_share
        )
        return self.start_and_descent(rows, n_slots, depths, sharpness, n_steps, sampler)

    def progress(self) -> tuple[float, float]:
        """Return how far the tasks have widened and the networks sharpened, from 0 to 1."""
        if not self.training:
            return 1.0, 1.0
        n_batches = int(self.n_batches)
        return (
            min(1.0, n_batches / self.config.wide_after),
            min(1.0, n_batches / self.config.hard_after),
        )

    def _draw_sharpness(self, sampler: Sampler) -> float:
        """Draw how hard the networks of a batch are.

        Fit judges hard networks, and passes soft ones on the way there. Training
        begins with soft ones: from hard ones alone, nothing is learned at first.
        """
        if not self.training:
            return 1.0
        ripe = self.progress()[1]
        is_hard = ripe == 1 and float(sampler.uniform()) < self.config.hard_share
        return 1.0 if is_hard else ripe * float(sampler.uniform())

    def _draw_rows(self, sampler: Sampler) -> tuple[Rows, int]:
        config = self.config
        wide = self.progress()[0]
        n_sizes = 5 + round(wide * (len(N_FEATURES) - 5))
        d, n_slots = sampler.choose(N_FEATURES[:n_sizes]), sampler.choose(N_SLOTS, SLOT_WEIGHTS)
        low, high = math.log(config.smallest_context), math.log(config.largest_context)
        n_context = int(math.exp(sampler.uniform(low=low, high=high - (1 - wide))))
        B = max(4, min(config.batch_size, config.rows_per_batch // n_context))
        k = sampler.choose(N_OUTPUTS, (1.0, *(wide * weight for weight in MORE_OUTPUTS)))
        is_classes = float(sampler.uniform()) < wide * config.classification_share
        draw = sampler.classification if is_classes else sampler.regression
        return draw(B, n_context, config.fresh_rows, d, k), n_slots

    def reconstruction(self, sampler: Sampler, sharpness: float) -> dict[str, Tensor]:
        """Draw networks; return the decoders' error, and how unlike the two distances are.

        The pairs of the second loss are a network and its perturbed copy, what a decoder
        makes of it, encoded again, and another network.
        """
        d, k = sampler.choose(N_FEATURES), sampler.choose(N_OUTPUTS, (5, 1, 1, 1))
        n_slots = sampler.choose(N_SLOTS[:-1])
        scales = self.config.depths
        per_depth = max(1, self.config.batch_size // len(scales))
        networks = sampler.networks(per_depth, scales, d, n_slots, k)
        X = sampler.normal(self.config.fresh_rows // 2, d)
        perturbed, near = standardise_outputs(sampler.perturb(networks), X)
        networks, target = standardise_outputs(networks, X)
        latent = self.autoencoder.encode(networks)
        decoded, output = self.decode_at_all_depths(latent, X, k, sharpness)
        reduce = REDUCTIONS[self.config.reduction]
        losses = {"reconstruction": reduce(decoder_errors(output, target)).mean()}
        if "similarity" in self.config.left_out:
            return losses

        C, shift = len(latent), int(sampler.integer(0, len(scales) - 1))
        order = torch.arange(C, device=X.device).roll(shift * per_depth)  # decoded elsewhere
        at = torch.arange(C, device=X.device) // per_depth * C + order
        again = decoded.take(at).detach()
        again, across = standardise_outputs(again, X)
        other = torch.arange(C, device=X.device).roll(per_depth + 1)
        pairs = (
            (latent, self.autoencoder.encode(perturbed), target, near),
            (latent[order], self.autoencoder.encode(again), target[order], across),
            (latent, latent[other], target, target[other]),
        )
        one, two, f, g = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        in_latent = latent_distances(one, two, d, k)
        losses["similarity"] = dissimilarity(in_latent, functional_distances(f, g))
        return losses

    def decode_at_all_depths(
        self, latent: Tensor, X: Tensor, k: int, sharpness: float
    ) -> tuple[SoftNetwork, Tensor]:
        """Decode latent points (C, T, c) with every decoder.

        Returns
        -------
        networks : SoftNetwork of D * C candidates
            D is the number of decoders.
        output : Tensor of shape (D, C, N, k)
        """
        depths = self.config.depths
        D = len(depths)
        scores = self.autoencoder.decode(latent.expand(D, *latent.shape), X.shape[-1], k, depths)
        networks = sharpen(scores, sharpness)
        X = X if X.dim() == 2 else X.repeat(D, 1, 1)
        return networks, networks(X).view(D, len(latent), -1, k)

    def reconstruction_errors(
        self, networks: SoftNetwork, X: Tensor, sharpness: float = 1.0
    ) -> tuple[Tensor, ...]:
        """Encode and decode networks, all depths alike often.

        Parameters
        ----------
        networks : SoftNetwork of C candidates
        X : Tensor of shape (N, d) or (C, N, d)
        sharpness : float, default=1
            Of the decoded networks.

        Returns
        -------
        errors : Tensor of shape (D, C)
            Mean squared error of standardised outputs per decoder, saturated.
        target, output : Tensor of shape (C, N, k), (D, C, N, k)
        """
        networks, target = standardise_outputs(networks, X)
        latent = self.autoencoder.encode(networks)
        output = self.decode_at_all_depths(latent, X, target.shape[2], sharpness)[1]
        return decoder_errors(output, target), target, output

    def start_and_descent(
        self,
        rows: Rows,
        n_slots: int,
        depths: list[int],
        sharpness: float,
        n_steps: int,
        sampler: Sampler,
    ) -> dict[str, Tensor]:
        """Encode data sets, decode networks, and return their normalised loss on fresh rows.

        "start" is that of the encoder's networks; "readout" that of their last hidden
        layer under a ridge regression; "descended", if there are steps, that of the
        start after the steps. Gradients flow through the steps' ends and not through
        the steps' own gradients (first order).
        """
        B, d, k, n = len(rows.X), rows.X.shape[2], rows.y.shape[2], rows.n_context
        weight = torch.full((B, n), 1 / n, device=rows.X.device)
        on_cpu = Generator().manual_seed(int(sampler.integer(0, 2**40)))
        encoder = self.autoencoder.dataset_encoder
        seeds = encoder.draw_seeds(B, n_slots, on_cpu)
        threshold = None
        if self.config.prices is not None:
            low, high = map(math.log, self.config.prices)
            price = torch.exp(sampler.uniform(B, low=low, high=high))
            told = (price / USUAL_PRICE).log10()
            seeds = seeds + told[:, None, None] * self.price_to_seeds
            offset, slope = self.price_to_threshold
            threshold = F.softplus(offset + slope * told).repeat(len(depths))
        latent = encoder(rows.X[:, :n], rows.y[:, :n], weight, seeds)
        latent = latent.expand(len(depths), *latent.shape)

        X, target, y = (t.repeat(len(depths), 1, 1) for t in (rows.X, rows.target, rows.y))
        scale, shift = (t.repeat(len(depths), 1) for t in (rows.scale, rows.shift))
        fresh, context = slice(n, None), slice(0, n)

        def decode_scores(latent: Tensor) -> NetworkScores:
            scores = self.autoencoder.decode(latent, d, k, depths)
            return scores.rescale_outputs(scale, shift)

        def decode(latent: Tensor) -> SoftNetwork:
            return sharpen(decode_scores(latent), sharpness, threshold=threshold)

        def loss(raw: Tensor, part: slice) -> Tensor:
            even = torch.full(target[:, part].shape[:2], 1.0, device=target.device)
            even = even / even.shape[1]
            constant = shift[:, None].expand_as(target[:, part])
            reference = data_loss(rows.loss, constant, target[:, part], even)
            return data_loss(rows.loss, raw, target[:, part], even) / reference.clamp(min=0.05)

        scores = decode_scores(latent)
        network = sharpen(scores, sharpness, threshold=threshold)
        hidden = network.last_hidden(X)
        losses = {"start": saturate(loss(network.read_out(hidden[:, fresh]), fresh)).mean()}
        if "readout" not in self.config.left_out:
            error = (ridge_read_out(hidden, y[:, context]) - y)[:, fresh].square().mean((1, 2))
            losses["readout"] = saturate(error).mean()
        if threshold is not None:
            size = soft_size(scores, network, threshold, sharpness)
            losses["price"] = saturate(price.repeat(len(depths)) * size).mean()
            if not self.training:
                losses["size"] = hard_size(network).mean()
        for _ in range(n_steps):
            with torch.enable_grad():
                at = latent.detach().requires_grad_()
                descending = loss(decode(at)(X[:, context]), context).sum()
                (gradient,) = torch.autograd.grad(descending, at)
            size = gradient.square().mean((2, 3), keepdim=True).sqrt() + 1e-8
            latent = latent - 0.1 * F.softplus(self.step_size) * gradient / size
        if n_steps:
            raw = decode(latent)(X[:, fresh])
            losses["descended"] = saturate(loss(raw, fresh)).mean()
        return losses


def decoder_errors(output: Tensor, target: Tensor) -> Tensor:
    """Return the saturated errors (D, C) of what D decoders put out, (D, C, N, k)."""
    return saturate((output - target).square().mean((2, 3)))


def ridge_read_out(hidden: Tensor, y: Tensor) -> Tensor:
    """Predict by the ridge regression of the first rows' targets on the hidden layer.

    Parameters
    ----------
    hidden : Tensor of shape (C, N, H)
    y : Tensor of shape (C, n, k)
        Targets of the first n <= N rows, standardised.

    Returns
    -------
    Tensor of shape (C, N, k)
    """
    n, H = y.shape[1], hidden.shape[2]
    hidden_mean, y_mean = hidden[:, :n].mean(1, keepdim=True), y.mean(1, keepdim=True)
    centred = hidden - hidden_mean
    seen = centred[:, :n]
    penalty = RIDGE * torch.eye(H, device=y.device)
    weights = torch.linalg.solve(seen.mT @ seen / n + penalty, seen.mT @ (y - y_mean) / n)
    return centred @ weights + y_mean


def saturate(loss: Tensor) -> Tensor:
    """Let losses above 2 grow like their logarithm, so that no single batch takes over."""
    return torch.where(loss < 2, loss, 2 + 2 * (loss.clamp(min=2) / 2).log())


def total(losses: dict[str, Tensor]) -> Tensor:
    """Average the losses of a batch: each kind of batch weighs the same."""
    return torch.stack(list(losses.values())).mean()

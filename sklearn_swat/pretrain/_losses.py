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
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .._autoencoder import MultiScaleAutoencoder
from .._network import MAX_DEPTH
from .._objective import data_loss
from .._soft_network import SoftNetwork, sharpen
from ._sampler import Rows, Sampler
from ._similarity import dissimilarity, functional_distances, latent_distances

N_FEATURES = (1, 2, 3, 4, 6, 8, 10, 12, 16)
N_SLOTS = (4, 6, 8, 12, 16, 24)
N_OUTPUTS = (1, 2, 3, 4)
SLOT_WEIGHTS = (1, 1, 2, 2, 3, 1)  # chances of the numbers above
MORE_OUTPUTS = (0.15, 0.3, 0.15)  # chances of 2 and more outputs beside 1 for a single one
RIDGE = 0.01  # penalty of the read-out, beside hidden variances of the order of 1
ALL_DEPTHS = tuple(range(1, MAX_DEPTH + 1))


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
        Gradient steps of the third loss.
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


class PretrainingLosses(nn.Module):
    """Draws batch number i and returns its losses.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    config : SamplingConfig
    seed : int, default=0
        Batch i of a seed is the same in every run.
    """

    def __init__(
        self, autoencoder: MultiScaleAutoencoder, config: SamplingConfig, seed: int = 0
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.config = config
        self.seed = seed
        self.step_size = nn.Parameter(torch.tensor(-1.0))
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
            "reconstruction" and "similarity", or "start", "readout" and perhaps "descended".
        """
        if self.training:
            seed = 2 * (int(self.n_batches) + 2**30 * self.seed)
            self.n_batches += 1
        else:
            seed = 2 * int(index) + 1  # never one of training's
        generator = Generator(device=self.step_size.device).manual_seed(seed)
        sampler = Sampler(generator)
        sharpness = self._draw_sharpness(sampler)
        if float(sampler.uniform()) < self.config.reconstruction_share:
            return self.reconstruction(sampler, sharpness)
        rows, n_slots = self._draw_rows(sampler)
        n_depths = self.config.depths_per_batch
        order = torch.randperm(MAX_DEPTH, generator=generator, device=generator.device)
        depths = sorted((order[:n_depths] + 1).tolist())
        n_steps = self.config.latent_steps * int(
            float(sampler.uniform()) < self.config.descent_share
        )
        return self.start_and_descent(rows, n_slots, depths, sharpness, n_steps, sampler)

    def _draw_sharpness(self, sampler: Sampler) -> float:
        """Draw how hard the networks of a batch are.

        Fit judges hard networks, and passes soft ones on the way there. Training
        begins with soft ones: from hard ones alone, nothing is learned at first.
        """
        if not self.training:
            return 1.0
        ripe = min(1.0, int(self.n_batches) / self.config.hard_after)
        is_hard = ripe == 1 and float(sampler.uniform()) < self.config.hard_share
        return 1.0 if is_hard else ripe * float(sampler.uniform())

    def _draw_rows(self, sampler: Sampler) -> tuple[Rows, int]:
        config = self.config
        wide = min(1.0, int(self.n_batches) / config.wide_after) if self.training else 1.0
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
        """Draw networks; return the best decoder's error, and how unlike the two distances are.

        The pairs of the second loss are a network and its perturbed copy, what a decoder
        makes of it, encoded again, and another network.
        """
        d, k = sampler.choose(N_FEATURES), sampler.choose(N_OUTPUTS, (5, 1, 1, 1))
        n_slots = sampler.choose(N_SLOTS[:-1])
        per_depth = max(1, self.config.batch_size // MAX_DEPTH)
        networks = sampler.networks(per_depth, ALL_DEPTHS, d, n_slots, k)
        X = sampler.normal(self.config.fresh_rows // 2, d)
        perturbed, near = standardise_outputs(sampler.perturb(networks), X)
        networks, target = standardise_outputs(networks, X)
        latent = self.autoencoder.encode(networks)
        decoded, output = self.decode_at_all_depths(latent, X, k, sharpness)
        error = best_decoder_errors(output, target).mean()

        C, shift = len(latent), int(sampler.integer(0, MAX_DEPTH - 1))
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
        return {
            "reconstruction": error,
            "similarity": dissimilarity(in_latent, functional_distances(f, g)),
        }

    def decode_at_all_depths(
        self, latent: Tensor, X: Tensor, k: int, sharpness: float
    ) -> tuple[SoftNetwork, Tensor]:
        """Decode latent points (C, T, c) with every decoder.

        Returns
        -------
        networks : SoftNetwork of MAX_DEPTH * C candidates
        output : Tensor of shape (MAX_DEPTH, C, N, k)
        """
        scores = self.autoencoder.decode(
            latent.expand(MAX_DEPTH, *latent.shape), X.shape[-1], k, ALL_DEPTHS
        )
        networks = sharpen(scores, sharpness)
        X = X if X.dim() == 2 else X.repeat(MAX_DEPTH, 1, 1)
        return networks, networks(X).view(MAX_DEPTH, len(latent), -1, k)

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
        error : Tensor of shape (C,)
            Mean squared error of standardised outputs: the minimum over the decoders.
        target, output : Tensor of shape (C, N, k), (MAX_DEPTH, C, N, k)
        """
        networks, target = standardise_outputs(networks, X)
        latent = self.autoencoder.encode(networks)
        output = self.decode_at_all_depths(latent, X, target.shape[2], sharpness)[1]
        return best_decoder_errors(output, target), target, output

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
        latent = encoder(rows.X[:, :n], rows.y[:, :n], weight, seeds)
        latent = latent.expand(len(depths), *latent.shape)

        X, target, y = (t.repeat(len(depths), 1, 1) for t in (rows.X, rows.target, rows.y))
        scale, shift = (t.repeat(len(depths), 1) for t in (rows.scale, rows.shift))
        fresh, context = slice(n, None), slice(0, n)

        def decode(latent: Tensor) -> SoftNetwork:
            scores = self.autoencoder.decode(latent, d, k, depths)
            return sharpen(scores.rescale_outputs(scale, shift), sharpness)

        def loss(raw: Tensor, part: slice) -> Tensor:
            even = torch.full(target[:, part].shape[:2], 1.0, device=target.device)
            even = even / even.shape[1]
            constant = shift[:, None].expand_as(target[:, part])
            reference = data_loss(rows.loss, constant, target[:, part], even)
            return data_loss(rows.loss, raw, target[:, part], even) / reference.clamp(min=0.05)

        network = decode(latent)
        hidden = network.last_hidden(X)
        error = (ridge_read_out(hidden, y[:, context]) - y)[:, fresh].square().mean((1, 2))
        losses = {
            "start": saturate(loss(network.read_out(hidden[:, fresh]), fresh)).mean(),
            "readout": saturate(error).mean(),
        }
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


def best_decoder_errors(output: Tensor, target: Tensor) -> Tensor:
    """Return the min-loss (C,) of outputs (MAX_DEPTH, C, N, k), saturated."""
    return saturate((output - target).square().mean((2, 3))).min(0).values


def standardise_outputs(networks: SoftNetwork, X: Tensor) -> tuple[SoftNetwork, Tensor]:
    """Rescale networks so that their outputs on X (N, d) or (C, N, d) are standardised.

    Returns
    -------
    networks : SoftNetwork
    outputs : Tensor of shape (C, N, k)
    """
    raw = networks(X)
    mean, deviation = raw.mean(1), raw.std(1).clamp(min=1e-3)
    rescaled = networks.rescale_outputs(1 / deviation, -mean / deviation)
    return rescaled, (raw - mean[:, None]) / deviation[:, None]


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

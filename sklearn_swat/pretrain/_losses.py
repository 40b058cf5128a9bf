"""The three pretraining losses, each of one batch that it draws itself.

1. Reconstruction: networks through encoder and decoders, min-loss (arXiv 2410.08339).
2. Start: the data-set encoder's network, on fresh rows of the function.
3. Descent: the same after a few latent gradient steps on the context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .._autoencoder import MAX_DEPTH, MultiScaleAutoencoder
from .._objective import data_loss
from .._soft_network import SoftNetwork, sharpen
from ._sampler import Rows, Sampler

N_FEATURES = (1, 2, 3, 4, 6, 8, 10, 12, 16)
N_SLOTS = (4, 6, 8, 12, 16, 24)
N_OUTPUTS = (1, 2, 3, 4)
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
    hard_after : int, default=2500
        Batches over which the networks sharpen; from then on half are hard.
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
    hard_after: int = 2500


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
            "reconstruction", or "start" and perhaps "descended".
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
            return {"reconstruction": self.reconstruction(sampler, sharpness)}
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
        is_hard = ripe == 1 and float(sampler.uniform()) < 0.5
        return 1.0 if is_hard else ripe * float(sampler.uniform())

    def _draw_rows(self, sampler: Sampler) -> tuple[Rows, int]:
        config = self.config
        d, n_slots = sampler.choose(N_FEATURES), sampler.choose(N_SLOTS, (1, 1, 2, 2, 3, 1))
        low, high = math.log(config.smallest_context), math.log(config.largest_context)
        n_context = int(math.exp(sampler.uniform(low=low, high=high)))
        B = max(4, min(config.batch_size, config.rows_per_batch // n_context))
        k = sampler.choose(N_OUTPUTS, (5, 1, 2, 1))
        is_classes = float(sampler.uniform()) < config.classification_share
        draw = sampler.classification if is_classes else sampler.regression
        return draw(B, n_context, config.fresh_rows, d, k), n_slots

    def reconstruction(self, sampler: Sampler, sharpness: float) -> Tensor:
        """Draw networks, and return the mean over them of the best decoder's squared error."""
        d, k = sampler.choose(N_FEATURES), sampler.choose(N_OUTPUTS, (5, 1, 1, 1))
        n_slots = sampler.choose(N_SLOTS[:-1])
        per_depth = max(1, self.config.batch_size // MAX_DEPTH)
        networks = sampler.networks(per_depth, ALL_DEPTHS, d, n_slots, k)
        X = sampler.normal(len(networks.depths), self.config.fresh_rows // 2, d)
        return self.reconstruction_errors(networks, X, sharpness)[0].mean()

    def reconstruction_errors(
        self, networks: SoftNetwork, X: Tensor, sharpness: float = 1.0
    ) -> tuple[Tensor, ...]:
        """Encode and decode networks, all depths alike often.

        Parameters
        ----------
        networks : SoftNetwork of C candidates
        X : Tensor of shape (C, N, d)
        sharpness : float, default=1
            Of the decoded networks.

        Returns
        -------
        error : Tensor of shape (C,)
            Mean squared error of standardised outputs: the minimum over the decoders.
        target, output : Tensor of shape (C, N, k), (MAX_DEPTH, C, N, k)
        """
        raw = networks(X)
        mean, deviation = raw.mean(1), raw.std(1).clamp(min=1e-3)
        networks = replace(
            networks,
            w_out=networks.w_out / deviation[:, None],
            b_out=(networks.b_out - mean) / deviation,
        )
        target = (raw - mean[:, None]) / deviation[:, None]
        latent = self.autoencoder.encode(networks)
        scores = self.autoencoder.decode(
            latent.expand(MAX_DEPTH, *latent.shape), X.shape[2], raw.shape[2], ALL_DEPTHS
        )
        output = sharpen(scores, sharpness)(X.repeat(MAX_DEPTH, 1, 1)).view(
            MAX_DEPTH, *target.shape
        )
        errors = (output - target).square().mean((2, 3))
        return saturate(errors).min(0).values, target, output

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

        "start" is that of the encoder's networks; "descended", if there are steps,
        that after the steps. Gradients flow through the steps' ends and not through
        the steps' own gradients (first order).
        """
        B, d, k, n = len(rows.X), rows.X.shape[2], rows.y.shape[2], rows.n_context
        weight = torch.full((B, n), 1 / n, device=rows.X.device)
        on_cpu = Generator().manual_seed(int(sampler.integer(0, 2**40)))
        encoder = self.autoencoder.dataset_encoder
        seeds = encoder.draw_seeds(B, n_slots, on_cpu)
        latent = encoder(rows.X[:, :n], rows.y[:, :n], weight, seeds)
        latent = latent.expand(len(depths), *latent.shape)

        def loss(latent: Tensor, part: slice) -> Tensor:
            X, target = (t[:, part].repeat(len(depths), 1, 1) for t in (rows.X, rows.target))
            scale, shift = (t.repeat(len(depths), 1) for t in (rows.scale, rows.shift))
            scores = self.autoencoder.decode(latent, d, k, depths)
            raw = sharpen(scores.rescale_outputs(scale, shift), sharpness)(X)
            even = torch.full(target.shape[:2], 1 / target.shape[1], device=target.device)
            constant = data_loss(rows.loss, shift[:, None].expand_as(target), target, even)
            return data_loss(rows.loss, raw, target, even) / constant.clamp(min=0.05)

        fresh, context = slice(n, None), slice(0, n)
        losses = {"start": saturate(loss(latent, fresh)).mean()}
        for _ in range(n_steps):
            with torch.enable_grad():
                at = latent.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(loss(at, context).sum(), at)
            size = gradient.square().mean((2, 3), keepdim=True).sqrt() + 1e-8
            latent = latent - 0.1 * F.softplus(self.step_size) * gradient / size
        if n_steps:
            losses["descended"] = saturate(loss(latent, fresh)).mean()
        return losses


def saturate(loss: Tensor) -> Tensor:
    """Let losses above 2 grow like their logarithm, so that no single batch takes over."""
    return torch.where(loss < 2, loss, 2 + 2 * (loss.clamp(min=2) / 2).log())


def total(losses: dict[str, Tensor]) -> Tensor:
    """Weigh the losses of a batch: 1 for reconstruction, and the mean of start and descended."""
    return torch.stack(list(losses.values())).mean()

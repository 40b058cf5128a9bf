"""What the autoencoder is pretrained on: random networks, and rows of random functions.

Everything is drawn in whole batches on the generator's device. Inputs are
standardised and targets too, because ``fit`` standardises both.

Shapes: B items, N rows, d features, H slots, k outputs, L = 4 layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .._activations import ACTIVATION_NAMES
from .._soft_network import SoftNetwork, per_candidate

PERTURBATIONS = (0.01, 2.0)  # of the weights, relative, for pairs of graded distance
SPARSITIES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9)  # shares of absent weights, after arXiv 2410.08339
FUNCTION_SHARES = {  # of the functions that rows are drawn of
    "networks": 0.35,
    "smooth": 0.25,
    "additive": 0.2,
    "polynomials": 0.15,
    "linear": 0.05,
}


@dataclass(frozen=True)
class Rows:
    """A batch of data sets.

    Attributes
    ----------
    X : Tensor of shape (B, N, d), standardised by the context rows
    target : Tensor of shape (B, N, k)
        What the loss compares with: standardised numbers, 0/1, or one-hot rows.
    y : Tensor of shape (B, N, k)
        The targets as numbers, standardised by the context rows.
    shift, scale : Tensor of shape (B, k)
        A network's outputs times `scale` plus `shift` are raw outputs (log-odds
        or log-probabilities for classes).
    n_context : int
        The first rows are the context; the rest are fresh rows of the same function.
    loss : {"squared_error", "logistic", "softmax"}
    """

    X: Tensor
    target: Tensor
    y: Tensor
    shift: Tensor
    scale: Tensor
    n_context: int
    loss: str


class Sampler:
    """Draws networks and data sets from one generator.

    Parameters
    ----------
    generator : torch.Generator
        Its device is where everything is drawn.
    function_shares : dict of float, optional
        How often each kind of function is drawn, of the keys of `FUNCTION_SHARES`; those
        that are not named never are. None takes that mix.
    """

    def __init__(
        self, generator: Generator, function_shares: Mapping[str, float] | None = None
    ) -> None:
        shares = FUNCTION_SHARES if function_shares is None else function_shares
        self.function_shares = [shares.get(kind, 0.0) for kind in FUNCTION_SHARES]
        self.generator = generator
        self.device = generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw from the uniform distribution."""
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def integer(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw integers from `low` to `high`, both included."""
        return torch.randint(low, high + 1, shape, generator=self.generator, device=self.device)

    def choose(self, options: Sequence[int], weights: Sequence[float] | None = None) -> int:
        """Draw one of the options."""
        chances = torch.tensor(weights or [1.0] * len(options), dtype=torch.float32)
        return options[int(torch.multinomial(chances.to(self.device), 1, generator=self.generator))]

    def inputs(self, B: int, N: int, d: int) -> Tensor:
        """Draw inputs as real tables have them, of shape (B, N, d), not yet standardised.

        Items are normal or uniform, correlated or not; features are left alone,
        skewed, rounded to a few levels or made binary.
        """
        normal = self.normal(B, N, d)
        mixing = self.normal(B, d, d) * self.uniform(B, 1, 1) ** 2 / math.sqrt(d)
        mixing = mixing + torch.eye(d, device=self.device)
        X = torch.where(self.uniform(B, 1, 1) < 0.5, normal, 2 * torch.erf(normal / math.sqrt(2)))
        X = torch.where(self.uniform(B, 1, 1) < 0.5, X @ mixing, X)
        X = X / X.std(1, keepdim=True).clamp(min=1e-3)
        skewed = torch.exp(X * self.uniform(B, 1, d, low=0.3, high=1.0))
        levels = self.uniform(B, 1, d, low=0.7, high=3.0)
        kind = self.uniform(B, 1, d)
        plain = self.uniform(B, 1, 1) < 0.4  # whole tables without odd columns
        X = torch.where((kind > 0.70) & ~plain, skewed, X)
        X = torch.where((kind > 0.82) & ~plain, (X * levels).round(), X)
        return torch.where((kind > 0.92) & ~plain, (X > levels - 1.5).to(X.dtype), X)

    def networks(
        self,
        B: int,
        depths: Sequence[int],
        d: int,
        H: int,
        k: int,
        family: str | None = None,
    ) -> SoftNetwork:
        """Draw networks with pure activations, B of each depth (ascending).

        Each layer has 1 to H neurons; a share of the weights is absent. `family` is
        the activation of all neurons, or "mixed" for one per neuron; None draws one
        activation throughout for half of the networks, and mixed ones.
        """
        C, L, A = B * len(depths), max(depths), len(ACTIVATION_NAMES)
        sizes = self.integer(1, H, C, L)
        exists = (torch.arange(H, device=self.device) < sizes[..., None]).float()  # (C, L, H)
        sparsity = torch.tensor(SPARSITIES, device=self.device)[
            self.integer(0, len(SPARSITIES) - 1, C)
        ]
        gain = torch.exp(self.uniform(C, 1, 1, high=math.log(4.0)))

        def weights(source: Tensor, n_out: int) -> Tensor:  # source (C, n_in): which exist
            n_in = source.shape[1]
            present = (self.uniform(C, n_in, n_out) > sparsity[:, None, None]).float()
            always = F.one_hot(  # one weight per target, so that few are cut off
                (self.uniform(C, n_out, n_in) * source[:, None]).argmax(-1), n_in
            ).float()
            present = torch.maximum(present, always.mT) * source[..., None]
            return self.normal(C, n_in, n_out) * present / present.sum(1, keepdim=True).sqrt()

        features = torch.ones(C, d, device=self.device)
        pairs = [
            weights(exists[:, layer], H) * exists[:, layer + 1, None] * gain
            for layer in range(L - 1)
        ]
        any_activation = self.integer(0, A - 1, C, L, H)
        one_activation = self.integer(0, A - 1, C, 1, 1).expand(-1, L, H)
        mixed = self.uniform(C, 1, 1) < {None: 0.5, "mixed": 1.0}.get(family, 0.0)
        if family in ACTIVATION_NAMES:
            one_activation = torch.full_like(one_activation, ACTIVATION_NAMES.index(family))
        last = torch.tensor([depth - 1 for depth in depths for _ in range(B)], device=self.device)
        network = SoftNetwork(
            w_in=weights(features, H) * exists[:, 0, None] * gain,
            w_hidden=torch.stack(pairs, 1) if pairs else features.new_zeros(C, 0, H, H),
            w_out=weights(exists[torch.arange(C, device=self.device), last], k),
            b_hidden=0.7 * self.normal(C, L, H) * exists,
            b_out=0.5 * self.normal(C, k),
            depths=tuple(depth for depth in depths for _ in range(B)),
            mixture=F.one_hot(torch.where(mixed, any_activation, one_activation), A).float(),
            gates=exists,
        )
        return network

    def perturb(self, networks: SoftNetwork) -> SoftNetwork:
        """Multiply weights and biases by noise, from nearly nothing to unlike."""
        low, high = map(math.log, PERTURBATIONS)
        size = torch.exp(self.uniform(len(networks.depths), low=low, high=high))
        noisy: dict[str, Any] = {}
        for name in ("w_in", "w_hidden", "w_out", "b_hidden"):
            tensor = getattr(networks, name)
            noise = self.normal(*tensor.shape)
            noisy[name] = tensor * (1 + per_candidate(size, tensor) * noise)
        return replace(networks, **noisy)

    def functions(self, X: Tensor, k: int) -> Tensor:
        """Draw random functions and evaluate them.

        Networks, smooth functions (random Fourier features), additive and
        stepped ones, and sparse polynomials, each of a few relevant features.

        Parameters
        ----------
        X : Tensor of shape (B, N, d), standardised
        k : int

        Returns
        -------
        Tensor of shape (B, N, k), standardised over the rows, within 4 deviations
        """
        B, N, d = X.shape
        chance = self.uniform(B, 1, 1) if d > 3 else torch.ones(B, 1, 1, device=self.device)
        is_relevant = (self.uniform(B, 1, d) < (3.0 / d + chance)).float()
        first = F.one_hot(self.integer(0, d - 1, B, 1), d).float()
        is_relevant = torch.maximum(is_relevant, first)
        Xr = X * is_relevant
        n_relevant = is_relevant.sum(2, keepdim=True)

        pieces = [
            self.networks(math.ceil(B / 3), (1, 2, 3), d, 12, k)(_cycle(Xr, 3))[:B],
            self._smooth(Xr, n_relevant, k),
            self._additive(X, is_relevant, k),
            self._polynomial(X, is_relevant, k),
            Xr @ self.normal(B, d, k),
        ]
        pieces = [_standardise(piece) for piece in pieces]
        weights = torch.tensor(self.function_shares, device=self.device)
        kind = torch.multinomial(weights, B, replacement=True, generator=self.generator)
        y = torch.stack(pieces)[kind, torch.arange(B, device=self.device)]
        # A third of the functions are sums of two kinds: tables rarely follow one.
        second = torch.multinomial(weights, B, replacement=True, generator=self.generator)
        other = torch.stack(pieces)[second, torch.arange(B, device=self.device)]
        share = self.uniform(B, 1, 1) * (self.uniform(B, 1, 1) < 0.33)
        return _standardise(y + share * other).clamp(-4, 4)

    def _smooth(self, Xr: Tensor, n_relevant: Tensor, k: int) -> Tensor:
        B, _, d = Xr.shape
        scale = 1.4 * torch.exp(self.uniform(B, 1, 1, low=-1.5, high=0.6)) / n_relevant.sqrt()
        relevance = torch.exp(0.5 * self.normal(B, d, 1))  # some features count more
        phase = self.uniform(B, 1, 48, high=2 * math.pi)
        features = torch.cos(Xr @ (self.normal(B, d, 48) * scale * relevance) + phase)
        return features @ self.normal(B, 48, k)

    def _additive(self, X: Tensor, is_relevant: Tensor, k: int) -> Tensor:
        B, _, d = X.shape
        is_step = (self.uniform(B, 1, d) < 0.5).float()
        y = X.new_zeros(B, X.shape[1], k)
        for _ in range(3):  # steps and bends per feature
            at, slope = self.normal(B, 1, d), torch.exp(self.normal(B, 1, d))
            bend = torch.where(is_step > 0, (X > at).float(), torch.tanh((X - at) * slope))
            y = y + (bend * is_relevant) @ self.normal(B, d, k)
        pair = (X @ self.normal(B, d, 1) * 0.5 > self.normal(B, 1, 1)).float()
        return y + pair * self.normal(B, 1, k) * (self.uniform(B, 1, 1) < 0.3)

    def _polynomial(self, X: Tensor, is_relevant: Tensor, k: int) -> Tensor:
        B, N, d = X.shape
        chosen = torch.multinomial(
            is_relevant[:, 0] + 1e-6, 3, replacement=True, generator=self.generator
        )
        a, b, c = X.gather(2, chosen[:, None].expand(-1, N, -1)).unbind(-1)
        terms = torch.stack([a, b, a * b, a * a, b * c, a * b * c, torch.sin(2 * c)], -1)
        return terms @ (self.normal(B, 7, k) * (self.uniform(B, 7, k) < 0.6))

    def regression(self, B: int, n_context: int, n_fresh: int, d: int, k: int) -> Rows:
        """Draw regression data; the context's targets carry noise."""
        X = _standardise_by(self.inputs(B, n_context + n_fresh, d), n_context).clamp(-6, 6)
        clean = self.functions(X, k)
        y = clean.clone()
        noise = 0.8 * self.uniform(B, 1, 1) ** 2
        y[:, :n_context] += noise * self.normal(B, n_context, k)
        mean, deviation = _moments(y[:, :n_context])
        y = (y - mean) / deviation
        zeros = torch.zeros(B, k, device=self.device)
        return Rows(X, y, y, zeros, zeros + 1, n_context, "squared_error")

    def classification(self, B: int, n_context: int, n_fresh: int, d: int, k: int) -> Rows:
        """Draw class labels: two classes (k = 1), or k classes of one-hot targets."""
        X = _standardise_by(self.inputs(B, n_context + n_fresh, d), n_context).clamp(-6, 6)
        certainty = torch.exp(self.uniform(B, 1, 1, low=0.0, high=2.5))
        scores = self.functions(X, k) * certainty + self.normal(B, 1, k)
        if k == 1:
            target = (self.uniform(*scores.shape) < scores.sigmoid()).float()
        else:
            gumbel = -torch.log(-torch.log(self.uniform(*scores.shape).clamp(1e-6, 1 - 1e-6)))
            target = F.one_hot((scores + gumbel).argmax(-1), k).float()
        share = target[:, :n_context].mean(1).clamp(0.5 / n_context, 1 - 0.5 / n_context)
        deviation = (share * (1 - share)).sqrt()
        return Rows(
            X=X,
            target=target,
            y=(target - share[:, None]) / deviation[:, None],
            shift=share.logit() if k == 1 else share.log(),
            scale=1 / deviation,
            n_context=n_context,
            loss="logistic" if k == 1 else "softmax",
        )


def _cycle(X: Tensor, n_groups: int) -> Tensor:
    """Pad the batch to a multiple of `n_groups`, repeating the first items."""
    missing = -len(X) % n_groups
    return torch.cat([X, X[:missing]]) if missing else X


def _moments(y: Tensor) -> tuple[Tensor, Tensor]:
    return y.mean(1, keepdim=True), y.std(1, keepdim=True, correction=0).clamp(min=1e-2)


def _standardise(y: Tensor) -> Tensor:
    mean, deviation = _moments(y)
    return (y - mean) / deviation


def _standardise_by(X: Tensor, n_context: int) -> Tensor:
    mean, deviation = _moments(X[:, :n_context])
    return (X - mean) / deviation

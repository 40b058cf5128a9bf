"""Output layers that fit best on top of given hidden layers: convex problems, many at once.

Ridge regression for a squared error, penalised logistic or multinomial regression for
classes; the penalty is chosen per network by the leave-one-out loss, exact for the
former and to first order [1]_ for the latter.

Shapes: C networks, P penalties, N rows, H slots, k outputs.

References
----------
.. [1] K. Rad, A. Maleki, "A scalable estimate of the out-of-sample prediction error via
   approximate leave-one-out cross-validation", JRSS B 82, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ._objective import row_losses
from ._soft_network import SoftNetwork

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # beside hidden variances of the order of 1
LARGEST_LEVERAGE = 0.95  # beyond it a left-out row is anybody's guess
STEPS = 20  # of accelerated gradient descent on the log-loss, from the ridge regression
# Upper bounds of a log-loss's curvature by one raw output.
CURVATURE_BOUNDS = {"logistic": 0.25, "softmax": 0.5}


@dataclass(frozen=True)
class _Problem:
    """Hidden layers in coordinates in which they are uncorrelated.

    Attributes
    ----------
    rotated : Tensor of shape (C, N, H), centred
    variances : Tensor of shape (C, H)
        Of its columns.
    share : Tensor of shape (N, 1)
        Row weights that sum to 1.
    penalties : Tensor of shape (P,)
    """

    rotated: Tensor
    variances: Tensor
    share: Tensor
    penalties: Tensor


def read_out(
    network: SoftNetwork, X: Tensor, target: Tensor, weight: Tensor, loss_name: str
) -> tuple[Tensor, Tensor]:
    """Solve for the output layers of networks, their hidden layers as they are.

    Parameters
    ----------
    network : SoftNetwork of C candidates
    X : Tensor of shape (N, d), standardised
    target : Tensor of shape (N, k)
        Standardised numbers, or 0/1 labels.
    weight : Tensor of shape (N,)
    loss_name : {"squared_error", "logistic", "softmax"}

    Returns
    -------
    w_out : Tensor of shape (C, H, k)
    b_out : Tensor of shape (C, k)
        Of raw outputs.
    """
    share = (weight / weight.sum()).double()[:, None]
    hidden, target = network.last_hidden(X).double(), target.double()  # (C, N, H)
    hidden = hidden.nan_to_num(0.0, 0.0, 0.0)  # an overflow must not stop the other networks
    mean = (share * hidden).sum(1, keepdim=True)
    centred = hidden - mean
    weighted = centred * share.sqrt()
    variances, vectors = torch.linalg.eigh(weighted.mT @ weighted)
    problem = _Problem(
        centred @ vectors,
        variances.clamp(min=0),
        share,
        torch.tensor(PENALTIES, dtype=hidden.dtype, device=hidden.device),
    )
    if loss_name == "squared_error":
        weights, bias, left_out = _ridge(problem, target)
    else:
        weights, bias, left_out = _logistic(problem, target, loss_name)
    best = left_out.nan_to_num(torch.inf).argmin(1)
    chosen = torch.arange(len(best), device=best.device), best
    w_out = vectors @ weights[chosen]
    b_out = bias[chosen] - (mean @ w_out)[:, 0]
    return w_out.to(X.dtype), b_out.to(X.dtype)


def _ridge(problem: _Problem, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights (C, P, H, k), biases (C, P, k) and leave-one-out losses (C, P)."""
    rotated, share = problem.rotated, problem.share
    y_mean = (share * y).sum(0)
    shrinkage = 1 / (problem.variances[:, None] + problem.penalties[:, None])  # (C, P, H)
    weights = shrinkage[..., None] * ((share * rotated).mT @ (y - y_mean))[:, None]
    leverage = share * (1 + rotated.square() @ shrinkage.mT)  # (C, N, P)
    residual = y - y_mean - rotated[:, None] @ weights  # (C, P, N, k)
    left_out = residual / (1 - leverage.mT.clamp(max=LARGEST_LEVERAGE))[..., None]
    bias = y_mean.expand(*weights.shape[:2], -1)
    return weights, bias, (share * left_out.square()).sum((2, 3))


def _logistic(problem: _Problem, labels: Tensor, loss_name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same of regressions by log-loss.

    They begin at the ridge regressions of the labels, which are Newton's first step
    from the constant. Gradients are preconditioned by a bound of the curvature, which
    is diagonal in these coordinates, so that every step is safe; with Nesterov's momentum.
    """
    rotated, share = problem.rotated, problem.share[..., None]  # (C, N, H), (N, 1, 1)
    (C, N, H), P, k = rotated.shape, len(PENALTIES), labels.shape[1]
    bound = CURVATURE_BOUNDS[loss_name]
    penalties = bound * problem.penalties[:, None]  # (P, 1)
    scale = 1 / (bound * problem.variances[..., None, None] + penalties)  # (C, H, P, 1)
    rate = (problem.share * labels).sum(0).clamp(1e-3, 1 - 1e-3)
    constant = rate.logit() if loss_name == "logistic" else rate.log()
    weights = _ridge(problem, labels)[0].movedim(1, 2) / (rate * (1 - rate))  # (C, H, P, k)
    at_weights, bias = weights, constant.expand(C, P, k)
    at_bias, labels = bias, labels[:, None]  # (N, 1, k)

    def raw_outputs(weights: Tensor, bias: Tensor) -> Tensor:
        return (rotated @ weights.flatten(2)).view(C, N, P, k) + bias[:, None]

    for step in range(STEPS):
        error = share * (labels - _probabilities(raw_outputs(at_weights, at_bias), loss_name))
        ascent = (rotated.mT @ error.flatten(2)).view(C, H, P, k) - penalties * at_weights
        before, bias_before = weights, bias
        weights = at_weights + scale * ascent
        bias = at_bias + error.sum(1) / bound
        momentum = step / (step + 3)
        at_weights = weights + momentum * (weights - before)
        at_bias = bias + momentum * (bias - bias_before)

    left_out = torch.stack(
        [
            _left_out_losses(one, raw, labels[:, 0], problem.share, penalties, loss_name)
            for one, raw in zip(rotated, raw_outputs(weights, bias), strict=True)
        ]
    )
    return weights.movedim(2, 1), bias, left_out


def _left_out_losses(
    rotated: Tensor, raw: Tensor, labels: Tensor, share: Tensor, penalties: Tensor, loss_name: str
) -> Tensor:
    """Return the approximate leave-one-out log-losses (P,) of one network's regressions.

    Parameters
    ----------
    rotated : Tensor of shape (N, H)
    raw : Tensor of shape (N, P, k)
    labels : Tensor of shape (N, k)
    share : Tensor of shape (N, 1)
    penalties : Tensor of shape (P, 1)
    loss_name : {"logistic", "softmax"}
    """
    (N, P, k), H = raw.shape, rotated.shape[1]
    p, share = _probabilities(raw, loss_name), share[..., None]
    curvature = share * p * (1 - p)  # of each output by itself
    inputs = torch.cat([rotated, rotated.new_ones(N, 1)], 1)
    pairs = (inputs[:, :, None] * inputs[:, None]).flatten(1)  # (N, (H + 1)^2)
    matrix = (curvature.flatten(1).mT @ pairs).view(P, k, H + 1, H + 1)
    on_diagonal = torch.cat([penalties.expand(P, H), torch.full_like(penalties, 1e-9)], 1)
    matrix = matrix + torch.diag_embed(on_diagonal)[:, None]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky_ex(matrix).L)
    leverage = (pairs @ inverse.reshape(P * k, -1).mT).view(N, P, k)
    slack = 1 - (leverage * curvature).clamp(max=LARGEST_LEVERAGE)
    left_out = raw + leverage * share * (p - labels[:, None]) / slack
    return row_losses(loss_name, left_out.movedim(1, 0), labels) @ share[:, 0, 0]


def _probabilities(raw: Tensor, loss_name: str) -> Tensor:
    if loss_name == "logistic":
        return raw.sigmoid()
    powers = (raw - raw.amax(-1, keepdim=True)).exp()  # several times as fast as torch's softmax
    return powers / powers.sum(-1, keepdim=True)

"""Data losses on raw outputs, in NumPy: value, gradient, best constant and curvature.

Raw outputs are what a network computes before its output activation, shape
``(n, k)``. Row weights enter as shares of their sum, so that multiplying all of
them by a number changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit, softmax

Array = NDArray[np.float64]

PRECISION = 3.0  # of the normal prior on weights, beside standardised inputs and targets
# The normalised loss below which that prior weakens no further for labels: being told apart
# on some rows is no proof that they always can be, and the answer would be probabilities of 0.
LEAST_VALUE = 0.1

# A class or label share is kept this far from 0 and 1 in the best constant: its raw
# output stays within about +-23, where neither exp nor a later gradient overflows.
_SMALLEST_SHARE = 1e-10


def _shares(weight: Array) -> Array:
    """Row weights (n,) as shares that sum to one."""
    return weight / _total(weight)


def _total(weight: Array) -> float:
    total = float(weight.sum())
    if not (np.isfinite(total) and total > 0):
        raise ValueError(
            f"the row weights sum to {total}, but must sum to a positive number: "
            "pass at least one row with a positive finite weight"
        )
    return total


def _class_shares(target: Array, weight: Array) -> Array:
    """Shares (k,) of the labels: of whole weights sums are exact, and equal counts stay equal."""
    return np.asarray(weight @ target / _total(weight))


class Loss(ABC):
    """A data loss of raw outputs against targets, averaged over rows and outputs.

    The base class holds what all losses share; the three losses of this module
    differ in the loss of one row and in its first two derivatives.

    Attributes
    ----------
    name : str
        The name under which `LOSSES` holds the loss.
    out_activation : str
        The output activation that belongs to it, by scikit-learn's name.
    dispersion : float
        Half the loss's ratio to a negative log likelihood, where it is that of a constant.
    """

    name: str
    out_activation: str
    dispersion: float = 0.5

    def value(self, raw: Array, target: Array, weight: Array) -> float:
        """Weighted mean over the rows of the loss of a row.

        Parameters
        ----------
        raw : ndarray of shape (n, k)
            Outputs before the output activation.
        target : ndarray of shape (n, k)
            Standardised values, 0/1 labels or one-hot rows, or probabilities to be
            reproduced in their place.
        weight : ndarray of shape (n,)
            Non-negative row weights of any positive sum.

        Returns
        -------
        float
        """
        return self.on(target, weight).value(raw)

    def on(self, target: Array, weight: Array) -> LossOnRows:
        """Return the loss of certain rows, for calls in which raw outputs alone change."""
        entropy = None if self.has_labels(target) else self.entropy(target)
        return LossOnRows(self, target, _shares(weight), entropy)

    def standard_error(
        self, raw: Array, target: Array, weight: Array, weight_per_draw: Array | None = None
    ) -> float:
        """Estimate the standard error of `value` over the rows.

        Rows count as independent draws whose weights are given. A row of weight 2 has
        the influence of two rows, but is one draw unless told otherwise.

        Parameters
        ----------
        raw, target : ndarray of shape (n, k)
        weight : ndarray of shape (n,)
            As for `value`.
        weight_per_draw : ndarray of shape (n,), optional
            Of each of the draws that a row stands for, all alike.

        Returns
        -------
        float
            With equal weights ``std(ddof=1) / sqrt(n)`` of the losses of the rows;
            NaN if no more than one row counts.

        Examples
        --------
        >>> import numpy as np
        >>> raw, target = np.array([[1.0], [2.0], [3.0]]), np.zeros((3, 1))
        >>> losses = np.array([1.0, 4.0, 9.0])
        >>> error = LOSSES["squared_error"].standard_error(raw, target, np.ones(3))
        >>> bool(np.isclose(error, losses.std(ddof=1) / np.sqrt(3)))
        True
        """
        on_rows = self.on(target, weight)
        shares = on_rows.shares
        each = shares if weight_per_draw is None else weight_per_draw / float(weight.sum())
        if not shares @ each < 1:  # a single draw
            return float("nan")
        losses = on_rows.row_losses(raw)
        deviation = losses - shares @ losses
        return float(np.sqrt((shares * deviation) @ (each * deviation) / (1 - shares @ each)))

    def entropy(self, target: Array) -> Array:
        """Return the entropy of every row's target, (n,): 0 unless it is a probability."""
        return np.zeros(len(target))

    @abstractmethod
    def constant(self, target: Array, weight: Array) -> Array:
        """Return the raw outputs (k,) of the best constant predictor."""

    def constant_loss(self, target: Array, weight: Array) -> float:
        """Return the loss of the best constant predictor; 0 if the targets are constant."""
        raw = np.broadcast_to(self.constant(target, weight), target.shape)
        return self.value(raw, target, weight)

    def prior_strength(
        self, value: float, target: Array, n_draws: float, precision: float = PRECISION
    ) -> float:
        """Return the penalty on squared weights that a normal prior amounts to.

        Up to a factor, it makes the penalised loss a negative log posterior. The
        likelihood of a squared error has a variance, the mean squared error: a prior that
        ignored it would bias the networks of targets without noise. Log-losses are taken
        alike, so that classes which can be told apart get probabilities that say so.

        Parameters
        ----------
        value : float
            An estimate of the normalised loss on new rows.
        target : ndarray of shape (n, k)
            Of the rows that the loss is the mean of.
        n_draws : float
            Independent draws that they are worth, n.
        precision : float, default=3.0
            Of the prior.

        Returns
        -------
        float
            ``precision * dispersion * value / (n k)``; without the k where outputs are not
            averaged.
        """
        if self.has_labels(target):  # probabilities may be told exactly
            value = max(value, LEAST_VALUE)
        n_terms = n_draws * self.n_averaged(target)
        return precision * self.dispersion * value / n_terms

    def n_averaged(self, target: Array) -> int:
        """Return the number of outputs that the loss is the mean over."""
        return target.shape[1]

    def has_labels(self, target: Array) -> bool:
        """Tell 0/1 labels, which have no entropy, from probabilities and other numbers."""
        return not (target * (1 - target)).any()

    @abstractmethod
    def _row_losses(self, raw: Array, target: Array) -> Array:
        """Losses of the rows, (n,), the entropies of their targets included."""

    @abstractmethod
    def _row_gradients(self, raw: Array, target: Array) -> Array:
        """Gradients of the losses of the rows, (n, k)."""

    @abstractmethod
    def _row_factors(self, raw: Array) -> Array:
        """Factors of the second derivatives of the losses of the rows, (k, n, k)."""


@dataclass(frozen=True, eq=False)
class LossOnRows:
    """A loss of certain rows, with what does not change from call to call computed once.

    Attributes
    ----------
    loss : Loss
    target : ndarray of shape (n, k)
    shares : ndarray of shape (n,)
        The weight of every row, summing to one.
    entropy : ndarray of shape (n,) or None
        Of every row's target; None where it is nothing.
    """

    loss: Loss
    target: Array
    shares: Array
    entropy: Array | None

    def row_losses(self, raw: Array) -> Array:
        """Return the loss of every row, (n,): of probabilities, the divergence from them."""
        losses = self.loss._row_losses(raw, self.target)
        return losses if self.entropy is None else losses - self.entropy

    def value(self, raw: Array) -> float:
        """Return the mean of the losses of the rows, see `Loss.value`."""
        return float(self.shares @ self.row_losses(raw))

    def gradient(self, raw: Array) -> Array:
        """Return the gradient of `value` by the raw outputs, shape (n, k)."""
        return self.loss._row_gradients(raw, self.target) * self.shares[:, None]

    def curvature_factor(self, raw: Array) -> Array:
        """Return a square root of the loss's curvature by the raw outputs.

        The factor `F` satisfies ``sum_r F[r, i, :, None] * F[r, i, None, :] ==
        share_i * (second derivative of the loss of row i)``. For all three losses
        that second derivative does not depend on the target, so it is the exact
        Fisher information of the row as well: nothing is sampled.

        Parameters
        ----------
        raw : ndarray of shape (n, k)
            Outputs before the output activation.

        Returns
        -------
        ndarray of shape (k, n, k)
            The factor; its first axis counts the terms of the sum.
        """
        return self.loss._row_factors(raw) * np.sqrt(self.shares)[:, None]


def _diagonal_factors(roots: Array) -> Array:
    """Factors (k, n, k) of diagonal second derivatives with square roots (n, k)."""
    k = roots.shape[1]
    return np.eye(k)[:, None, :] * roots[None, :, :]


class SquaredError(Loss):
    """Mean over outputs of ``(raw - target) ** 2``, for standardised targets."""

    name = "squared_error"
    out_activation = "identity"
    dispersion = 1.0

    def has_labels(self, target: Array) -> bool:
        """Return False: these are numbers."""
        return False

    def on(self, target: Array, weight: Array) -> LossOnRows:
        """Return the loss of certain rows; numbers have no entropy."""
        return LossOnRows(self, target, _shares(weight), None)

    def constant(self, target: Array, weight: Array) -> Array:
        """Return the weighted mean of every output."""
        return np.asarray(_shares(weight) @ target)

    def _row_losses(self, raw: Array, target: Array) -> Array:
        error = raw - target
        return np.einsum("ij,ij->i", error, error) / raw.shape[1]

    def _row_gradients(self, raw: Array, target: Array) -> Array:
        return (raw - target) * (2 / raw.shape[1])

    def _row_factors(self, raw: Array) -> Array:
        return _diagonal_factors(np.full_like(raw, np.sqrt(2 / raw.shape[1])))


class LogisticLoss(Loss):
    """Mean over outputs of the log-loss of independent 0/1 labels.

    Of probabilities, the divergence from them: the log-loss less their entropy.
    """

    name = "logistic"
    out_activation = "logistic"

    def entropy(self, target: Array) -> Array:
        """Return the mean over outputs of the entropies."""
        return np.asarray((entr(target) + entr(1 - target)).mean(axis=1))

    def constant(self, target: Array, weight: Array) -> Array:
        """Return the log-odds of every label, clipped."""
        share = _class_shares(target, weight)
        share = np.clip(share, _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
        return np.asarray(np.log(share) - np.log1p(-share))

    def _row_losses(self, raw: Array, target: Array) -> Array:
        # Four times as fast as NumPy's logaddexp.
        losses = np.maximum(raw, 0.0) + np.log1p(np.exp(-np.abs(raw))) - target * raw
        return losses[:, 0] if raw.shape[1] == 1 else np.asarray(losses.mean(axis=1))

    def _row_gradients(self, raw: Array, target: Array) -> Array:
        return (expit(raw) - target) / raw.shape[1]

    def _row_factors(self, raw: Array) -> Array:
        # expit(-z) is 1 - expit(z) without cancellation where expit(z) rounds to 1
        return _diagonal_factors(np.sqrt(expit(raw) * expit(-raw) / raw.shape[1]))


class SoftmaxLoss(Loss):
    """Log-loss of one class of several, for one-hot targets.

    Of probabilities, the divergence from them: the log-loss less their entropy.
    """

    name = "softmax"
    out_activation = "softmax"

    def n_averaged(self, target: Array) -> int:
        """Return 1: it is a sum over the classes."""
        return 1

    def entropy(self, target: Array) -> Array:
        """Return the entropy over the classes."""
        return np.asarray(entr(target).sum(axis=1))

    def constant(self, target: Array, weight: Array) -> Array:
        """Return the logarithms of the class shares, clipped below."""
        return np.asarray(np.log(np.maximum(_class_shares(target, weight), _SMALLEST_SHARE)))

    def _row_losses(self, raw: Array, target: Array) -> Array:
        # SciPy's logsumexp, five times as fast: pruning calls this ten thousand times.
        highest = raw.max(axis=1)
        total = np.log(np.exp(raw - highest[:, None]).sum(axis=1)) + highest
        return np.asarray(total - np.einsum("ij,ij->i", raw, target))

    def _row_gradients(self, raw: Array, target: Array) -> Array:
        return np.asarray(softmax(raw, axis=1) - target)

    def _row_factors(self, raw: Array) -> Array:
        # (diag(s) - p s^T) (diag(s) - p s^T)^T = diag(p) - p p^T  with  s = sqrt(p)
        p = softmax(raw, axis=1)
        s = np.sqrt(p)
        return np.asarray(_diagonal_factors(s) - p[None, :, :] * s.T[:, :, None])


LOSSES: dict[str, Loss] = {
    loss.name: loss for loss in (SquaredError(), LogisticLoss(), SoftmaxLoss())
}


def normalised_loss(
    loss: Loss, raw: Array, target: Array, weight: Array, reference: float
) -> float:
    """Return the data loss divided by the loss of the best constant predictor.

    Parameters
    ----------
    loss : Loss
        One of `LOSSES`.
    raw, target : ndarray of shape (n, k)
        Outputs before the output activation, and targets.
    weight : ndarray of shape (n,)
        Non-negative row weights of any positive sum.
    reference : float
        ``loss.constant_loss(target, weight)`` on the rows that define the scale,
        as a rule the training rows.

    Returns
    -------
    float
        0 for a perfect network, 1 for one that is as good as a constant.

    Raises
    ------
    ValueError
        If `reference` is not positive: the targets are constant, and a network of
        output biases alone is the answer.

    Examples
    --------
    >>> import numpy as np
    >>> loss = LOSSES["squared_error"]
    >>> target, weight = np.array([[-1.0], [1.0]]), np.ones(2)
    >>> reference = loss.constant_loss(target, weight)
    >>> normalised_loss(loss, np.array([[-0.5], [0.5]]), target, weight, reference)
    0.25
    """
    if not reference > 0:
        raise ValueError(
            f"the loss of the best constant predictor must be positive, got {reference}: "
            "constant targets need no network but their constant"
        )
    return loss.value(raw, target, weight) / reference

"""What training rows say of a network that has not seen them.

Few validation rows choose badly among hundreds of networks: the best of them was lucky. Of
training rows there are more, and one Newton step tells what a network would say of each if it
had been fitted to the others [1]_. The rows of both kinds together say what to expect of new
ones.

References
----------
.. [1] L. Hansen, J. Larsen, "Linear unlearning for cross-validation", Advances in
   Computational Mathematics 5, 1996.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._losses import Loss, normalised_loss
from ._penalised_loss import CURVATURE_PAIRS, Curvature, Objective
from ._rows import Rows

Array = NDArray[np.float64]

# Training rows times outputs up to which rows are left out: validation rows that are a quarter as
# many are enough on their own. The curvature takes all rows up to there, as leaving them out needs.
MOST_TARGETS = CURVATURE_PAIRS
# The matrix that leaving out inverts has a line per weight or per target, whichever are fewer, and
# at most so many: more than there are weights in what a descent finds on ten features.
LARGEST_MATRIX = 1000
RIDGE = 1e-8  # share of the largest curvature that is added for an inversion


def can_leave_out(rows: Rows, loss: Loss, n_weights: int) -> bool:
    """Tell whether rows can be left out of a network of so many weights.

    Of log-losses the step gains nothing: it is far from what a refit does where classes
    are all but certain.
    """
    if not rows.may_be_left_out:
        return False
    n_targets = rows.target.size
    is_cheap = (
        min(n_targets, n_weights) <= LARGEST_MATRIX
        and n_targets * n_weights <= MOST_TARGETS * LARGEST_MATRIX
    )
    return loss.name == "squared_error" and n_targets <= MOST_TARGETS and is_cheap


def leave_one_out(
    objective: Objective, curvature: Curvature, inverse: Array | None = None
) -> Array:
    """Return the outputs on every row of the network that was fitted to the others.

    Parameters
    ----------
    objective : Objective
        Of a squared error.
    curvature : Curvature
        About where `objective` is lowest, by all rows.
    inverse : ndarray of shape (p, p), optional
        Of its matrix. What is added to it for its inversion has to be little
        beside the penalty: where that is none, left-out rows seem to matter less.
        Without it, a matrix of rows is inverted in its place, which takes less time
        where there are more weights than targets.

    Returns
    -------
    ndarray of shape (n, k)
        Infinite where all depends on one row.
    """
    error = curvature.forward.raw.T - objective.target
    unit = np.eye(error.shape[1])
    try:
        left = _left_by_rows(curvature) if inverse is None else unit - _leverage(curvature, inverse)
        if objective.draws is not None:  # one of several is left out
            left = unit - (unit - left) / objective.draws[:, None, None]
        unseen = np.linalg.solve(left, error[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        return np.full_like(error, np.inf)
    return np.asarray(objective.target + unseen)


def leave_one_out_of_constant(constant: Array, rows: Rows, loss: Loss) -> Array | None:
    """Return for every row the best constant of the others.

    Without it, one training target that lies far off would speak against all networks but a
    constant.

    Parameters
    ----------
    constant : ndarray of shape (k,)
        The best one of all rows.
    rows : Rows
    loss : Loss

    Returns
    -------
    ndarray of shape (n, k) or None
        None where rows are not left out of networks either, or there is one only.
    """
    if not can_leave_out(rows, loss, constant.size):
        return None
    left = 1 - rows.weight_per_draw / rows.weight.sum()
    if not left.all():
        return None
    return np.asarray(rows.target + (constant - rows.target) / left[:, None])


def _leverage(curvature: Curvature, inverse: Array) -> Array:
    """Return how much the outputs on every row follow its own targets, (n, k, k)."""
    factors = curvature.factors
    p, k, n = factors.shape
    moved = (inverse @ factors.reshape(p, -1)).reshape(p, k, n)
    return np.asarray(factors.transpose(2, 1, 0) @ moved.transpose(2, 0, 1))


def _left_by_rows(curvature: Curvature) -> Array:
    """Return the unit matrix less the leverage, (n, k, k).

    With factors G and a penalty whose second derivative is D, that is a diagonal block of
    ``(I + G^T D^-1 G)^-1``, by Woodbury's identity.
    """
    p, k, n = curvature.factors.shape
    lines = curvature.factors.reshape(p, -1)
    diagonal = 2 * curvature.penalty
    diagonal += RIDGE * (np.einsum("ij,ij->i", lines, lines) + diagonal).max()
    inverse = np.linalg.inv(np.eye(k * n) + lines.T @ (lines / diagonal[:, None]))
    return np.asarray(np.einsum("aibi->iab", inverse.reshape(k, n, k, n)))


def expected_loss(
    validation_loss: float,
    left_out: Array | None,
    train: Rows,
    validation: Rows,
    loss: Loss,
    reference: float,
) -> float:
    """Return the loss that is to be expected on new rows.

    Parameters
    ----------
    validation_loss : float
        Normalised, on the validation rows.
    left_out : ndarray of shape (n_train, k), optional
        See `leave_one_out`. Without it the validation rows alone are asked.
    train, validation : Rows
    loss : Loss
    reference : float
        What losses are divided by.

    Returns
    -------
    float
        The mean over all rows, training rows as left out; `validation_loss` where that is
        higher: both verdicts have to be good. Infinite if the former is not finite.
    """
    if left_out is None:
        return validation_loss
    left_out_loss = normalised_loss(loss, left_out, train.target, train.weight, reference)
    n_train, n_validation = train.weight.sum(), validation.weight.sum()
    mean = (n_train * left_out_loss + n_validation * validation_loss) / (n_train + n_validation)
    return max(validation_loss, float(mean)) if np.isfinite(mean) else np.inf

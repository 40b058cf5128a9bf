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
from ._refinement import CURVATURE_PAIRS, Curvature, Objective, Rows

Array = NDArray[np.float64]

# Training rows times outputs up to which rows are left out: validation rows that are a quarter as
# many are enough on their own. The curvature takes all rows up to there, as leaving them out needs.
MOST_TARGETS = CURVATURE_PAIRS
# Of networks that rows are left out of: more than those have that a descent finds on ten features
# with the default width. The cost is that of inverting the curvature.
MOST_WEIGHTS = 1000


def most_weights(rows: Rows, loss: Loss) -> int:
    """Return how many weights a network may have for rows to be left out of it; 0 for none.

    Of log-losses the step gains nothing: it is far from what a refit does where classes
    are all but certain.
    """
    is_few = loss.name == "squared_error" and rows.target.size <= MOST_TARGETS
    return MOST_WEIGHTS if is_few else 0


def leave_one_out(objective: Objective, curvature: Curvature, inverse: Array) -> Array:
    """Return the outputs on every row of the network that was fitted to the others.

    Parameters
    ----------
    objective : Objective
        Of a squared error.
    curvature : Curvature
        About where `objective` is lowest, by all rows.
    inverse : ndarray of shape (p, p)
        Of its matrix. What is added to it for its inversion has to be little
        beside the penalty: where that is none, left-out rows seem to matter less.

    Returns
    -------
    ndarray of shape (n, k)
        Infinite where all depends on one row.
    """
    forward, factors = curvature.forward, curvature.factors
    p, k, n = factors.shape
    moved = (inverse @ factors.reshape(p, -1)).reshape(p, k, n)
    leverage = factors.transpose(2, 1, 0) @ moved.transpose(2, 0, 1)  # (n, k, k)
    error = forward.raw.T - objective.target
    try:
        unseen = np.linalg.solve(np.eye(k) - leverage, error[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        return np.full_like(error, np.inf)
    return np.asarray(objective.target + unseen)


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

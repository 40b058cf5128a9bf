"""What training rows say of a network that has not seen them.

Few validation rows choose badly among hundreds of networks: the best of them was lucky. The
training rows are four times as many, and one Newton step tells what a network would say of each
if it had been fitted to the others [1]_. The rows of both kinds together say what to expect of
new ones.

References
----------
.. [1] L. Hansen, J. Larsen, "Linear unlearning for cross-validation", Advances in
   Computational Mathematics 5, 1996.
.. [2] J. Friedman, "Multivariate adaptive regression splines", Annals of Statistics 19,
   1991.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._losses import Loss, normalised_loss
from ._refinement import Objective, Rows

Array = NDArray[np.float64]

# A left-out row gives back what its own numbers gained by it. It has also had its say in which
# weights there are, which no Newton step takes back; fitted numbers are charged for that two to
# four times in [2]_.
CHARGES = 2
# Training rows times outputs up to which rows are left out: validation rows that are a quarter as
# many are enough on their own.
MOST_TARGETS = 2000
LARGEST = 600  # weights of networks that rows are left out of: the cost is that of their inverse


def largest_to_leave_out(rows: Rows, loss: Loss) -> int:
    """Return how many weights a network may have for rows to be left out of it; 0 for none.

    Of log-losses the step gains nothing: it is far from what a refit does where classes
    are all but certain.
    """
    is_few = loss.name == "squared_error" and rows.target.size <= MOST_TARGETS
    return LARGEST if is_few else 0


def leave_one_out(objective: Objective, x: Array, inverse: Array) -> Array | None:
    """Return the outputs on every row of the network that was fitted to the others.

    Parameters
    ----------
    objective : Objective
        Of a squared error.
    x : ndarray of shape (p,)
        Live parameters, about where `objective` is lowest.
    inverse : ndarray of shape (p, p)
        Of the curvature there.

    Returns
    -------
    ndarray of shape (n, k) or None
        None where all depends on one row.
    """
    raw, jacobian = objective.derivatives(x)
    p, k, n = jacobian.shape
    moved = (inverse @ jacobian.reshape(p, -1)).reshape(p, k, n)
    # How far the outputs on a row move with a pull at them, times how hard the row pulls.
    stiffness = 2 / k * objective.weight / objective.weight.sum()
    leverage = np.einsum("pin,pjn->nij", jacobian, moved) * stiffness[:, None, None]
    error = raw.T - objective.target
    try:
        error = np.linalg.solve(np.eye(k) - leverage, error[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        return None
    return np.asarray(objective.target + error)


def expected_loss(
    train_loss: float,
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
    train_loss, validation_loss : float
        Normalised, on rows of either kind.
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
        higher: both verdicts have to be good.
    """
    if left_out is None:
        return validation_loss
    left_out_loss = normalised_loss(loss, left_out, train.target, train.weight, reference)
    left_out_loss = train_loss + CHARGES * max(left_out_loss - train_loss, 0.0)
    n_train, n_validation = train.weight.sum(), validation.weight.sum()
    mean = (n_train * left_out_loss + n_validation * validation_loss) / (n_train + n_validation)
    return float(mean if mean > validation_loss else validation_loss)

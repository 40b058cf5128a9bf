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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._losses import Loss
from ._refinement import Objective, Rows

Array = NDArray[np.float64]

# A left-out row gives back what its own numbers gained by it. It has also had its say in which
# weights there are, which no Newton step takes back; fitted numbers are charged for that two to
# four times in [2]_.
CHARGES = 2
# (row, output) pairs for training up to which rows are left out: validation rows that are a
# quarter as many are enough on their own.
MOST_PAIRS = 2000
LARGEST = 600  # weights of networks that rows are left out of: the cost is that of their inverse


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Raw outputs on training rows.

    Attributes
    ----------
    seen : ndarray of shape (n, k)
        Of a network that was fitted to them all.
    unseen : ndarray of shape (n, k)
        Of networks that were each fitted to all but the one row.
    """

    seen: Array
    unseen: Array

    @classmethod
    def mean(cls, several: Sequence[LeftOut | None]) -> LeftOut | None:
        """Return those of an average of networks, if all of them are known."""
        known = [each for each in several if each is not None]
        if len(known) < len(several):
            return None
        return cls(
            np.mean([each.seen for each in known], axis=0),
            np.mean([each.unseen for each in known], axis=0),
        )


def leave_one_out(objective: Objective, x: Array, inverse: Array) -> LeftOut | None:
    """Return what a network and its neighbours without one row say.

    Parameters
    ----------
    objective : Objective
    x : ndarray of shape (p,)
        Live parameters, about where `objective` is lowest.
    inverse : ndarray of shape (p, p)
        Of the curvature there.

    Returns
    -------
    LeftOut or None
        None where all depends on one row.
    """
    loss, target, weight = objective.loss, objective.target, objective.weight
    raw, jacobian = objective.derivatives(x)
    (p, k, n), seen = jacobian.shape, raw.T
    moved = (inverse @ jacobian.reshape(p, -1)).reshape(p, k, n)
    # How far the outputs on a row move with a pull at them, (n, k, k), and what a row pulls.
    compliance = np.einsum("pin,pjn->nij", jacobian, moved)
    _, pull = loss.value_and_gradient(seen, target, weight)
    factor = loss.curvature_factor(seen, weight)
    stiffness = np.einsum("rni,rnj->nij", factor, factor)
    rest = np.eye(k) - stiffness @ compliance
    try:
        step = compliance @ np.linalg.solve(rest, pull[:, :, None])
    except np.linalg.LinAlgError:
        return None
    return LeftOut(seen, seen + step[:, :, 0])


def expected_loss(
    train_loss: float,
    validation_loss: float,
    left_out: LeftOut | None,
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
    left_out : LeftOut, optional
        Without it the validation rows alone are asked.
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
    rows = train.target, train.weight
    optimism = loss.value(left_out.unseen, *rows) - loss.value(left_out.seen, *rows)
    left_out_loss = train_loss + CHARGES * max(optimism, 0.0) / reference
    n_train, n_validation = train.weight.sum(), validation.weight.sum()
    mean = (n_train * left_out_loss + n_validation * validation_loss) / (n_train + n_validation)
    return float(mean if mean > validation_loss else validation_loss)

"""Refining a network in weight space: its live weights move, and none is added.

L-BFGS while the network is large, Levenberg-Marquardt [1]_ once it is small.

References
----------
.. [1] J. Moré, "The Levenberg-Marquardt algorithm: implementation and theory", 1978.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.optimize import minimize

from ._losses import Loss
from ._network import SparseMLP
from ._penalised_loss import Objective, diagonal
from ._rows import Rows
from ._simplification import find_alike
from ._threads import one_blas_thread

Array = NDArray[np.float64]
ShouldStop = Callable[[], bool]
# Up to this many live weights the full curvature matrix is used, if not told otherwise. Its cost
# grows with the square of their number: about 2 ms for 150 weights and 800 rows on one core. At 150
# instead of 300, networks of clean tables stop short of what their weights can do.
FULL_CURVATURE_WEIGHTS = 300
TOLERANCE = 1e-4  # share of the loss that a step of Levenberg-Marquardt has to gain
# Damping of Levenberg-Marquardt, a share of the curvature's diagonal. It rises by a factor until a
# step gains, falls by that after a step that gained most of what the quadratic model had promised,
# and rises somewhat after one that gained little of it [1]_. Steps that are tried in vain are 30 %
# fewer than where it falls after every gain.
FIRST_DAMPING, LEAST_DAMPING, DAMPING_FACTOR, DISTRUST = 1e-3, 1e-8, 8.0, 2.0
TRUSTED, DISTRUSTED = 0.75, 0.25  # shares of the promised gain: most, and little
# Shares of the loss by which it may rise, by its curvature, without a number that does nothing, and
# where neurons are made equal. At ten times the first, networks of 100 numbers are 3 % worse.
NEGLIGIBLE_SHARE, ALIKE_SHARE = 1e-5, 1e-4
LEAST_GAIN = 1e-7  # what an iteration of L-BFGS has to gain; a share where the loss is above 1


def refine(
    network: SparseMLP,
    rows: Rows,
    loss: Loss,
    *,
    l2: float = 1e-4,
    max_iter: int = 60,
    tolerance: float = TOLERANCE,
    should_stop: ShouldStop | None = None,
) -> SparseMLP:
    """Optimise the live weights of a network; none is added.

    Numbers that come to nothing are removed, and neurons that come to say the same are made to do
    so exactly.

    Parameters
    ----------
    network : SparseMLP
    rows : Rows
        Training rows.
    loss : Loss
    l2 : float, default=1e-4
        Penalty on squared parameters: enough to keep separable classes and
        saturated neurons from drifting to infinity, too little to be a bias.
    max_iter : int, default=60
        Iterations of L-BFGS; a Levenberg-Marquardt iteration, which costs and
        reaches more, counts as four.
    tolerance : float, default=1e-4
        Share of the loss that an iteration of Levenberg-Marquardt has to gain.
    should_stop : callable, default=None
        Asked between iterations; True ends the optimisation with what there is.

    Returns
    -------
    SparseMLP
        Its data loss on `rows` is never worse than that of `network`.
    """
    with one_blas_thread(), np.errstate(all="ignore"):
        objective = Objective(network, rows, loss, l2)
        before = objective.data_loss(objective.start)
        x = minimise(objective, max_iter, should_stop, tolerance)
        after = objective.data_loss(x)
        if before <= after or not np.isfinite(after):
            return network
        left = without_negligible(objective, x)
        if left is not x and objective.data_loss(left) > before:
            left = x
        return objective.to_network(with_equal_neurons(objective, left, highest=before))


def without_negligible(objective: Objective, x: Array) -> Array:
    """Set optimised parameters (p,) to zero that do nothing; `x` itself if none are."""
    saliency = 0.5 * objective.curvature_diagonal(x) * x * x
    may_go = objective.prunable & (saliency <= NEGLIGIBLE_SHARE * objective.value(x))
    return np.where(may_go, 0.0, x) if may_go.any() else x


def with_equal_neurons(objective: Objective, x: Array, highest: float = np.inf) -> Array:
    """Make neurons of optimised parameters (p,) equal that are all but so, the most alike first.

    Parameters
    ----------
    objective : Objective
    x : ndarray of shape (p,)
    highest : float, optional
        Data loss that it may have.

    Returns
    -------
    ndarray of shape (p,)
        Their data loss is at most higher by `ALIKE_SHARE`; `x` itself if none are.
    """
    layers = objective.layers(x, np.float64)
    if groups := find_alike(*layers, objective.network.activations):
        limit = min((1 + ALIKE_SHARE) * objective.data_loss(x), highest)
        for group in groups:
            places = [0]
            for i in range(1, len(group.neurons)):
                equal = group.only([*places, i]).made_equal(*layers)
                trial = objective.parameters_of(*equal)
                if objective.data_loss(trial) <= limit:
                    x, layers, places = trial, equal, [*places, i]
    return x


def minimise(
    objective: Objective,
    max_iter: int,
    should_stop: ShouldStop | None,
    tolerance: float = TOLERANCE,
    least_gain: float = LEAST_GAIN,
    full_curvature: int | None = None,
) -> Array:
    """Live parameters (p,) of the lowest penalised loss found.

    Levenberg-Marquardt ends at a step that gains less than a share `tolerance` of it, and
    L-BFGS, which more than `full_curvature` parameters take (by default 300), at one that gains
    less than `least_gain`.
    """
    with np.errstate(all="ignore"):  # a step that overflows is rejected by its value
        limit = FULL_CURVATURE_WEIGHTS if full_curvature is None else full_curvature
        if len(objective.start) <= limit:
            return _levenberg_marquardt(objective, -(-max_iter // 4), should_stop, tolerance)
        return _lbfgs(objective, max_iter, should_stop, least_gain)


def _lbfgs(
    objective: Objective, max_iter: int, should_stop: ShouldStop | None, least_gain: float
) -> Array:
    best_value, best = np.inf, objective.start

    def evaluate(x: Array) -> tuple[float, Array]:
        nonlocal best_value, best
        value, gradient = objective.value_and_gradient(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e300, np.zeros_like(x)  # makes the line search turn back
        if value < best_value:
            best_value, best = value, x.copy()
        return value, gradient

    def callback(x: Array) -> None:
        if should_stop is not None and should_stop():
            raise StopIteration

    options = {"maxiter": max_iter, "ftol": least_gain}
    minimize(
        evaluate, objective.start, jac=True, method="L-BFGS-B", callback=callback, options=options
    )
    return best


def _levenberg_marquardt(
    objective: Objective, max_iter: int, should_stop: ShouldStop | None, tolerance: float
) -> Array:
    x, damping = objective.start, FIRST_DAMPING
    value, forward = objective.at(x)
    for _ in range(max_iter):
        gradient, matrix = objective.quadratic_model(x, forward)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return x
        largest = diagonal(matrix).max(initial=1e-8)
        # Where classes are all but certain, and wrong, there is a slope without a curvature.
        scale, floor = np.maximum(diagonal(matrix), 1e-4 * largest), 1e-8 * largest
        for _ in range(8):
            damped, added = matrix.copy(), damping * scale + floor
            diagonal(damped)[:] += added
            step = solve(damped, gradient)
            trial = x if step is None else x - step
            trial_value, trial_forward = objective.at(trial)
            if trial_value < value:
                break
            damping *= DAMPING_FACTOR
        else:
            return x
        gain, promised = value - trial_value, 0.5 * float(step @ (gradient + added * step))
        if gain > TRUSTED * promised:
            damping = max(damping / DAMPING_FACTOR, LEAST_DAMPING)
        elif gain < DISTRUSTED * promised:
            damping *= DISTRUST
        x, forward, value = trial, trial_forward, trial_value
        if gain < tolerance * value or (should_stop is not None and should_stop()):
            break
    return x


def solve(matrix: Array, right: Array) -> Array | None:
    """Solve a positive definite system, which is lost; None if it is not one in this precision."""
    # Of a symmetric matrix, lines are the columns that LAPACK wants: no copy.
    _, solution, failed = dposv(matrix.T, right, lower=1, overwrite_a=1)
    return None if failed else np.asarray(solution)

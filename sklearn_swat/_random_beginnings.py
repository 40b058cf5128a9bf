"""Paths that begin at a network of random neurons, where that beats what descents found.

Latent descents end at networks of tens of numbers to a few hundred. Some targets need more of
them, or more second-order steps than there is time for with many candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ._beginnings import Beginning, Pace, refine_all
from ._control import Control, Deadline
from ._descent_settings import DescentSettings
from ._neighbours import neighbour_noise
from ._network import SparseMLP
from ._parameters import DEFAULT_WIDTH, widths_of
from ._penalised_loss import Objective
from ._problem import LITTLE_LOSS, Problem
from ._pruning import PathPoint, prior_strength
from ._random_network import random_network
from ._refinement import minimise
from ._screening import Screening
from ._threads import one_blas_thread

# WIDE_TRIAL: a third of a candidate's iterations. If a wide network is better by then than what
# paths begin at, the fit has a third less loss in the mean (images, many classes, many products).
WIDE_TRIAL = Pace({"max_iter": 20})
WIDE = Pace(
    {"keep": 0.75, "keep_large": 0.75, "smallest": 100, "grows": False},
    sees_fewer=True,
    is_averaged=False,
)
# Activations of its neurons, in turn, as far as they are allowed: classes of images want leaky
# ReLUs, smooth targets tanh, and both together are never far from the better one.
WIDE_ACTIVATIONS = ("leaky_relu", "tanh")
# A dense network of several layers has as many numbers as steps of Levenberg-Marquardt are quick
# with. Of two layers, it has the same loss on most tables, and more where there are waves.
DENSE_NUMBERS, DENSE_WIDTH, DENSE_DEPTH = 450, 14, 3
DENSE = Pace({"full_curvature": DENSE_NUMBERS})
DENSE_ACTIVATIONS: tuple[str, ...] = ("tanh",)
DENSE_ROWS = 100  # fewer training rows tell next to nothing of so many numbers
# Budgets up to which there is no trial: small networks are left to the other paths.
WIDE_BUDGET, DENSE_BUDGET = 300, 80
# A dense network is refined by so many steps at a time, and few times, unless there is more to be
# found; where it has a higher loss than the others, that has to fall by a share each time.
STEPS, FEW_TIMES, MOST_TIMES, STILL_FALLS = 20, 3, 12, 0.9
LEAST_NOISE = 0.01  # or nothing would keep weights small beside targets on a grid without noise
TRIAL_ENDS = 0.2  # a share of the paths' time


def random_beginnings(
    beginnings: Sequence[Beginning],
    problem: Problem,
    screening: Screening,
    settings: DescentSettings,
    random_state: np.random.RandomState,
    control: Control,
    ends: Deadline,
    max_nnz: int | None = None,
) -> list[Beginning]:
    """Return how a path begins at a random network that, once refined, beats all `beginnings`.

    It is a dense one in regressions of few features and outputs, and a wide one in other fits.
    """
    d, k = problem.rows.X.shape[1], problem.rows.target.shape[1]
    usual, _ = widths_of(None, "data", d, k)
    has_few_features = not problem.has_classes and usual == DEFAULT_WIDTH
    if has_few_features:
        is_regression = problem.loss.name == "squared_error"  # and not of probabilities
        is_tried = is_regression and problem.train.n_draws >= DENSE_ROWS
        sizes = _dense_sizes(len(screening.seen), k, settings) if is_tried else ()
        pace, preferred, budget = DENSE, DENSE_ACTIVATIONS, DENSE_BUDGET
    else:
        is_wider = settings.max_width > usual and 1 in settings.depths
        sizes = (settings.max_width,) if is_wider else ()
        pace, preferred, budget = WIDE, WIDE_ACTIVATIONS, WIDE_BUDGET
    names = [name for name in preferred if name in settings.activations]
    names = names or [name for name in settings.activations if name != "identity"]
    is_small = max_nnz is not None and max_nnz <= budget
    if not (beginnings and sizes and names) or is_small:
        return []
    ends = ends.part(TRIAL_ENDS)
    try:
        others = _lowest_loss((network for network, _ in beginnings), problem)
        network = random_network(
            d, screening.seen, k, hidden_layer_sizes=sizes, activations=names,
            out_activation=problem.loss.out_activation, random_state=random_state,
        )  # fmt: skip
        refined: SparseMLP | None
        if pace is DENSE:
            refined = _refined_dense(network, others, problem, screening, ends)
            reason = "max_time" if ends.has_passed else None
        else:
            ((point, reason),) = refine_all([network], problem, None, ends, WIDE_TRIAL)
            refined = None if point is None else point.refined_as
        if reason is not None:
            control.stopped(reason)
        if refined is None or refined.is_constant:
            return []
        loss = _lowest_loss([refined], problem)
    except KeyboardInterrupt:
        control.stopped("interrupt")
        return []
    is_better = loss < others
    control.say(
        f"tried layers of {' and '.join(map(str, sizes))} random neurons  "
        f"validation loss {loss:.4f}, {'better' if is_better else 'no better'} than {others:.4f}"
    )
    return [Beginning(refined, pace)] if is_better else []


def _lowest_loss(networks: Iterable[SparseMLP], problem: Problem) -> float:
    """Return the lowest loss of any network by the validation rows alone.

    Where networks have many numbers, no training rows can be left out.
    """
    losses = [problem.candidate(network).validation_loss for network in networks]
    return float(np.fmin.reduce([np.inf, *losses]))


def _dense_sizes(n_features: int, k: int, settings: DescentSettings) -> tuple[int, ...]:
    """Return the sizes of hidden layers that have `DENSE_NUMBERS` at most, or none."""
    depths = [depth for depth in settings.depths if depth > 1]
    if not depths:
        return ()
    depth = DENSE_DEPTH if DENSE_DEPTH in depths else depths[0]
    # Of the width, the numbers are a w^2 + b w + k.
    a, b = depth - 1, n_features + k + depth
    root = np.sqrt(b * b + 4 * a * (DENSE_NUMBERS - k))
    return (min(int((root - b) / (2 * a)), DENSE_WIDTH, settings.n_slots),) * depth


def _refined_dense(
    network: SparseMLP, others: float, problem: Problem, screening: Screening, ends: Deadline
) -> SparseMLP:
    """Refine a dense network as long as that promises a loss below that of `others`.

    Every time it is under the prior that its loss so far calls for, or less where the nearest rows
    say that targets are known more exactly: a prior as of noise would hold it back from waves.
    """
    rows, loss = problem.fewest_train, problem.loss
    noise = max(neighbour_noise(rows, screening.seen) / problem.reference, LEAST_NOISE)
    now, best, lowest = others, network, np.inf
    for i in range(MOST_TIMES):
        before = now if i else np.inf
        exact = PathPoint(network, np.nan, min(now, noise))
        with one_blas_thread():
            objective = Objective(network, rows, loss, prior_strength(exact, rows, loss))
            rough = objective.in_single() if now > LITTLE_LOSS else objective
            x = minimise(rough, 4 * STEPS, ends, full_curvature=DENSE_NUMBERS)
            train_loss = objective.data_loss(x) / problem.reference
        # Numbers that do nothing yet are kept: before waves are found, that is most of them.
        network = objective.to_network(x)
        now = problem.candidate(network).validation_loss
        if now < lowest:
            best, lowest = network, now
        may_win = now < others or (now < STILL_FALLS * before and train_loss > others)
        has_more_to_find = now > 2 * noise and train_loss > noise
        if ends.has_passed or not (has_more_to_find or (may_win and i + 1 < FEW_TIMES)):
            break
    return best

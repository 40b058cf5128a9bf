"""Paths that begin at networks of random neurons, where these beat what descents found.

Latent descents end at networks of tens of numbers to a few hundred. Some targets need more, or
more second-order steps than there is time for with many candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ._beginnings import Beginning, Pace, lowest_loss, refine_all
from ._control import Control, Deadline
from ._descent_settings import DescentSettings
from ._network import SparseMLP
from ._parameters import DEFAULT_WIDTH, widths_of
from ._problem import LITTLE_LOSS, Problem
from ._pruning import prior_strength
from ._random_network import random_network
from ._refinement import refine
from ._screening import Screening

# A wide network is tried for a third of a candidate's iterations. If it is better by then than what
# paths begin at, the fit has a third less loss in the mean (images, many classes, many products).
# Small networks are left to the other paths, and so are budgets of so many numbers.
WIDE_TRIAL = Pace({"max_iter": 20})
WIDE = Pace(
    {"keep": 0.75, "keep_large": 0.75, "smallest": 100, "grows": False},
    sees_fewer=True,
    is_averaged=False,
)
WIDE_BUDGET = 300
# Activations of its neurons, in turn, as far as they are allowed: classes of images want leaky
# ReLUs, smooth targets tanh, and both together are never far from the better one.
WIDE_ACTIVATIONS = ("leaky_relu", "tanh")
# A dense network has as many numbers as Levenberg-Marquardt steps are quick with, in two layers.
DENSE_WEIGHTS, DENSE_WIDTH = 450, 14
DENSE_BUDGET = 80
DENSE_STAGES, DENSE_ITERATIONS = 4, 80
STILL_FALLS = 0.9
DENSE = Pace({"full_curvature": DENSE_WEIGHTS})
DENSE_ACTIVATIONS = ("tanh", "sigmoid")
TRIAL_ENDS = 0.2  # a share of the paths' time


def wide_beginnings(
    beginnings: Sequence[Beginning],
    problem: Problem,
    screening: Screening,
    settings: DescentSettings,
    random_state: np.random.RandomState,
    control: Control,
    ends: Deadline,
    max_nnz: int | None = None,
) -> list[Beginning]:
    """Return how a path begins at a network as wide as averages, if it beats all `beginnings`."""
    if not beginnings or not _may_be_wide(problem, settings, max_nnz):
        return []
    names = _chosen(WIDE_ACTIVATIONS, settings)
    if not names:
        return []
    width = settings.max_width
    try:
        network = _drawn((width,), names, problem, screening, random_state)
        ends = ends.part(TRIAL_ENDS)
        ((point, reason),) = refine_all([network], problem, None, ends, WIDE_TRIAL)
    except KeyboardInterrupt:
        point, reason = None, "interrupt"
    if reason is not None:
        control.stopped(reason)
    if point is None:
        return []
    wide = lowest_loss([point.refined_as], problem)
    others = lowest_loss((network for network, _ in beginnings), problem)
    is_better = wide < others
    control.say(
        f"tried {width} neurons in a layer  validation loss {wide:.4f}, "
        f"{'better' if is_better else 'no better'} than {others:.4f}"
    )
    return [Beginning(point.refined_as, WIDE)] if is_better else []


def _may_be_wide(problem: Problem, settings: DescentSettings, max_nnz: int | None) -> bool:
    """Say whether a network may be wider than usual, and is likely to gain by it."""
    usual, _ = _usual_widths(problem)
    is_allowed = settings.max_width > usual and 1 in settings.depths
    is_small = max_nnz is not None and max_nnz <= WIDE_BUDGET
    return is_allowed and not is_small and not _has_few_features(problem)


def may_be_dense(problem: Problem, settings: DescentSettings, max_nnz: int | None) -> bool:
    """Say whether a dense network may be tried, and is likely to be of use."""
    is_small = max_nnz is not None and max_nnz <= DENSE_BUDGET
    is_allowed = max(settings.depths) > 1 and bool(_chosen(DENSE_ACTIVATIONS, settings))
    return is_allowed and not is_small and _has_few_features(problem)


def dense_beginning(
    others: float,
    problem: Problem,
    screening: Screening,
    settings: DescentSettings,
    random_state: np.random.RandomState,
    control: Control,
    ends: Deadline,
) -> Beginning | None:
    """Return how a path begins at a dense network of a lower validation loss than `others`.

    It is refined in stages, each under the prior that the loss after the one before it calls for.
    """
    depth = min(depth for depth in settings.depths if depth > 1)
    width = min(_dense_width(len(screening.seen), problem, depth), settings.n_slots)
    names = _chosen(DENSE_ACTIVATIONS, settings)[:1]
    network = _drawn((width,) * depth, names, problem, screening, random_state)
    train = problem.fewest_train
    ends = ends.part(TRIAL_ENDS)
    point = replace(problem.candidate(network), validation_loss=others)
    last = np.inf
    for _ in range(DENSE_STAGES):
        network = refine(
            point.network, train, problem.loss, l2=prior_strength(point, train, problem.loss),
            max_iter=DENSE_ITERATIONS, full_curvature=DENSE_WEIGHTS,
            is_rough=point.validation_loss > LITTLE_LOSS, should_stop=ends,
        )  # fmt: skip
        point = problem.candidate(network)
        loss = point.validation_loss
        if ends.has_passed or not (loss < others or loss < STILL_FALLS * last):
            break
        last = loss
    if ends.has_passed:
        control.stopped("max_time")
    is_better = loss < others
    control.say(
        f"tried {depth} dense layers of {width}  validation loss {loss:.4f}, "
        f"{'better' if is_better else 'no better'} than {others:.4f}"
    )
    return Beginning(network, DENSE) if is_better else None


def _dense_width(n_features: int, problem: Problem, depth: int) -> int:
    """Return how wide hidden layers of `DENSE_WEIGHTS` numbers are, at most `DENSE_WIDTH`."""
    k = problem.rows.target.shape[1]
    n_between = depth - 1
    per_neuron = n_features + k + depth
    root = np.sqrt(per_neuron**2 + 4 * n_between * (DENSE_WEIGHTS - k))
    return min(DENSE_WIDTH, int((root - per_neuron) / (2 * n_between)))


def _has_few_features(problem: Problem) -> bool:
    """Say whether this is a regression of so few features and outputs that layers are narrow."""
    usual, _ = _usual_widths(problem)
    return not problem.has_classes and usual == DEFAULT_WIDTH


def _usual_widths(problem: Problem) -> tuple[int, int]:
    return widths_of(None, "data", problem.rows.X.shape[1], problem.rows.target.shape[1])


def _chosen(preferred: Sequence[str], settings: DescentSettings) -> list[str]:
    """Return the preferred activations that are allowed, or else any but linear ones."""
    names = [name for name in preferred if name in settings.activations]
    return names or [name for name in settings.activations if name != "identity"]


def _drawn(
    sizes: Sequence[int],
    names: Sequence[str],
    problem: Problem,
    screening: Screening,
    random_state: np.random.RandomState,
) -> SparseMLP:
    d, k = problem.rows.X.shape[1], problem.rows.target.shape[1]
    return random_network(
        d, screening.seen, k, hidden_layer_sizes=sizes, activations=names,
        out_activation=problem.loss.out_activation, random_state=random_state,
    )  # fmt: skip

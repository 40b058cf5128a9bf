"""What networks of about the same size do to a validation loss, and where that is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_swat import SWATClassifier, SWATRegressor, _search
from sklearn_swat._joined_splits import FEW_ROWS
from sklearn_swat._network import SparseMLP
from sklearn_swat._problem import Problem
from sklearn_swat._pruning import PathPoint
from sklearn_swat._smoothing import smoothed

SIZES = np.unique(np.geomspace(2, 400, 60).astype(int))


def path_of(sizes, losses):
    return [
        PathPoint(SparseMLP((np.ones((size - 1, 1)),), (np.ones(1),), ()), 0.1, loss, 0.01)
        for size, loss in zip(sizes, losses, strict=True)
    ]


def losses_of(points):
    return np.array([point.validation_loss for point in points])


def test_a_power_of_the_size_stays():
    losses = 0.9 * SIZES**-0.7
    np.testing.assert_allclose(losses_of(smoothed(path_of(SIZES, losses))), losses, rtol=1e-5)


def test_a_lucky_network_is_raised_and_none_is_lowered():
    expected = 0.9 * SIZES**-0.3
    losses = expected * np.exp(np.random.default_rng(0).normal(scale=0.1, size=len(SIZES)))
    losses[40] = expected[40] / 2
    raised = losses_of(smoothed(path_of(SIZES, losses)))
    assert (raised >= losses).all()
    assert raised[40] == pytest.approx(expected[40], rel=0.1)
    # The lowest losses of all are nearer to what is to be expected than they were.
    lowest = np.argsort(losses)[:10]
    assert np.mean(raised[lowest] / expected[lowest]) > np.mean(losses[lowest] / expected[lowest])
    assert np.abs(np.log(raised / expected))[lowest].mean() < 0.1


def test_all_else_of_a_point_stays():
    path = path_of([3, 4, 5], [0.5, 0.1, 0.4])
    for before, after in zip(path, smoothed(path), strict=True):
        assert after.network is before.network
        assert (after.train_loss, after.validation_error) == (0.1, 0.01)


def test_constants_and_losses_that_are_no_numbers_say_nothing():
    constant = PathPoint(SparseMLP((np.zeros((2, 1)),), (np.ones(1),), ()), 1.0, 1.0)
    path = path_of([3, 4, 5], [0.5, 0.1, 0.4])
    broken = path_of([4, 4], [np.inf, np.nan])
    points = smoothed([constant, *path, *broken])
    assert points[0] is constant
    assert points[4] is broken[0]
    assert points[5] is broken[1]
    np.testing.assert_array_equal(losses_of(points[1:4]), losses_of(smoothed(path)))
    assert smoothed([constant]) == [constant]
    assert smoothed([]) == []


def test_a_single_network_and_equal_sizes_have_no_slope():
    assert smoothed(path_of([7], [0.3]))[0].validation_loss == 0.3
    raised = losses_of(smoothed(path_of([7, 7], [0.1, 0.4])))
    np.testing.assert_allclose(raised, [0.2, 0.4])  # the mean of the logarithms


def test_no_loss_at_all_is_no_error():
    raised = losses_of(smoothed(path_of([5, 6, 7, 8], [0.2, 0.1, 0.0, 0.0])))
    assert np.isfinite(raised).all()
    assert raised[:2] == pytest.approx([0.2, 0.1])


@pytest.mark.parametrize("estimator", [SWATClassifier, SWATRegressor])
def test_only_classes_are_smoothed(estimator, monkeypatch):
    """The front of a fit has the raised losses of classes, and a regression's as they are."""
    judged, original = [], Problem.smoothed

    def smoothed_and_kept(problem, points):
        after = original(problem, points)
        judged.append((losses_of(points), losses_of(after)))
        return after

    monkeypatch.setattr(_search.Problem, "smoothed", smoothed_and_kept)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(FEW_ROWS + 1, 4))
    signal = X[:, 0] * X[:, 1] + rng.normal(size=len(X))
    y = signal if estimator is SWATRegressor else signal > 0
    model = estimator(random_state=0, max_iter=5).fit(X, y)
    before, after = (np.concatenate(part) for part in zip(*judged, strict=True))
    assert (after >= before).all()
    assert (after > before).any() == (estimator is SWATClassifier)
    kept = losses_of(model.path_)
    assert np.isin(kept[1:], after).all()  # the first is the constant

"""Where candidates begin that are to differ, and what only some of them find."""

import numpy as np
import pytest
import torch

from sklearn_swat import SWATRegressor
from sklearn_swat._soft_network import NetworkScores
from sklearn_swat._start_points import STEEP_FEATURES, STEEPNESS, random_scores, spread

N_SLOTS, DEPTHS = 64, (1, 1, 1, 2)
RESTARTS = (0, 1, 2, 1)


def moved(d, sees=None):
    """Return how far four candidates' scores were moved from 0, of d features."""
    generator = torch.Generator().manual_seed(0)
    ones, zeros = torch.ones(2), torch.zeros(2)
    drawn = random_scores(DEPTHS, N_SLOTS, ones, zeros, d, generator)
    nothing = NetworkScores(**{n: 0 * part for n, part in drawn.items()}, depths=DEPTHS)
    sees = torch.ones(len(DEPTHS), d, 1) if sees is None else sees
    return spread(nothing, RESTARTS, sees, generator)


def test_restarts_after_the_first_are_moved():
    scores = moved(10)
    for name in ("w_in", "b_hidden", "activation_scores"):
        is_moved = [bool(line.any()) for line in getattr(scores, name)]
        assert is_moved == [restart > 0 for restart in RESTARTS]
    assert not scores.w_out.any()  # output layers are for the rows to say


@pytest.mark.parametrize("d", [1, 2, 10, 100])
def test_every_second_restart_is_steep_and_of_few_features(d):
    _, steep, flat, also_steep = moved(d).w_in
    n_few = min(d, STEEP_FEATURES)
    for w_in in (steep, also_steep):
        assert abs((w_in != 0).sum(dim=0).double().mean() - n_few) < 1
        scale = STEEPNESS * np.sqrt(2 / (n_few + N_SLOTS))
        np.testing.assert_allclose(w_in[w_in != 0].std(), scale, rtol=0.3)
    assert flat.all()
    np.testing.assert_allclose(flat.std(), np.sqrt(2 / (d + N_SLOTS)), rtol=0.3)


def test_steep_neurons_choose_among_the_features_that_are_seen():
    sees = torch.zeros(len(DEPTHS), 100, 1)
    sees[:, :8] = 1
    steep = moved(100, sees).w_in[1]
    assert not steep[8:].any()
    assert abs((steep != 0).sum(dim=0).double().mean() - STEEP_FEATURES) < 1


@pytest.mark.parametrize("seed", range(3))
def test_waves_are_found(seed):
    """Where all candidates begin flat, the first three of these fits end at a constant."""
    rng = np.random.RandomState(seed)
    X = rng.uniform(-3, 3, (2500, 2))
    y = np.sin(3 * X[:, 0]) * np.cos(2 * X[:, 1])
    model = SWATRegressor(depth=2, random_state=0).fit(X[:1500], y[:1500])
    assert model.score(X[1500:], y[1500:]) > 0.8

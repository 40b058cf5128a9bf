"""Descent: interruption, halving, and prices that are honest."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_swat import SWATRegressor, _descent, _stages
from sklearn_swat._candidates import Candidate
from sklearn_swat._network import SparseMLP

SPACES = ["both", "latent", "weights"]
SMALL = {"depth": [1, 2], "n_restarts": 2, "max_iter": 20, "random_state": 0}


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


def test_an_interrupted_descent_keeps_the_best_network_and_warns(diabetes, monkeypatch):
    step = _descent._Run._step

    def interrupted(run, rate, sharpness):
        if run.result.n_iter == 7:
            raise KeyboardInterrupt
        step(run, rate, sharpness)

    monkeypatch.setattr(_descent._Run, "_step", interrupted)
    model = SWATRegressor(**SMALL)
    with pytest.warns(ConvergenceWarning, match="interrupted after 7"):
        model.fit(*diabetes)
    assert model.score(*diabetes) > 0


@pytest.mark.parametrize("max_iter", [0, 4, 10, 12])
def test_the_number_of_verdicts_is_known_beforehand(diabetes, max_iter):
    model = SWATRegressor(**{**SMALL, "max_iter": max_iter}, refine=False).fit(*diabetes)
    assert len(model.history_) == model._settings(1).n_verdicts


def test_a_descent_works_on_one_thread_and_leaves_their_number_alone(diabetes, monkeypatch):
    before, seen = torch.get_num_threads(), []
    step = _descent._Run._step
    monkeypatch.setattr(
        _descent._Run, "_step", lambda *a: (seen.append(torch.get_num_threads()), step(*a))
    )
    SWATRegressor(**SMALL).fit(*diabetes)
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("space", "start", "is_gentle", "rate"),
    [
        ("latent", "data", True, _descent.GENTLE_LATENT_RATE),
        ("latent", "random", False, _descent.RANDOM_RATE * _descent.LATENT_RATE),
        ("both", "data", False, _descent.LATENT_RATE),
    ],
)
def test_latent_points_alone_leave_a_start_that_fits_gently(
    diabetes, monkeypatch, space, start, is_gentle, rate
):
    sharpnesses, rates = [], []
    step = _descent._Run._step

    def spy(run, rate, sharpness):
        sharpnesses.append(sharpness)
        rates.append(run._rates().get("latent"))
        step(run, rate, sharpness)

    monkeypatch.setattr(_descent._Run, "_step", spy)
    SWATRegressor(space=space, start=start, refine=False, **SMALL).fit(*diabetes)
    assert (set(sharpnesses) == {1.0}) == is_gentle
    assert (sharpnesses[0] == 0.0) != is_gentle
    assert rates[0] == rate


def test_random_weights_take_larger_steps_and_thresholds_the_same(diabetes, monkeypatch):
    rates = {}
    step = _descent._Run._step

    def spy(run, *arguments):
        rates[run.settings.start] = run._rates()
        step(run, *arguments)

    monkeypatch.setattr(_descent._Run, "_step", spy)
    for start in ("data", "random"):
        SWATRegressor(space="weights", start=start, refine=False, **SMALL).fit(*diabetes)
    of_data, of_random = rates["data"], rates["random"]
    assert of_random["threshold"] == of_data["threshold"]
    assert of_random["w_in"] == _descent.RANDOM_RATE * of_data["w_in"] > of_data["w_in"]


@pytest.mark.parametrize(
    ("batch_size", "n_rows", "expected"), [("auto", 500, 500), ("auto", 700, 256), (300, 700, 300)]
)
def test_every_step_sees_as_many_rows_as_asked_for(monkeypatch, batch_size, n_rows, expected):
    seen = []
    loss = _descent._Run._loss

    def spy(run, network, rows):
        seen.append(len(rows.X))
        return loss(run, network, rows)

    monkeypatch.setattr(_descent._Run, "_loss", spy)
    X = np.random.RandomState(0).standard_normal((n_rows, 2))
    model = SWATRegressor(batch_size=batch_size, validation_fraction=0.01, refine=False, **SMALL)
    model.fit(X, X[:, 0])
    n_train = round(0.99 * n_rows)
    assert set(seen) == {min(expected, n_train)}


def test_weak_candidates_are_dropped_on_the_way(diabetes):
    history = SWATRegressor(refine=False, n_iter_no_change=99, **SMALL).fit(*diabetes).history_
    counts = [len(record["candidates"]) for record in history]
    assert counts[0] == 4
    assert counts[-1] == 2
    assert all(len(r["validation_loss"]) == len(r["candidates"]) for r in history)


@pytest.mark.parametrize("max_iter", [1, 2, 3, 5, 7])
def test_several_drops_between_two_verdicts_are_no_error(diabetes, max_iter):
    parameters = {"depth": [1, 2], "n_restarts": 4, "max_iter": max_iter, "refine": False}
    history = SWATRegressor(random_state=0, **parameters).fit(*diabetes).history_
    assert len(history[0]["candidates"]) == 8
    assert 2 <= len(history[-1]["candidates"]) <= 8


def test_no_descent_and_no_refinement_gives_a_start_network(diabetes):
    model = SWATRegressor(refine=False, **{**SMALL, "max_iter": 0}).fit(*diabetes)
    (record,) = model.history_
    assert model.n_iter_ == 0
    assert min(p.validation_loss for p in model.path_) <= record["validation_loss"].min() + 1e-4


def test_the_hard_network_has_the_size_and_loss_that_descent_reported(diabetes):
    model = SWATRegressor(refine=False, alpha=0, **{**SMALL, "max_iter": 0}).fit(*diabetes)
    (record,) = model.history_
    best = record["validation_loss"].argmin()
    largest = model.path_[-1]
    assert largest.nnz <= record["nnz"][best]
    np.testing.assert_allclose(largest.validation_loss, record["validation_loss"][best], rtol=1e-3)


@pytest.mark.parametrize("space", SPACES)
def test_a_fit_can_start_at_a_scikit_learn_mlp(diabetes, space):
    X, y = StandardScaler().fit_transform(diabetes[0]), diabetes[1]
    mlp = MLPRegressor(hidden_layer_sizes=(6,), activation="tanh", max_iter=5, random_state=0)
    with pytest.warns(ConvergenceWarning):
        mlp.fit(X, y)
    model = SWATRegressor(start=mlp, space=space, **SMALL).fit(X, y)
    assert model.score(X, y) > 0.4


@pytest.mark.parametrize("space", SPACES)
def test_a_start_at_a_network_is_that_network(diabetes, space):
    X, y = StandardScaler().fit_transform(diabetes[0]), diabetes[1]
    parameters = {**SMALL, "max_iter": 0, "refine": False}
    network = SWATRegressor(**parameters).fit(X, y).path_[-1].network
    again = SWATRegressor(start=network, space=space, **parameters).fit(X, y)
    np.testing.assert_allclose(again.path_[-1].network.predict(X), network.predict(X), rtol=1e-4)


def test_a_later_network_must_be_better_by_more_than_chance():
    weight = np.full(4, 0.25)
    candidate = Candidate(1, 0)
    assert candidate.is_beaten(9.0, np.full(4, 9.0), weight)
    candidate.price, candidate.row_losses = 1.0, np.array([1.0, 1.0, 1.0, 1.0])
    steady, lucky = np.array([0.8, 0.9, 0.85, 0.85]), np.array([3.0, 0.1, 0.2, 0.1])
    assert steady.mean() == pytest.approx(lucky.mean())
    assert candidate.is_beaten(0.85, steady, weight)
    assert not candidate.is_beaten(0.85, lucky, weight)


def begin_paths(monkeypatch, diabetes, **parameters):
    """Return the candidates of a fit, the best beginning first, and what paths may begin at."""
    descents, begun = [], []
    descend, beginnings = _descent.descend, _stages.best_beginnings
    monkeypatch.setattr(_descent, "descend", lambda *a: descents.append(descend(*a)) or descents[0])
    monkeypatch.setattr(
        _stages,
        "best_beginnings",
        lambda found, *a, **k: begun.extend(first := next(found)) or beginnings([first], *a, **k),
    )
    model = SWATRegressor(**{**SMALL, **parameters}).fit(*diabetes)
    candidates = sorted(descents[0].candidates, key=lambda candidate: candidate.beginning[1])
    assert len(begun) == len(candidates) == 4
    for network, candidate in zip(begun, candidates, strict=True):
        np.testing.assert_array_equal(network.weights[0], candidate.beginning[0].weights[0])
    return candidates, model


def test_paths_begin_at_the_last_networks_and_not_at_the_best_ones(diabetes, monkeypatch):
    candidates, _ = begin_paths(monkeypatch, diabetes)
    assert all(candidate.beginning[0] is candidate.latest for candidate in candidates)
    assert any(candidate.network is not candidate.latest for candidate in candidates)


def test_paths_begin_at_the_best_networks_where_the_last_are_spoilt(diabetes, monkeypatch):
    candidates, model = begin_paths(monkeypatch, diabetes, learning_rate=3.0)
    spoilt = [candidate for candidate in candidates if candidate.latest_price > 1]
    assert spoilt
    assert all(candidate.beginning == (candidate.network, candidate.price) for candidate in spoilt)
    assert any(point.network.depth for point in model.path_)


@pytest.mark.parametrize(
    ("price", "weight", "is_kept"), [(0.99, 1.0, True), (1.01, 1.0, False), (0.55, 0.0, False)]
)
def test_a_last_network_is_spoilt_if_it_is_far_behind_or_a_constant(price, weight, is_kept):
    best, last = (
        SparseMLP((np.full((1, 1), value),), (np.zeros(1),), ()) for value in (1.0, weight)
    )
    candidate = Candidate(1, 0, network=best, price=0.5, latest=last, latest_price=price)
    assert candidate.beginning == ((last, price) if is_kept else (best, 0.5))
    assert Candidate(1, 0, network=best, price=0.5).beginning == (best, 0.5)


def test_a_candidate_that_diverges_has_no_last_network(diabetes, monkeypatch):
    evaluate, runs = _descent._Run._evaluate, []

    def diverged(run, step, seconds):
        if step == 5:
            run.free["b_out"].data[0] = np.inf
            runs.append(run)
        return evaluate(run, step, seconds)

    monkeypatch.setattr(_descent._Run, "_evaluate", diverged)
    model = SWATRegressor(space="weights", **{**SMALL, "max_iter": 5, "n_restarts": 1})
    model.fit(*diabetes)
    first, second = runs[0].candidates
    assert first.latest is None
    assert first.beginning == (first.network, first.price)
    assert second.beginning == (second.latest, second.latest_price)


def test_warm_start_goes_on_from_the_network(diabetes):
    model = SWATRegressor(warm_start=True, **SMALL).fit(*diabetes)
    before = model.path_[-1].validation_loss
    assert model.fit(*diabetes).path_[-1].validation_loss <= before + 0.05


def test_weight_space_can_start_where_the_data_set_encoder_does(diabetes):
    parameters = {**SMALL, "max_iter": 0, "refine": False}
    one, other = (
        SWATRegressor(space=space, **parameters).fit(*diabetes).history_[0]["validation_loss"]
        for space in ("latent", "weights")
    )
    np.testing.assert_allclose(one, other, rtol=1e-4)


ALL = {"sigmoid", "tanh", "leaky_relu", "identity"}


@pytest.mark.parametrize(
    ("activations", "of_first", "of_second"),
    [
        ("all", ALL, {"tanh"}),
        (["tanh", "identity"], {"tanh", "identity"}, {"tanh"}),
        (["sigmoid", "identity"], {"sigmoid", "identity"}, {"sigmoid", "identity"}),
        ("sigmoid", {"sigmoid"}, {"sigmoid"}),
    ],
)
@pytest.mark.parametrize("start", ["data", "random"])
def test_every_second_restart_has_tanh_neurons_alone(
    diabetes, monkeypatch, activations, of_first, of_second, start
):
    found = [set(), set()]
    original = _descent.descend

    def descend(*args):
        descent = original(*args)
        for candidate in descent.candidates:
            found[candidate.restart].update(*candidate.network.activations)
        return descent

    monkeypatch.setattr(_descent, "descend", descend)
    settings = SMALL | {"max_iter": 3, "start": start, "activations": activations}
    SWATRegressor(refine=False, **settings).fit(*diabetes)
    assert all(found)
    assert found[0] <= of_first
    assert found[1] <= of_second

"""The front of a fitted estimator: as a table, other networks of it, features that count."""

import builtins
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._front import feature_importances, find, position
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._pruning import PathPoint, judge
from sklearn_swat._rows import Rows

QUICK = {"max_iter": 5, "n_restarts": 1, "depth": [1], "random_state": 0}
COLUMNS = [
    "nnz", "depth", "hidden_layer_sizes", "n_features_used", "train_loss", "validation_loss",
    "validation_error", "price", "is_chosen",
]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return SWATRegressor(**QUICK).fit(*load_diabetes(return_X_y=True))


@pytest.fixture(scope="module")
def classifier():
    return SWATClassifier(**QUICK).fit(*load_iris(return_X_y=True))


def front(*points):
    """Build a front of linear networks from (features, loss, error)."""
    return tuple(
        PathPoint(SparseMLP((np.ones((n, 1)),), (np.ones(1),), ()), loss, loss, error)
        for n, loss, error in points
    )


# ------------------------------------------------------------------------------- table
@pytest.mark.parametrize("name", ["model", "classifier"])
def test_the_table_has_a_row_per_network_and_marks_the_one_of_the_lowest_price(name, request):
    fitted = request.getfixturevalue(name)
    frame = fitted.path_frame()
    assert list(frame.columns) == COLUMNS
    assert len(frame) == len(fitted.path_) > 3
    assert frame.is_chosen.sum() == 1
    assert frame.price.idxmin() == frame.is_chosen.idxmax()
    chosen = frame[frame.is_chosen].iloc[0]
    assert chosen.nnz == fitted.nnz_
    assert chosen.hidden_layer_sizes == fitted.hidden_layer_sizes_
    assert chosen.train_loss == fitted.loss_
    assert chosen.n_features_used == len(fitted.selected_features_)
    np.testing.assert_allclose(frame.price, frame.validation_loss + fitted.alpha * frame.nnz)
    assert frame.nnz.is_monotonic_increasing
    assert (frame.validation_error > 0).all()


def test_the_table_of_a_selected_network_marks_that_one_and_survives_pickling(model):
    small = pickle.loads(pickle.dumps(model.select(index=1)))
    assert np.flatnonzero(small.path_frame().is_chosen).tolist() == [1]


def test_without_pandas_the_remedy_is_named(model, monkeypatch):
    real = builtins.__import__

    def no_pandas(name, *rest, **more):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_pandas)
    with pytest.raises(ImportError, match="pip install pandas"):
        model.path_frame()


# ---------------------------------------------------------------------- standard error
@pytest.mark.parametrize("name", list(LOSSES))
def test_the_standard_error_is_that_of_the_mean_of_the_row_losses(name):
    loss, rng = LOSSES[name], np.random.RandomState(0)
    raw, target = rng.standard_normal((40, 3)), np.eye(3)[rng.randint(3, size=40)]
    each = np.array([loss.value(raw[[i]], target[[i]], np.ones(1)) for i in range(40)])
    expected = each.std(ddof=1) / np.sqrt(40)
    for scale in (1.0, 0.3):
        error = loss.standard_error(raw, target, np.full(40, scale))
        np.testing.assert_allclose(error, expected)


def test_weights_enter_the_standard_error_and_rows_of_weight_zero_do_not():
    loss, rng = LOSSES["squared_error"], np.random.RandomState(0)
    raw, target = rng.standard_normal((30, 1)), np.zeros((30, 1))
    weight = rng.uniform(0.5, 2, 30)
    error = loss.standard_error(raw, target, weight)
    counts = np.arange(30) < 20
    assert error != loss.standard_error(raw, target, np.ones(30))
    np.testing.assert_allclose(
        loss.standard_error(raw, target, weight * counts),
        loss.standard_error(raw[counts], target[counts], weight[counts]),
    )
    assert np.isnan(loss.standard_error(raw, target, (np.arange(30) == 3).astype(float)))


def test_a_row_of_several_draws_is_as_many_rows_to_the_standard_error():
    loss, rng = LOSSES["squared_error"], np.random.RandomState(0)
    raw, target, draws = rng.standard_normal((30, 1)), np.zeros((30, 1)), rng.randint(1, 4, 30)
    each = rng.uniform(0.5, 2, 30)
    index = np.repeat(np.arange(30), draws)
    np.testing.assert_allclose(
        loss.standard_error(raw, target, each * draws, each),
        loss.standard_error(raw[index], target[index], each[index]),
    )


def test_the_standard_error_tells_how_far_weighted_means_scatter():
    rng, loss = np.random.RandomState(0), LOSSES["squared_error"]
    weight, target = rng.uniform(0.2, 3, 50), np.zeros((50, 1))
    draws = [rng.standard_normal((50, 1)) for _ in range(2000)]
    scatter = np.std([loss.value(raw, target, weight) for raw in draws])
    errors = [loss.standard_error(raw, target, weight) for raw in draws]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(scatter, rel=0.06)


def test_a_point_has_the_error_of_its_validation_loss_in_the_same_unit():
    loss, rng = LOSSES["squared_error"], np.random.RandomState(0)
    train, validation = (
        Rows(rng.standard_normal((n, 1)), rng.standard_normal((n, 1)), rng.uniform(1, 2, n))
        for n in (30, 20)
    )
    network = SparseMLP((np.ones((1, 1)),), (np.zeros(1),), ())
    point = judge(network, train, validation, loss, 4.0)
    raw = network.decision_function(validation.X)
    error = loss.standard_error(raw, validation.target, validation.weight)
    assert point.validation_error == pytest.approx(error / 4)
    # Left-out rows that are easy say nothing; hard ones make it a loss of all rows.
    known = Rows(train.X, network.decision_function(train.X), train.weight)
    easy = judge(network, known, validation, loss, 4.0, left_out=known.target)
    assert easy.validation_error == point.validation_error
    left_out = train.target + np.arange(30)[:, None]
    hard = judge(network, train, validation, loss, 4.0, left_out=left_out)
    error = loss.standard_error(
        np.concatenate([left_out, raw]),
        np.concatenate([train.target, validation.target]),
        np.concatenate([train.weight, validation.weight]),
    )
    assert hard.validation_error == pytest.approx(error / 4)


def test_a_refit_keeps_the_error_and_without_one_it_is_unknown():
    (point,) = front((2, 0.5, 0.1))
    other = SparseMLP((np.ones((1, 1)),), (np.ones(1),), ())
    assert replace(point, network=other).validation_error == 0.1
    assert np.isnan(PathPoint(other, 0.5, 0.5).validation_error)


# ------------------------------------------------------------------------------ select
def test_the_budget_buys_the_lowest_validation_loss():
    path = front((1, 0.9, 0.1), (4, 0.5, 0.1), (9, 0.3, 0.1))
    assert [find(path, max_nnz=n) for n in (2, 4, 5, 9, 10, 99)] == [0, 0, 1, 1, 2, 2]


def test_a_price_buys_what_is_worth_it():
    path = front((1, 0.9, 0.1), (4, 0.6, 0.1), (9, 0.5, 0.1))
    chosen = [find(path, alpha=price) for price in (0, 0.01, np.float32(0.03), 0.09, 0.11, 7)]
    assert chosen == [2, 2, 1, 1, 0, 0]


def test_the_price_of_the_fit_selects_what_the_fit_chose(model):
    assert model.select(alpha=model.alpha).network_ is model.network_


@pytest.mark.parametrize(("error", "expected"), [(0.0, 2), (0.15, 2), (0.25, 1), (0.7, 0)])
def test_one_standard_error_is_that_of_the_lowest_loss(error, expected):
    path = front((1, 0.9, 9.0), (4, 0.5, 9.0), (9, 0.3, error))
    assert find(path, rule="one_standard_error") == expected


def test_an_unknown_standard_error_is_refused():
    path = front((1, 0.9, 0.1), (4, 0.5, np.nan))
    with pytest.raises(ValueError, match=r"one_standard_error.* nan: .*pass more rows"):
        find(path, rule="one_standard_error")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "exactly one of max_nnz, alpha, rule and index, got none"),
        ({"max_nnz": 3, "index": 0}, "exactly one .*, got max_nnz, index"),
        ({"max_nnz": 1}, "max_nnz=1 is too small: the smallest .* has 2 non-zeros"),
        ({"rule": "best"}, "rule='best' is unknown: pass 'one_standard_error'"),
        ({"index": 2}, r"index=2 is outside the front of 2 networks: pass 0 .* to 1"),
        ({"index": -3}, "index=-3 is outside"),
        ({"alpha": -0.1}, "alpha=-0.1 is no price: pass a finite number that is at least 0"),
        ({"alpha": np.nan}, "alpha=nan is no price"),
        ({"alpha": np.inf}, "alpha=inf is no price"),
    ],
)
def test_what_cannot_be_selected_is_named_with_the_way_out(request_, message):
    with pytest.raises(ValueError, match=message):
        find(front((1, 0.9, 0.1), (4, 0.5, 0.1)), **request_)


@pytest.mark.parametrize("value", [1.0, "0"])
def test_an_index_is_an_integer(value):
    with pytest.raises(TypeError, match="is no integer; pass a position in path_"):
        find(front((1, 0.9, 0.1)), index=value)


@pytest.mark.parametrize("value", [True, np.False_])
def test_a_bool_is_no_index_and_no_budget(value):
    with pytest.raises(TypeError, match=r"index=.* is a bool and no integer; pass a position"):
        find(front((1, 0.9, 0.1)), index=value)
    with pytest.raises(TypeError, match=r"max_nnz=.* is a bool and no integer; pass a number"):
        find(front((1, 0.9, 0.1)), max_nnz=value)
    with pytest.raises(TypeError, match=r"alpha=.* is no number; pass the price of one"):
        find(front((1, 0.9, 0.1)), alpha=value)


def test_a_selected_copy_is_another_network_and_shares_nothing_mutable(model):
    X, _ = load_diabetes(return_X_y=True)
    before, losses = model.predict(X), [dict(record) for record in model.history_]
    small = model.select(index=1)
    assert small.network_ is model.path_[1].network
    assert small.nnz_ == model.path_[1].nnz < model.nnz_
    assert small.loss_ == model.path_[1].train_loss
    assert small.get_params() == model.get_params()
    np.testing.assert_array_equal(small.predict(X), small.network_.predict(X)[:, 0])
    small.history_.clear()
    small.loss_curve_[0] = 7.0
    small.depth.append(2)
    small.set_params(alpha=1.0)
    assert len(model.history_) == len(losses)
    assert model.loss_curve_[0] != 7.0
    assert (model.depth, model.alpha) == ([1], 2e-5)
    np.testing.assert_array_equal(model.predict(X), before)
    assert small.select(index=-1).nnz_ == model.path_[-1].network.nnz
    with pytest.raises(ValueError, match="read-only"):
        small.network_.weights[0][0] = 1.0


def test_one_standard_error_of_a_fit_is_smaller_and_within_it(model):
    frame = model.path_frame()
    small = model.select(rule="one_standard_error")
    row = frame[frame.nnz == small.nnz_].iloc[0]
    best = frame.loc[frame.validation_loss.idxmin()]
    assert small.nnz_ < best.nnz
    assert row.validation_loss <= best.validation_loss + best.validation_error
    smaller = frame[frame.nnz < row.nnz]
    assert (smaller.validation_loss > best.validation_loss + best.validation_error).all()


def test_a_selected_classifier_predicts_its_classes(classifier):
    X, y = load_iris(return_X_y=True)
    assert set(classifier.select(index=0).predict(X)) <= set(y)
    assert classifier.select(index=-1).score(X, y) > 0.8


# ---------------------------------------------------------------------------- features
@pytest.mark.parametrize("name", ["model", "classifier"])
def test_importances_are_shares_of_the_features_used(name, request):
    fitted = request.getfixturevalue(name)
    for index in range(1, len(fitted.path_)):
        selected = fitted.select(index=index)
        importances = selected.feature_importances_
        assert importances.shape == (fitted.n_features_in_,)
        assert importances.sum() == pytest.approx(1)
        np.testing.assert_array_equal(np.flatnonzero(importances), selected.selected_features_)
        np.testing.assert_array_equal(importances > 0, selected.get_support())
        np.testing.assert_array_equal(
            selected.get_support(indices=True), selected.network_.used_features
        )


def test_a_constant_network_has_no_important_feature(model):
    constant = model.select(index=0)
    np.testing.assert_array_equal(constant.feature_importances_, np.zeros(10))
    assert not constant.get_support().any()
    assert constant.selected_features_.size == 0


def test_importances_do_not_depend_on_the_units_of_features_and_targets():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((200, 3))
    Y = np.column_stack([3 * X[:, 0] + X[:, 1], X[:, 1]])
    quick = {**QUICK, "alpha": 1e-3}
    importances = SWATRegressor(**quick).fit(X, Y).feature_importances_
    # per deviation of the target: 3 / sqrt(10) against 1 / sqrt(10) + 1
    expected = np.array([3 / 10**0.5, 1 / 10**0.5 + 1, 0])
    np.testing.assert_allclose(importances, expected / expected.sum(), atol=0.03)
    scaled = SWATRegressor(**quick).fit(X * [1024, 1 / 1024, 1], Y * [1, 4096])
    np.testing.assert_allclose(scaled.feature_importances_, importances, rtol=1e-6)


def test_importances_bound_the_slopes_of_a_deep_network():
    rng = np.random.RandomState(0)
    names = (("sigmoid", "tanh", "leaky_relu", "identity"), ("sigmoid", "tanh", "identity"))
    sizes = (3, 4, 3, 1)
    network = SparseMLP(
        tuple(rng.standard_normal(pair) for pair in pairwise(sizes)),
        tuple(rng.standard_normal(n) for n in sizes[1:]),
        names,
    )
    # By hand, in the order of the network's own neurons.
    slopes = [
        np.array([0.25 if a == "sigmoid" else 1.0 for a in layer]) for layer in network.activations
    ]
    w = [np.abs(weights) for weights in network.weights]
    bound = (((w[0] * slopes[0]) @ w[1] * slopes[1]) @ w[2])[:, 0]
    importances = feature_importances(network, np.ones(3), np.ones(1))
    np.testing.assert_allclose(importances, bound / bound.sum())
    X = rng.standard_normal((300, 3))
    for j in range(3):
        step = 1e-5 * np.eye(3)[j]
        slope = (network.predict(X + step) - network.predict(X - step)) / 2e-5
        assert np.abs(slope).max() <= bound[j] * (1 + 1e-6)


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_importances_neither_overflow_nor_vanish(scale):
    chain = SparseMLP(
        (np.array([[1.0], [3.0]]) * scale, *[np.full((1, 1), scale)] * 3),
        (np.zeros(1),) * 4,
        (("tanh",),) * 3,
    )
    np.testing.assert_allclose(feature_importances(chain, np.ones(2), np.ones(1)), [0.25, 0.75])


def test_features_are_selected_in_a_pipeline():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((150, 6))
    y = 2 * X[:, 1] - X[:, 4]
    selector = SelectFromModel(SWATRegressor(**{**QUICK, "alpha": 1e-3}), threshold=1e-12)
    pipeline = make_pipeline(selector, LinearRegression()).fit(X, y)
    assert pipeline[0].get_support(indices=True).tolist() == [1, 4]
    assert pipeline[-1].coef_.shape == (2,)
    assert pipeline.score(X, y) > 0.999


def test_nothing_of_it_exists_before_a_fit(model):
    unfitted = clone(model)
    for attribute in ("feature_importances_", "selected_features_"):
        assert not hasattr(unfitted, attribute)
    for method in (unfitted.path_frame, unfitted.get_support, lambda: unfitted.select(index=0)):
        with pytest.raises(NotFittedError):
            method()


def test_attributes_of_an_unfitted_estimator_say_that_it_is_not_fitted():
    model = SWATRegressor()
    with pytest.raises(NotFittedError, match="SWATRegressor instance is not fitted yet"):
        _ = model.nnz_
    assert not hasattr(model, "selected_features_")


def test_budgets_count_as_the_front_does():
    """A target of zeros has a bias of zero, which is a number of the network all the same."""
    rng = np.random.RandomState(5)
    X = rng.standard_normal((40, 3))
    Y = np.column_stack([X[:, 0] * X[:, 1], np.zeros(40)])
    model = SWATRegressor(**QUICK).fit(X, Y)
    sizes = [point.nnz for point in model.path_]
    assert sizes[0] == 2
    assert len(sizes) > 2
    for budget in range(sizes[0], sizes[-1] + 1):
        selected = model.select(max_nnz=budget)
        assert selected.path_[position(selected.path_, selected.network_)].nnz <= budget
    with pytest.raises(ValueError, match="the smallest network of the front has 2 non-zeros"):
        model.select(max_nnz=1)


def test_importances_of_targets_of_any_scale():
    X = np.random.RandomState(0).standard_normal((200, 3))
    Y = np.column_stack([X[:, 0] * 1e-300, X[:, 0] * 1e300, X[:, 1]])
    importances = SWATRegressor(**QUICK).fit(X, Y).feature_importances_
    np.testing.assert_allclose(importances, [2 / 3, 1 / 3, 0], atol=0.03)

"""Rows that judge, given to `fit` as X_val and y_val."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.datasets import load_diabetes, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._leave_one_out import can_leave_out
from sklearn_swat._losses import LOSSES
from sklearn_swat._problem import Problem
from sklearn_swat._rows import Rows

QUICK = {"depth": 1, "max_width": 6, "max_iter": 10, "n_restarts": 1, "random_state": 0}
X, Y = load_diabetes(return_X_y=True)
TRAINING, JUDGING = slice(0, 300), slice(300, None)


def fit_diabetes(y_val=Y[JUDGING], X_val=X[JUDGING], weight_val=None, **parameters):
    model = SWATRegressor(**QUICK | parameters)
    return model.fit(
        X[TRAINING], Y[TRAINING], X_val=X_val, y_val=y_val, sample_weight_val=weight_val
    )


def is_same(one, other):
    return np.array_equal(one.predict(X), other.predict(X)) and len(one.path_) == len(other.path_)


@pytest.fixture(scope="module")
def model():
    return fit_diabetes()


def test_networks_of_groups_are_chosen_by_other_groups():
    rng = np.random.RandomState(0)
    group = np.repeat(np.arange(30), 15)
    habits = rng.normal(size=(30, 2))[group]  # tell the group, and nothing of other groups
    x, effect = rng.normal(size=len(group)), 1.5 * rng.normal(size=30)[group]
    y = np.sin(2 * x) + effect + 0.3 * rng.normal(size=len(group))
    rows = np.column_stack([x, habits])
    training, judging, new = group < 15, (group >= 15) & (group < 22), group >= 22
    parameters = {"depth": 1, "max_iter": 10, "random_state": 0}
    by_chance = SWATRegressor(**parameters).fit(rows[~new], y[~new])
    by_groups = SWATRegressor(**parameters)
    by_groups.fit(rows[training], y[training], X_val=rows[judging], y_val=y[judging])
    assert by_chance.path_[-1].validation_loss < 0.5  # of rows whose groups it has seen
    assert by_groups.score(rows[new], y[new]) > by_chance.score(rows[new], y[new]) + 0.3


def test_judging_rows_are_not_fitted(model):
    constant = model.select(index=0)
    assert constant.network_.is_constant
    np.testing.assert_allclose(constant.predict(X[:1]), Y[TRAINING].mean())
    assert Y[TRAINING].mean() != pytest.approx(Y.mean())


def test_losses_are_those_of_the_judging_rows():
    model = fit_diabetes(refine=False)  # not refitted
    y, y_val = Y[TRAINING], Y[JUDGING]
    assert len(model.path_) > 1
    for i, point in enumerate(model.path_):
        error = np.square(model.select(index=i).predict(X[JUDGING]) - y_val).mean()
        np.testing.assert_allclose(point.validation_loss, error / y.var(), rtol=1e-9)


def test_no_training_row_judges():
    loss, weight = LOSSES["squared_error"], np.ones(300)
    rows = Rows(X[TRAINING], Y[TRAINING, None], weight)
    by_chance = Problem.of(rows, loss, 0.2, np.random.RandomState(0))
    assert can_leave_out(by_chance.train, loss, 5)
    judging = Rows(X[JUDGING], Y[JUDGING, None], np.ones(142))
    problem = Problem.of(rows, loss, 0.2, np.random.RandomState(0), judging)
    assert (len(problem.train.X), len(problem.validation.X)) == (300, 142)
    for training in (problem.train, problem.few_train, problem.few(problem.train, 50)):
        assert not can_leave_out(training, loss, 5)


@pytest.mark.parametrize("change", ["order", "weights", "repeats", "fraction", "jobs"])
def test_what_changes_nothing(model, change):
    order = np.random.RandomState(0).permutation(len(X[JUDGING]))
    X_val, y_val = X[JUDGING], Y[JUDGING]
    other = {
        "order": lambda: fit_diabetes(y_val[order], X_val[order]),
        "weights": lambda: fit_diabetes(weight_val=np.full(len(y_val), 3.0)),
        "repeats": lambda: fit_diabetes(np.r_[y_val, y_val], np.r_[X_val, X_val]),
        "fraction": lambda: fit_diabetes(validation_fraction=0.5),
        "jobs": lambda: fit_diabetes(n_jobs=2),
    }[change]()
    assert is_same(model, other)


def test_weight_of_two_is_two_rows():
    X_val, y_val, twice = X[JUDGING], Y[JUDGING], np.arange(20)
    weights = np.ones(len(y_val))
    weights[twice] = 2
    repeated = fit_diabetes(np.r_[y_val, y_val[twice]], np.r_[X_val, X_val[twice]])
    assert is_same(repeated, fit_diabetes(weight_val=weights))
    weights[twice] = 0
    left = slice(len(twice), None)
    assert is_same(fit_diabetes(y_val[left], X_val[left]), fit_diabetes(weight_val=weights))


def test_one_row_can_judge():
    model = fit_diabetes(Y[300:301], X[300:301])
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("size", [1e20, 1e100, 1e308])
@pytest.mark.parametrize("of", ["features", "targets"])
def test_rows_however_far_off_can_judge(size, of):
    X_val, y_val = X[JUDGING].copy(), Y[JUDGING].copy()
    (X_val[0] if of == "features" else y_val[:1])[:] = size
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit_diabetes(y_val, X_val)
    assert np.isfinite(model.predict(X)).all()


def test_features_that_are_constant_in_training_are_of_no_use():
    rows = X.copy()
    rows[TRAINING, 2] = 1.0
    model = SWATRegressor(**QUICK)
    model.fit(rows[TRAINING], Y[TRAINING], X_val=X[JUDGING], y_val=Y[JUDGING])
    assert 2 not in model.selected_features_
    constant = SWATRegressor(**QUICK)
    constant.fit(X[TRAINING], np.ones(300), X_val=X[JUDGING], y_val=Y[JUDGING])
    np.testing.assert_array_equal(constant.predict(X), 1.0)


@pytest.mark.parametrize("kind", ["binary", "multi-class", "labels", "weighted"])
def test_classes(kind):
    rows, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(150)
    rows, y = rows[order], np.array(["a", "b", "c"])[y[order]]
    parameters = QUICK
    if kind == "binary":
        y = np.where(y == "c", "c", "a")
    elif kind == "labels":
        y = np.column_stack([y == "a", y != "c"]).astype(int)
    elif kind == "weighted":
        parameters = QUICK | {"class_weight": "balanced"}
    train, judge, new = slice(0, 80), slice(80, 110), slice(110, None)
    model = SWATClassifier(**parameters)
    model.fit(rows[train], y[train], X_val=rows[judge], y_val=y[judge])
    assert model.score(rows[new], y[new]) > 0.85
    one_class = rows[judge][:3], np.repeat(y[judge][:1], 3, axis=0)
    model.fit(rows[train], y[train], X_val=one_class[0], y_val=one_class[1])
    assert np.isfinite(model.predict_proba(rows)).all()


def test_several_outputs():
    targets = np.column_stack([Y, -2 * Y, X[:, 2]])
    model = SWATRegressor(**QUICK)
    model.fit(X[TRAINING], targets[TRAINING], X_val=X[JUDGING], y_val=targets[JUDGING])
    assert model.predict(X).shape == targets.shape
    assert model.score(X[JUDGING], targets[JUDGING]) > 0.4


def test_a_pipeline_transforms_them(model):
    with config_context(enable_metadata_routing=True):
        swat = SWATRegressor(**QUICK).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), swat, transform_input=["X_val"])
        pipeline.fit(X[TRAINING], Y[TRAINING], X_val=X[JUDGING], y_val=Y[JUDGING])
    assert [point.nnz for point in pipeline[-1].path_] == [point.nnz for point in model.path_]
    np.testing.assert_allclose(pipeline.predict(X), model.predict(X), rtol=1e-6)


def test_rows_in_other_units_are_told_of():
    with pytest.warns(
        UserWarning, match=r"half of X_val lies .* in column 2 .*transform_input"
    ) as told:
        fit_diabetes(X_val=X[JUDGING] + np.where(np.arange(10) == 2, 100, 0))
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match=r"more than 6 in half of the columns: .*transform_input"):
        fit_diabetes(X_val=X[JUDGING] + 8 * X.std(axis=0))  # as of a scaler that saw X alone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_diabetes(X_val=X[JUDGING] + 5 * X.std(axis=0))  # a trend
        fit_diabetes(X_val=X[JUDGING] + np.where(np.arange(10) < 4, 15, 0) * X.std(axis=0))


@pytest.mark.parametrize(
    ("X_val", "y_val", "weight_val", "message"),
    [
        (X[JUDGING], None, None, "X_val without y_val: pass both, or neither"),
        (None, Y[JUDGING], None, "y_val without X_val: pass both, or neither"),
        (None, None, np.ones(142), "sample_weight_val without X_val: pass both"),
        (X[JUDGING, :3], Y[JUDGING], None, "X_val, y_val: X has 3 features, but SWATRegressor"),
        (X[JUDGING], Y[JUDGING][1:], None, "X_val, y_val: .*inconsistent numbers of samples"),
        (X[JUDGING], np.c_[Y, Y][JUDGING], None, "X_val, y_val: y has 2 outputs"),
        (X[JUDGING] * np.nan, Y[JUDGING], None, "X_val, y_val: Input X contains NaN"),
        (X[:0], Y[:0], None, "X_val, y_val: Found array with 0 sample"),
        (X[JUDGING], Y[JUDGING], np.zeros(142), "X_val, y_val: Sample weights must contain at"),
        (X[JUDGING], Y[JUDGING], np.ones(141), "X_val, y_val: "),
    ],
)
def test_refusals_lose_nothing(model, X_val, y_val, weight_val, message):
    before = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.fit(X[TRAINING], Y[TRAINING], X_val=X_val, y_val=y_val, sample_weight_val=weight_val)
    np.testing.assert_array_equal(model.predict(X), before)


def test_refusals_of_names_and_classes():
    rows, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"X_val, y_val: y has the classes \[2\], .*call fit with"):
        SWATClassifier(**QUICK).fit(rows[:100], y[:100], X_val=rows[100:], y_val=y[100:])
    of_two = SWATClassifier(**QUICK, class_weight={0: 1.0, 1: 1.0, 2: 0.0})
    with pytest.raises(ValueError, match="X_val, y_val: class_weight gives all rows a weight of 0"):
        of_two.fit(rows, y, X_val=rows[100:], y_val=y[100:])
    table = pd.DataFrame(X, columns=[f"f{i}" for i in range(10)])
    with pytest.raises(ValueError, match="X_val, y_val: The feature names should match"):
        SWATRegressor(**QUICK).fit(
            table[TRAINING], Y[TRAINING], X_val=table[JUDGING].iloc[:, ::-1], y_val=Y[JUDGING]
        )

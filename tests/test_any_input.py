"""Whatever the data are like: a fit with finite predictions, or an error with a way out."""

import numpy as np
import pandas as pd
import pytest
from any_input import Case, broken_promises, cases
from hypothesis import HealthCheck, example, given, settings
from scipy.sparse import csr_array

from sklearn_swat import SWATClassifier, SWATRegressor

QUICK = {"max_iter": 3, "depth": 1, "max_width": 4, "n_restarts": 1, "random_state": 0}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(max_rows=150, max_features=20, max_classes=12, max_outputs=6))
@example(Case(n=20, target="offset", target_scale=300.0, weights="wide", seed=390))
@example(Case(task="several classes", n=25, d=1, columns=("rounding",), scale=300.0))
@example(Case(task="several targets", n=40, d=3, k=11, scale=300.0, target_scale=300.0))
@example(Case(task="two classes", n=16, d=3, weights="wide", imbalance=True))
@example(Case(task="several targets", n=30, weights="huge", container="object"))
@example(Case(task="several classes", n=60, d=2, columns=("outlier", "boolean"), repeats=0.95))
@example(Case(task="several classes", n=300, k=50, container="odd names", weights="tiny"))
@example(Case(task="two classes", n=2000, d=2, imbalance=True, dtype="float16"))
@example(Case(task="several labels", n=18, d=48, k=2, columns=("integer",), weights="almost none"))
@example(Case(n=30, d=4, target_scale=300.0, scale=300.0, columns=("heavy",), held_out=True))
@example(Case(task="several classes", n=90, k=4, container="nullable", held_out=True))
@example(Case(task="several labels", n=9, weights="almost none", container="list", held_out=True))
def test_any_data_are_fitted_or_refused_with_reason(case):
    broken, ending = broken_promises(case, **QUICK)
    assert not broken, (ending, case)


def test_the_promises_can_be_broken(monkeypatch):
    monkeypatch.setattr(SWATRegressor, "predict", lambda self, X: np.full(len(X), np.nan))
    assert "predict of far rows is not finite" in broken_promises(Case(), **QUICK)[0]
    monkeypatch.setattr(SWATRegressor, "fit", lambda self, X, y, sample_weight: np.zeros(2) @ X)
    assert broken_promises(Case(), **QUICK)[0]


@pytest.mark.parametrize(
    ("kind", "X", "y", "weight", "message"),
    [
        (SWATRegressor, np.ones((4, 2, 2)), np.arange(4), None, "dim 3|ndim"),
        (SWATRegressor, np.arange(4.0), np.arange(4), None, "Reshape your data"),
        (SWATRegressor, np.eye(4) * 1j, np.arange(4), None, "Complex data not supported"),
        (SWATRegressor, csr_array(np.eye(4)), np.arange(4), None, "toarray|dense"),
        (SWATRegressor, np.eye(4), None, None, "requires y to be passed"),
        (SWATRegressor, np.eye(4), np.arange(4), [1, 2, 3], "sample_weight"),
        (SWATRegressor, np.eye(4), np.arange(4), [1, 1, 1, np.inf], "infinity"),
        (SWATRegressor, np.eye(4), np.arange(4), [1, 1, 1, np.nan], "NaN"),
        (SWATRegressor, np.array([[None, "a"]] * 4), np.arange(4), None, "could not convert"),
        (SWATRegressor, pd.DataFrame({0: [1, 2], "a": [1, 2]}), [1, 2], None, "string"),
        (SWATRegressor, pd.DataFrame({"a": pd.Categorical(["u", "v"])}), [1, 2], None, "convert"),
        (SWATClassifier, np.eye(4), [0.5, 0.2, 0.1, 0.4], None, "Unknown label type|continuous"),
        (SWATClassifier, np.eye(4), [0, 1, np.nan, 0], None, "NaN"),
        (SWATClassifier, np.eye(4), [[1, 2], [3, 1], [2, 2], [1, 3]], None, "MultiOutput"),
        (SWATClassifier, np.eye(4), [0, 0, 1, 1], [1, 1, 0, 0], "one class only"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(kind, X, y, weight, message):
    with pytest.raises((ValueError, TypeError), match=message):
        kind(**QUICK).fit(X, y, sample_weight=weight)


def test_predictions_beyond_all_numbers_are_the_largest_number():
    X = np.random.RandomState(0).standard_normal((50, 2))
    model = SWATRegressor(**QUICK).fit(X, 1e10 * (X[:, 0] - X[:, 1]))
    largest = np.finfo(np.float64).max
    np.testing.assert_array_equal(
        model.predict([[largest, -largest], [-largest, largest]]), [largest, -largest]
    )

"""The estimators, as scikit-learn and its users meet them."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_swat import SWATClassifier, SWATRegressor

QUICK = {"max_iter": 10, "n_restarts": 1, "depth": [1, 2], "random_state": 0}


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


@parametrize_with_checks(
    [SWATRegressor(random_state=0), SWATClassifier(random_state=0)], xfail_strict=True
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_a_fit_beats_the_best_constant_and_keeps_its_word(diabetes):
    X, y = diabetes
    model = SWATRegressor(**QUICK).fit(X, y)
    assert model.score(X, y) > 0.4
    assert model.nnz_ == model.network_.nnz < 300
    assert model.network_ in [point.network for point in model.path_]
    assert [p.nnz for p in model.path_] == sorted({p.nnz for p in model.path_})


def test_the_same_seed_gives_the_same_bits_and_row_order_does_not_matter(diabetes):
    X, y = diabetes
    first = SWATRegressor(**QUICK).fit(X, y).predict(X)
    shuffled = np.random.RandomState(1).permutation(len(X))
    second = SWATRegressor(**QUICK).fit(X[shuffled], y[shuffled]).predict(X)
    np.testing.assert_array_equal(first, second)


def test_select_gives_a_copy_within_the_budget(diabetes):
    model = SWATRegressor(**QUICK).fit(*diabetes)
    small = model.select(max_nnz=model.path_[1].nnz)
    assert small.nnz_ == model.path_[1].nnz
    assert model.network_ is not small.network_ or model.nnz_ == small.nnz_
    with pytest.raises(ValueError, match="max_nnz=0 is too small"):
        model.select(max_nnz=0)


def test_multilabel_probabilities_and_classes():
    X, Y = make_multilabel_classification(n_samples=80, n_classes=3, random_state=0)
    model = SWATClassifier(**QUICK).fit(X, Y)
    probabilities = model.predict_proba(X)
    assert probabilities.shape == Y.shape
    np.testing.assert_array_equal(model.predict(X), probabilities > 0.5)


def test_grid_search_over_alpha_and_depth_is_deterministic():
    X, y = load_iris(return_X_y=True)
    pipeline = Pipeline(
        [("scaler", StandardScaler()), ("swat", SWATClassifier(max_iter=5, random_state=0))]
    )
    grid = {"swat__alpha": [1e-3, 1e-1], "swat__depth": [1, 2]}
    scores = [
        GridSearchCV(clone(pipeline), grid, cv=2, n_jobs=n_jobs)
        .fit(X, y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


def test_weights_space_needs_no_checkpoint(diabetes):
    model = SWATRegressor(space="weights", start="random", checkpoint="nowhere", **QUICK)
    assert model.fit(*diabetes).score(*diabetes) > 0.3


def test_predicting_and_importing_need_no_torch(diabetes, tmp_path):
    import joblib

    X, y = diabetes
    model = SWATRegressor(**QUICK).fit(X, y)
    joblib.dump((model, X, model.predict(X)), tmp_path / "model.joblib")
    code = (
        "import sys, builtins\n"
        "real = builtins.__import__\n"
        "def no_torch(name, *rest, **more):\n"
        "    assert name.split('.')[0] != 'torch', 'torch was imported'\n"
        "    return real(name, *rest, **more)\n"
        "builtins.__import__ = no_torch\n"
        "import joblib, numpy as np, sklearn_swat\n"
        f"model, X, expected = joblib.load({str(tmp_path / 'model.joblib')!r})\n"
        "assert np.array_equal(model.predict(X), expected)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""The estimators, as scikit-learn and its users meet them."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import (
    load_diabetes,
    load_digits,
    load_iris,
    make_friedman1,
    make_multilabel_classification,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_swat import SWATClassifier, SWATRegressor, _beginnings, _paths, _problem
from sklearn_swat._network import SparseMLP

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
    quick = SWATClassifier(max_iter=5, n_restarts=1, max_width=4, random_state=0)
    pipeline = Pipeline([("scaler", StandardScaler()), ("swat", quick)])
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


def test_a_linear_target_gets_a_linear_network():
    X = np.random.RandomState(0).standard_normal((200, 4))
    model = SWATRegressor(**QUICK).fit(X, 2 * X[:, 0] - X[:, 1] + 1)
    assert (model.depth_, model.nnz_) == (0, 3)
    np.testing.assert_allclose(model.coefs_[0][:, 0], [2, -1, 0, 0], atol=0.02)


@pytest.mark.parametrize("wrap", ["as it is", "frozen", "network", "swat"])
def test_a_search_can_begin_at_a_fitted_network(diabetes, wrap):
    X, y = diabetes
    mlp = MLPRegressor(
        hidden_layer_sizes=(5,), activation="tanh", solver="lbfgs", max_iter=20, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X, (y - y.mean()) / y.std())
    start = {
        "as it is": mlp,
        "frozen": FrozenEstimator(mlp),
        "network": SparseMLP.from_sklearn(mlp, exact=False),
        "swat": SWATRegressor(**QUICK).fit(X, y),
    }[wrap]
    model = SWATRegressor(start=start, **QUICK)
    assert model.fit(X, y).score(X, y) > 0.4
    if wrap == "as it is":
        with pytest.raises(ValueError, match=r"FrozenEstimator\(mlp\)"):
            clone(model).fit(X, y)
    elif wrap != "swat":
        assert clone(model).fit(X, y).score(X, y) > 0.4


def test_a_warm_start_at_a_linear_network_starts_as_the_first_fit_did(diabetes):
    X = diabetes[0]
    model = SWATRegressor(
        space="weights", start="random", checkpoint="nowhere", warm_start=True, **QUICK
    )
    y = X @ np.arange(10.0)
    assert model.fit(X, y).depth_ == 0
    assert model.fit(X, y).score(X, y) > 0.99


def test_structures_are_found_by_some_of_many_rows_and_refitted_on_all(monkeypatch):
    X, y = make_friedman1(3000, n_features=6, noise=2.0, random_state=0)
    n_rows = {}
    originals = (_beginnings, _beginnings._refine_first), (_paths, _paths._run_path)

    def spy(original):
        def called(network, train, validation, *args, **kwargs):
            sizes = len(train.X), len(validation.X)
            n_rows.setdefault(original.__name__, set()).add(sizes)
            return original(network, train, validation, *args, **kwargs)

        return called

    for module, original in originals:
        monkeypatch.setattr(module, original.__name__, spy(original))
    monkeypatch.setattr(_problem, "SEARCH_ROWS", 400)
    monkeypatch.setattr(_problem, "BEGINNING_ROWS", 200)
    quick = {"max_iter": 5, "depth": 1, "max_width": 4, "random_state": 0}
    model = SWATRegressor(**quick).fit(X, y)
    assert n_rows == {"_refine_first": {(200, 400)}, "_run_path": {(400, 400)}}
    (chosen,) = (point for point in model.path_ if point.network is model.network_)
    n_validation = 600  # which the loss and its error are of
    assert chosen.validation_error < np.sqrt(2 / n_validation) * 2 * chosen.validation_loss
    loss = np.square(model.predict(X) - y).mean() / y.var()
    assert loss == pytest.approx(chosen.validation_loss, rel=0.25)
    assert model.score(X, y) > 0.7


def test_a_budget_holds_for_what_is_selected_by_price_or_rule(diabetes):
    model = SWATRegressor(max_nnz=12, **QUICK).fit(*diabetes)
    assert model.path_[-1].nnz > 12 >= model.nnz_
    assert model.select(alpha=0.0).nnz_ <= 12
    assert model.select(rule="one_standard_error").nnz_ <= 12
    assert model.select(index=-1).nnz_ == model.path_[-1].nnz
    assert model.select(max_nnz=1000).nnz_ > 12
    with pytest.raises(ValueError, match="max_nnz=0 is too small"):
        model.set_params(max_nnz=0).select(alpha=0.0)


@pytest.mark.parametrize(
    ("options", "way_out"),
    [({"refine": False}, "set refine=True"), ({"max_time": 1e-9}, "more than max_time=1e-09")],
)
def test_a_budget_that_nothing_was_pruned_to_is_told(diabetes, options, way_out):
    with pytest.warns(ConvergenceWarning, match=f"within max_nnz=12 .* but a constant.*{way_out}"):
        model = SWATRegressor(max_nnz=12, **{**QUICK, **options}).fit(*diabetes)
    assert model.nnz_ == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SWATRegressor(max_nnz=1000, **{**QUICK, **options}).fit(*diabetes)


def test_networks_of_many_features_are_wider_unless_a_width_is_given():
    X, y = load_digits(return_X_y=True)
    quick = {"depth": 1, "max_iter": 0, "refine": False, "n_restarts": 1, "random_state": 0}
    widths = {}
    for width in (None, 12):
        model = SWATClassifier(max_width=width, **quick).fit(X[:300], y[:300])
        widths[width] = max(max(p.network.hidden_layer_sizes, default=0) for p in model.path_)
    assert 20 < widths[None] <= 32  # two per class would be 20
    assert widths[12] <= 12


def test_an_impossible_budget_is_refused_before_the_descent(monkeypatch):
    monkeypatch.setattr("sklearn_swat._descent.descend", None)
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="max_nnz=2 is less than the 3 numbers"):
        SWATClassifier(max_nnz=2, **QUICK).fit(X, y)


@pytest.mark.parametrize("max_nnz", [3.5, "a"])
def test_a_budget_is_an_integer(diabetes, max_nnz):
    model = SWATRegressor(**QUICK).fit(*diabetes)
    with pytest.raises(TypeError, match="no integer"):
        model.select(max_nnz=max_nnz)


def test_the_scale_of_the_sample_weights_changes_nothing(diabetes):
    X, y = diabetes
    plain = SWATRegressor(**QUICK).fit(X, y).predict(X)
    for scale in (0.3, 1e-3, 7.0):
        weighted = SWATRegressor(**QUICK).fit(X, y, sample_weight=np.full(len(y), scale))
        np.testing.assert_array_equal(weighted.predict(X), plain)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logarithms_of_probabilities_stay_exact_where_probabilities_vanish(n_classes):
    X, y = load_iris(return_X_y=True)
    model = SWATClassifier(**QUICK).fit(X[y < n_classes], y[y < n_classes])
    far = model.predict_log_proba(1e6 * X[:5])
    assert np.isfinite(far).all()
    assert far.min() < -1000
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))

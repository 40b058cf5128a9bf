import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._teacher import read_teacher
from sklearn_swat.compression import _draw_rows, compress

QUICK = {"depth": 1, "max_iter": 5, "n_restarts": 1, "n_augmented": 0, "random_state": 0}
LBFGS = {"solver": "lbfgs", "max_iter": 5000, "tol": 1e-3, "random_state": 0}


@pytest.fixture(scope="module")
def friedman():
    X, y = make_friedman1(200, 5, random_state=0)
    return X, (y - y.mean()) / y.std()


@pytest.fixture(scope="module")
def mlp(friedman):
    return regressor(12, activation="tanh", alpha=1.0, **LBFGS).fit(*friedman)


@pytest.fixture(scope="module")
def small(mlp, friedman):
    return compress(mlp, friedman[0], **QUICK)


def regressor(sizes, **parameters):
    return MLPRegressor(hidden_layer_sizes=sizes, **parameters)


def module_of(*layers, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(*(layer() for layer in layers))


# ------------------------------------------------------------------------- what comes out


def test_a_network_that_fits_into_the_budget_is_found_again(small, mlp, friedman):
    assert isinstance(small.estimator, SWATRegressor)
    assert small.nnz_before == 12 * 5 + 12 + 12 + 1
    assert small.fidelity > 0.99
    assert small.nnz < small.nnz_before
    assert small.agreement is None
    whole = r2_score(mlp.predict(friedman[0]), small.estimator.predict(friedman[0]))
    assert whole > 0.99


def test_fidelity_is_measured_on_rows_that_were_held_out(mlp, friedman):
    seen = []

    class Watched(SWATRegressor):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(X, y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn_swat.compression.SWATRegressor", Watched)
        result = compress(mlp, friedman[0], **QUICK)
    learned = {tuple(row) for row in seen[0]}
    held_out = np.array([row for row in friedman[0] if tuple(row) not in learned])
    assert len(held_out) == result.n_held_out == 40
    expected = r2_score(mlp.predict(held_out), result.estimator.predict(held_out))
    assert result.fidelity == pytest.approx(expected, abs=1e-12)


def test_select_chooses_by_size_or_by_fidelity(small):
    path = small.estimator.path_
    assert len(small.path_fidelity) == len(path)
    limit = float(np.quantile(small.path_fidelity, 0.3))
    faithful = small.select(min_fidelity=limit)
    assert faithful.fidelity >= limit
    smaller = [f for p, f in zip(path, small.path_fidelity, strict=True) if p.nnz < faithful.nnz]
    assert smaller
    assert all(fidelity < limit for fidelity in smaller)
    assert small.select(max_nnz=10).nnz <= 10
    assert small.nnz != faithful.nnz  # and this one is what it was
    assert pickle.loads(pickle.dumps(faithful)).fidelity == faithful.fidelity
    assert f"{faithful.nnz} of {small.nnz_before} numbers" in str(faithful)


def test_a_budget_is_kept_and_a_price_makes_it_smaller(mlp, friedman):
    assert compress(mlp, friedman[0], max_nnz=20, **QUICK).nnz <= 20
    dear = compress(mlp, friedman[0], alpha=1e-2, **QUICK)
    cheap = compress(mlp, friedman[0], alpha=1e-5, **QUICK)
    assert dear.nnz < cheap.nnz
    assert dear.fidelity < cheap.fidelity


def test_the_estimator_does_not_hold_on_to_the_mlp(small, friedman):
    assert small.estimator.get_params()["start"] == "data"
    assert clone(small.estimator).fit(*friedman).nnz_ > 0


def test_same_random_state_same_bits(small, mlp, friedman):
    again = compress(mlp, friedman[0], **QUICK)
    X = friedman[0]
    assert (again.estimator.predict(X) == small.estimator.predict(X)).all()
    assert (again.path_fidelity == small.path_fidelity).all()


@pytest.mark.parametrize(("n", "n_drawn"), [(10, 1000), (1000, 1000), (1001, 0)])
def test_rows_are_drawn_where_there_are_few(n, n_drawn):
    rows = np.zeros((n, 3))
    rows[:, 1] = np.arange(n) % 2
    drawn = _draw_rows(rows, "auto", np.random.RandomState(0))
    assert drawn.shape == (n_drawn, 3)
    assert not drawn[:, [0, 2]].any()  # what is constant stays so
    assert np.abs(drawn[:, 1] - 0.5).max(initial=0) <= 0.5 + 0.3


def test_drawn_rows_are_learned_beside_the_given_ones(friedman, monkeypatch):
    n_learned = []
    fit = SWATRegressor.fit
    monkeypatch.setattr(
        SWATRegressor, "fit", lambda self, X, y: n_learned.append(len(X)) or fit(self, X, y)
    )
    frame = pd.DataFrame(friedman[0], columns=list("abcde"))
    named = regressor(12, activation="tanh", **LBFGS).fit(frame, friedman[1])
    result = compress(named, frame, **{**QUICK, "n_augmented": 30})
    assert n_learned == [160 + 30]
    assert result.n_held_out == 40
    assert list(result.estimator.feature_names_in_) == list("abcde")


def test_several_outputs(friedman):
    X, y = friedman
    mlp = regressor(8, activation="tanh", **LBFGS).fit(X, np.c_[y, X[:, 0]])
    result = compress(mlp, X, **QUICK)
    assert result.estimator.predict(X).shape == (200, 2)
    assert result.fidelity > 0.95


# -------------------------------------------------------------------------------- classes


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_classifier_is_learned_by_its_probabilities(n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[:, :3], np.array(["a", "b", "c"])[np.maximum(y, 3 - n_classes)]
    mlp = MLPClassifier(6, activation="tanh", alpha=5.0, **LBFGS).fit(X, y)
    result = compress(mlp, X, **QUICK)
    estimator = result.estimator
    assert isinstance(estimator, SWATClassifier)
    assert list(estimator.classes_) == list(mlp.classes_)
    assert result.fidelity > 0.95
    assert result.agreement > 0.9
    assert (estimator.predict(X) == mlp.predict(X)).mean() > 0.95
    # Labels alone make a classifier that is surer than the MLP.
    parameters = {name: value for name, value in QUICK.items() if name != "n_augmented"}
    labels_only = SWATClassifier(**parameters).fit(X, mlp.predict(X))
    differences = [
        np.abs(model.predict_proba(X) - mlp.predict_proba(X)).mean()
        for model in (estimator, labels_only)
    ]
    assert differences[0] < 0.5 * differences[1]


def test_labels_that_do_not_exclude_each_other():
    X, y = load_iris(return_X_y=True)
    labels = np.c_[y > 0, X[:, 0] > 6].astype(int)
    mlp = MLPClassifier(6, activation="tanh", alpha=1.0, **LBFGS).fit(X, labels)
    result = compress(mlp, X, **QUICK)
    assert result.estimator.predict(X).shape == (150, 2)
    assert result.fidelity > 0.95
    assert result.agreement > 0.9


# ------------------------------------------------------------------------- what is read


@given(
    scaler=st.sampled_from([StandardScaler(), MinMaxScaler(), MinMaxScaler((-3, 5))]),
    shift=st.floats(-1e3, 1e3),
    size=st.floats(1e-3, 1e3),
)
@settings(max_examples=15, deadline=None)
def test_scaling_before_and_behind_an_mlp_is_folded_into_its_network(scaler, shift, size):
    X, y = make_friedman1(60, 5, random_state=0)
    X, y = X * size + shift, y * size - shift
    mlp = regressor(4, activation="tanh", solver="lbfgs", max_iter=5, random_state=0)
    model = TransformedTargetRegressor(make_pipeline(scaler, mlp), transformer=clone(scaler))
    with pytest.warns(match="(?i)convergence|iterations"):
        model.fit(X, y)
    teacher = read_teacher(model, X)
    assert teacher.nnz == 4 * 5 + 4 + 4 + 1
    expected = model.predict(X)
    np.testing.assert_allclose(
        teacher.network.predict(X)[:, 0], expected, atol=1e-6 * expected.std(), rtol=1e-6
    )


@pytest.mark.parametrize("wrap", [FrozenEstimator, lambda mlp: mlp])
def test_a_frozen_mlp_is_read(mlp, friedman, wrap):
    teacher = read_teacher(wrap(mlp), friedman[0])
    np.testing.assert_allclose(teacher.network.predict(friedman[0]), teacher.outputs(friedman[0]))


def test_the_best_of_a_search_and_a_swat_estimator_are_read(friedman, small):
    X, y = friedman
    search = GridSearchCV(
        regressor(4, solver="lbfgs", max_iter=2000, random_state=0), {"alpha": [1.0]}, cv=2
    ).fit(X, y)
    assert read_teacher(search, X).nnz == 4 * 5 + 4 + 4 + 1
    assert read_teacher(small.estimator, X).network is small.estimator.network_


def test_a_torch_module_predicts_the_same_as_what_is_read_of_it():
    module = module_of(
        lambda: nn.Linear(3, 5),
        nn.Tanh,
        lambda: nn.Dropout(0.9),
        lambda: nn.Sequential(nn.Linear(5, 4, bias=False), nn.Sigmoid(), nn.Linear(4, 2)),
        lambda: nn.Linear(2, 3),
    )
    X = np.random.default_rng(0).normal(size=(20, 3))
    teacher = read_teacher(module, X)
    assert teacher.nnz == 15 + 5 + 20 + 8 + 2 + 6 + 3
    assert teacher.classes is None
    assert module.training  # as it was
    np.testing.assert_allclose(teacher.network.predict(X), teacher.outputs(X), atol=1e-6)


@pytest.mark.parametrize("last", [nn.Sigmoid, lambda: nn.Softmax(dim=1), lambda: nn.LogSoftmax(1)])
def test_a_torch_module_that_ends_in_probabilities_is_a_classifier(last):
    k = 1 if last is nn.Sigmoid else 2
    module = module_of(lambda: nn.Linear(3, 5), nn.ReLU, lambda: nn.Linear(5, k), last)
    X = np.random.default_rng(0).normal(size=(60, 3))
    result = compress(module, X, **QUICK)
    assert list(result.estimator.classes_) == [0, 1]
    with torch.no_grad():
        outputs = module(torch.tensor(X, dtype=torch.float32)).numpy()
    positive = np.exp(outputs[:, 1]) if "Log" in str(module[-1]) else outputs[:, -1]
    assert r2_score(positive, result.estimator.predict_proba(X)[:, 1]) > 0.95


def test_skorch_nets_are_compressed(friedman):
    X, y = friedman[0].astype(np.float32), friedman[1].astype(np.float32)
    body = [nn.Linear(5, 8), nn.Tanh()]
    common = {"max_epochs": 5, "verbose": 0, "train_split": None, "lr": 0.1}
    net = NeuralNetRegressor(nn.Sequential(*body, nn.Linear(8, 1)), **common)
    net.fit(X, y[:, None])
    assert compress(net, X.astype(float), **QUICK).fidelity > 0.98

    classes = (y > 0).astype(np.int64)
    net = NeuralNetClassifier(
        nn.Sequential(*body, nn.Linear(8, 2)), criterion=nn.CrossEntropyLoss, **common
    ).fit(X, classes)
    result = compress(net, X, **QUICK)
    assert result.fidelity > 0.95
    assert result.estimator.predict_proba(X).shape == (200, 2)

    net = NeuralNetBinaryClassifier(nn.Sequential(*body, nn.Linear(8, 1)), **common)
    result = compress(net.fit(X, classes.astype(np.float32)), X, **QUICK)
    np.testing.assert_array_equal(result.estimator.classes_, net.classes_)
    assert result.fidelity > 0.95


# -------------------------------------------------------------------------------- errors


def test_models_that_cannot_be_read_are_refused(friedman):
    X, y = friedman
    polynomial = make_pipeline(PolynomialFeatures(), regressor(3, **LBFGS)).fit(X, y)
    logarithm = TransformedTargetRegressor(
        regressor(3, **LBFGS), func=np.log1p, inverse_func=np.expm1
    ).fit(X, y - y.min())
    wrong_order = module_of(nn.Tanh, lambda: nn.Linear(5, 1))
    no_output = module_of(lambda: nn.Linear(5, 2), nn.Tanh)
    unknown = module_of(lambda: nn.Linear(5, 2), nn.GELU, lambda: nn.Linear(2, 1))
    for model, error, message in (
        (Ridge().fit(X, y), TypeError, "cannot compress Ridge: pass a fitted MLPRegressor"),
        (NeuralNetRegressor(no_output), TypeError, "a skorch net after its fit"),
        (regressor(3), NotFittedError, "is not fitted: pass"),
        (polynomial, ValueError, r"compress\(pipeline\[-1\]"),
        (logarithm, ValueError, r"compress\(model.regressor_, X\)"),
        (wrong_order, ValueError, "layer 0 of the module"),
        (unknown, ValueError, r"layer 1 of the module \(GELU"),
        (no_output, ValueError, "has 1 Linear layers and 1 activations"),
        (module_of(nn.Tanh), ValueError, "layer 0 of the module"),
    ):
        with pytest.raises(error, match=message):
            compress(model, X, **QUICK)


def test_a_deep_mlp_needs_the_other_start(friedman):
    X, y = friedman
    deep = regressor((4,) * 5, activation="tanh", **LBFGS).fit(X, y)
    with pytest.raises(ValueError, match=r"5 hidden layers.*pass start='data'"):
        compress(deep, X, **QUICK)
    assert compress(deep, X, start="data", **QUICK).fidelity > 0.9


def test_bad_parameters_are_refused(mlp, small, friedman):
    X = friedman[0]
    for parameters, message in (
        ({"start": "random"}, "start='random' must be 'mlp' or 'data'"),
        ({"n_augmented": -1}, "n_augmented=-1 must be"),
        ({"n_augmented": "many"}, "n_augmented='many' must be"),
        ({"test_fraction": 0.001}, "test_fraction=0.001 holds out 0 of 200 rows"),
    ):
        with pytest.raises(ValueError, match=message):
            compress(mlp, X, **{**QUICK, **parameters})
    with pytest.raises(ValueError, match="minimum of 10"):
        compress(mlp, X[:9], **QUICK)
    with pytest.raises(ValueError, match="4 features"):
        compress(mlp, X[:, :4], **QUICK)
    with pytest.raises(ValueError, match="exactly one of max_nnz and min_fidelity"):
        small.select()
    with pytest.raises(ValueError, match=r"min_fidelity=1\.1 is too much: .* with .* non-zeros"):
        small.select(min_fidelity=1.1)
    best = float(small.path_fidelity.max())
    with pytest.raises(ValueError, match=r"network of the front has") as refusal:
        small.select(min_fidelity=best + 1e-12)
    told = float(str(refusal.value).split("front has ")[1].split()[0])
    assert best - 1e-4 <= told <= best
    assert small.select(min_fidelity=told).fidelity >= told


def test_a_classifier_without_probabilities_is_refused(friedman):
    X = friedman[0].astype(np.float32)
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(5, 3)), criterion=nn.NLLLoss, max_epochs=1, verbose=0,
        train_split=None,
    ).fit(X, np.arange(200) % 3)  # fmt: skip
    with pytest.raises(ValueError, match="end the module with torch"):
        compress(net, X, **QUICK)


def test_outputs_that_are_not_finite_or_of_no_known_kind_are_refused(mlp, friedman):
    class Broken(MLPRegressor):
        def predict(self, X):
            return np.full(len(X), np.nan)

    broken = Broken()
    broken.__dict__.update(vars(mlp))
    with pytest.raises(ValueError, match="not finite"):
        compress(broken, friedman[0], **QUICK)
    other = clone(mlp)
    other.__dict__.update(vars(mlp), out_activation_="poisson")
    with pytest.raises(ValueError, match=r"output activation 'poisson' is none of.*squared_error"):
        compress(other, friedman[0], **QUICK)


def test_a_polars_table_keeps_its_names(friedman):
    X, y = friedman
    table = pl.DataFrame(X[:100], schema=list("abcde"))
    model = make_pipeline(StandardScaler(), regressor(4, **LBFGS)).fit(table, y[:100])
    small = compress(model, table, **QUICK | {"n_augmented": 20})
    assert small.estimator.feature_names_in_.tolist() == list("abcde")


def test_class_weights_are_refused():
    X, y = load_iris(return_X_y=True)
    mlp = MLPClassifier(4, solver="lbfgs", random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="class_weight='balanced' has no use here"):
        compress(mlp, X, class_weight="balanced", **QUICK)

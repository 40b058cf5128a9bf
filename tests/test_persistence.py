"""A fitted estimator on its way: to files, to processes without torch, through routing, tables."""

import copy
import io
import pickle
import subprocess
import sys
from zipfile import ZIP_DEFLATED

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._network import SparseMLP
from sklearn_swat._online import _condensed, _expanded

pl = pytest.importorskip("polars")
skops_io = pytest.importorskip("skops.io")

QUICK = {"max_iter": 5, "n_restarts": 1, "depth": 1, "max_width": 4, "random_state": 0}
OUR_TYPES = {
    "sklearn_swat._network.SparseMLP",
    "sklearn_swat._online.Memory",
    "sklearn_swat._preprocessing.Scaling",
    "sklearn_swat._pruning.PathPoint",
}


@pytest.fixture(scope="module")
def table():
    return load_diabetes(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module", params=["regressor", "classifier"])
def fitted(request, table):
    X, y = table
    if request.param == "classifier":
        return SWATClassifier(**QUICK).fit(X, np.where(y > y.median(), "high", "low"))
    return SWATRegressor(**QUICK).fit(X, y)


def by_pickle(model):
    return pickle.loads(pickle.dumps(model))


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


def by_skops(model):
    stored = skops_io.dumps(model, compression=ZIP_DEFLATED)
    return skops_io.loads(stored, trusted=skops_io.get_untrusted_types(data=stored))


@pytest.mark.parametrize("way", [by_pickle, by_joblib, by_skops, copy.deepcopy])
def test_a_round_trip_keeps_every_bit_and_what_is_shared(fitted, table, way):
    X, y = table
    back = way(fitted)
    output = "predict_proba" if hasattr(fitted, "classes_") else "predict"
    np.testing.assert_array_equal(getattr(back, output)(X), getattr(fitted, output)(X))
    np.testing.assert_array_equal(back.predict(X), fitted.predict(X))
    assert back.path_frame().equals(fitted.path_frame())  # which network is the chosen one too
    np.testing.assert_array_equal(
        back.select(index=1).predict(X), fitted.select(index=1).predict(X)
    )
    assert [record["step"] for record in back.history_] == [r["step"] for r in fitted.history_]
    assert not back.coefs_[0].flags.writeable
    if output == "predict":
        one, other = (copy.deepcopy(m).partial_fit(X[:50], y[:50]) for m in (back, fitted))
        np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_skops_asks_for_no_types_but_ours(fitted):
    asked = set(skops_io.get_untrusted_types(data=skops_io.dumps(fitted)))
    cls = type(fitted)
    assert asked == {*OUR_TYPES, f"{cls.__module__}.{cls.__name__}"}
    with pytest.raises(Exception, match=r"sklearn_swat\._"):
        skops_io.loads(skops_io.dumps(fitted))


def test_a_tampered_network_is_refused(fitted):
    *rest, _ = fitted.network_.__getstate__()
    with pytest.raises(ValueError, match="out_activation must be"):
        SparseMLP.__new__(SparseMLP).__setstate__((*rest, "rm"))


@pytest.mark.parametrize(
    ("load", "estimator"),
    [
        (load_diabetes, SWATRegressor),
        (load_breast_cancer, SWATClassifier),
        (load_digits, SWATClassifier),
    ],
)
def test_a_default_fit_is_small(load, estimator):
    model = estimator(random_state=0).fit(*load(return_X_y=True))
    assert len(pickle.dumps(model)) < 100_000
    file = io.BytesIO()
    joblib.dump(model, file)
    assert file.getbuffer().nbytes < 100_000


def test_what_a_fit_keeps_holds_nothing_of_torch(fitted):
    stored = pickle.dumps(fitted)
    assert b"torch" not in stored
    assert b"DescentSettings" not in stored


def test_predicting_in_a_process_whose_torch_cannot_be_imported(fitted, table, tmp_path):
    X, _ = table
    joblib.dump((fitted, X, fitted.predict(X)), tmp_path / "model.joblib")
    (tmp_path / "model.skops").write_bytes(skops_io.dumps(fitted))
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError('torch is not installed', name=name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "import joblib, numpy as np, skops.io\n"
        f"model, X, expected = joblib.load({str(tmp_path / 'model.joblib')!r})\n"
        "assert np.array_equal(model.predict(X), expected)\n"
        f"file = {str(tmp_path / 'model.skops')!r}\n"
        "again = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))\n"
        "assert np.array_equal(again.predict(X), expected)\n"
        "print(type(model).__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == type(fitted).__name__


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(65, 90), rank=st.integers(1, 120))
def test_a_condensed_curvature_keeps_diagonal_and_semi_definiteness(seed, size, rank):
    factor = np.random.RandomState(seed).standard_normal((size, rank))
    factor[0] = 0
    curvature = factor @ factor.T
    kept = _condensed(curvature)
    assert kept.shape == (size, 17)
    near = _expanded(kept)
    np.testing.assert_allclose(near.diagonal(), curvature.diagonal())
    assert np.linalg.eigvalsh(near)[0] > -1e-9 * size * rank
    if rank <= 16:  # then nothing is left out
        np.testing.assert_allclose(near, curvature, atol=1e-9 * rank)


# ------------------------------------------------------------------- metadata routing
def test_sample_weight_is_routed_through_a_pipeline_and_a_search(table):
    X, y = table
    weight = np.where(X["bmi"] > 0, 3.0, 0.0)
    with config_context(enable_metadata_routing=True):
        model = SWATRegressor(**QUICK).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model)
        search = GridSearchCV(pipeline, {"swatregressor__alpha": [1e-3]}, cv=2)
        search.fit(X, y, sample_weight=weight)
        routed = search.predict(X)
        scaler.set_fit_request(sample_weight=True)
        model = SWATRegressor(**QUICK).set_fit_request(sample_weight=False)
        ignoring = make_pipeline(scaler, model).fit(X, y, sample_weight=weight)
        with pytest.raises(ValueError, match="sample_weight"):
            make_pipeline(scaler, SWATRegressor(**QUICK)).fit(X, y, sample_weight=weight)
    scaled = StandardScaler().fit_transform(X)
    direct = SWATRegressor(alpha=1e-3, **QUICK).fit(scaled, y, sample_weight=weight)
    np.testing.assert_array_equal(routed, direct.predict(scaled))
    scaled = StandardScaler().fit(X, sample_weight=weight).transform(X)
    unweighted = SWATRegressor(**QUICK).fit(scaled, y)
    np.testing.assert_array_equal(ignoring.predict(X), unweighted.predict(scaled))


# ------------------------------------------------------------------------- data frames
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output_names_the_features_that_a_network_uses(table, library):
    X, y = table
    frame = X if library == "pandas" else pl.from_dict(X.to_dict("list"))
    selector = SelectFromModel(SWATRegressor(alpha=0.01, **QUICK), threshold=1e-9)
    found = selector.set_output(transform=library).fit(frame, y).transform(frame)
    assert isinstance(found, pd.DataFrame if library == "pandas" else pl.DataFrame)
    used = selector.estimator_.selected_features_
    assert 0 < len(used) < X.shape[1]
    assert list(found.columns) == [X.columns[i] for i in used]


def test_frames_of_either_library_give_the_bits_of_arrays(table):
    X, y = table
    plain = SWATRegressor(**QUICK).fit(X.to_numpy(), y.to_numpy()).predict(X.to_numpy())
    frame, target = pl.from_dict(X.to_dict("list")), pl.Series("target", y.tolist())
    for data, goal in ((X, y), (frame, target)):
        model = SWATRegressor(**QUICK).fit(data, goal)
        np.testing.assert_array_equal(model.predict(data), plain)
        assert model.feature_names_in_.tolist() == list(X.columns)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_other_feature_names_are_an_error_that_names_them(fitted, table, library):
    X, _ = table
    other = X.rename(columns={"bmi": "weight"})
    turned = X[X.columns[::-1]]
    if library == "polars":
        other, turned = (pl.from_dict(each.to_dict("list")) for each in (other, turned))
    with pytest.raises(ValueError, match=r"(?s)feature names should match.*weight.*bmi"):
        fitted.predict(other)
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(turned)


def test_labels_may_be_a_polars_series(table):
    X, y = table
    labels = pl.Series("group", ["high" if each > 150 else "low" for each in y])
    model = SWATClassifier(**QUICK).fit(pl.from_dict(X.to_dict("list")), labels)
    assert set(model.predict(X)) == {"high", "low"}

"""What onnxruntime computes from an export is what the estimator computes, in pipelines too."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from export_cases import OUTPUTS, estimators, expected_outputs, make_estimator, make_rows, wrap
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._network import SparseMLP
from sklearn_swat.export import register_skl2onnx_converters, to_onnx

TOLERANCE = {"double": 1e-12, "float": 1e-5}
QUICK = {"depth": 1, "max_iter": 0, "random_state": 0}


def run(model, inputs):
    """Run a model; return what it computes by output name, with the shapes it declares."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    inputs = inputs if isinstance(inputs, dict) else {session.get_inputs()[0].name: inputs}
    results = session.run(None, inputs)
    for output, result in zip(session.get_outputs(), results, strict=True):
        if hasattr(result, "shape"):
            assert list(result.shape[1:]) == output.shape[1:]
    return dict(zip(names, results, strict=True))


def assert_runs_the_same(model, estimator, X, tolerance):
    results = run(model, X)
    if not is_classifier(estimator):
        np.testing.assert_allclose(
            results["variable"],
            estimator.predict(X).reshape(len(X), -1),
            rtol=tolerance,
            atol=tolerance,
        )
        return
    expected = estimator.predict_proba(X)
    np.testing.assert_allclose(results["probabilities"], expected, rtol=tolerance, atol=tolerance)
    # Between probabilities that rounding cannot tell apart, either label is right.
    ranked = np.sort(expected, axis=1)
    if estimator.predict(X).ndim == 1:
        is_clear = ranked[:, -1] - ranked[:, -2] > 10 * tolerance
    else:
        is_clear = np.abs(expected - 0.5) > 10 * tolerance
    assert results["label"].shape == estimator.predict(X).shape
    np.testing.assert_array_equal(results["label"][is_clear], estimator.predict(X)[is_clear])


@given(estimator=estimators, dtype=st.sampled_from(["double", "float"]))
@settings(max_examples=60, deadline=None)
def test_random_networks_run_the_same(estimator, dtype):
    X = make_rows(estimator).astype({"double": np.float64, "float": np.float32}[dtype])
    assert_runs_the_same(to_onnx(estimator, dtype), estimator, X, TOLERANCE[dtype])


@pytest.mark.parametrize(
    "classes", [["no", "yés"], [False, True], [3, 7], [2.0, 5.0], np.array([1, 9], dtype=np.uint8)]
)
def test_labels_of_every_kind_come_back(classes):
    network = SparseMLP((np.ones((1, 1)),), (np.zeros(1),), (), "logistic")
    estimator, X = wrap(network, "binary", classes=classes), np.array([[1.0], [-1.0]])
    label = run(to_onnx(estimator, "double"), X)["label"]
    np.testing.assert_array_equal(label, estimator.predict(X))
    assert len(set(label)) == 2


def test_labels_at_a_tie_are_the_first_as_with_the_estimator():
    binary = wrap(SparseMLP((np.ones((1, 1)),), (np.zeros(1),), (), "logistic"), "binary")
    several = wrap(SparseMLP((np.ones((1, 4)),), (np.zeros(4),), (), "softmax"), "multi-class")
    for estimator in (binary, several):
        assert run(to_onnx(estimator), np.zeros((1, 1), np.float32))["label"] == [0]


@pytest.mark.parametrize("classes", [[0, "a"], [0.5, 1.5]])
def test_labels_that_onnx_has_no_type_for_are_refused(classes):
    estimator = make_estimator("binary", 1, 3, density=1.0)
    estimator.classes_ = np.array(classes, dtype=object)
    with pytest.raises(ValueError, match=r"no type for the class labels \[0.*whole numbers or"):
        to_onnx(estimator)


@pytest.mark.parametrize("task", OUTPUTS)
def test_no_rows_give_no_outputs(task):
    estimator = make_estimator(task, 2, 3, density=1.0)
    X = np.zeros((0, estimator.n_features_in_), np.float32)
    for result in run(to_onnx(estimator), X).values():
        assert len(result) == 0


def test_extreme_outputs_stay_probabilities():
    X = np.array([[-1e30], [-80.0], [80.0], [1e30]], np.float32)
    for task, out in (("binary", "logistic"), ("multi-class", "softmax")):
        k = OUTPUTS[task]
        estimator = wrap(SparseMLP((np.linspace(1, 2, k)[None],), (np.zeros(k),), (), out), task)
        assert_runs_the_same(to_onnx(estimator), estimator, X, 1e-5)


# ----------------------------------------------------------------------------- pipelines
@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3)) * [1, 100, 0.01] + [5, -300, 0]
    return X, (X[:, 1] + 300) / 100 + np.tanh(X[:, 0] - 5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pipelines_run_the_same(table, dtype):
    register_skl2onnx_converters()
    X, y = table[0].astype(dtype), table[1]
    tolerance = {np.float64: 1e-9, np.float32: 1e-3}[dtype]
    for estimator, target in (
        (SWATRegressor(**QUICK), y),
        (SWATClassifier(**QUICK), np.where(y > 0, "high", "low")),
        (SWATClassifier(**QUICK), np.digitize(y, [-1, 1])),
        (SWATClassifier(**QUICK), np.column_stack([y > 0, y > 1]).astype(int)),
    ):
        pipeline = make_pipeline(StandardScaler(), estimator).fit(X, target)
        options = {"zipmap": False} if is_classifier(estimator) else None
        model = skl2onnx.to_onnx(pipeline, X, options=options)
        assert_runs_the_same(model, pipeline, X, tolerance)


def test_zipmap_and_class_labels_are_options(table):
    register_skl2onnx_converters()
    X, y = table[0].astype(np.float32), table[1]  # ONNX has zipmap for floats only
    model = SWATClassifier(**QUICK).fit(X, np.where(y > 0, "high", "low"))
    expected = model.predict_proba(X)
    results = run(skl2onnx.to_onnx(model, X), X)
    np.testing.assert_array_equal(results["output_label"], model.predict(X))
    assert results["output_probability"][0] == pytest.approx(
        dict(zip(["high", "low"], expected[0], strict=True)), abs=1e-5
    )
    results = run(skl2onnx.to_onnx(model, X, options={"zipmap": "columns"}), X)
    np.testing.assert_allclose(results["shigh"].ravel(), expected[:, 0], atol=1e-5)
    options = {"zipmap": False, "output_class_labels": True}
    results = run(skl2onnx.to_onnx(model, X, options=options), X)
    assert results["class_labels"].tolist() == ["high", "low"]
    results = run(skl2onnx.to_onnx(model, X, options={"zipmap": False, "nocl": True}), X)
    np.testing.assert_array_equal(results["label"], expected.argmax(axis=1))


def test_a_table_of_columns_and_types_runs_the_same(table):
    register_skl2onnx_converters()
    X, y = table
    data = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=np.where(y > 1, "p", "q"))
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["a", "b", "c"]), ("kinds", OneHotEncoder(), ["kind"])]
    )
    pipeline = make_pipeline(columns, SWATClassifier(**QUICK)).fit(data, y > 0)
    types = [(name, skl2onnx.common.data_types.DoubleTensorType([None, 1])) for name in "abc"]
    types.append(("kind", skl2onnx.common.data_types.StringTensorType([None, 1])))
    model = skl2onnx.convert_sklearn(pipeline, initial_types=types, options={"zipmap": False})
    results = run(model, {name: data[[name]].to_numpy() for name in data})
    np.testing.assert_allclose(results["probabilities"], pipeline.predict_proba(data), atol=1e-6)
    np.testing.assert_array_equal(results["label"], pipeline.predict(data))


def test_several_inputs_go_into_the_estimator_itself(table):
    register_skl2onnx_converters()
    data = pd.DataFrame(table[0], columns=["a", "b", "c"])
    model = SWATRegressor(**QUICK).fit(data, table[1])
    results = run(skl2onnx.to_onnx(model, data), {name: data[[name]].to_numpy() for name in data})
    np.testing.assert_allclose(results["variable"][:, 0], model.predict(data), rtol=1e-9)


def test_whole_numbers_are_taken(table):
    register_skl2onnx_converters()
    X, y = table[0].round().astype(np.int64), table[1]
    model = SWATRegressor(**QUICK).fit(X, y)
    results = run(skl2onnx.to_onnx(model, X), X)
    np.testing.assert_allclose(results["variable"][:, 0], model.predict(X), atol=1e-4)


def test_searches_and_ensembles_run_the_same(table):
    register_skl2onnx_converters()
    X, y = table
    search = GridSearchCV(SWATRegressor(**QUICK), {"alpha": [1e-3]}, cv=2).fit(X, y)
    assert_runs_the_same(skl2onnx.to_onnx(search, X), search, X, 1e-9)
    bagging = BaggingRegressor(SWATRegressor(**QUICK), 2, random_state=0).fit(X, y)
    assert_runs_the_same(skl2onnx.to_onnx(bagging, X), bagging, X, 1e-9)
    stack = StackingClassifier([("net", SWATClassifier(**QUICK))], LogisticRegression(), cv=2)
    stack.fit(X, (y > 0).astype(int))
    model = skl2onnx.to_onnx(stack, X, options={"zipmap": False})
    assert_runs_the_same(model, stack, X, 1e-6)


def test_several_estimators_share_one_graph(table):
    register_skl2onnx_converters()
    X, y = table
    first = SWATClassifier(**QUICK)
    stack = StackingClassifier([("a", first), ("b", clone(first))], SWATClassifier(**QUICK), cv=2)
    stack.fit(X, (y > 0).astype(int))
    model = skl2onnx.to_onnx(stack, X, options={"zipmap": False})
    assert_runs_the_same(model, stack, X, 1e-9)


def test_registering_again_changes_nothing_for_others(table):
    register_skl2onnx_converters()
    register_skl2onnx_converters()
    X, y = table[0].astype(np.float32), (table[1] > 0).astype(int)
    mlp = MLPClassifier((3,), solver="lbfgs", tol=1.0, random_state=0).fit(X, y)
    model = skl2onnx.to_onnx(mlp, X, options={"zipmap": False})
    np.testing.assert_allclose(run(model, X)["probabilities"], mlp.predict_proba(X), atol=1e-5)


# -------------------------------------------------------------------------------- bad input
def test_other_types_are_refused():
    with pytest.raises(ValueError, match=r"dtype='half' must be one of \('double', 'float'\)"):
        to_onnx(make_estimator("regression", 1), "half")


def test_numbers_beyond_a_float_are_refused_in_a_pipeline_too():
    register_skl2onnx_converters()
    estimator = wrap(SparseMLP((np.array([[1e39]]),), (np.zeros(1),), ()), "regression")
    for convert in (to_onnx, lambda e: skl2onnx.to_onnx(e, np.ones((1, 1), np.float32))):
        with pytest.raises(ValueError, match=r"cannot hold 1e\+39.*dtype='double'"):
            convert(estimator)
    X = np.ones((1, 1))
    assert run(to_onnx(estimator, "double"), X)["variable"] == expected_outputs(estimator, X)

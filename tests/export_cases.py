"""Random fitted estimators of every depth, activation and task, for the tests of exports."""

from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._activations import ACTIVATION_NAMES
from sklearn_swat._network import SparseMLP

OUTPUTS = {"regression": 1, "several targets": 3, "binary": 1, "multi-class": 4, "multi-label": 2}


def make_estimator(
    task, depth, seed=0, *, density=0.7, activations=ACTIVATION_NAMES, names=None, classes=None
):
    """Make an estimator as if fitted, around a random network; `names` name its features."""
    rng = np.random.default_rng(seed)
    d, k = len(names or range(rng.integers(1, 6))), OUTPUTS[task]
    shapes = list(pairwise([d, *rng.integers(1, 6, depth), k]))
    network = SparseMLP(
        tuple(rng.normal(size=shape) * (rng.random(shape) < density) for shape in shapes),
        tuple(rng.normal(size=shape[1]) * (rng.random(shape[1]) < 0.7) for shape in shapes),
        tuple(rng.choice(activations, shape[1]).tolist() for shape in shapes[:-1]),
        {"binary": "logistic", "multi-label": "logistic", "multi-class": "softmax"}.get(
            task, "identity"
        ),
    )
    return wrap(network, task, names, classes)


def wrap(network, task, names=None, classes=None):
    is_regression = task in ("regression", "several targets")
    estimator = SWATRegressor() if is_regression else SWATClassifier()
    estimator.network_ = network
    estimator.n_features_in_ = network.n_features
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
    if is_regression:
        estimator._is_flat = task == "regression"
    else:
        default = np.arange(2 if task == "binary" else network.n_outputs)
        estimator.classes_ = default if classes is None else np.array(classes)
        estimator._is_multilabel = task == "multi-label"
    return estimator


def make_rows(estimator, n=20):
    return np.random.default_rng(1).normal(size=(n, estimator.n_features_in_)) * 2


def expected_outputs(estimator, X):
    """What an export computes: predictions or probabilities, a row per row, two-dimensional."""
    if hasattr(estimator, "feature_names_in_"):
        X = pd.DataFrame(X, columns=estimator.feature_names_in_)
    if isinstance(estimator, SWATClassifier):
        return estimator.predict_proba(X)
    return estimator.predict(X).reshape(len(X), -1)


estimators = st.builds(
    make_estimator,
    st.sampled_from(sorted(OUTPUTS)),
    st.integers(0, 4),
    st.integers(0, 10_000),
    density=st.sampled_from([0.4, 1.0]),
)

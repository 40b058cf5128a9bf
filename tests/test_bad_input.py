"""Bad input: an error that names the value, the limit and the way out, or the trivial model."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning

from sklearn_swat import SWATClassifier, SWATRegressor, _problem, _search
from sklearn_swat._checkpoint import CheckpointError
from sklearn_swat._network import SparseMLP

QUICK = {"max_iter": 5, "n_restarts": 1, "depth": [1], "random_state": 0}


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


def with_entry(X, value):
    X = X.copy()
    X[3, 2] = value
    return X


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (with_entry(X, np.nan), y), "X contains NaN"),
        (lambda X, y: (with_entry(X, np.inf), y), "X contains infinity"),
        (lambda X, y: (X, with_entry(np.c_[y, y, y], np.nan)), "y contains NaN"),
        (lambda X, y: (np.full(X.shape, "a"), y), "could not convert string"),
        (lambda X, y: (X, np.full(len(y), "a")), "could not convert string"),
        (lambda X, y: (X[:0], y[:0]), "0 sample.* minimum of 2"),
        (lambda X, y: (X[:, :0], y), "0 feature.* minimum of 1"),
        (lambda X, y: (X[:1], y[:1]), "1 sample.* minimum of 2"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
    ],
)
def test_data_that_cannot_be_used_are_refused(diabetes, change, message):
    with pytest.raises(ValueError, match=message):
        SWATRegressor(**QUICK).fit(*change(*diabetes))


def test_one_class_is_not_a_classification():
    X, _ = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"one class only .'setosa'.*at least 2"):
        SWATClassifier(**QUICK).fit(X, ["setosa"] * len(X))


@pytest.mark.parametrize(
    ("estimator", "parameters", "message"),
    [
        (SWATRegressor, {"depth": 0}, r"range \[1, 4\].*Got 0"),
        (SWATRegressor, {"depth": 7}, r"range \[1, 4\].*Got 7"),
        (SWATRegressor, {"depth": [1, 7]}, "must be in 1..4"),
        (SWATRegressor, {"alpha": -1}, r"range \[0.0, inf\).*Got -1"),
        (SWATRegressor, {"alpha": np.nan}, "Got nan"),
        (SWATRegressor, {"activations": ["relu"]}, "relu.*choose one or more of .'sigmoid'"),
        (SWATRegressor, {"activations": []}, "names none"),
        (SWATRegressor, {"validation_fraction": 1.0}, "Got 1.0"),
        (SWATRegressor, {"device": "nonsense"}, "nonsense.*pass 'auto', 'cpu'"),
        (SWATClassifier, {"class_weight": {0: -1, 1: 1, 2: 1}}, "from -1 to 1; pass positive"),
        (SWATClassifier, {"class_weight": {0: 0, 1: 0, 2: 0}}, "from 0 to 0; pass positive"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_value_and_limit(estimator, parameters, message):
    with pytest.raises(ValueError, match=message):
        estimator(**{**QUICK, **parameters}).fit(*load_iris(return_X_y=True))


@pytest.mark.parametrize("weights", [-1.0, 0.0])
def test_weights_that_are_not_positive_are_refused(diabetes, weights):
    X, y = diabetes
    with pytest.raises(ValueError, match=r"(?i)negative|non-zero"):
        SWATRegressor(**QUICK).fit(X, y, sample_weight=np.full(len(y), weights))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "damaged"), (b"no tensors at all" * 99, "damaged")],
)
def test_a_missing_or_damaged_checkpoint_says_what_to_pass(diabetes, tmp_path, content, message):
    path = tmp_path / "autoencoder.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{message}.*None for the bundled checkpoint"):
        SWATRegressor(checkpoint=path, **QUICK).fit(*diabetes)


def test_a_constant_target_gives_a_network_with_one_bias(diabetes):
    model = SWATRegressor(**QUICK).fit(diabetes[0], np.full(len(diabetes[1]), 3.0))
    assert model.nnz_ == 1
    np.testing.assert_array_equal(model.predict(diabetes[0][:2]), [3.0, 3.0])


def test_constant_features_get_no_weight_and_nothing_but_them_gives_the_mean(diabetes):
    X, y = diabetes
    X = X.copy()
    X[:, 0] = 7.0
    model = SWATRegressor(**QUICK).fit(X, y)
    assert not model.coefs_[0][0].any()
    assert model.score(X, y) > 0.4
    flat = SWATRegressor(**QUICK).fit(np.ones((20, 2)), np.arange(20.0))
    assert flat.nnz_ == 1
    np.testing.assert_allclose(flat.predict([[5.0, 6.0]]), 9.5)


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e300])
def test_the_scale_of_a_feature_does_not_matter(diabetes, scale):
    X, y = diabetes
    scales = np.ones(X.shape[1])
    scales[2] = scale
    model = SWATRegressor(**QUICK).fit(X * scales, y)
    np.testing.assert_allclose(
        model.score(X * scales, y), SWATRegressor(**QUICK).fit(X, y).score(X, y), rtol=1e-6
    )


def interrupt(monkeypatch, module, name, at):
    """Make the call number `at` of a module's function end as Ctrl-C does."""
    function, n_calls = getattr(module, name), 0

    def interrupted(*arguments, **options):
        nonlocal n_calls
        n_calls += 1
        if n_calls == at:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, interrupted)


@pytest.mark.parametrize(
    ("module", "name", "at"),
    [(_search, "pruning_rounds", 1), (_search, "pruning_rounds", 2), (_problem, "refine", 2)],
)
def test_a_fit_interrupted_behind_the_descent_keeps_what_it_has(
    diabetes, monkeypatch, module, name, at
):
    interrupt(monkeypatch, module, name, at)
    model = SWATRegressor(**{**QUICK, "n_restarts": 2})
    with pytest.warns(ConvergenceWarning, match="interrupted.*is kept: fit again"):
        model.fit(*diabetes)
    assert model.score(*diabetes) > 0.3
    assert model.network_ in [point.network for point in model.path_]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([2, 3, 1], "start has 2 features and 1 outputs, but the data have 3 and 1"),
        ([3, 3, 2], "start has 3 features and 2 outputs, but the data have 3 and 1"),
        ([3, 2, 2, 2, 2, 2, 1], "start has 5 hidden layers, at most 4 are possible"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(sizes, message):
    shapes = list(pairwise(sizes))
    start = SparseMLP(
        tuple(np.ones(shape) for shape in shapes),
        tuple(np.ones(shape[1]) for shape in shapes),
        tuple(("tanh",) * shape[1] for shape in shapes[:-1]),
    )
    X = np.random.RandomState(0).standard_normal((30, 3))
    with pytest.raises(ValueError, match=message):
        SWATRegressor(start=start, max_width=4, **QUICK).fit(X, X[:, 0])

"""What any fit must get right: constants, lines, and changes of the data that change nothing."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_friedman1
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from sklearn_swat import SWATClassifier, SWATRegressor

QUICK = {"max_iter": 5, "depth": 1, "max_width": 4, "n_restarts": 1, "random_state": 0}


@pytest.fixture(scope="module")
def waves():
    return make_friedman1(120, n_features=6, noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def of_waves(waves):
    return SWATRegressor(**QUICK).fit(*waves)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_answered_by_no_more_than_the_constant_is_worth(seed):
    rng = np.random.RandomState(seed)
    model = SWATRegressor(**QUICK).fit(rng.standard_normal((60, 3)), rng.standard_normal(60))
    (chosen,) = (point for point in model.path_ if point.network is model.network_)
    constant = model.path_[0]
    assert constant.nnz == 1
    assert chosen.validation_loss <= constant.validation_loss
    assert (
        chosen.validation_loss + model.alpha * chosen.nnz
        <= constant.validation_loss + model.alpha * constant.nnz
    )


@pytest.mark.parametrize(("n", "d", "noise"), [(60, 3, 0.1), (150, 8, 1.0), (100, 5, 0.0)])
def test_linear_data_are_predicted_as_well_as_by_ridge(n, d, noise):
    rng = np.random.RandomState(n)
    X, coefficients = rng.standard_normal((n + 1000, d)), rng.standard_normal(d)
    y = X @ coefficients + noise * rng.standard_normal(len(X))
    swat = SWATRegressor(**QUICK).fit(X[:n], y[:n])
    ridge = Ridge().fit(X[:n], y[:n])
    assert swat.score(X[n:], y[n:]) > ridge.score(X[n:], y[n:]) - 0.01


@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_features_of_two_values_are_no_less_evidence(n_features):
    """All rows are one of a few: what tells is how often each is there."""
    rng = np.random.RandomState(n_features)
    X = rng.randint(0, 2, (3000, n_features))
    y = rng.random_sample(3000) < 0.2 + 0.6 * X.mean(axis=1)
    X_new, y_new = X[1000:], y[1000:]
    swat = SWATClassifier(**QUICK).fit(X[:1000], y[:1000])
    linear = LogisticRegression().fit(X[:1000], y[:1000])
    found, expected = (log_loss(y_new, m.predict_proba(X_new)) for m in (swat, linear))
    assert found < expected + 0.01
    ratings = np.round(3 + X @ np.arange(1, n_features + 1) + rng.standard_normal(3000))
    score = SWATRegressor(**QUICK).fit(X[:1000], ratings[:1000]).score(X_new, ratings[1000:])
    assert score > Ridge().fit(X[:1000], ratings[:1000]).score(X_new, ratings[1000:]) - 0.01


def test_an_interaction_of_two_values_is_found_beside_noise():
    rng = np.random.RandomState(0)
    X = rng.randint(0, 2, (1000, 2))
    y = (X[:, 0] != X[:, 1]) ^ (rng.random_sample(1000) < 0.1)
    model = SWATClassifier(**{**QUICK, "n_restarts": 4}).fit(X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > 0.85


def test_one_error_hides_no_interaction_of_two_values():
    X = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], 100, axis=0)
    y = X[:, 0] != X[:, 1]
    y[50] = ~y[50]
    model = SWATClassifier(**{**QUICK, "n_restarts": 4, "max_width": 8}).fit(X, y)
    assert model.score(X[::100], [False, True, True, False]) == 1


@pytest.mark.parametrize("factor", [1, 20])
def test_integer_weights_are_repeated_rows_of_few_values_too(factor):
    X, y = np.array([[0], [0], [1], [1]]), np.array([0, 1, 0, 1])
    counts = factor * np.array([4, 1, 1, 4])
    weighted = SWATClassifier(**QUICK).fit(X, y, sample_weight=counts)
    repeated = SWATClassifier(**QUICK).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


def test_a_power_of_two_and_a_factor_of_a_target_change_no_bit(waves, of_waves):
    X, y = waves
    factors = 2.0 ** np.array([0, 300, -300, 20, 1, -7])
    model = SWATRegressor(**QUICK).fit(X * factors, y * 2.0**100)
    np.testing.assert_array_equal(model.predict(X * factors), of_waves.predict(X) * 2.0**100)


def test_other_units_change_predictions_by_rounding(waves, of_waves):
    X, y = waves
    factors, shifts = np.array([3, 1e-5, 1e5, 0.7, 9, 1e-9]), np.array([1, 0, -1e4, 5, 0, 1e-8])
    model = SWATRegressor(**QUICK).fit(X * factors + shifts, 37 * y - 1e3)
    found = (model.predict(X * factors + shifts) + 1e3) / 37
    np.testing.assert_allclose(found, of_waves.predict(X), rtol=0, atol=1e-6 * y.std())
    assert model.hidden_layer_sizes_ == of_waves.hidden_layer_sizes_


def test_other_names_of_the_classes_are_other_names():
    X, y = load_iris(return_X_y=True)
    X, y = X[::3], y[::3]
    plain = SWATClassifier(**QUICK).fit(X, y)
    for names in (np.array(["a", "b", "c"]), np.array([-7, 0, 10**6]), np.array([-1.0, 0.0, 3.0])):
        named = SWATClassifier(**QUICK).fit(X, names[y])
        np.testing.assert_array_equal(named.predict_proba(X), plain.predict_proba(X))
        np.testing.assert_array_equal(named.predict(X), names[plain.predict(X)])


def test_integer_weights_are_repeated_rows(waves):
    X, y = waves
    counts = np.random.RandomState(1).randint(0, 4, len(y))
    weighted = SWATRegressor(**QUICK).fit(X, y, sample_weight=counts)
    repeated = SWATRegressor(**QUICK).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_balanced_classes_count_rows_by_their_weights():
    X, y = load_iris(return_X_y=True)
    X, y = X[::3], y[::3]
    counts = np.random.RandomState(1).randint(0, 4, len(y))
    balanced = {**QUICK, "class_weight": "balanced"}
    weighted = SWATClassifier(**balanced).fit(X, y, sample_weight=counts)
    repeated = SWATClassifier(**balanced).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-9)


def test_the_order_of_classified_rows_changes_nothing():
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))[:60]
    plain = SWATClassifier(**QUICK).fit(X[np.sort(order)], y[np.sort(order)])
    mixed = SWATClassifier(**QUICK).fit(X[order], y[order])
    np.testing.assert_array_equal(plain.predict_proba(X), mixed.predict_proba(X))


TWO_RESTARTS = QUICK | {"n_restarts": 2}


def test_the_order_of_columns_permutes_the_network(waves):
    X, y = waves
    order = np.array([3, 0, 5, 1, 2, 4])
    plain = SWATRegressor(**TWO_RESTARTS).fit(X, y)
    permuted = SWATRegressor(**TWO_RESTARTS).fit(X[:, order], y)
    for one, other in zip(plain.path_, permuted.path_, strict=True):
        np.testing.assert_array_equal(one.network.weights[0][order], other.network.weights[0])
    np.testing.assert_allclose(permuted.predict(X[:, order]), plain.predict(X), rtol=1e-12)


def test_mirrored_features_and_targets_are_mirrored_networks(waves, of_waves):
    X, y = waves
    factors = np.array([-1, 1, 1, -1, -1, 1])
    model = SWATRegressor(**QUICK).fit(X * factors, -y)
    np.testing.assert_array_equal(model.predict(X * factors), -of_waves.predict(X))


def test_the_order_of_targets_permutes_the_outputs(waves):
    X, y = waves
    y = np.column_stack([y, X[:, 1] ** 2, np.sin(3 * X[:, 2])])
    plain = SWATRegressor(**TWO_RESTARTS).fit(X, y)
    permuted = SWATRegressor(**TWO_RESTARTS).fit(X, y[:, [2, 0, 1]])
    np.testing.assert_array_equal(permuted.predict(X), plain.predict(X)[:, [2, 0, 1]])


@pytest.mark.parametrize(
    ("load", "renamed"),
    [(load_iris, [1, 2, 0]), (load_iris, [0, 2, 1]), (load_breast_cancer, [1, 0])],
)
def test_classes_in_another_order_are_the_same_classes(load, renamed):
    X, y = load(return_X_y=True)
    X, y, renamed = X[::3], y[::3], np.array(renamed)
    plain = SWATClassifier(**TWO_RESTARTS).fit(X, y)
    other = SWATClassifier(**TWO_RESTARTS).fit(X, renamed[y])
    np.testing.assert_array_equal(other.predict(X), renamed[plain.predict(X)])
    np.testing.assert_allclose(
        other.predict_proba(X)[:, renamed], plain.predict_proba(X), rtol=0, atol=1e-12
    )


def test_labels_in_another_order_and_their_complements_are_the_same_labels():
    X, y = load_iris(return_X_y=True)
    X, labels = X[::2], np.column_stack([y == 0, y != 1, y == 2])[::2].astype(int)
    plain = SWATClassifier(**TWO_RESTARTS).fit(X, labels).predict_proba(X)
    other = SWATClassifier(**TWO_RESTARTS).fit(X, 1 - labels[:, [1, 2, 0]]).predict_proba(X)
    np.testing.assert_allclose(1 - other, plain[:, [1, 2, 0]], rtol=0, atol=1e-12)


def test_features_of_noise_do_not_collapse_the_score():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:250], y[:250]
    noise = np.random.RandomState(0).standard_normal((len(X), 20))
    plain = SWATRegressor(**QUICK).fit(X[:150], y[:150]).score(X[150:], y[150:])
    noisy = np.hstack([X, noise])
    found = SWATRegressor(**QUICK).fit(noisy[:150], y[:150]).score(noisy[150:], y[150:])
    assert found > plain - 0.15


def test_targets_further_apart_than_the_largest_number():
    X = np.random.RandomState(0).standard_normal((200, 2))
    y = np.sign(X[:, 0]) * 1.7e308
    model = SWATRegressor(**QUICK).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert (np.sign(model.predict(X)) == np.sign(y)).mean() > 0.9


def test_rows_of_little_weight_tell_classes_little():
    """The prior on weights counts rows by what they weigh together."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((400, 3))
    y = (X[:, 0] + rng.standard_normal(400) > 0).astype(int)
    settings = {**QUICK, "depth": [1], "alpha": 0.03}
    weight = np.where(np.arange(400) < 40, 1.0, 1e-9)
    few, weighted = SWATClassifier(**settings), SWATClassifier(**settings)
    few.fit(X[:40], y[:40])
    weighted.fit(X, y, sample_weight=weight)
    strengths = [model._memory.l2 for model in (few, weighted)]
    assert strengths[1] == pytest.approx(strengths[0], rel=0.5)

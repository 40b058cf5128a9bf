"""Canonical rows, scaling and the validation split."""

import numpy as np
import pytest

from sklearn_swat._canonical import Columns, canonical_rows, counting_rows
from sklearn_swat._draws import count_draws, independent_draws
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._online import with_absent_labels
from sklearn_swat._preprocessing import Scaling, moments, representative_rows, split_rows
from sklearn_swat._problem import Problem
from sklearn_swat._rows import Rows


@pytest.fixture
def rows():
    random_state = np.random.RandomState(0)
    return random_state.standard_normal((50, 3)), random_state.standard_normal((50, 2))


def test_repeated_rows_equal_weighted_rows_in_any_order(rows):
    X, y = rows
    weight = np.arange(50) % 3.0
    index = np.random.RandomState(1).permutation(np.repeat(np.arange(50), weight.astype(int)))
    weighted = canonical_rows(*counting_rows(X, y, weight, count_draws(weight)))
    repeated = canonical_rows(X[index], y[index], np.ones(len(index)))
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("scale", [1e-290, 1.0, 1e300])
def test_moments_of_any_scale_are_finite(rows, scale):
    mean, deviation = moments(rows[0] * scale, np.ones(50))
    np.testing.assert_allclose(mean, rows[0].mean(0) * scale, rtol=1e-9)
    np.testing.assert_allclose(deviation, rows[0].std(0) * scale, rtol=1e-9)


def test_a_folded_network_predicts_from_raw_rows_and_unfolds_again(rows):
    X, y = rows
    X = np.column_stack([X * [1e3, 1.0, 1e-3] + 7, np.full(50, 4.0)])
    y = y * 100 - 3
    scaling = Scaling.of(X, y, np.ones(50), is_regression=True)
    assert scaling.features.tolist() == [0, 1, 2]
    random_state = np.random.RandomState(2)
    weights = (random_state.standard_normal((3, 4)), random_state.standard_normal((4, 2)))
    network = SparseMLP(weights, (np.ones(4), np.zeros(2)), (("tanh",) * 4,))
    expected = network.predict(scaling.scale_inputs(X)) * scaling.y_deviation + scaling.y_mean
    folded = scaling.fold(network)
    np.testing.assert_allclose(folded.predict(X), expected, rtol=1e-9)
    for one, other in zip(scaling.unfold(folded).weights, network.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_every_class_stays_in_training_and_validation_has_its_share():
    target = np.eye(4)[np.sort(np.r_[np.zeros(60, int), np.ones(30, int), [2] * 9, 3])]
    train, validation = split_rows(target, 0.2, np.random.RandomState(0), is_regression=False)
    assert set(train) | set(validation) == set(range(100))
    assert not set(train) & set(validation)
    assert (target[train].sum(0) > 0).all()
    np.testing.assert_allclose(target[validation].sum(0)[:2], [12, 6], atol=1)


def test_two_rows_are_both_training_and_validation():
    train, validation = split_rows(np.eye(2), 0.2, np.random.RandomState(0), is_regression=True)
    assert train.tolist() == validation.tolist() == [0, 1]


def test_few_rows_stand_for_all_and_a_rare_class_is_kept():
    target = np.repeat([0.0, 1.0, 2.0], [70_000, 30, 30_000])[:, None]
    weight = np.random.RandomState(0).randint(1, 4, len(target)).astype(float)
    index, found = representative_rows(target, weight, 2000, is_regression=False)
    assert (np.diff(index) > 0).all()
    assert len(index) == 2000
    for label in (0, 1, 2):
        of_class, chosen = target[:, 0] == label, target[index, 0] == label
        assert found[chosen].sum() == pytest.approx(weight[of_class].sum())
    assert (target[index, 0] == 1).sum() == 30


def test_few_rows_of_numbers_have_their_distribution():
    random_state = np.random.RandomState(0)
    target, weight = np.sort(random_state.standard_normal((5000, 1)), axis=0), np.ones(5000)
    weight[::7] = 3
    index, found = representative_rows(target, weight, 500, is_regression=True)
    assert len(index) == 500
    assert found.sum() == pytest.approx(weight.sum())
    share, all_share = found / found.sum(), weight / weight.sum()
    for power in (1, 2):
        assert share @ target[index] ** power == pytest.approx(all_share @ target**power, abs=0.02)


def test_columns_of_equal_moments_keep_their_order_and_labels_their_signs():
    X = np.tile(np.random.RandomState(0).standard_normal((30, 1)), 3)
    columns = Columns.of(X, np.eye(3)[np.arange(30) % 3], np.ones(30), one_hot=True)
    assert columns.features.tolist() == [0, 1, 2]
    assert columns.output_signs.tolist() == [1, 1, 1]


@pytest.mark.parametrize("is_regression", [True, False])
def test_a_raw_scaling_is_one_of_arranged_columns(rows, is_regression):
    X, y = rows
    target = y if is_regression else (y > 0.5).astype(float)
    columns = Columns.of(X, target, np.ones(50), one_hot=False)
    arranged, labels = columns.arrange(X, target, is_regression=is_regression)
    scaling = Scaling.of(arranged, labels, np.ones(50), is_regression=is_regression)
    raw = columns.on_raw_columns(scaling)
    np.testing.assert_allclose(raw.scale_inputs(X), scaling.scale_inputs(arranged), atol=1e-12)
    np.testing.assert_allclose(raw.scale_targets(target), scaling.scale_targets(labels), atol=1e-12)
    assert (columns.feature_signs == -1).any() or (columns.output_signs == -1).any()
    weights = np.random.RandomState(1).standard_normal((3, 2))
    network = SparseMLP((weights,), (np.ones(2),), (), "identity" if is_regression else "logistic")
    found = raw.fold(network).predict(X)
    standard = network.predict(raw.scale_inputs(X))
    np.testing.assert_allclose(raw.scale_targets(found), standard, atol=1e-12)
    np.testing.assert_allclose(raw.unfold(raw.fold(network)).weights[0], weights, atol=1e-12)


def test_rows_of_much_weight_are_chosen_once_and_leave_room_for_others():
    target, weight = np.arange(3000.0)[:, None], np.ones(3000)
    weight[[5, 900]] = 1e9
    index, found = representative_rows(target, weight, 100, is_regression=True)
    assert len(index) == 100
    assert {5, 900} <= set(index)
    np.testing.assert_allclose(found[np.isin(index, [5, 900])], 1e9, rtol=1e-12)


def test_a_mirrored_output_has_no_negative_zeros(rows):
    X, _ = rows
    labels = (X[:, :1] > -1).astype(float)  # mostly 1, so that the rarer 0 is what is learned
    columns = Columns.of(X, labels, np.ones(50), one_hot=False)
    assert columns.output_signs.tolist() == [-1]
    arranged, target = columns.arrange(X, labels, is_regression=False)
    scaling = Scaling.of(arranged, target, np.ones(50), is_regression=False)
    network = SparseMLP((np.zeros((3, 1)),), (np.zeros(1),), (), "logistic")
    folded = columns.on_raw_columns(scaling).fold(network)
    for array in (*folded.weights, *folded.biases):
        assert not np.signbit(array).any()


def test_weights_that_are_whole_numbers_count_rows():
    for weight, expected in (
        ([1, 2, 3], [1, 2, 3]),
        ([4, 0, 2], [4, 0, 2]),
        ([0.5, 0, 1], [1, 0, 1]),
        ([1, 2**21], [1, 1]),
        ([1e300, 1], [1, 1]),
        ([], []),
    ):
        assert count_draws(np.array(weight, float)).tolist() == expected


NOISY = np.array([40.0, 10, 10, 40]), np.array([[0.0], [0], [1], [1]])


@pytest.mark.parametrize(
    ("n_equal", "X", "expected"),
    [
        (*NOISY, True),
        (NOISY[0] / 20, NOISY[1], False),  # no more than a bootstrap sample has
        ([40, 10, 50], [[0], [0], [1]], True),  # those without another target count as well
        ([4, 1, *[5] * 11], [[0], *[[i] for i in range(12)]], False),  # one error among copies
        ([50, 50], [[0], [1]], False),
        ([20, 20, 0, 0], [[0], [1], [0], [1]], False),  # those of 0 are no observations
    ],
)
def test_equal_rows_are_draws_where_there_are_many_and_some_have_several_targets(
    n_equal, X, expected
):
    draws = independent_draws(np.array(n_equal, float), np.array(X, float))
    assert draws is None if not expected else draws.tolist() == list(n_equal)


def test_rows_that_only_announce_a_label_make_no_draws_of_copies():
    rows = Rows(
        np.repeat(np.arange(20.0), 10)[:, None],
        np.repeat([[1.0, 0, 0], [0, 1, 0]], 100, axis=0),
        np.ones(200),
    )
    more = with_absent_labels(rows, LOSSES["softmax"])
    assert len(more.weight) > 200
    problem = Problem.of(more, LOSSES["softmax"], 0.2, np.random.RandomState(0))
    assert problem.rows.draws is None


def test_rows_of_several_draws_are_on_both_sides_of_a_split():
    rng = np.random.RandomState(0)
    X = np.repeat([[0.0], [1.0]], 500, axis=0)
    y = (rng.random_sample(1000) < 0.2 + 0.6 * X[:, 0]).astype(float)[:, None]
    problem = Problem.of(Rows(X, y, np.ones(1000)), LOSSES["logistic"], 0.2, rng)
    assert len(problem.rows.weight) == len(problem.train.weight) == 4
    assert (problem.rows.n_draws, problem.train.n_draws, problem.validation.n_draws) == (
        1000, 800, 200,
    )  # fmt: skip
    for part in (problem.train, problem.validation):
        np.testing.assert_allclose(part.weight / part.draws, part.weight[0] / part.draws[0])
        np.testing.assert_allclose(part.draws / part.n_draws, problem.rows.draws / 1000, atol=0.01)

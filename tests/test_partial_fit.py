"""A fitted network's numbers on a stream of rows."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.utils import shuffle

from sklearn_swat import SWATClassifier, SWATRegressor, _refinement
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._online import Memory, mean_curvature, update, with_absent_labels
from sklearn_swat._preprocessing import Scaling
from sklearn_swat._refinement import refine
from sklearn_swat._rows import Rows

QUICK = {"max_iter": 10, "n_restarts": 1, "depth": 1, "max_width": 6, "random_state": 0}

STAYS = "no more than a constant, and further calls add no weights to it; begin with more rows"


@pytest.fixture(scope="module")
def iris():
    return shuffle(*load_iris(return_X_y=True), random_state=0)


@pytest.fixture(scope="module")
def waves():
    """A smooth target of two of three features."""
    X = np.random.RandomState(0).uniform(-2, 2, (600, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] ** 2 / 2


@pytest.fixture(scope="module")
def first(waves):
    X, y = waves
    return SWATRegressor(**QUICK | {"alpha": 1e-3}).partial_fit(X[:100], y[:100])


def batches(X, y, size):
    return [(X[i : i + size], y[i : i + size]) for i in range(0, len(X), size)]


def structure(network):
    return [(w != 0).tolist() for w in network.weights], network.activations


# ------------------------------------------------------------------------ mathematics
def a_stream(loss_name, rng, n=60, d=3):
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    signal = X @ rng.standard_normal((d, 1)) + rng.standard_normal((n, 1))
    return Rows(X, signal if loss_name == "squared_error" else 1.0 * (signal > 0), np.ones(n))


def part(rows, chosen):
    return Rows(rows.X[chosen], rows.target[chosen], rows.weight[chosen])


def remembered(network, rows, loss, l2):
    """A memory of rows that are taken as they are."""
    d, k = network.n_features, network.n_outputs
    outputs = np.arange(k), np.zeros(k), np.ones(k)
    is_regression = loss.name == "squared_error"
    scaling = Scaling(np.arange(d), d, np.zeros(d), np.ones(d), *outputs, is_regression)
    curvature = mean_curvature(network, rows, loss, l2)
    return Memory(scaling, float(rows.weight.sum()), l2, network, curvature)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(1, 45))
def test_a_linear_stream_ends_at_the_ridge_regression_of_all_rows(seed, size):
    rng, loss, penalty = np.random.RandomState(seed), LOSSES["squared_error"], 0.5
    rows = a_stream("squared_error", rng)

    def ridge_regression(rows):
        ones = np.hstack([rows.X, np.ones((len(rows.X), 1))])
        ridge = np.diag([penalty, penalty, penalty, 0.0])
        return np.linalg.solve(ones.T @ ones + ridge, ones.T @ rows.target)

    # Exactly: the memory takes the network for the minimum of the first rows.
    first = ridge_regression(part(rows, slice(15)))
    network = SparseMLP((first[:3],), (first[3],), ())
    memory = remembered(network, part(rows, slice(15)), loss, penalty / 15)
    for start in range(15, 60, size):
        network, memory = update(
            network, memory, part(rows, slice(start, min(start + size, 60))), loss
        )
    found = np.vstack([network.weights[0], network.biases[0]])
    np.testing.assert_allclose(found, ridge_regression(rows), rtol=1e-3, atol=1e-4)
    assert memory.weight == pytest.approx(60)


@pytest.mark.parametrize("loss_name", ["squared_error", "logistic"])
def test_a_weight_of_two_is_two_rows(loss_name):
    rng, loss = np.random.RandomState(0), LOSSES[loss_name]
    rows = a_stream(loss_name, rng)
    network = SparseMLP(
        (rng.standard_normal((3, 2)), rng.standard_normal((2, 1))), (np.ones(2), np.ones(1)),
        (("tanh", "tanh"),), loss.out_activation,
    )  # fmt: skip
    memory = remembered(network, part(rows, slice(30)), loss, 0.01)
    more = part(rows, slice(30, 40))
    twice = Rows(np.vstack([more.X] * 2), np.vstack([more.target] * 2), np.ones(20))
    one, _ = update(network, memory, twice, loss)
    other, _ = update(network, memory, Rows(more.X, more.target, np.full(10, 2.0)), loss)
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_rows_without_weight_teach_nothing():
    loss = LOSSES["squared_error"]
    rows = a_stream("squared_error", np.random.RandomState(0))
    network = SparseMLP((np.ones((3, 1)),), (np.zeros(1),), ())
    memory = remembered(network, rows, loss, 0.1)
    same, unchanged = update(network, memory, Rows(rows.X, rows.target, np.zeros(60)), loss)
    assert same is network
    assert unchanged is memory
    n = 6000  # of which the curvature takes every third
    X = np.random.RandomState(1).standard_normal((n, 3))
    weight = (np.arange(n) % 3 == 1).astype(float)  # none of those that it would take
    every = Rows(X, X @ np.ones((3, 1)), weight)
    counting = Rows(X[1::3], every.target[1::3], np.ones(n // 3))
    one, learned = update(network, memory, every, loss)
    other, _ = update(network, memory, counting, loss)
    np.testing.assert_array_equal(one.weights[0], other.weights[0])
    assert learned.weight == memory.weight + n // 3


@pytest.mark.parametrize(
    ("name", "target", "added"),
    [
        ("softmax", [[1, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 0, 1]]),
        ("logistic", [[1], [1]], [[0]]),
        ("logistic", [[1, 0, 1], [0, 0, 1]], [[0, 1, 1], [0, 0, 0]]),
        ("logistic", [[1, 0], [0, 1]], np.zeros((0, 2))),
    ],
)
def test_absent_labels_get_a_row_of_little_weight(name, target, added):
    rows = Rows(np.array([[1.0], [2.0]]), np.array(target, dtype=float), np.array([1.0, 3.0]))
    more = with_absent_labels(rows, LOSSES[name])
    np.testing.assert_array_equal(more.target[2:], np.repeat(added, 2, axis=0))
    np.testing.assert_array_equal(more.weight[2:], np.full(2 * len(added), 0.5))
    np.testing.assert_array_equal(more.X[2:], np.tile(rows.X, (len(added), 1)))


def test_networks_of_many_numbers_keep_a_diagonal_and_gain(monkeypatch):
    monkeypatch.setattr(_refinement, "without_negligible", lambda objective, x: x)  # many are
    rng, loss = np.random.RandomState(0), LOSSES["squared_error"]
    X = rng.standard_normal((400, 40))
    rows = Rows(X, np.tanh(X[:, :1]) + 0.1 * rng.standard_normal((400, 1)), np.ones(400))
    network = SparseMLP(
        (0.1 * rng.standard_normal((40, 9)), 0.1 * rng.standard_normal((9, 1))),
        (np.ones(9), np.zeros(1)), (("tanh",) * 9,),
    )  # fmt: skip
    network = refine(network, part(rows, slice(100)), loss, l2=0.01)
    memory = remembered(network, part(rows, slice(100)), loss, 0.01)
    assert memory.curvature.ndim == 1
    better, _ = update(network, memory, part(rows, slice(100, 400)), loss)

    def error(n):
        return np.square(n.decision_function(X) - rows.target).mean()

    assert structure(better) == structure(network)
    assert error(better) < error(network)


# ------------------------------------------------------------------------- estimators
def test_the_first_call_is_a_fit(iris):
    X, y = iris
    one = SWATClassifier(**QUICK).fit(X, y)
    other = SWATClassifier(**QUICK).partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_a_stream_moves_the_numbers_and_keeps_the_structure(waves, first):
    X, y = waves
    model = copy.copy(first)
    before, others = model.network_, {id(p.network) for p in model.path_}
    for rows, target in batches(X[100:], y[100:], 50):
        assert model.partial_fit(rows, target) is model
    assert structure(model.network_) == structure(before)
    assert model.network_ in [point.network for point in model.path_]
    assert len({id(p.network) for p in model.path_} & others) == len(model.path_) - 1
    assert model.score(X, y) > first.score(X, y)


def test_a_stream_ends_near_the_same_network_refitted_on_all_rows(waves, first):
    X, y = waves
    model = copy.copy(first)
    for rows, target in batches(X[100:], y[100:], 50):
        model.partial_fit(rows, target)
    scaling = first._memory.scaling
    all_rows = Rows(scaling.scale_inputs(X), scaling.scale_targets(y[:, None]), np.ones(len(X)))
    refitted = scaling.unfold(first.network_)
    for _ in range(5):
        refitted = refine(refitted, all_rows, LOSSES["squared_error"], l2=0.5 / len(X))
    best = 1 - np.square(scaling.fold(refitted).predict(X)[:, 0] - y).mean() / y.var()
    before, after = (m.score(X, y) for m in (first, model))
    assert after - before > 0.5 * (best - before)


@pytest.mark.parametrize("order", ["sorted", "one by one", "copies"])
def test_no_stream_does_harm(waves, first, order):
    X, y = waves
    model = copy.copy(first)
    if order == "sorted":
        by_target = np.argsort(y)
        stream = batches(X[by_target], y[by_target], 50)
    elif order == "one by one":
        stream = batches(X[100:160], y[100:160], 1)
    else:
        stream = [(np.repeat(X[:1], 100, axis=0), np.repeat(y[:1] + 1, 100))] * 5
    for rows, target in stream:
        model.partial_fit(rows, target)
    floor = 0.5 if order == "copies" else first.score(X, y) - 0.05
    assert model.score(X, y) > floor


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 3),
    scale=st.sampled_from([0.0, 1.0, 1e6, 1e12, 1e100, 1e200]),
    target=st.sampled_from([0.0, -1e9, 1e120]),
)
def test_any_batch_leaves_a_finite_network_or_an_error(first, waves, n, scale, target):
    X, _ = waves
    model = copy.copy(first)
    before = dict(vars(model))
    try:
        model.partial_fit(X[:n] * scale, np.full(n, target))
    except ValueError as error:
        assert "the loss of the batch overflows" in str(error)  # noqa: PT017
        assert vars(model) == before
    assert np.isfinite(model.predict(X)).all()
    assert structure(model.network_) == structure(first.network_)


def test_an_unseen_class_is_learned_from_the_stream(iris):
    X, y = iris
    early = np.flatnonzero(y < 2)[:40]
    model = SWATClassifier(**QUICK).partial_fit(X[early], y[early], classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (150, 3)
    for rows, labels in batches(X, y, 30):
        model.partial_fit(rows, labels)
    assert model.predict_proba(X)[y == 2, 2].mean() > model.predict_proba(X)[y == 0, 2].mean()


@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "c"]])
def test_the_first_batch_may_hold_one_class(iris, classes):
    X, _ = iris
    y = np.full(150, "b")
    with pytest.warns(UserWarning, match=STAYS):
        model = SWATClassifier(**QUICK).partial_fit(X[:50], y[:50], classes=classes)
    assert model.classes_.tolist() == classes
    assert set(model.predict(X)) == {"b"}
    model.partial_fit(X[50:], np.full(100, "a"))
    assert model.predict_proba(X)[:, 0].mean() > 0.5


def test_several_labels_need_no_classes():
    X, Y = make_multilabel_classification(n_samples=90, n_classes=3, random_state=0)
    Y[:50, 1] = 0  # a label that no row of the first batch has
    model = SWATClassifier(**QUICK).partial_fit(X[:50], Y[:50])
    before = model.predict_proba(X)[:, 1].mean()
    assert model.partial_fit(X[50:], Y[50:]).predict_proba(X)[:, 1].mean() > before
    with pytest.raises(ValueError, match=r"y has shape \(90, 2\), but there are 3 labels"):
        model.partial_fit(X, Y[:, :2])


def test_a_fit_goes_on_after_select_and_pickle(waves, first):
    X, y = waves
    small = pickle.loads(pickle.dumps(first.select(index=len(first.path_) // 3)))
    size, before = small.nnz_, small.score(X, y)
    for rows, target in batches(X[100:], y[100:], 50):
        small.partial_fit(rows, target)
    assert small.nnz_ == size < first.nnz_
    assert small.score(X, y) > before - 0.02


def test_a_constant_goes_on_as_the_mean():
    X = np.random.RandomState(0).standard_normal((40, 2))
    with pytest.warns(UserWarning, match=STAYS) as caught:
        model = SWATRegressor(**QUICK).partial_fit(X[:20], np.zeros(20))
    assert caught[0].filename == __file__
    model.partial_fit(X[20:], np.full(20, 3.0))
    np.testing.assert_allclose(model.predict(X), 1.5)


def test_class_weights_count_in_every_call(iris):
    X, y = iris
    plain, weighted = (
        SWATClassifier(class_weight=weight, **QUICK).partial_fit(X[:60], y[:60], classes=[0, 1, 2])
        for weight in (None, {0: 1.0, 1: 5.0, 2: 1.0})
    )
    total = plain._memory.weight
    assert weighted._memory.weight == pytest.approx(total + 4 * np.sum(y[:60] == 1))
    only_one = np.flatnonzero(y == 0)[:5]
    assert weighted.partial_fit(X[only_one], y[only_one])._memory.weight == pytest.approx(
        total + 4 * np.sum(y[:60] == 1) + 5
    )


def test_class_weights_name_some_classes_of_a_stream_whose_parts_lack_others(iris):
    X, y = iris
    model = SWATClassifier(class_weight={2: 5.0, 1: 0.0}, **QUICK)
    model.partial_fit(X[:60], y[:60], classes=[0, 1, 2])
    before = model._memory.weight
    without = np.flatnonzero(y == 0)[:4]
    assert model.partial_fit(X[without], y[without])._memory.weight == pytest.approx(before + 4)
    network = model.network_
    of_no_weight = np.flatnonzero(y == 1)[:4]
    assert model.partial_fit(X[of_no_weight], y[of_no_weight]).network_ is network
    with pytest.raises(ValueError, match=r"the classes \[7\], which are not among"):
        model.partial_fit(X[:2], np.array([0, 7]))


def test_class_weights_of_several_labels_and_of_rows_that_do_not_count():
    X = np.random.RandomState(0).standard_normal((60, 3))
    Y = (X[:, :2] > 0).astype(int)
    model = SWATClassifier(class_weight=[{0: 3.0}, {1: 5.0}], **QUICK).partial_fit(X, Y)
    before = model._memory.weight
    always = np.ones((4, 2), dtype=int)  # neither label is ever 0
    assert model.partial_fit(X[:4], always)._memory.weight == pytest.approx(before + 4 * 5)
    with pytest.raises(ValueError, match="from 0 to 0; pass positive"):
        SWATClassifier(class_weight={0: 0.0}).partial_fit(X[:4], np.zeros(4), classes=[0, 1])


def test_a_class_of_no_weight_in_a_fit_has_none_later_and_bad_weights_are_told_at_once():
    X = np.random.RandomState(0).standard_normal((90, 3))
    y = np.array(["a", "b", "c"])[np.argsort(np.argsort(X[:, 0])) // 30]
    model = SWATClassifier(class_weight={"a": 0, "b": 2}, **QUICK).fit(X, y)
    before = model._memory.weight
    rows = np.array([np.flatnonzero(y == label)[0] for label in "abc"])
    assert model.partial_fit(X[rows], y[rows])._memory.weight == pytest.approx(before + 2 + 1)
    with pytest.raises(ValueError, match=r"(?s)there are no classes \['z'\].*pass positive"):
        SWATClassifier(class_weight={"z": 2}).partial_fit(X, y, classes=["a", "b", "c"])
    for weight in (-1, np.nan):
        model = SWATClassifier(class_weight={"c": weight}, **QUICK)
        with pytest.raises(
            ValueError, match=r"(?s)the weight .* of class 'c' is none.*pass positive"
        ):
            model.partial_fit(X[rows[:2]], y[rows[:2]], classes=["a", "b", "c"])


@pytest.mark.parametrize(("n", "n_ones", "more"), [(1999, 1, 500), (59, 1, 15), (180, 20, 200)])
def test_a_constant_of_classes_counts_all_rows_alike(n, n_ones, more):
    """However near to 0 a probability is, where the curvature of the log-loss is next to none."""
    y = np.repeat([0, 1], [n, n_ones])
    model = SWATClassifier(**QUICK).fit(np.zeros((n + n_ones, 1)), y)
    model.partial_fit(np.zeros((more, 1)), np.ones(more, dtype=int))
    expected = (n_ones + more) / (n + n_ones + more)
    assert model.predict_proba([[0]])[0, 1] == pytest.approx(expected, rel=1e-3)


def test_classes_that_come_one_after_the_other_do_not_forget_the_first():
    X, y = load_iris(return_X_y=True)
    model = SWATClassifier(**QUICK)
    with pytest.warns(UserWarning, match=STAYS):
        model.partial_fit(X[y == 0], y[y == 0], classes=[0, 1, 2])
    for label in (1, 2):
        model.partial_fit(X[y == label], y[y == label])
    np.testing.assert_allclose(model.predict_proba(X).mean(axis=0), 1 / 3, atol=0.05)


def test_the_scale_of_targets_changes_nothing_on_any_network_of_the_front(waves):
    X, _ = waves
    noisy = X @ [1.0, 0.5, 0.2] + np.random.RandomState(1).standard_normal(len(X))
    found = []
    for scale in (1.0, 2.0**10, 2.0**-10):
        model = SWATRegressor(**QUICK | {"alpha": 1e-3}).fit(X[:100], scale * noisy[:100])
        assert model.depth_ == 0  # its prior depends on its weights
        again = model.select(index=[p.network for p in model.path_].index(model.network_) - 1)
        again.partial_fit(X[100:200], scale * noisy[100:200])
        found.append(again.predict(X) / scale)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-9)


def test_to_select_another_network_and_back_keeps_what_earlier_rows_said(first, waves):
    X, y = waves
    position = [point.network is first.network_ for point in first.path_].index(True)
    back = first.select(index=0).select(index=position)
    assert back._memory.network is back.network_
    one, other = (
        copy.deepcopy(model).partial_fit(X[100:150], y[100:150]) for model in (first, back)
    )
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_what_cannot_be_used_is_told_and_changes_nothing(iris, waves, first):
    X, y = iris
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        SWATClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="pass the weights as a dict"):
        SWATClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"the classes \[2\], which are not among \[0, 1\]"):
        SWATClassifier().partial_fit(X, y, classes=[0, 1])
    model = SWATClassifier(**QUICK).partial_fit(X, y, classes=[0, 1, 2])
    before = dict(vars(model))
    with pytest.raises(ValueError, match="not those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"the classes \[7\], which are not among"):
        model.partial_fit(X, np.full(150, 7))
    with pytest.raises(ValueError, match="was a column of classes in the first call"):
        model.partial_fit(X, np.eye(3, dtype=int)[y])
    assert vars(model) == before
    with pytest.raises(ValueError, match="y has 2 outputs, but the network has 1"):
        copy.copy(first).partial_fit(waves[0], np.column_stack([waves[1]] * 2))

"""The same function in fewer numbers."""

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris

from sklearn_swat import SWATClassifier, _search
from sklearn_swat._averages import AveragePoint
from sklearn_swat._losses import LOSSES
from sklearn_swat._network import SparseMLP
from sklearn_swat._penalised_loss import Objective
from sklearn_swat._refinement import refine, with_equal_neurons, without_negligible
from sklearn_swat._rows import Rows
from sklearn_swat._simplification import (
    find_alike,
    fold_linear_layers,
    folded_nnz,
    merge_neurons,
)

SQUARED = LOSSES["squared_error"]


def random_network(sizes, names, seed=0):
    rng = np.random.default_rng(seed)
    weights = tuple(rng.standard_normal(shape) for shape in pairwise(sizes))
    return SparseMLP(weights, tuple(rng.standard_normal(n) for n in sizes[1:]), names)


def with_twin(network, layer, neuron, factor, outgoing):
    """Add a neuron of `factor` times the incoming weights and the bias of another."""
    weights, biases = list(network.weights), list(network.biases)
    twin = factor * weights[layer][:, [neuron]]
    weights[layer] = np.hstack([weights[layer], twin])
    biases[layer] = np.append(biases[layer], factor * biases[layer][neuron])
    weights[layer + 1] = np.vstack([weights[layer + 1], outgoing])
    names = [list(each) for each in network.activations]
    names[layer].append(names[layer][neuron])
    return SparseMLP(tuple(weights), tuple(biases), names)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("tanh", 1.0), ("tanh", -1.0), ("sigmoid", 1.0), ("sigmoid", -1.0),
        ("leaky_relu", 1.0), ("leaky_relu", 0.3), ("identity", -2.5),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layer", [0, 1])
def test_neurons_that_say_the_same_are_merged(name, factor, layer):
    base = random_network((3, 2, 4, 2), (("tanh", name), ("tanh", *[name] * 3)))
    rng = np.random.default_rng(1)
    outgoing = rng.standard_normal(base.weights[layer + 1].shape[1])
    neuron = base.activations[layer].index(name)
    twice = with_twin(base, layer, neuron, factor, outgoing)
    merged = merge_neurons(twice)
    assert folded_nnz(merged) == folded_nnz(base) < folded_nnz(twice)
    X = rng.standard_normal((50, 3))
    np.testing.assert_allclose(merged.predict(X), twice.predict(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "factor"),
    [("tanh", 2.0), ("tanh", 1 + 1e-6), ("sigmoid", 0.5), ("leaky_relu", -1.0)],
)
def test_neurons_that_say_something_else_are_not_merged(name, factor):
    network = with_twin(random_network((3, 4, 1), ((name,) * 4,)), 0, 1, factor, [0.7])
    assert merge_neurons(network) is network
    other_bias = with_twin(random_network((3, 4, 1), ((name,) * 4,)), 0, 1, 1.0, [0.7])
    biases = (other_bias.biases[0] + np.eye(5)[4], other_bias.biases[1])
    other_bias = replace(other_bias, biases=biases)
    assert merge_neurons(other_bias) is other_bias


def test_neurons_of_different_activations_are_not_merged():
    network = random_network((3, 1, 1), (("tanh",),))
    both = SparseMLP(
        (np.repeat(network.weights[0], 2, axis=1), np.ones((2, 1))),
        (np.repeat(network.biases[0], 2), np.zeros(1)),
        (("tanh", "sigmoid"),),
    )
    assert merge_neurons(both) is both


def test_what_is_linear_once_neurons_are_merged_is_multiplied_out():
    """One identity neuron feeds tanh(z) and tanh(-z): a network of one hidden layer."""
    network = SparseMLP(
        (np.array([[0.5], [-2.0]]), np.array([[1.5, -1.5]]), np.array([[2.6], [-2.6]])),
        (np.array([0.3]), np.zeros(2), np.array([0.8])),
        (("identity",), ("tanh", "tanh")),
        "logistic",
    )
    merged = merge_neurons(network)
    assert (network.nnz, merged.nnz, merged.depth) == (8, 5, 1)
    X = np.random.default_rng(0).standard_normal((20, 2))
    np.testing.assert_allclose(merged.predict(X), network.predict(X), rtol=1e-12)


@given(
    seed=st.integers(0, 10**6),
    n_twins=st.integers(1, 5),
    depth=st.integers(1, 3),
    density=st.sampled_from([0.4, 0.7, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_merging_never_changes_the_function_nor_adds_numbers(seed, n_twins, depth, density):
    rng = np.random.default_rng(seed)
    sizes = (3, *rng.integers(1, 5, depth), 2)
    names = [rng.choice(["tanh", "sigmoid", "leaky_relu", "identity"], n) for n in sizes[1:-1]]
    network = random_network(sizes, [tuple(each.tolist()) for each in names], seed)
    network = replace(
        network,
        weights=tuple(w * (rng.random(w.shape) < density) for w in network.weights),
        biases=tuple(b * (rng.random(b.shape) < density) for b in network.biases),
    )
    for _ in range(n_twins if network.depth else 0):
        layer = int(rng.integers(network.depth))
        neuron = int(rng.integers(len(network.activations[layer])))
        factor = float(rng.choice([1.0, -1.0, 0.5, -3.0]))
        n_after = len(network.biases[layer + 1])
        network = with_twin(
            network, layer, neuron, factor,
            rng.standard_normal(n_after) * (rng.random(n_after) < density),
        )  # fmt: skip
        if not network.depth:  # the twin went with its neuron
            break
    merged = merge_neurons(network)
    X = rng.standard_normal((40, 3))
    np.testing.assert_allclose(merged.predict(X), network.predict(X), rtol=1e-8, atol=1e-8)
    assert folded_nnz(merged) <= folded_nnz(network)
    assert merge_neurons(merged) is merged


def test_opposite_sigmoids_are_left_where_they_would_fill_more_biases_than_they_save():
    weights = (
        np.array([[1.0, -1.0]]),
        np.array([[1.0, 2.0, 3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, 5.0, 6.0]]),
        np.arange(1.0, 7.0)[:, None],
    )
    biases = (np.zeros(2), np.zeros(6), np.zeros(1))
    network = SparseMLP(weights, biases, (("sigmoid",) * 2, ("tanh",) * 6))
    assert merge_neurons(network) is network


def test_nothing_is_left_of_neurons_that_cancel():
    names = (("tanh",) * 4,)
    incoming, biases = (
        np.array([[1.5, 1.5, 1.5, 0.5]]),
        (np.array([0.1, 0.1, 0.1, 0.0]), np.ones(1)),
    )
    outgoing = np.array([[0.1], [0.2], [-0.3], [2.0]])
    assert 0.1 + 0.2 - 0.3 != 0
    merged = merge_neurons(SparseMLP((incoming, outgoing), biases, names))
    assert merged.hidden_layer_sizes == (1,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        huge = SparseMLP((incoming, np.full((4, 1), 1e308)), biases, names)
        assert np.isfinite(merge_neurons(huge).weights[1]).all()


def test_neurons_that_are_all_but_equal_are_made_so():
    network = with_twin(random_network((3, 2, 1), (("tanh",) * 2,)), 0, 0, -1.0, [0.7])
    rng = np.random.default_rng(0)
    nearly = replace(
        network,
        weights=(network.weights[0] * rng.uniform(0.99, 1.01, (3, 3)), network.weights[1]),
    )
    assert merge_neurons(nearly) is nearly
    (group,) = find_alike(nearly.weights, nearly.biases, nearly.activations)
    assert (group.layer, group.neurons) == (0, [0, 2])
    weights, biases = group.made_equal(nearly.weights, nearly.biases)
    equal = replace(nearly, weights=tuple(weights), biases=tuple(biases))
    assert folded_nnz(merge_neurons(equal)) == folded_nnz(network) - 5
    np.testing.assert_allclose(equal.weights[0], nearly.weights[0], rtol=0.02)


@pytest.mark.parametrize("second_feature", [1e-3, 0.2])
def test_what_one_of_two_alike_neurons_lacks_both_do_without(second_feature):
    weights = (np.array([[1.0, 1.0], [second_feature, 0.0]]), np.ones((2, 1)))
    network = SparseMLP(weights, (np.ones(2), np.zeros(1)), (("tanh",) * 2,))
    found = find_alike(network.weights, network.biases, network.activations)
    assert len(found) == (second_feature < 0.1)
    for group in found:
        equal, _ = group.made_equal(network.weights, network.biases)
        np.testing.assert_array_equal(equal[0], [[1.0, 1.0], [0.0, 0.0]])


def noisy_rows(n=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    target = np.tanh(1.5 * X[:, [0]]) + 0.1 * rng.standard_normal((n, 1))
    return Rows(X, target, np.ones(n))


def test_neurons_are_made_equal_only_if_the_loss_lets_them():
    rows = noisy_rows()
    weights = (np.array([[1.5, 1.52], [0.0, 0.0], [0.0, 0.0]]), np.array([[0.5], [0.5]]))
    alike = SparseMLP(weights, (np.zeros(2), np.zeros(1)), (("tanh",) * 2,))
    objective = Objective(alike, rows, SQUARED, l2=1e-4)
    equal = objective.to_network(with_equal_neurons(objective, objective.start))
    assert merge_neurons(equal).nnz == 2
    # Their difference, a slope, is what says something here.
    telling = replace(alike, weights=(weights[0], np.array([[100.0], [-100.0]])))
    target = telling.decision_function(rows.X)
    objective = Objective(telling, replace(rows, target=target), SQUARED, l2=0.0)
    equal = objective.to_network(with_equal_neurons(objective, objective.start))
    assert equal.nnz == telling.nnz


def test_of_several_alike_neurons_those_become_equal_that_the_loss_lets():
    rows = noisy_rows()
    weights = (np.array([[1.5, 1.52, 1.5 + 1e-9], [0.0] * 3, [0.0] * 3]), np.ones((3, 1)))
    weights[1][:2, 0] = 100.0, -100.0  # their difference, a slope, says something
    network = SparseMLP(weights, (np.zeros(3), np.zeros(1)), (("tanh",) * 3,))
    (group,) = find_alike(network.weights, network.biases, network.activations)
    assert sorted(group.neurons) == [0, 1, 2]
    noise = 0.1 * np.sin(50 * rows.X[:, [1]])
    rows = replace(rows, target=network.decision_function(rows.X) + noise)
    objective = Objective(network, rows, SQUARED, l2=0.0)
    merged = merge_neurons(objective.to_network(with_equal_neurons(objective, objective.start)))
    assert merged.hidden_layer_sizes == (2,)
    np.testing.assert_allclose(merged.weights[1].sum(), 1.0)


def test_numbers_that_do_nothing_are_removed_and_small_ones_that_do_are_not():
    rows = noisy_rows()
    weights = (np.array([[1.5, 1e-12], [1e-9, 1e-12], [0.0, 0.0]]), np.array([[1.0], [1e-9]]))
    network = SparseMLP(weights, (np.zeros(2), np.zeros(1)), (("tanh",) * 2,))
    objective = Objective(network, rows, SQUARED, l2=1e-6)
    left = objective.to_network(without_negligible(objective, objective.start))
    assert left.hidden_layer_sizes == (1,)
    np.testing.assert_array_equal(left.weights[0], [[1.5], [0.0], [0.0]])
    # tanh(1e-5 z) times 1e5 is a line.
    small = replace(network, weights=(weights[0] * 1e-5, weights[1] * 1e5))
    objective = Objective(small, rows, SQUARED, l2=0.0)
    left = objective.to_network(without_negligible(objective, objective.start))
    np.testing.assert_array_equal(left.weights[0], small.weights[0][:, [0]] * [[1], [0], [0]])


def test_a_neuron_that_the_prior_drives_to_nothing_is_removed():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    rows = Rows(X, (X[:, [0]] > 0).astype(float), np.ones(300))
    names = (("tanh",) * 4, ("leaky_relu",) * 3)
    network = replace(random_network((3, 4, 3, 1), names, seed=1), out_activation="logistic")
    refined = refine(network, rows, LOSSES["logistic"], l2=1e-3, max_iter=2000, tolerance=0)
    assert refined.nnz < network.nnz
    assert all(np.abs(w[w != 0]).min() > 1e-7 for w in refined.weights)


@pytest.mark.parametrize("seed", range(3))
def test_every_network_is_refitted_also_where_its_neurons_part(monkeypatch, seed):
    X, y = load_iris(return_X_y=True)
    judged, refitted = [], []

    def spy(point, *arguments):
        found = refit(point, *arguments)
        if not (isinstance(point, AveragePoint) or point.network.is_constant):
            judged.append(point)
            refitted.append(found)
        return found

    refit = _search._refit
    monkeypatch.setattr(_search, "_refit", spy)
    SWATClassifier(random_state=seed).fit(X[::2], y[::2])
    merged = [
        (before, after)
        for before, after in zip(judged, refitted, strict=True)
        if before.unmerged is not None
    ]
    assert all(after.nnz <= before.nnz for before, after in merged)
    # One that is as good as a refit under the prior is kept as it is.
    changed = [after for before, after in merged if after.network is not before.network]
    assert len(changed) > 0.8 * len(merged) > 0
    assert all(after.unmerged is None for after in changed)


@pytest.mark.parametrize(("load", "seed"), [(load_iris, 1), (load_breast_cancer, 0)])
def test_no_network_of_a_front_says_a_thing_twice(load, seed):
    """Of classes that can be told apart, the prior prefers two halves of a large weight."""
    X, y = load(return_X_y=True)
    model = SWATClassifier(alpha=1e-3, random_state=seed).fit(X, y)
    sizes = [point.nnz for point in model.path_]
    losses = [point.validation_loss for point in model.path_]
    assert sizes == sorted(set(sizes))
    assert losses == sorted(losses, reverse=True)
    small = [point.network for point in model.path_ if point.nnz <= 40]
    assert len(small) > 5
    assert [folded_nnz(merge_neurons(network)) for network in small] == [
        folded_nnz(network) for network in small
    ]


def test_folded_size_counts_the_biases_that_scaling_will_fill():
    weights = (np.array([[1.0, 1.0], [0.0, 1.0]]), np.ones((2, 2)), np.array([[1.0], [1.0]]))
    biases = (np.zeros(2), np.array([0.0, 3.0]), np.zeros(1))
    network = SparseMLP(weights, biases, [["tanh"] * 2] * 2)
    assert network.nnz == 3 + 4 + 2 + 1
    assert folded_nnz(network) == 3 + 4 + 2 + 2 + 1 + 1
    assert folded_nnz(SparseMLP((np.zeros((5, 3)),), (np.zeros(3),), ())) == 3


def test_a_layer_of_identity_neurons_is_multiplied_out_where_that_adds_nothing():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((20, 3))
    names = (("tanh",) * 4, ("identity",) * 2, ("sigmoid",) * 3)
    sizes = (3, 4, 2, 3, 1)
    weights = tuple(rng.standard_normal(shape) for shape in pairwise(sizes))
    network = SparseMLP(weights, tuple(rng.standard_normal(n) for n in sizes[1:]), names)
    folded = fold_linear_layers(network)
    assert folded.activations == (("tanh",) * 4, ("sigmoid",) * 3)
    np.testing.assert_allclose(folded.predict(X), network.predict(X), rtol=1e-10)
    # Through one neuron, 4 + 4 weights do what a product would need 16 for.
    bottleneck = SparseMLP(
        (rng.standard_normal((4, 1)), rng.standard_normal((1, 4))), (np.ones(1), np.ones(4)),
        (("identity",),),
    )  # fmt: skip
    assert fold_linear_layers(bottleneck) is bottleneck

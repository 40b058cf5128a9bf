"""What would break: dead neurons, results that depend on the batch, lossy copies, bad input."""

from __future__ import annotations

import copy
import io
import pickle
import re
import subprocess
import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_swat._activations import ACTIVATION_NAMES, ACTIVATIONS
from sklearn_swat._network import OUT_ACTIVATIONS, SparseMLP


def random_network(seed, depth=None, density=0.5, n_features=None, n_outputs=None, out=None):
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(0, 5)) if depth is None else depth
    sizes = [n_features or int(rng.integers(1, 6)), *rng.integers(1, 7, depth)]
    sizes.append(n_outputs or int(rng.integers(1, 4)))
    shapes = list(pairwise(sizes))
    weights = [rng.normal(size=s) * (rng.random(s) < density) for s in shapes]
    biases = [rng.normal(size=s[1]) * (rng.random(s[1]) < 0.7) for s in shapes]
    names = [[str(name) for name in rng.choice(ACTIVATION_NAMES, s[1])] for s in shapes[:-1]]
    return weights, biases, names, out or str(rng.choice(OUT_ACTIVATIONS))


def naive_outputs(weights, biases, names, X):
    """Raw outputs by dense products, neuron by neuron: nothing shared with the module."""
    hidden = X
    for w, b, layer in zip(weights[:-1], biases[:-1], names, strict=True):
        z = hidden @ w + b
        columns = [ACTIVATIONS[name].value(z[:, j]) for j, name in enumerate(layer)]
        hidden = np.stack(columns, axis=1)
    return hidden @ weights[-1] + biases[-1]


# ------------------------------------------------------------------------ normal form
@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.15, 0.4, 1.0]))
@settings(max_examples=150, deadline=None)
def test_removing_dead_neurons_changes_no_output(seed, density):
    arrays = random_network(seed, density=density)
    network = SparseMLP(*arrays)
    X = np.random.default_rng(seed).normal(size=(7, network.n_features))
    np.testing.assert_allclose(
        network.decision_function(X), naive_outputs(*arrays[:3], X), rtol=1e-9, atol=1e-9
    )


@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.15, 0.4, 1.0]))
@settings(max_examples=150, deadline=None)
def test_every_kept_neuron_has_an_input_and_an_output(seed, density):
    network = SparseMLP(*random_network(seed, density=density))
    for before, after in zip(network.weights[:-1], network.weights[1:], strict=True):
        assert before.any(axis=0).all()
        assert after.any(axis=1).all()
    assert all(network.hidden_layer_sizes)
    for layer in network.activations:
        order = [ACTIVATION_NAMES.index(name) for name in layer]
        assert order == sorted(order)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_the_normal_form_is_stable(seed):
    once = SparseMLP(*random_network(seed, density=0.3))
    twice = SparseMLP(once.weights, once.biases, once.activations, once.out_activation)
    assert_same(once, twice)


def test_a_neuron_without_input_becomes_a_bias():
    network = SparseMLP(
        (np.array([[1.0, 0.0]]), np.array([[2.0], [3.0]])),
        (np.zeros(2), np.array([0.5])),
        (("tanh", "sigmoid"),),
    )
    assert network.activations == (("tanh",),)
    assert network.biases[-1] == 0.5 + 3 * 0.5  # sigmoid(0) = 0.5


def test_a_chain_that_one_missing_weight_kills_goes_as_a_whole():
    weights = (np.ones((2, 3)), np.eye(3), np.array([[1.0], [1.0], [0.0]]))
    network = SparseMLP(weights, (np.zeros(3), np.zeros(3), np.zeros(1)), [["tanh"] * 3] * 2)
    assert network.hidden_layer_sizes == (2, 2)
    assert network.nnz == 4 + 2 + 2
    assert not network.is_constant


def test_an_empty_layer_leaves_a_constant_of_depth_zero():
    weights = (np.ones((3, 2)), np.zeros((2, 2)), np.ones((2, 2)))
    biases = (np.ones(2), np.array([0.0, 1.0]), np.zeros(2))
    network = SparseMLP(weights, biases, [["tanh"] * 2, ["identity"] * 2])
    assert (network.depth, network.hidden_layer_sizes, network.nnz) == (0, (), 2)
    assert network.weights[0].shape == (3, 2)
    assert network.used_features.size == 0
    assert network.is_constant
    np.testing.assert_array_equal(network.predict(np.ones((4, 3))), np.ones((4, 2)))


def test_neurons_are_grouped_by_activation_in_their_own_order():
    names = ["identity", "tanh", "sigmoid", "tanh"]
    network = SparseMLP(
        (np.array([[1.0, 2.0, 3.0, 4.0]]), np.ones((4, 1))), (np.zeros(4), np.zeros(1)), [names]
    )
    assert network.activations == (("sigmoid", "tanh", "tanh", "identity"),)
    np.testing.assert_array_equal(network.weights[0], [[3.0, 2.0, 4.0, 1.0]])


def test_arrays_are_read_only_copies_of_what_was_given():
    given_weights = np.ones((2, 1))
    network = SparseMLP((given_weights,), (np.zeros(1),), ())
    given_weights[0, 0] = 7
    assert network.weights[0][0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        network.weights[0][0, 0] = 2
    with pytest.raises(AttributeError):
        network.biases = ()


# ------------------------------------------------------------------------- prediction
@pytest.mark.parametrize("out", OUT_ACTIVATIONS)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_row_alone_gives_the_bits_it_gives_in_a_batch(depth, out):
    network = SparseMLP(
        *random_network(3, depth, 0.6, n_features=9, n_outputs=12, out=out)  # 12: pairwise sums
    )
    X = np.random.default_rng(0).normal(size=(2500, 9)) * 3
    whole = network.predict(X)
    for i in [0, 1, 2047, 2048, 2499]:
        assert (network.predict(X[i : i + 1]) == whole[i]).all()
    for size in (2, 3, 7, 64, 1000):
        assert (network.predict(X[:size]) == whole[:size]).all()


@given(seed=st.integers(0, 1000), rows=st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_row_order_and_memory_layout_do_not_change_a_bit(seed, rows):
    network = SparseMLP(*random_network(seed, density=0.7))
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, network.n_features))
    order = rng.permutation(rows)
    expected = network.predict(X)
    assert (network.predict(X[order]) == expected[order]).all()
    assert (network.predict(np.asfortranarray(X)) == expected).all()
    assert (network.predict(X[::-1])[::-1] == expected).all()


def test_no_rows_give_no_outputs():
    network = SparseMLP(*random_network(1, 2, 1.0, n_features=3, n_outputs=2))
    assert network.predict(np.zeros((0, 3))).shape == (0, 2)


def test_float32_integers_and_read_only_input_are_taken():
    network = SparseMLP(*random_network(1, 1, 1.0, n_features=3, out="identity"))
    X = np.arange(6).reshape(2, 3)
    expected = network.predict(X.astype(float))
    frozen = X.astype(float)
    frozen.flags.writeable = False
    for same in (X, X.astype(np.float32), X.tolist(), frozen):
        np.testing.assert_array_equal(network.predict(same), expected)


@pytest.mark.parametrize("out", ["logistic", "softmax"])
def test_extreme_outputs_give_probabilities_without_a_warning(out):
    network = SparseMLP((np.array([[1e3, -1e3, 0.0]]),), (np.zeros(3),), (), out)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = network.predict(np.array([[1.0], [-1.0], [0.0], [1e300]]))
    assert np.isfinite(p).all()
    if out == "logistic":
        assert (p > 0).all()
        assert (p < 1).all()
        np.testing.assert_array_equal(p[2], 0.5)
    else:
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_allclose(p[2], 1 / 3)


def test_weights_alone_may_overflow():
    weights = np.array([[1e200]]), np.array([[1e150]])
    network = SparseMLP(weights, (np.zeros(1), np.zeros(1)), (("identity",),))
    rows = np.array([[1e150], [-1e150], [1e-300]])
    largest = np.finfo(np.float64).max
    np.testing.assert_allclose(network.predict(rows)[:, 0], [largest, -largest, 1e50])


def test_prediction_leaves_nothing_behind_in_a_pickle():
    network = SparseMLP(*random_network(2, 2, 1.0, n_features=3))
    before, attributes = pickle.dumps(network), set(vars(network))
    network.predict(np.zeros((5, 3)))
    assert pickle.dumps(network) == before
    layers = set(vars(network)) - attributes
    # What every prediction needs, and nothing of this one.
    assert layers == {"_layers", "_is_moderate"}
    network.predict(np.zeros((7, 3)))
    assert set(vars(network)) == attributes | layers


def test_prediction_needs_no_torch():
    code = (
        "import sys\n"
        "from sklearn_swat._network import SparseMLP\n"
        "print(SparseMLP(([[2.0]],), ([1.0],), ()).predict([[3.0]])[0, 0])\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "7.0"


# --------------------------------------------------------------------- size and shape
def test_sizes_are_counted_as_documented():
    weights = (np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 3.0]]), np.array([[1.0, 0.0], [0.0, 4.0]]))
    network = SparseMLP(weights, (np.array([0.0, 1.0]), np.zeros(2)), [["tanh", "tanh"]])
    assert network.nnz == 3 + 2 + 1
    assert (network.n_features, network.n_outputs, network.depth) == (3, 2, 1)
    assert network.hidden_layer_sizes == (2,)
    np.testing.assert_array_equal(network.used_features, [0, 2])
    assert repr(network) == "<SparseMLP 3-2-2, 6 non-zeros, identity output>"


# -------------------------------------------------------------------- from and to others
def assert_same(one, other):
    assert one.activations == other.activations
    assert one.out_activation == other.out_activation
    for a, b in zip((*one.weights, *one.biases), (*other.weights, *other.biases), strict=True):
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_arrays_round_trip_through_an_npz_file(seed):
    network = SparseMLP(*random_network(seed))
    file = io.BytesIO()
    np.savez(file, **network.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        assert_same(network, SparseMLP.from_arrays(stored))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_pickles_and_copies_predict_the_same_and_stay_read_only(seed):
    network = SparseMLP(*random_network(seed))
    X = np.random.default_rng(seed).normal(size=(5, network.n_features))
    for same in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert_same(network, same)
        assert (same.predict(X) == network.predict(X)).all()
        assert not same.weights[0].flags.writeable


@pytest.mark.parametrize("sizes", [(2, 1), (2, 0, 1), (1, 2, 2, 3)])
def test_every_bit_comes_back_from_a_pickle(sizes):
    weights = [np.full(shape, -0.0) for shape in pairwise(sizes)]
    biases = [np.linspace(-1, 0, size) for size in sizes[1:]]
    names = [("tanh", "identity")[:size] for size in sizes[1:-1]]
    network = SparseMLP(weights, biases, names)
    assert_same(network, pickle.loads(pickle.dumps(network)))


def test_a_pickle_holds_the_arrays_and_no_operators():
    network = SparseMLP((np.ones((100, 10)),), (np.zeros(10),), ())
    assert len(pickle.dumps(network)) < 1.2 * 1010 * 8


def test_a_missing_array_is_named():
    arrays = SparseMLP(*random_network(2, 1, 1.0)).to_arrays()
    del arrays["biases_1"]
    with pytest.raises(ValueError, match="biases_1 missing"):
        SparseMLP.from_arrays(arrays)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["tanh", "logistic", "identity"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_scikit_learn_regressor_is_read_exactly(activation, outputs):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 4)), rng.normal(size=(60, outputs))
    mlp = MLPRegressor(hidden_layer_sizes=(6, 5), activation=activation, max_iter=5, random_state=0)
    mlp.fit(X, Y[:, 0] if outputs == 1 else Y)
    network = SparseMLP.from_sklearn(mlp)
    assert network.hidden_layer_sizes == (6, 5)
    np.testing.assert_allclose(network.predict(X), mlp.predict(X).reshape(60, -1), rtol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["binary", "multi-class", "multi-label"])
def test_a_scikit_learn_classifier_is_read_exactly(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = {
        "binary": rng.integers(0, 2, 60),
        "multi-class": rng.integers(0, 3, 60),
        "multi-label": rng.integers(0, 2, (60, 3)),
    }[kind]
    mlp = MLPClassifier((6,), activation="tanh", max_iter=5, random_state=0).fit(X, y)
    expected = mlp.predict_proba(X)
    if kind == "binary":
        expected = expected[:, 1:]
    np.testing.assert_allclose(SparseMLP.from_sklearn(mlp).predict(X), expected, rtol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_relu_is_read_only_on_request():
    X = np.random.default_rng(0).normal(size=(60, 4))
    mlp = MLPRegressor(hidden_layer_sizes=(6,), activation="relu", max_iter=5, random_state=0).fit(
        X, X[:, 0]
    )
    with pytest.raises(ValueError, match=r"'relu' cannot.*'tanh', 'logistic', 'identity'.*exact=F"):
        SparseMLP.from_sklearn(mlp)
    near = SparseMLP.from_sklearn(mlp, exact=False)
    assert near.activations == (("leaky_relu",) * 6,)
    np.testing.assert_allclose(near.predict(X)[:, 0], mlp.predict(X), atol=0.1)


def test_an_unfitted_mlp_is_refused():
    with pytest.raises(ValueError, match="after its fit"):
        SparseMLP.from_sklearn(MLPRegressor())


# ------------------------------------------------------------------------------- text
def test_text_reads_as_the_formulas():
    network = SparseMLP(
        (np.array([[0.31, 1.0], [-1.2, 0.0]]), np.array([[2.0], [-0.5]])),
        (np.array([0.5, 0.0]), np.array([0.0])),
        [["tanh", "identity"]],
    )
    assert network.to_text(["bmi", "age"], ["risk"]).splitlines() == [
        "h1.0 = tanh(0.31 bmi - 1.2 age + 0.5)",
        "h1.1 = 1 bmi",
        "risk = 2 h1.0 - 0.5 h1.1",
    ]
    assert str(network) == network.to_text()


def test_text_names_probabilities():
    def text(out, k):
        return SparseMLP((np.full((1, k), -1.0),), (np.zeros(k),), (), out).to_text(["a"])

    assert text("logistic", 1) == "p(y) = logistic(-1 a)"
    assert text("softmax", 2).splitlines() == [
        "z(y0) = -1 a",
        "z(y1) = -1 a",
        "p(y0, y1) = softmax of z",
    ]


def test_text_of_a_constant_is_its_number():
    assert str(SparseMLP((np.zeros((3, 1)),), (np.zeros(1),), ())) == "y = 0"
    assert str(SparseMLP((np.zeros((3, 1)),), (np.array([-1.5]),), ())) == "y = -1.5"


@pytest.mark.parametrize("precision", [0, -1, 2.5, True, "3", None])
def test_a_precision_that_is_none_is_refused(precision):
    network = SparseMLP((np.ones((1, 1)),), (np.zeros(1),), ())
    with pytest.raises(ValueError, match=r"precision=.* must be an integer of at least 1"):
        network.to_text(precision=precision)


def test_text_has_more_digits_than_the_precision_where_a_bias_is_large():
    network = SparseMLP((np.array([[1.2345678]]),), (np.array([-98765.4321]),), ())
    assert network.to_text(precision=3) == "y = 1.234568 x0 - 98765.43"
    in_thousandths = SparseMLP((1e3 * network.weights[0],), (1e3 * network.biases[0],), ())
    assert in_thousandths.to_text(precision=3) == "y = 1234.568 x0 - 9.876543e+07"
    of_large_units = SparseMLP((np.array([[21345.678]]),), (np.array([152133.99]),), ())
    assert of_large_units.to_text(precision=2) == "y = 2.1e+04 x0 + 1.5e+05"


def test_text_rounds_to_the_precision():
    network = SparseMLP((np.array([[1.23456]]),), (np.array([9.87654]),), ())
    assert network.to_text(precision=2) == "y = 1.2 x0 + 9.9"


def test_wrong_numbers_of_names_are_refused():
    network = SparseMLP((np.ones((2, 1)),), (np.zeros(1),), ())
    with pytest.raises(ValueError, match="feature_names has 1 names, but the network has 2"):
        network.to_text(["a"])
    with pytest.raises(ValueError, match="output_names has 2 names, but the network has 1 "):
        network.to_text(output_names=["a", "b"])


# -------------------------------------------------------------------------- bad input
W, B = np.ones((2, 3)), np.zeros(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((W,), (B,), (), "relu"), r"out_activation must be one of .*got 'relu'"),
        (((W, W.T), (B, np.zeros(2)), [["tanh", "relu", "tanh"]]), "unknown activation 'relu'"),
        (((W, W.T), (B, np.zeros(2)), [["tanh"]]), "1 names for 3 neurons"),
        (((W, W), (B, B), [["tanh"] * 3]), r"weights\[1\] has 2 rows.* 3 neurons"),
        (((W,), (np.zeros(2),), ()), r"weights\[0\] has 3 columns, biases\[0\] 2"),
        (((W, W.T), (B,), [["tanh"] * 3]), "got 2 and 1"),
        (((W,), (B,), [["tanh"] * 3]), "1 hidden layers need 2"),
        (((W * np.nan,), (B,), ()), r"weights\[0\] must hold finite numbers only, got nan"),
        (((W,), (B + np.inf,), ()), r"biases\[0\] must hold finite numbers only, got inf"),
        (((W[0],), (B,), ()), r"weights\[0\] must have 2 dimension.*\(3,\)"),
        (((np.ones((0, 3)),), (B,), ()), "at least 1 feature and 1 output, got 0 and 3"),
    ],
)
def test_bad_arrays_are_named_with_value_and_limit(arguments, message):
    with pytest.raises(ValueError, match=message):
        SparseMLP(*arguments)


def test_a_constant_neuron_that_overflows_is_refused_without_a_warning():
    weights = (np.zeros((1, 1)), np.array([[1e200]]))
    with pytest.raises(ValueError, match="overflowed"):
        SparseMLP(weights, (np.array([1e200]), np.zeros(1)), [["identity"]])


@pytest.mark.parametrize("shape", [(4, 3), (2,), (4, 2, 1)])
def test_x_of_another_shape_is_refused(shape):
    network = SparseMLP((np.ones((2, 1)),), (np.zeros(1),), ())
    with pytest.raises(ValueError, match=r"expects \(n, 2\)"):
        network.predict(np.zeros(shape))


def test_text_computes_the_network_however_far_off_a_feature_lies():
    """As of seconds since 1970: weights and biases cancel in their first nine digits."""
    network = SparseMLP(
        (np.array([[-2.244e-4]]), np.array([[1.5]])), (np.array([381_520.7]), [2.25]), (("tanh",),)
    )
    hidden, output = network.to_text().splitlines()
    weight, bias = re.fullmatch(r"h1.0 = tanh\((\S+) x0 \+ (\S+)\)", hidden).groups()
    x = np.array([[1.7e9], [1.7001e9], [1.70015e9]])
    np.testing.assert_allclose(
        np.tanh(float(weight) * x + float(bias)) * 1.5 + 2.25, network.predict(x), atol=2e-3
    )
    assert output == "y = 1.5 h1.0 + 2.25"


@pytest.mark.parametrize("out", OUT_ACTIVATIONS)
def test_what_is_no_number_is_none_in_the_outputs_either(out):
    """Nothing else would tell who calls `network_` without scikit-learn."""
    weights = np.array([[2.0, 1.0], [1.0, -1.0]])
    network = SparseMLP((weights,), (np.array([3.0, 0.0]),), (), out)
    X = np.array([[np.nan, 1.0], [np.inf, 1.0], [1.0, 1.0], [1e308, 1.0]])
    raw = network.decision_function(X)
    assert np.isnan(raw[0]).all()
    assert np.isposinf(raw[1]).all()
    np.testing.assert_array_equal(raw[2:], network.decision_function(X[2:]))
    assert np.isfinite(network.predict(X[2:])).all()
    assert np.isnan(network.predict(X[:1])).all()

"""A fitted estimator as a scikit-learn MLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .._activations import LEAKY_SLOPE
from .._network import SparseMLP
from ._common import fitted_network, is_multilabel

Array = NDArray[np.float64]


class _Layer(NamedTuple):
    """What goes into the neurons of a layer, and what they hand on: (m, h), (h,), (h, n), (n,)."""

    weights: Array
    bias: Array
    next_weights: Array
    next_bias: Array


def _unchanged(layer: _Layer, names: tuple[str, ...]) -> _Layer:
    return layer


def _by_tanh(layer: _Layer, names: tuple[str, ...]) -> _Layer:
    """Compute sigmoid neurons by tanh, ``sigmoid(z) = (1 + tanh(z / 2)) / 2``."""
    is_sigmoid = np.array([name == "sigmoid" for name in names])
    half = np.where(is_sigmoid, 0.5, 1.0)
    weights = half[:, None] * layer.next_weights
    return _Layer(
        layer.weights * half,
        layer.bias * half,
        weights,
        layer.next_bias + is_sigmoid @ weights,
    )


def _by_relu(layer: _Layer, names: tuple[str, ...]) -> _Layer:
    """Compute every neuron by two of ReLU, ``f(z) = relu(z) - slope * relu(-z)``."""
    slope = np.array([1.0 if name == "identity" else LEAKY_SLOPE for name in names])
    return _Layer(
        np.hstack([layer.weights, -layer.weights]),
        np.concatenate([layer.bias, -layer.bias]),
        np.vstack([layer.next_weights, -slope[:, None] * layer.next_weights]),
        layer.next_bias,
    )


# Activations, the one of scikit-learn that computes them, and how: the first that has all counts.
_WAYS: tuple[tuple[set[str], str, Callable[[_Layer, tuple[str, ...]], _Layer]], ...] = (
    ({"identity"}, "identity", _unchanged),
    ({"sigmoid"}, "logistic", _unchanged),
    ({"sigmoid", "tanh"}, "tanh", _by_tanh),
    ({"leaky_relu", "identity"}, "relu", _by_relu),
)


def to_sklearn(estimator: Any) -> MLPRegressor | MLPClassifier:
    """Build the scikit-learn MLP that predicts what a fitted estimator predicts.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted, and its hidden neurons of "tanh" and "sigmoid" alone, or of "leaky_relu"
        and "identity" alone: a scikit-learn MLP has one activation for all neurons. Tanh
        computes sigmoid too, and two neurons of ReLU one of leaky ReLU or of identity: then
        layers are twice as wide, and there are more non-zeros than `nnz_`.

    Returns
    -------
    MLPRegressor or MLPClassifier
        Fitted: `predict` and `predict_proba` are the same, and `partial_fit` goes on from
        these weights, in which zeros do not stay zero. A linear network has no hidden
        layer. What tells of training (`loss_`, `n_iter_`, ...) is of no meaning.

    Raises
    ------
    TypeError
        If `estimator` is no SWAT estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If no activation of scikit-learn computes all of its neurons.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import to_sklearn
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = np.tanh(X[:, 0])
    >>> model = SWATRegressor(depth=1, activations="tanh", random_state=0).fit(X, y)
    >>> mlp = to_sklearn(model)
    >>> mlp.activation, np.allclose(mlp.predict(X), model.predict(X))
    ('tanh', True)
    """
    network = fitted_network(estimator)
    d, k = network.n_features, network.n_outputs
    weights, biases, activation = _of_one_activation(network)
    parameters = {
        "hidden_layer_sizes": tuple(map(len, biases[:-1])),
        "activation": activation,
        "random_state": 0,
    }
    # A step of training on zeros sets up all that a fitted MLP holds; then come the weights.
    if is_classifier(estimator):
        classes = estimator.classes_
        y = np.eye(k, dtype=int) if is_multilabel(estimator) else classes
        mlp = MLPClassifier(**parameters)
        mlp.partial_fit(np.zeros((len(y), d)), y, classes=classes)
    else:
        y = np.zeros((1, k))
        mlp = MLPRegressor(**parameters).partial_fit(np.zeros((1, d)), y[:, 0] if k == 1 else y)
    for target, values in zip([*mlp.coefs_, *mlp.intercepts_], [*weights, *biases], strict=True):
        target[:] = values  # in place, as the optimiser holds these arrays too
    if hasattr(estimator, "feature_names_in_"):
        mlp.feature_names_in_ = estimator.feature_names_in_
    return mlp


def _of_one_activation(network: SparseMLP) -> tuple[list[Array], list[Array], str]:
    """Return weights and biases of the same outputs, and scikit-learn's name of the activation."""
    used = {name for layer in network.activations for name in layer}
    ways = [way for way in _WAYS if used <= way[0]]
    if not ways:
        raise ValueError(
            f"the hidden activations {sorted(used)} cannot be computed by those of a scikit-learn "
            "MLP, which has one for all neurons; fit with activations=['tanh', 'sigmoid'] or "
            "['leaky_relu', 'identity'], or export by to_c, to_torch or to_onnx"
        )
    _, activation, rewrite = ways[0]
    weights, biases = list(network.weights), list(network.biases)
    for i, layer_names in enumerate(network.activations):
        layer = _Layer(weights[i], biases[i], weights[i + 1], biases[i + 1])
        weights[i], biases[i], weights[i + 1], biases[i + 1] = rewrite(layer, layer_names)
    return weights, biases, activation

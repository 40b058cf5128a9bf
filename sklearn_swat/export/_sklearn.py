"""A fitted estimator as a scikit-learn MLP."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ._common import fitted_network, is_multilabel

_ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "identity": "identity"}


def to_sklearn(estimator: Any) -> MLPRegressor | MLPClassifier:
    """Build the scikit-learn MLP that predicts what a fitted estimator predicts.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted, and all its hidden neurons of one activation that scikit-learn has:
        "sigmoid", "tanh" or "identity". Leaky ReLU is not among them: scikit-learn's
        "relu" is another function.

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
        If it has another activation, or several.

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
    used = sorted({name for layer in network.activations for name in layer}) or ["identity"]
    if len(used) > 1 or used[0] not in _ACTIVATIONS:
        raise ValueError(
            f"the hidden activations {used} cannot be those of a scikit-learn MLP, which has "
            f"one for all neurons, and none that equals leaky_relu; fit with activations= one "
            f"of {list(_ACTIVATIONS)}, or export by to_c, to_torch or to_onnx"
        )
    parameters = {
        "hidden_layer_sizes": network.hidden_layer_sizes,
        "activation": _ACTIVATIONS[used[0]],
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
    for target, values in zip(
        [*mlp.coefs_, *mlp.intercepts_], [*network.weights, *network.biases], strict=True
    ):
        target[:] = values  # in place, as the optimiser holds these arrays too
    if hasattr(estimator, "feature_names_in_"):
        mlp.feature_names_in_ = estimator.feature_names_in_
    return mlp

"""The baseline: scikit-learn's dense MLP on scaled inputs and targets."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def dense_mlp(task: str, seed: int, **parameters: Any) -> Any:
    """Return the unfitted baseline of a task.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    seed : int
        The `random_state` of the MLP.
    **parameters
        Of the MLP; what differs from its defaults.

    Returns
    -------
    estimator
        A pipeline of scaler and MLP; for regression the target is scaled too.
    """
    if task == "classification":
        return make_pipeline(StandardScaler(), MLPClassifier(random_state=seed, **parameters))
    regressor = make_pipeline(StandardScaler(), MLPRegressor(random_state=seed, **parameters))
    return TransformedTargetRegressor(regressor, transformer=StandardScaler())


def fit_quietly(estimator: Any, X: Any, y: Any) -> Any:
    """Fit without a word about convergence: the defaults are what is measured.

    Parameters
    ----------
    estimator : estimator
        Any estimator.
    X, y : array-like
        The training rows.

    Returns
    -------
    estimator
        The same, fitted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


def fitted_mlp(estimator: Any) -> tuple[Any, Any]:
    """Return the scaler and the MLP inside a fitted `dense_mlp`.

    Parameters
    ----------
    estimator : estimator
        What `dense_mlp` made, fitted.

    Returns
    -------
    scaler, mlp
        The fitted scaler of the inputs and the fitted MLP.
    """
    scaler, mlp = getattr(estimator, "regressor_", estimator)
    return scaler, mlp


def count_weights(estimator: Any) -> int:
    """Return the number of weights and biases of a fitted `dense_mlp`.

    Parameters
    ----------
    estimator : estimator
        What `dense_mlp` made, fitted.

    Returns
    -------
    int
        All of them: a dense network has no zeros.
    """
    mlp = fitted_mlp(estimator)[1]
    return int(sum(array.size for array in (*mlp.coefs_, *mlp.intercepts_)))

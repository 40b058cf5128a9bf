"""What every export needs to know of an estimator."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from .. import _names
from .._classifier import SWATClassifier
from .._network import SparseMLP
from .._regressor import SWATRegressor

PRECISIONS = ("double", "float")


def require(module: str) -> Any:
    """Import an optional library."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This export needs {module.split('.')[0]}, which cannot be imported ({error}): "
            "pip install 'sklearn_swat[export]'"
        ) from error


def fitted_network(estimator: Any) -> SparseMLP:
    """Return the network of a fitted SWAT estimator."""
    if not isinstance(estimator, SWATRegressor | SWATClassifier):
        raise TypeError(
            "only a SWATRegressor or SWATClassifier can be exported, got "
            f"a {type(estimator).__name__}; of a search, pass best_estimator_, of a pipeline "
            "its last step, which takes what the steps before it return"
        )
    check_is_fitted(estimator)
    return estimator.network_


def is_binary(estimator: Any) -> bool:
    """Tell whether the network has one output where `predict_proba` has two columns."""
    return is_classifier(estimator) and estimator.network_.n_outputs == 1


def is_multilabel(estimator: Any) -> bool:
    """Tell whether the outputs are the probabilities of labels that do not exclude each other."""
    return estimator.network_.out_activation == "logistic" and not is_binary(estimator)


def input_names(estimator: Any, feature_names: Sequence[str] | None = None) -> list[str]:
    """Return the names given, or `feature_names_in_`, or x0, x1, ..."""
    if feature_names is None:
        feature_names = getattr(estimator, "feature_names_in_", None)
    return _names.feature_names(feature_names, estimator.network_.n_features)


def printable(name: str) -> str:
    """Escape line breaks and everything else that does not print."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name
    )


def check_decimals(decimals: Any) -> int:
    """Return a number of decimals as an int."""
    try:
        checked = operator.index(decimals)
    except TypeError:
        raise TypeError(
            f"decimals={decimals!r} must be an integer of at least 1; the default is 4"
        ) from None
    if checked < 1:
        raise ValueError(f"decimals={decimals!r} must be at least 1; the default is 4")
    return checked


def check_precision(dtype: Any, network: SparseMLP) -> None:
    """Refuse an unknown `dtype`, and numbers that it cannot hold."""
    if dtype not in PRECISIONS:
        raise ValueError(f"dtype={dtype!r} must be one of {PRECISIONS}")
    largest = max(float(np.abs(a).max()) for a in (*network.weights, *network.biases))
    if dtype == "float" and largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"dtype='float' cannot hold {largest:g}, the largest number of the network; "
            "pass dtype='double', or fit on features and targets of ordinary size"
        )

"""What can be drawn: a fitted estimator that has what a display reads."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted


def check_drawable(estimator: Any, attribute: str) -> None:
    """Refuse what is not fitted, or has no such attribute.

    Parameters
    ----------
    estimator : estimator
    attribute : str
        What the display reads.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it is something else.
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"a {type(estimator).__name__} is no estimator: pass a fitted SWATRegressor or "
            "SWATClassifier, and draw a network alone by NetworkDisplay(network=...).plot()"
        )
    check_is_fitted(estimator)
    if not hasattr(estimator, attribute):
        raise TypeError(
            f"{type(estimator).__name__} has no {attribute}: draw a fitted SWATRegressor or "
            "SWATClassifier; of a pipeline, pass its last step, of a search best_estimator_"
        )

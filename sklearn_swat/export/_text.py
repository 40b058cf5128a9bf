"""A fitted estimator as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._names import outputs_of
from .._network_text import digits_needed, network_text
from ._common import (
    check_decimals,
    fitted_network,
    input_names,
    printable,
)


def export_text(
    estimator: Any, *, feature_names: Sequence[str] | None = None, decimals: int = 4
) -> str:
    """Write the network of a fitted estimator as one readable line per neuron.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted.
    feature_names : sequence of n_features str, default=None
        None stands for `feature_names_in_`, or x0, x1, ... if there are none.
    decimals : int, default=4
        Significant digits of a number; more where a large offset is to be cancelled, so
        that what goes into an activation is right to about so many decimals.

    Returns
    -------
    str
        First the hidden neurons, layer by layer (``h2.0`` is the first neuron of the
        second layer), then the outputs, named after the classes of a classifier.

    Raises
    ------
    TypeError
        If `estimator` is no SWAT estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If `decimals` is below 1 or `feature_names` has another length.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import export_text
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> print(export_text(model, feature_names=["bmi", "age"], decimals=2))
    y = 3 bmi + 1
    """
    network = fitted_network(estimator)
    decimals = check_decimals(decimals)
    return network_text(
        network,
        [printable(name) for name in input_names(estimator, feature_names)],
        [printable(name) for name in outputs_of(estimator)],
        lambda layer, neuron: digits_needed(network, layer, neuron, decimals),
    )

"""A fitted estimator as a torch module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import is_classifier

from ._common import fitted_network, is_binary

if TYPE_CHECKING:
    import torch

    from ._torch_module import SparseModule


def to_torch(estimator: Any, dtype: torch.dtype | None = None) -> SparseModule:
    """Build a torch module that computes what a fitted estimator predicts.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted.
    dtype : torch.dtype, default=None
        Of the parameters, and so of the input it takes. None is ``torch.float64``, in
        which the estimator computes.

    Returns
    -------
    torch.nn.Module
        From rows (n, n_features) it computes what `predict` returns, in the same shape; of a
        classifier, what `predict_proba` returns. Its method `decision_function` computes
        what that of the estimator does: log-odds or logits, which
        ``binary_cross_entropy_with_logits`` and ``cross_entropy`` train on.

        The parameters are the non-zero numbers of the network, `nnz_` in all: what was
        pruned stays zero under training. On raw rows their sizes may differ much, which
        a single learning rate does not suit; fine-tuning wants a small one.

    Raises
    ------
    TypeError
        If `estimator` is no SWAT estimator, or `dtype` none of torch's.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import to_torch
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> module = to_torch(model)
    >>> torch.allclose(module(torch.tensor(X)), torch.tensor(model.predict(X)))
    True
    >>> sum(values.numel() for values in module.parameters()) == model.nnz_
    True
    """
    network = fitted_network(estimator)
    import torch

    from ._torch_module import SparseModule

    if not isinstance(dtype, torch.dtype | None):
        raise TypeError(f"dtype={dtype!r} is no torch.dtype: pass torch.float32, for example")
    is_flat = not is_classifier(estimator) and estimator._is_flat
    module = SparseModule(network, is_binary=is_binary(estimator), is_flat=is_flat)
    return module.to(torch.float64 if dtype is None else dtype)

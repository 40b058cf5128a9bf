"""Dense networks at their best fair setting: scikit-learn's MLP in four ways, and one of torch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn

from benchmarks._dense import count_weights, dense_mlp, fit_quietly

GRID: dict[str, list[Any]] = {
    "hidden_layer_sizes": [(30,), (100,), (100, 100)],
    "alpha": [1e-4, 1e-2, 1.0],
    "learning_rate_init": [1e-3, 1e-2],
}
GRID_FOLDS = 3
TORCH_HIDDEN, TORCH_EPOCHS, TORCH_PATIENCE, TORCH_RATE = (100, 100), 200, 20, 3e-3


def grid_search(task: str, seed: int) -> GridSearchCV:
    """Return a search over sizes, penalty and rate of the MLP.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    seed : int
        The `random_state` of the MLP.

    Returns
    -------
    GridSearchCV
        Unfitted. It refits the best on all rows.
    """
    prefix = "mlpclassifier__" if task == "classification" else "regressor__mlpregressor__"
    grid = {f"{prefix}{name}": values for name, values in GRID.items()}
    return GridSearchCV(dense_mlp(task, seed), grid, cv=GRID_FOLDS)


class DenseModule(nn.Sequential):
    """An MLP of ReLU neurons.

    Parameters
    ----------
    n_features, n_outputs : int
        Of the table.
    """

    def __init__(self, n_features: int, n_outputs: int) -> None:
        sizes = (n_features, *TORCH_HIDDEN)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        super().__init__(*layers, nn.Linear(sizes[-1], n_outputs))


class _ProbabilityModule(nn.Module):
    """The same with probabilities as outputs, which skorch's classifier expects."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.logits = DenseModule(n_features, n_outputs)

    def forward(self, X: Tensor) -> Tensor:
        return self.logits(X).softmax(-1)


class _FlatModule(DenseModule):
    """The same with one number per row."""

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X)[:, 0]


class EncodedClasses(ClassifierMixin, BaseEstimator):
    """A classifier that learns positions of classes instead of their names.

    Parameters
    ----------
    classifier : estimator
        One that takes integers only.
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any) -> EncodedClasses:
        """Fit the classifier."""
        self.classes_, positions = np.unique(y, return_inverse=True)
        self.classifier_ = clone(self.classifier).fit(X, positions.astype(np.int64))
        return self

    def predict(self, X: Any) -> Any:
        """Return names of classes."""
        return self.classes_[self.classifier_.predict(X)]

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of `classes_`."""
        return self.classifier_.predict_proba(X)


def torch_mlp(task: str, n_features: int, n_outputs: int) -> Any:
    """Return a dense torch MLP through skorch, with early stopping, on scaled rows.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    n_features, n_outputs : int
        Of the table.

    Returns
    -------
    estimator
        Unfitted. It draws from torch's global generator: see `fit_with_seed`.

    Raises
    ------
    ImportError
        If the package ``skorch`` is not installed.
    """
    try:
        from skorch import NeuralNetClassifier, NeuralNetRegressor
        from skorch.callbacks import EarlyStopping
        from skorch.dataset import ValidSplit
    except ImportError as error:
        raise ImportError(
            "The comparison with a torch MLP needs the package skorch: pip install skorch"
        ) from error
    shared: dict[str, Any] = {
        "module__n_features": n_features,
        "module__n_outputs": n_outputs,
        "optimizer": torch.optim.Adam,
        "lr": TORCH_RATE,
        "batch_size": 128,
        "max_epochs": TORCH_EPOCHS,
        "iterator_train__shuffle": True,
        "callbacks": [EarlyStopping(patience=TORCH_PATIENCE, load_best=True)],
        "verbose": 0,
    }
    scale = StandardScaler(), FunctionTransformer(_as_float32)
    if task == "classification":
        net = NeuralNetClassifier(
            _ProbabilityModule,
            train_split=ValidSplit(0.2, stratified=True, random_state=0),
            **shared,
        )
        return make_pipeline(*scale, EncodedClasses(net))
    net = NeuralNetRegressor(_FlatModule, train_split=ValidSplit(0.2, random_state=0), **shared)
    targets = make_pipeline(StandardScaler(), FunctionTransformer(_as_float32, check_inverse=False))
    return TransformedTargetRegressor(make_pipeline(*scale, net), transformer=targets)


def _as_float32(values: Any) -> Any:
    return np.asarray(values, dtype=np.float32).reshape(len(values), -1)


def fit_with_seed(model: Any, X: Any, y: Any, seed: int) -> Any:
    """Fit a model that draws from torch's global generator, and leave that as it was.

    Parameters
    ----------
    model : estimator
        Unfitted.
    X, y : array-like
        Training rows.
    seed : int
        Of torch, for this fit.

    Returns
    -------
    estimator
        The same, fitted.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model.fit(X, y)


def count_torch_weights(n_features: int, n_outputs: int) -> int:
    """Return the number of weights and biases of `torch_mlp`.

    Parameters
    ----------
    n_features, n_outputs : int
        Of the table.

    Returns
    -------
    int
    """
    with torch.device("meta"):  # draws no weights
        module = DenseModule(n_features, n_outputs)
    return sum(p.numel() for p in module.parameters())


def dense_peers(task: str, seed: int) -> dict[str, Callable[[Any, Any], tuple[Any, int]]]:
    """Return functions that fit the dense networks.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    seed : int
        Of all of them.

    Returns
    -------
    dict of callable
        Each takes ``X, y``, and returns the fitted model and its number of weights.
    """

    def of_sklearn(model: Any) -> Callable[[Any, Any], tuple[Any, int]]:
        def fit(X: Any, y: Any) -> tuple[Any, int]:
            fit_quietly(model, X, y)
            return model, count_weights(getattr(model, "best_estimator_", model))

        return fit

    def of_torch(X: Any, y: Any) -> tuple[Any, int]:
        n_features, k = X.shape[1], 1 if task == "regression" else len(np.unique(y))
        return fit_with_seed(torch_mlp(task, n_features, k), X, y, seed), count_torch_weights(
            n_features, k
        )

    return {
        "mlp": of_sklearn(dense_mlp(task, seed)),
        "mlp_early": of_sklearn(dense_mlp(task, seed, early_stopping=True)),
        "mlp_lbfgs": of_sklearn(dense_mlp(task, seed, solver="lbfgs", max_iter=1_000)),
        "torch_mlp": of_torch,
        "grid": of_sklearn(grid_search(task, seed)),
    }

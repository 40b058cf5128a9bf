"""The network that is to be compressed: its layers, and what it says about rows."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline

from ._network import OUT_ACTIVATIONS, SparseMLP

Array = NDArray[np.float64]

# What a step of a pipeline does to the rows is taken for an affine map if it is one up to
# this share of the largest deviation: some digits more than single precision has.
_AFFINE = 1e-4
_PROBABILITY_ERROR = 1e-3  # more than the rounding of single precision

_TORCH_ACTIVATIONS = {
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "ReLU": "leaky_relu",
    "LeakyReLU": "leaky_relu",
}
_TORCH_OUTPUTS = {"Sigmoid": "logistic", "Softmax": "softmax", "LogSoftmax": "softmax"}
_TORCH_NOTHING = ("Identity", "Dropout", "AlphaDropout")  # once a network is trained


@dataclass(frozen=True, eq=False)
class Teacher:
    """A fitted MLP, and its network as a start for a smaller one.

    Attributes
    ----------
    model : estimator or torch.nn.Module
        What was given; of a search, its best estimator.
    network : SparseMLP
        On raw rows. ReLU and any leaky ReLU are read as ours, so that it is close to
        the model, not equal.
    nnz : int
        Non-zero weights and biases of the model.
    classes : ndarray or None
        None for a regression.
    """

    model: Any
    network: SparseMLP
    nnz: int
    classes: NDArray[Any] | None

    def outputs(self, X: Any) -> Array:
        """Compute what the smaller network is to reproduce.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n, k)
            Values, or probabilities; of two classes, the probability of the second.

        Raises
        ------
        ValueError
            If they are not finite, or probabilities are none.
        """
        if _is_torch(self.model):
            outputs = _torch_outputs(self.model, X)
        else:
            rows = np.asarray(X, dtype=np.float32) if _is_skorch(self.model) else X
            predict = self.model.predict if self.classes is None else self.model.predict_proba
            outputs = np.asarray(predict(rows), dtype=np.float64)
        outputs = outputs.reshape(len(outputs), -1)
        if not np.isfinite(outputs).all():
            raise ValueError(
                "the MLP's outputs are not finite on some rows of X: pass rows that it can "
                "predict, or fit it on scaled inputs"
            )
        if self.classes is not None:
            outputs = self._as_probabilities(outputs)
        return outputs

    def _as_probabilities(self, outputs: Array) -> Array:
        total = outputs.sum(axis=1) if self.network.out_activation == "softmax" else np.ones(1)
        wrong = [
            outputs[(outputs < 0) | (outputs > 1)],
            total[np.abs(total - 1) > _PROBABILITY_ERROR],
        ]
        if any(part.size for part in wrong):
            (value, *_) = np.concatenate(wrong)
            raise ValueError(
                f"the classifier's probabilities are not in 0..1 or do not sum to 1 (one is "
                f"{value:.3g}): end the module with torch.nn.Softmax(dim=1) or torch.nn.Sigmoid()"
            )
        if self.network.out_activation == "softmax":
            return outputs / outputs.sum(axis=1, keepdims=True)
        return outputs[:, 1:] if self.network.n_outputs == 1 < outputs.shape[1] else outputs


def read_teacher(model: Any, X: Any) -> Teacher:
    """Read a fitted MLP.

    Parameters
    ----------
    model : estimator or torch.nn.Sequential
        See `sklearn_swat.compression.compress`.
    X : array-like of shape (n, d)
        Rows as the model takes them.

    Returns
    -------
    Teacher

    Raises
    ------
    TypeError
        If it is no MLP that can be read.
    ValueError
        If it is not fitted, or has parts that can not be read; the message tells the
        way out.
    """
    model = getattr(model, "best_estimator_", model)
    network, nnz = _read(model, X)
    if network.out_activation == "identity":
        return Teacher(model, network, nnz, None)
    if network.out_activation == "softmax" and network.n_outputs == 2:
        network = _second_class(network)
    classes = None if _is_torch(model) else np.asarray(model.classes_)
    if classes is None:
        classes = np.arange(max(2, network.n_outputs))
    return Teacher(model, network, nnz, classes)


def _read(model: Any, X: Any) -> tuple[SparseMLP, int]:
    """Return the network on the rows X, and the number of its non-zeros as it was given."""
    if isinstance(model, Pipeline):
        return _read_pipeline(model, X)
    if isinstance(model, TransformedTargetRegressor):
        return _read_transformed(model, X)
    if isinstance(getattr(model, "network_", None), SparseMLP):
        return model.network_, model.network_.nnz
    if _is_torch(model):
        return _read_torch(model, is_logits_of_classes=False)
    if _is_skorch(model):
        return _read_torch(model.module_, is_logits_of_classes=is_classifier(model))
    if not hasattr(model, "hidden_layer_sizes"):
        raise TypeError(
            f"cannot compress {type(model).__name__}: pass a fitted MLPRegressor, MLPClassifier "
            "or SWAT estimator, a torch.nn.Sequential, or a skorch net after its fit; of any "
            "other model, fit a SWATRegressor to its predictions"
        )
    known = getattr(model, "out_activation_", "identity")
    if known not in OUT_ACTIVATIONS:
        raise ValueError(
            f"the MLP's output activation {known!r} is none of {OUT_ACTIVATIONS}: fit it with "
            "loss='squared_error', or a SWATRegressor to its predictions"
        )
    network = SparseMLP.from_sklearn(model, exact=False)
    arrays = (*model.coefs_, *model.intercepts_)
    return network, int(sum(np.count_nonzero(array) for array in arrays))


# ------------------------------------------------------------------- scaling around it


def _read_pipeline(model: Pipeline, X: Any) -> tuple[SparseMLP, int]:
    """Fold the steps before the MLP into its first layer."""
    transformed = model[:-1].transform(X) if len(model) > 1 else X
    network, nnz = _read(model[-1], transformed)
    if len(model) == 1:
        return network, nnz
    found = _affine_map(_numbers(X), _numbers(transformed))
    if found is None:
        raise ValueError(
            "the steps before the MLP in the pipeline are more than scaling, so that they "
            "cannot be folded into a network: take compress(pipeline[-1], "
            "pipeline[:-1].transform(X)), whose estimator goes behind the same steps"
        )
    matrix, shift = found
    first = matrix @ network.weights[0]
    bias = network.biases[0] + shift @ network.weights[0]
    return replace(
        network,
        weights=(first, *network.weights[1:]),
        biases=(bias, *network.biases[1:]),
    ), nnz


def _read_transformed(model: TransformedTargetRegressor, X: Any) -> tuple[SparseMLP, int]:
    """Fold the inverse of the target's scaling into the last layer."""
    network, nnz = _read(model.regressor_, X)
    rows = len(_numbers(X))
    inner = np.asarray(model.regressor_.predict(X), dtype=np.float64).reshape(rows, -1)
    outer = np.asarray(model.predict(X), dtype=np.float64).reshape(rows, -1)
    found = _affine_map(inner, outer)
    if found is None:
        raise ValueError(
            "the target's transformer is more than scaling, so that it cannot be folded into a "
            "network: take compress(model.regressor_, X), whose estimator predicts transformed "
            "targets"
        )
    matrix, shift = found
    return replace(
        network,
        weights=(*network.weights[:-1], network.weights[-1] @ matrix),
        biases=(*network.biases[:-1], network.biases[-1] @ matrix + shift),
    ), nnz


def _numbers(rows: Any) -> Array:
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    return np.asarray(rows, dtype=np.float64)


def _affine_map(before: Array, after: Array) -> tuple[Array, Array] | None:
    """Return the matrix and shift that make `after` of `before`; None if none do."""
    mean, deviation = before.mean(axis=0), before.std(axis=0)
    deviation[deviation == 0] = 1.0
    standardised = (before - mean) / deviation
    centre = after.mean(axis=0)
    slopes = np.linalg.lstsq(standardised, after - centre, rcond=None)[0]
    error = np.abs(standardised @ slopes + centre - after).max(initial=0.0)
    if not error <= _AFFINE * max(after.std(axis=0).max(), np.finfo(np.float64).tiny):
        return None
    matrix = slopes / deviation[:, None]
    return matrix, centre - mean @ matrix


# ----------------------------------------------------------------------- torch, skorch


def _is_torch(model: Any) -> bool:
    from torch import nn

    return isinstance(model, nn.Module)


def _is_skorch(model: Any) -> bool:
    return _is_torch(getattr(model, "module_", None))


def _torch_outputs(module: Any, X: Any) -> Array:
    import torch

    at_work = copy.deepcopy(module).eval()  # without dropout; the caller's stays as it is
    like = next(at_work.parameters())
    with torch.no_grad():
        outputs = at_work(torch.as_tensor(_numbers(X)).to(like))
    if type(_layers(module)[-1]).__name__ == "LogSoftmax":
        outputs = outputs.exp()
    values: Array = outputs.double().cpu().numpy()
    return values


def _layers(module: Any) -> list[Any]:
    """Return the layers of nested sequences, without those that do nothing."""
    from torch import nn

    if not isinstance(module, nn.Sequential):
        return [] if type(module).__name__ in _TORCH_NOTHING else [module]
    return [layer for part in module for layer in _layers(part)]


def _read_torch(module: Any, *, is_logits_of_classes: bool) -> tuple[SparseMLP, int]:
    """Read a sequence of linear layers and activations."""
    layers = [(type(layer).__name__, layer) for layer in _layers(module)]
    out_activation = None
    if layers and layers[-1][0] in _TORCH_OUTPUTS:
        out_activation = _TORCH_OUTPUTS[layers.pop()[0]]
    weights: list[Array] = []
    biases: list[Array] = []
    activations: list[str] = []
    for i, (name, layer) in enumerate(layers):
        if name == "Linear":
            if len(activations) < len(weights):
                activations.append("identity")
            weight = layer.weight.detach().cpu().numpy().astype(np.float64).T
            bias = layer.bias.detach().cpu().numpy() if layer.bias is not None else 0.0
            weights.append(weight)
            biases.append(np.broadcast_to(bias, weight.shape[1]).astype(np.float64))
        elif name in _TORCH_ACTIVATIONS and len(activations) == len(weights) - 1:
            activations.append(_TORCH_ACTIVATIONS[name])
        else:
            raise ValueError(
                f"layer {i} of the module ({layer}) cannot be read: pass a torch.nn.Sequential "
                f"of Linear layers with one of {', '.join(_TORCH_ACTIVATIONS)} between them, "
                f"and {', '.join(_TORCH_OUTPUTS)} or nothing behind them"
            )
    if not weights or len(activations) == len(weights):
        raise ValueError(
            f"the module has {len(weights)} Linear layers and {len(activations)} activations "
            "after them: pass a torch.nn.Sequential that ends in a Linear layer, or in one "
            f"and {', '.join(_TORCH_OUTPUTS)}"
        )
    if out_activation is None:
        k = weights[-1].shape[1]
        of_classes = "logistic" if k == 1 else "softmax"
        out_activation = of_classes if is_logits_of_classes else "identity"
    names = tuple((name,) * w.shape[1] for name, w in zip(activations, weights, strict=False))
    network = SparseMLP(tuple(weights), tuple(biases), names, out_activation)
    return network, int(sum(np.count_nonzero(array) for array in (*weights, *biases)))


def _second_class(network: SparseMLP) -> SparseMLP:
    """Make of two exclusive classes the log-odds of the second one."""
    w, b = network.weights[-1], network.biases[-1]
    return replace(
        network,
        weights=(*network.weights[:-1], w[:, 1:] - w[:, :1]),
        biases=(*network.biases[:-1], b[1:] - b[:1]),
        out_activation="logistic",
    )

"""A fitted estimator as an ONNX model, by itself or within a scikit-learn pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from .._activations import LEAKY_SLOPE
from .._classifier import SWATClassifier
from .._network import activation_slices
from .._regressor import SWATRegressor
from ._common import check_precision, fitted_network, is_binary, is_multilabel, require

Array = NDArray[np.float64]


def to_onnx(estimator: Any, dtype: str = "float") -> Any:
    """Build an ONNX model that computes what a fitted estimator predicts.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted. For a pipeline that holds one, see `register_skl2onnx_converters`.
    dtype : {"float", "double"}, default="float"
        Of the input "X" and of all computing. "float" is what most ONNX runtimes are made
        for; with features that lie far from zero (years, time stamps), it costs about as
        many digits as storing them in a float does, and "double" costs none.

    Returns
    -------
    onnx.ModelProto
        From "X" (n, n_features) to, of a regressor, "variable" (n, n_outputs); of a
        classifier, "label" and "probabilities", as `predict` and `predict_proba` return.

    Raises
    ------
    TypeError
        If `estimator` is no SWAT estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If `dtype` is unknown or cannot hold the numbers of the network, or if ONNX
        has no type for the class labels.
    ImportError
        If onnx or skl2onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import to_onnx
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> proto = to_onnx(model)
    >>> [node.op_type for node in proto.graph.node]
    ['Gather', 'Gemm', 'Identity']
    """
    check_precision(dtype, fitted_network(estimator))
    register_skl2onnx_converters()
    skl2onnx, types = require("skl2onnx"), require("skl2onnx.common.data_types")
    kind = types.FloatTensorType if dtype == "float" else types.DoubleTensorType
    return skl2onnx.convert_sklearn(
        estimator,
        type(estimator).__name__,
        initial_types=[("X", kind([None, estimator.n_features_in_]))],
        options={"zipmap": False} if is_classifier(estimator) else None,
    )


def register_skl2onnx_converters() -> None:
    """Teach skl2onnx to convert SWAT estimators, alone and within pipelines and searches.

    Call it once, before `skl2onnx.to_onnx` or `skl2onnx.convert_sklearn`; again does no
    harm. Importing `sklearn_swat.export` does not do it, because that would import
    skl2onnx. Classifiers have its options "zipmap", "nocl" and "output_class_labels"; in double
    precision pass ``options={"zipmap": False}``, as ONNX has that operator for floats only.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from skl2onnx import to_onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import register_skl2onnx_converters
    >>> register_skl2onnx_converters()
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> pipeline = make_pipeline(StandardScaler(), SWATRegressor(depth=1, max_iter=0))
    >>> proto = to_onnx(pipeline.fit(X, 3 * X[:, 0] + 1), X)
    >>> [output.name for output in proto.graph.output]
    ['variable']
    """
    skl2onnx = require("skl2onnx")
    skl2onnx.update_registered_converter(
        SWATRegressor, "SWATRegressor", _regressor_shapes, _convert_regressor
    )
    skl2onnx.update_registered_converter(
        SWATClassifier,
        "SWATClassifier",
        _classifier_shapes,
        _convert_classifier,
        options={
            "zipmap": [True, False, "columns"],
            "output_class_labels": [False, True],
            "nocl": [False, True],
        },
    )


# What follows is called by skl2onnx: shapes first, for the whole graph, then the nodes.
# `operator` is the place of one estimator in the graph, `container` takes the nodes.


def _regressor_shapes(operator: Any) -> None:
    n = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type.shape = [n, operator.raw_operator.n_outputs_]


def _classifier_shapes(operator: Any) -> None:
    types = require("skl2onnx.common.data_types")
    estimator, n = operator.raw_operator, operator.inputs[0].get_first_dimension()
    label, probabilities = operator.outputs
    has_text = _onnx_labels(operator.scope_inst, estimator).dtype == object
    kind = types.StringTensorType if has_text else types.Int64TensorType
    label.set_type(kind([n, estimator.n_outputs_] if is_multilabel(estimator) else [n]))
    probabilities.type.shape = [n, 2 if is_binary(estimator) else estimator.n_outputs_]


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, operator, container)
    (output,) = operator.outputs
    graph.node("Identity", graph.raw_outputs(), output=output.full_name)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    graph, estimator = _Graph(scope, operator, container), operator.raw_operator
    label, probabilities = (output.full_name for output in operator.outputs)
    raw = graph.raw_outputs()
    if estimator.out_activation_ == "softmax":
        graph.node("Softmax", raw, output=probabilities, axis=1)
    else:
        graph.node("Sigmoid", raw, output=probabilities)
    if is_multilabel(estimator):
        is_positive = graph.node("Greater", raw, graph.constant(np.zeros(1)))
        graph.node("Cast", is_positive, output=label, to=graph.proto.INT64)
    else:
        best = graph.node("ArgMax", raw, axis=1, keepdims=0)  # the first of equals, as NumPy's
        labels = graph.constant(_onnx_labels(scope, estimator))
        graph.node("Gather", labels, best, output=label, axis=0)


class _Graph:
    """Writes nodes for one estimator."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        types = require("skl2onnx.common.data_types")
        self.proto = require("onnx").TensorProto
        self.scope, self.container = scope, container
        self.network = operator.raw_operator.network_
        self.is_binary = is_binary(operator.raw_operator)
        # The outputs were declared after the type of the first input.
        is_double = isinstance(operator.inputs[0].type, types.DoubleTensorType)
        check_precision("double" if is_double else "float", self.network)
        self.real = self.proto.DOUBLE if is_double else self.proto.FLOAT
        own = types.DoubleTensorType if is_double else types.FloatTensorType
        columns = [
            x.full_name if isinstance(x.type, own) else self.node("Cast", x.full_name, to=self.real)
            for x in operator.inputs
        ]
        self.input = self.node("Concat", *columns, axis=1) if len(columns) > 1 else columns[0]

    def node(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = output or self.scope.get_unique_variable_name(op.lower())
        name = self.scope.get_unique_operator_name(op)
        self.container.add_node(op, list(inputs), output, name=name, **attributes)
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """Add an array of numbers or text and return its name."""
        name: str = self.scope.get_unique_variable_name("constant")
        kind = {"i": self.proto.INT64, "O": self.proto.STRING}.get(values.dtype.kind, self.real)
        self.container.add_initializer(name, kind, values.shape, values.ravel())
        return name

    def raw_outputs(self) -> str:
        """Add the network up to its output activation.

        The one output of a binary classifier is doubled to -z and z: two log-odds.
        """
        network = self.network
        weights, biases = list(network.weights), list(network.biases)
        if self.is_binary:
            weights[-1], biases[-1] = weights[-1] * [[-1, 1]], biases[-1] * [-1, 1]
        # At least one: no runtime is bound to multiply by a matrix without rows.
        used = network.used_features if network.used_features.size else np.zeros(1, np.int64)
        weights[0] = weights[0][used]
        hidden = self.node("Gather", self.input, self.constant(used), axis=1)
        for weight, bias, names in zip(weights, biases, network.activations, strict=False):
            groups = []
            for name, part in activation_slices(names):
                z = self._linear(hidden, weight[:, part], bias[part])
                groups.append(self._activate(name, z))
            hidden = self.node("Concat", *groups, axis=1) if len(groups) > 1 else groups[0]
        return self._linear(hidden, weights[-1], biases[-1])

    def _linear(self, x: str, weight: Array, bias: Array) -> str:
        return self.node("Gemm", x, self.constant(weight), self.constant(bias))

    def _activate(self, name: str, z: str) -> str:
        match name:
            case "sigmoid":
                return self.node("Sigmoid", z)
            case "tanh":
                return self.node("Tanh", z)
            case "leaky_relu":  # onnxruntime has no LeakyRelu in double precision
                slope = self.constant(np.array([LEAKY_SLOPE]))
                return self.node("Max", z, self.node("Mul", z, slope))
            case _:
                return z


def _onnx_labels(scope: Any, estimator: Any) -> NDArray[Any]:
    """Return class labels as int64, or as an object array of encoded text."""
    labels_of = require("skl2onnx.common.utils_classifier").get_label_classes  # minds "nocl"
    labels = labels_of(scope, estimator).tolist()
    if all(isinstance(label, str) for label in labels):
        return np.array([label.encode() for label in labels], dtype=object)
    if all(isinstance(label, bool | int | float) and label == int(label) for label in labels):
        return np.array([int(label) for label in labels], dtype=np.int64)
    raise ValueError(
        f"ONNX has no type for the class labels {labels}; fit on labels that are all whole "
        "numbers or all text"
    )

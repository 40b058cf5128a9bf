"""A fitted estimator as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._activations import LEAKY_SLOPE
from .._names import outputs_of
from .._network_text import digits_needed, linear_text
from ._common import (
    check_decimals,
    fitted_network,
    input_names,
    printable,
)

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        **{letter: "\\" + letter for letter in "{}_%&#$"},
    }
)
_FUNCTIONS = {
    "sigmoid": r"\sigma",
    "tanh": r"\tanh",
    "leaky_relu": r"\operatorname{leakyReLU}",
}
_DEFINITIONS = {
    "sigmoid": r"\sigma(z) &= \frac{1}{1 + e^{-z}}",
    "leaky_relu": rf"\operatorname{{leakyReLU}}(z) &= \max(z, {LEAKY_SLOPE}\,z)",
}


def to_latex(
    estimator: Any, *, feature_names: Sequence[str] | None = None, decimals: int = 4
) -> str:
    r"""Write the network of a fitted estimator as LaTeX equations, one per neuron.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted.
    feature_names : sequence of n_features str, default=None
        Plain text: what is special in LaTeX is escaped. None stands for
        `feature_names_in_`, or x0, x1, ... if there are none.
    decimals : int, default=4
        Significant digits, and more where a large offset needs them, as in `export_text`.

    Returns
    -------
    str
        An ``aligned`` environment of amsmath, for math mode; MathJax and KaTeX show it too.

    Raises
    ------
    TypeError
        If `estimator` is no SWAT estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If `decimals` is below 1 or `feature_names` has another length.

    Notes
    -----
    ``sympy.latex(expression)`` of what `to_sympy` returns is one nested formula instead,
    which gets long in more than one hidden layer.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import to_latex
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> print(to_latex(model, feature_names=["bmi", "age"], decimals=2))
    \begin{aligned}
    y &= 3\,\text{bmi} + 1
    \end{aligned}
    """
    network = fitted_network(estimator)
    decimals = check_decimals(decimals)

    def line(layer: int, neuron: int) -> str:
        digits = digits_needed(network, layer, neuron, decimals)
        weight, bias = network.weights[layer][:, neuron], network.biases[layer][neuron]
        return linear_text(weight, bias, sources, lambda v: _number(f"{v:.{digits}g}"), r"\,")

    sources = [_text(name) for name in input_names(estimator, feature_names)]
    if feature_names is None and not hasattr(estimator, "feature_names_in_"):
        sources = [f"x_{{{j}}}" for j in range(network.n_features)]
    lines = []
    for i, activations in enumerate(network.activations):
        targets = [f"h_{{{i + 1},{j}}}" for j in range(len(activations))]
        lines += [
            f"{targets[j]} &= {_apply(name, line(i, j))}" for j, name in enumerate(activations)
        ]
        sources = targets
    raw = [line(network.depth, j) for j in range(network.n_outputs)]
    outputs = [_text(name) for name in outputs_of(estimator)]
    used = {name for activations in network.activations for name in activations}
    match network.out_activation:
        case "softmax":
            lines += [f"z_{{{j}}} &= {text}" for j, text in enumerate(raw)]
            lines += [
                rf"P({name}) &= e^{{z_{{{j}}}}} / \textstyle\sum_i e^{{z_i}}"
                for j, name in enumerate(outputs)
            ]
        case "logistic":
            used.add("sigmoid")
            lines += [
                f"P({name}) &= {_apply('sigmoid', text)}"
                for name, text in zip(outputs, raw, strict=True)
            ]
        case _:
            targets = ["y"] if len(raw) == 1 else [f"y_{{{j}}}" for j in range(len(raw))]
            lines += [f"{name} &= {text}" for name, text in zip(targets, raw, strict=True)]
    lines += [definition for name, definition in _DEFINITIONS.items() if name in used]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _text(name: str) -> str:
    return rf"\text{{{printable(name).translate(_ESCAPES)}}}"


def _apply(activation: str, text: str) -> str:
    if activation == "identity":
        return text
    return rf"{_FUNCTIONS[activation]}\left({text}\right)"


def _number(text: str) -> str:
    """Write 1.2e-05 as a power of ten."""
    mantissa, _, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa

"""A fitted estimator as SymPy expressions."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._activations import LEAKY_SLOPE
from ._common import fitted_network, input_names, is_binary, require


def to_sympy(estimator: Any, symbols: Sequence[Any] | None = None) -> list[Any]:
    """Write every output of a fitted estimator as a SymPy expression of the features.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted.
    symbols : sequence of n_features sympy.Symbol or str, default=None
        What to call the features. None makes symbols of `feature_names_in_`, or of x0,
        x1, ... Names that would not survive being written and read are changed: what is
        no letter, digit or underscore becomes an underscore, names that Python or SymPy
        uses itself get one at the end (``E_``), and of equal names the later ones are
        numbered ("a", "a_2").

    Returns
    -------
    list of sympy.Expr
        What `predict` returns, an expression per target; of a classifier, what
        `predict_proba` returns, one per class (both of two).

    Raises
    ------
    TypeError
        If `estimator` is no SWAT estimator, or `symbols` are one text.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If there is not one symbol per feature, or two are the same.
    ImportError
        If SymPy is not installed.

    Notes
    -----
    An expression repeats a hidden neuron wherever it is used. To work with networks of
    three or four hidden layers, pass symbols that are declared real, as
    ``sympy.symbols("a b", real=True)``: SymPy is up to a hundred times faster with those.
    ``sympy.lambdify`` then takes ``cse=True``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import to_sympy
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> (y,) = to_sympy(model)
    >>> y.evalf(2), y.diff("x0").evalf(2)
    (3.0*x0 + 1.0, 3.0)
    """
    network = fitted_network(estimator)
    sympy = require("sympy")
    if symbols is None:
        symbols = [sympy.Symbol(name) for name in _symbol_names(input_names(estimator), sympy)]
    if isinstance(symbols, str):
        raise TypeError(f"symbols={symbols!r} is one text: pass a sequence with a name for each")
    if len(symbols) != network.n_features:
        raise ValueError(f"symbols has {len(symbols)} entries, but {network.n_features} are needed")
    symbols = [sympy.Symbol(each) if isinstance(each, str) else each for each in symbols]
    if len(set(symbols)) < len(symbols):
        raise ValueError(f"symbols={symbols} names features alike: pass a name of its own for each")

    def apply(name: str, *arguments: Any) -> Any:
        # Unevaluated: SymPy would search long for what it could simplify, and find nothing.
        return getattr(sympy, name)(*arguments, evaluate=False)

    def sigmoid(z: Any) -> Any:
        return apply("Pow", 1 + apply("exp", -z), -1)

    functions = {
        "sigmoid": sigmoid,
        "tanh": lambda z: apply("tanh", z),
        "leaky_relu": lambda z: apply("Max", z, LEAKY_SLOPE * z),
        "identity": lambda z: z,
    }
    values = list(symbols)
    layers = [*network.activations, ["identity"] * network.n_outputs]
    for weights, biases, activations in zip(network.weights, network.biases, layers, strict=True):
        values = [
            functions[name](
                sympy.Add(
                    *(float(weight[i]) * values[i] for i in np.flatnonzero(weight)),
                    *([float(bias)] if bias else []),
                )
            )
            for weight, bias, name in zip(weights.T, biases, activations, strict=True)
        ]
    if network.out_activation == "softmax":
        exponentials = [apply("exp", z) for z in values]
        share = apply("Pow", sympy.Add(*exponentials), -1)
        return [apply("Mul", e, share) for e in exponentials]
    if is_binary(estimator):
        return [sigmoid(-values[0]), sigmoid(values[0])]
    return [sigmoid(z) for z in values] if network.out_activation == "logistic" else values


def _symbol_names(names: Sequence[str], sympy: Any) -> list[str]:
    """Make names into distinct Python identifiers that SymPy reads as symbols."""
    symbols: list[str] = []
    for name in names:
        # Python reads an identifier in this normal form, so equal ones must be found in it.
        symbol = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name))
        if not symbol.isidentifier():
            symbol = "x" + symbol
        if keyword.iskeyword(symbol) or hasattr(sympy, symbol):
            symbol += "_"
        count, stem = 1, symbol
        while symbol in symbols:
            count += 1
            symbol = f"{stem}_{count}"
        symbols.append(symbol)
    return symbols

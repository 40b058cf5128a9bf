"""A network as readable text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import _names

if TYPE_CHECKING:
    from ._network import SparseMLP

Array = NDArray[np.float64]


def network_text(
    network: SparseMLP,
    feature_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    digits_of: Callable[[int, int], int],
) -> str:
    """Write a network as one line per neuron, with so many digits for each (layer, neuron)."""
    k = network.n_outputs
    sources = _names.feature_names(feature_names, network.n_features)
    outputs = _names.output_names(output_names, k)

    def line(layer: int, neuron: int) -> str:
        digits = digits_of(layer, neuron)
        weight, bias = network.weights[layer][:, neuron], network.biases[layer][neuron]
        return linear_text(weight, bias, sources, lambda value: f"{value:.{digits}g}")

    lines = []
    for i, names in enumerate(network.activations):
        targets = [f"h{i + 1}.{j}" for j in range(len(names))]
        for j, name in enumerate(names):
            text = line(i, j)
            lines.append(f"{targets[j]} = {text if name == 'identity' else f'{name}({text})'}")
        sources = targets
    raw = [line(network.depth, j) for j in range(k)]
    if network.out_activation == "softmax":
        lines += [f"z({name}) = {line}" for name, line in zip(outputs, raw, strict=True)]
        lines.append(f"p({', '.join(outputs)}) = softmax of z")
    elif network.out_activation == "logistic":
        lines += [f"p({n}) = logistic({line})" for n, line in zip(outputs, raw, strict=True)]
    else:
        lines += [f"{name} = {line}" for name, line in zip(outputs, raw, strict=True)]
    return "\n".join(lines)


def digits_needed(
    network: SparseMLP, layer: int, neuron: int, decimals: int, *, of_any_unit: bool = False
) -> int:
    """Return how many significant digits make a neuron's sum right to `decimals` decimals.

    Raw features may lie far from zero, and then large terms cancel a large bias: as many
    more digits as the bias has before its point. Hidden values are of order one, so what
    counts in later layers, and in sums of any unit, is how large the bias is beside the weights.
    """
    bias = abs(float(network.biases[layer][neuron]))
    largest = float(np.abs(network.weights[layer][:, neuron]).max())
    scale = largest if layer or of_any_unit else 1.0
    extra = math.log10(bias) - math.log10(scale) if bias and scale else 0.0
    return min(17, decimals + max(0, math.ceil(extra)))  # a double has no more than 17


def linear_text(
    weight: Array,
    bias: float,
    sources: Sequence[str],
    write: Callable[[float], str],
    times: str = " ",
) -> str:
    """Write ``0.31 bmi - 1.2 age + 0.5``; `write` is given magnitudes."""
    terms = [(float(weight[j]), times + sources[j]) for j in np.flatnonzero(weight).tolist()]
    if bias != 0 or not terms:
        terms.append((float(bias), ""))
    text = ""
    for value, name in terms:
        text += f" {'-' if value < 0 else '+'} {write(abs(value))}{name}"
    return text[3:] if text.startswith(" + ") else "-" + text[3:]

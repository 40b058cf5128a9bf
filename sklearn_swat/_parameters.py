"""What the parameters of an estimator mean to a descent, and errors if they mean nothing."""

from __future__ import annotations

import os
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ._activations import ACTIVATION_NAMES
from ._network import MAX_DEPTH, SparseMLP

# Of what is looked for: twice as much takes 20 to 60 % more time for 0 to 2 % less loss, except
# where there are many outputs or features: of 26 classes, 16 neurons tell 75 % and 52 tell 82 %,
# and with 20 to 256 features 32 have 13 % less loss than 16, and 48 no less than 32.
DEFAULT_WIDTH, WIDTH_PER_OUTPUT, LARGEST_DEFAULT_WIDTH = 16, 2, 64
LARGEST_WIDTH_OF_FEATURES = 32
# How much wider averages may be: room for those of all paths, and a limit, or warm starts would get
# wider every time.
AVERAGE_FACTOR = 4


def depths_of(depth: Any) -> tuple[int, ...]:
    """Return the numbers of hidden layers to search, ascending.

    Examples
    --------
    >>> depths_of("auto"), depths_of(2), depths_of([3, 1])
    ((1, 2, 3, 4), (2,), (1, 3))
    """
    if isinstance(depth, str):
        return tuple(range(1, MAX_DEPTH + 1))
    given = list(np.atleast_1d(np.asarray(depth, dtype=object)).flat)
    are_integers = all(isinstance(each, Integral) and not isinstance(each, bool) for each in given)
    depths = tuple(sorted({int(each) for each in given})) if are_integers else ()
    if not depths or depths[0] < 1 or depths[-1] > MAX_DEPTH:
        raise ValueError(
            f"depth={depth!r}: every depth must be an integer in 1..{MAX_DEPTH}; pass such a "
            "number, a list of several, or 'auto' for all"
        )
    return depths


def widths_of(
    max_width: int | None, start: str | SparseMLP, n_features: int, n_outputs: int
) -> tuple[int, int]:
    """Return the neurons per hidden layer of what is looked for, and of averages, at most.

    Those of a start are allowed in any case.

    Examples
    --------
    >>> widths_of(None, "data", 5, 1), widths_of(None, "data", 64, 1)
    ((16, 64), (32, 128))
    >>> widths_of(None, "data", 5, 10), widths_of(4, "data", 64, 10)
    ((20, 80), (4, 4))
    """
    widest = max(start.hidden_layer_sizes) if isinstance(start, SparseMLP) else 1
    if max_width is None:
        of_features = min(n_features, LARGEST_WIDTH_OF_FEATURES)
        of_outputs = min(WIDTH_PER_OUTPUT * n_outputs, LARGEST_DEFAULT_WIDTH)
        width = max(DEFAULT_WIDTH, of_features, of_outputs)
        of_averages = AVERAGE_FACTOR * width
    else:
        width = of_averages = int(max_width)
    return max(width, widest), max(of_averages, widest)


def activation_names(activations: Any) -> tuple[str, ...]:
    """Return the names of the activations to choose from.

    Examples
    --------
    >>> activation_names("tanh"), activation_names(["identity", "tanh"])
    (('tanh',), ('identity', 'tanh'))
    """
    if isinstance(activations, str):
        return ACTIVATION_NAMES if activations == "all" else (activations,)
    names = tuple(activations)
    unknown = [name for name in names if name not in ACTIVATION_NAMES]
    if unknown or not names:
        raise ValueError(
            f"activations={activations!r} names {unknown or 'none'}; choose one or "
            f"more of {list(ACTIVATION_NAMES)}, or 'all'"
        )
    return names


def start_network(start: Any, n_features: int, n_outputs: int) -> str | SparseMLP:
    """Return how to start, or the network to start at, on raw rows.

    Parameters
    ----------
    start : {"data", "random"}, fitted estimator or SparseMLP
    n_features, n_outputs : int
        Of the data.
    """
    if isinstance(start, str):
        return start
    network = start if isinstance(start, SparseMLP) else _network_of(start)
    if (network.n_features, network.n_outputs) != (n_features, n_outputs):
        raise ValueError(
            f"start has {network.n_features} features and {network.n_outputs} outputs, but "
            f"the data have {n_features} and {n_outputs}; pass an MLP that was "
            "fitted on such data, or start='data'"
        )
    if network.depth > MAX_DEPTH:
        raise ValueError(
            f"start has {network.depth} hidden layers, at most {MAX_DEPTH} are possible; "
            "pass a shallower MLP, or start='data'"
        )
    # A linear network has no hidden layer to descend with; it is tried in any case.
    return network if network.depth else "data"


def previous_network(network: SparseMLP, start: Any, n_features: int, n_outputs: int) -> Any:
    """Return where a fit with ``warm_start=True`` starts: at the network of the one before.

    A linear one has no hidden layer to descend with: then it is where `start` says.
    """
    if (network.n_features, network.n_outputs) != (n_features, n_outputs):
        raise ValueError(
            f"warm_start=True goes on from a network of {network.n_features} features and "
            f"{network.n_outputs} outputs, but the data have {n_features} and {n_outputs}; pass "
            "data as of the fit before, or set warm_start=False to start anew"
        )
    return network if network.depth else start


def _network_of(estimator: Any) -> SparseMLP:
    """Return a fitted estimator's network: ours, or a scikit-learn MLP's."""
    found = getattr(estimator, "network_", None)  # also of a FrozenEstimator
    if isinstance(found, SparseMLP):
        return found
    if hasattr(estimator, "named_steps"):
        raise TypeError(
            "start is a Pipeline, whose MLP knows other features than the data have; pass an MLP "
            "that was fitted on the data as they are, or see sklearn_swat.compression.compress"
        )
    if isinstance(estimator, BaseEstimator) and not hasattr(estimator, "hidden_layer_sizes"):
        check_is_fitted(estimator)  # of an MLP, the network says so
    return SparseMLP.from_sklearn(estimator, exact=False)


# Numbers of four bytes that a descent holds at least per candidate and pair of neurons: of two
# layers that follow one another, and of the tokens of one. Measured with 1,000 to 4,000 neurons.
_HELD_BETWEEN_LAYERS, _HELD_IN_A_LAYER = 12, 6


def check_width(width: int, depths: tuple[int, ...], n_restarts: int) -> None:
    """Refuse a width whose descent takes more memory than the machine has.

    Parameters
    ----------
    width : int
        Neurons per hidden layer.
    depths : tuple of int
    n_restarts : int

    Raises
    ------
    ValueError
        If it does, as far as the system tells how much there is.

    Examples
    --------
    >>> check_width(16, (1, 2, 3, 4), 2)
    """
    n_candidates = len(depths) * n_restarts
    held = _HELD_BETWEEN_LAYERS * (max(depths) - 1) + _HELD_IN_A_LAYER
    per_pair = 4 * n_candidates * held
    available = _memory_bytes()
    if available is None or per_pair * width**2 <= available:
        return
    widest = int((available / per_pair) ** 0.5)
    raise ValueError(
        f"a width of {width:,} neurons, by max_width or of the start, takes at least "
        f"{per_pair * width**2 / 1e9:,.0f} GB of memory with {n_candidates} candidates of up to "
        f"{max(depths)} hidden layers, but there are {available / 1e9:,.0f} GB; pass "
        + (f"a max_width far below {widest:,}, fewer depths, or " if widest > 1 else "")
        + "n_restarts=1"
    )


def _memory_bytes() -> int | None:
    """Return the memory of the machine, None where the system does not tell (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def torch_device(device: str) -> Any:
    """Return the device of that name; "auto" is CUDA if there is any, else the CPU."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
        if found.type == "meta":
            raise RuntimeError("it holds no numbers")
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} is not available here ({str(error).splitlines()[0]}); "
            "pass 'auto', 'cpu', or a device that torch reports, as 'cuda' where there is one"
        ) from None
    return found

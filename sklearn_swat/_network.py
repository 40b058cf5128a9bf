"""The small sparse network that a fitted estimator predicts with: NumPy and SciPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import expit

from ._activations import ACTIVATION_NAMES, ACTIVATIONS
from ._network_text import digits_needed, network_text
from ._packing import pack, unpack

Array = NDArray[np.float64]

MAX_DEPTH = 4  # hidden layers that a search goes up to
OUT_ACTIVATIONS = ("identity", "logistic", "softmax")  # scikit-learn's names

# Numbers of a layer in a block of rows: 512 KB, about an L2 cache. Blocks of a quarter of this size
# take 5 % more time.
_BLOCK_NUMBERS = 2**16
_FROM_SKLEARN = {"tanh": "tanh", "logistic": "sigmoid", "identity": "identity"}


@dataclass(frozen=True, eq=False)
class SparseMLP:
    """A multi-layer perceptron with few non-zero weights and an activation per neuron.

    Construction checks the arrays and brings the network into one normal form,
    without changing what it computes:

    - a hidden neuron that no output depends on is removed;
    - a hidden neuron without incoming weights is a constant: it is removed, and
      what it adds to the next layer goes into the biases there;
    - a network whose outputs depend on no feature gets no hidden layer at all;
    - the neurons of a layer are grouped by activation, so that each activation
      runs once, on one contiguous block.

    Parameters
    ----------
    weights : sequence of L + 1 arrays of shape (n_in, n_out)
        The first has one row per feature, the last one column per output. Copied
        to read-only float64. L may be 0: a linear network.
    biases : sequence of L + 1 arrays of shape (n_out,)
        Copied to read-only float64.
    activations : sequence of L sequences of str
        The activation of every hidden neuron: "sigmoid", "tanh", "leaky_relu" or
        "identity".
    out_activation : {"identity", "logistic", "softmax"}, default="identity"
        What `predict` applies to the outputs.

    Raises
    ------
    ValueError
        If shapes do not fit together, a number is not finite or a name is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> network = SparseMLP(
    ...     weights=(np.array([[0.5, 0.0], [0.0, 0.0]]), np.array([[2.0], [3.0]])),
    ...     biases=(np.array([0.0, 1.0]), np.array([-1.0])),
    ...     activations=(("tanh", "identity"),),
    ... )
    >>> network.hidden_layer_sizes, network.nnz  # the second neuron was a constant
    ((1,), 3)
    >>> print(network)
    h1.0 = tanh(0.5 x0)
    y = 2 h1.0 + 2
    >>> network.predict(np.array([[0.0, 7.0], [10.0, 7.0]])).round(3)
    array([[2.],
           [4.]])
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[tuple[str, ...], ...]
    out_activation: str = "identity"

    def __post_init__(self) -> None:
        weights = [_finite_array(w, 2, f"weights[{i}]") for i, w in enumerate(self.weights)]
        biases = [_finite_array(b, 1, f"biases[{i}]") for i, b in enumerate(self.biases)]
        names = [list(layer) for layer in self.activations]
        _check_layers(weights, biases, names, self.out_activation)
        _remove_dead_neurons(weights, biases, names)
        _group_by_activation(weights, biases, names)
        for array in (*weights, *biases):
            array.flags.writeable = False
        object.__setattr__(self, "weights", tuple(weights))
        object.__setattr__(self, "biases", tuple(biases))
        object.__setattr__(self, "activations", tuple(tuple(layer) for layer in names))
        used = np.flatnonzero(self.weights[0].any(axis=1))
        used.flags.writeable = False
        object.__setattr__(self, "_used_features", used)

    @cached_property
    def _layers(self) -> list[tuple[Any, Array, list[tuple[str, slice]]]]:
        """Sparse weights, bias column and activations of every layer; never pickled.

        Half of all networks are steps of an optimisation, which nothing is predicted with.
        """
        weights = (self.weights[0][self.used_features], *self.weights[1:])
        slices = [*map(activation_slices, self.activations), []]
        operators = [_compressed(w.T) for w in weights]
        return list(zip(operators, (b[:, None] for b in self.biases), slices, strict=True))

    @cached_property
    def _is_moderate(self) -> bool:
        """Whether no sum overflows of features whose squares do not."""
        reach = np.full(self.n_features, np.sqrt(np.finfo(np.float64).max))
        with np.errstate(over="ignore", invalid="ignore"):
            for weight, bias in zip(self.weights, self.biases, strict=True):
                reach = reach @ np.abs(weight) + np.abs(bias) + 1.0  # sigmoid(0) is not 0
        return bool(np.isfinite(reach).all())

    def __getstate__(self) -> tuple[Any, ...]:
        return *pack(self.weights, self.biases, self.activations), self.out_activation

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *packed, out_activation = state
        # The constructor checks them, and rebuilds the rest, read-only flags included.
        self.__init__(*unpack(tuple(packed)), out_activation)  # type: ignore[misc]

    # ---------------------------------------------------------------- size and shape
    @property
    def nnz(self) -> int:
        """Number of non-zero weights and biases."""
        return int(sum(np.count_nonzero(a) for a in (*self.weights, *self.biases)))

    @property
    def depth(self) -> int:
        """Number of hidden layers; 0 for a linear or constant network."""
        return len(self.activations)

    @property
    def is_constant(self) -> bool:
        """Whether no feature carries a weight, so that all rows have the same outputs."""
        return not self.weights[0].any()

    @property
    def hidden_layer_sizes(self) -> tuple[int, ...]:
        """Number of neurons of every hidden layer."""
        return tuple(len(layer) for layer in self.activations)

    @property
    def n_features(self) -> int:
        """Number of features that `predict` expects."""
        return int(self.weights[0].shape[0])

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return int(self.weights[-1].shape[1])

    @property
    def used_features(self) -> NDArray[np.intp]:
        """Ascending indices of the features that carry a weight."""
        used: NDArray[np.intp] = self._used_features  # type: ignore[attr-defined]
        return used

    # -------------------------------------------------------------------- prediction
    def decision_function(self, X: ArrayLike) -> Array:
        """Compute the outputs before the output activation.

        Every row is computed by the same operations in the same order, so the
        result does not depend, to the last bit, on which rows come with it. Sums
        beyond the largest number are that number: finite rows have finite outputs.

        Parameters
        ----------
        X : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_outputs), float64

        Raises
        ------
        ValueError
            If `X` is not two-dimensional or has another number of features.
        """
        return self._forward(X, apply_output=False)

    def predict(self, X: ArrayLike) -> Array:
        """Compute the outputs after the output activation: values, or probabilities.

        Probabilities of "logistic" lie strictly inside (0, 1): they are clipped to
        the smallest normal number and to the largest number below one.

        Parameters
        ----------
        X : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_outputs), float64
        """
        return self._forward(X, apply_output=True)

    def _forward(self, X: ArrayLike, apply_output: bool) -> Array:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ValueError(
                f"X has shape {X.shape}, but the network expects (n, {self.n_features}): "
                "pass a table with one column per feature it was fitted on"
            )
        n, out = X.shape[0], np.empty((X.shape[0], self.n_outputs))
        widest = max(8, len(self.used_features), *self.hidden_layer_sizes, self.n_outputs)
        n_block = max(1, _BLOCK_NUMBERS // widest)
        for start in range(0, n, n_block):
            rows = slice(start, start + n_block)
            raw = self._forward_block(X[rows])
            out[rows] = (output_activation(raw, self.out_activation) if apply_output else raw).T
        return out

    def _forward_block(self, X: Array) -> Array:
        """(rows, n_features) -> (n_outputs, rows), one contiguous line per neuron."""
        hidden = np.ascontiguousarray(X.T[self.used_features])
        with np.errstate(over="ignore", invalid="ignore"):
            # One pass over the features says that no sum in any layer can overflow.
            is_moderate = self._is_moderate and np.isfinite(np.einsum("ij,ij->", hidden, hidden))
            for operator, bias, groups in self._layers:
                # A sparse product adds in index order for every row alike; a BLAS product
                # may round differently from one number of rows to the next.
                sums = operator @ hidden
                sums += bias
                hidden = sums if is_moderate else _saturated(sums, operator, hidden, bias)
                for name, group in groups:
                    ACTIVATIONS[name].value(hidden[group], out=hidden[group])
        return hidden

    # ------------------------------------------------------------ from and to others
    @classmethod
    def from_sklearn(cls, mlp: Any, *, exact: bool = True) -> SparseMLP:
        """Read a fitted scikit-learn MLP.

        Parameters
        ----------
        mlp : MLPRegressor or MLPClassifier
            Fitted, with activation "tanh", "logistic" or "identity".
        exact : bool, default=True
            With False, "relu" is read as "leaky_relu", which is close but not
            equal: good as a starting point, not as a copy.

        Returns
        -------
        SparseMLP
            Predicts what `mlp` predicts (for a classifier: its probabilities; a
            binary one has the single output of its positive class).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the network is not fitted.
        ValueError
            If it is none, or has an activation that cannot be read.
        """
        if not hasattr(mlp, "coefs_"):
            from sklearn.exceptions import NotFittedError  # networks need no scikit-learn

            is_mlp = hasattr(mlp, "hidden_layer_sizes")
            what = "is not fitted" if is_mlp else "has no coefs_"
            raise (NotFittedError if is_mlp else ValueError)(
                f"{type(mlp).__name__} {what}: pass an MLPRegressor or MLPClassifier after its "
                "fit, and inside a search, which un-fits what it clones, "
                "sklearn.frozen.FrozenEstimator(mlp)"
            )
        readable = _FROM_SKLEARN if exact else {**_FROM_SKLEARN, "relu": "leaky_relu"}
        if mlp.activation not in readable:
            raise ValueError(
                f"activation {mlp.activation!r} cannot be read exactly, only "
                f"{', '.join(map(repr, _FROM_SKLEARN))}: fit the MLP with one of them, or "
                "pass exact=False to read 'relu' as 'leaky_relu'"
            )
        names = [[readable[mlp.activation]] * w.shape[1] for w in mlp.coefs_[:-1]]
        return cls(mlp.coefs_, mlp.intercepts_, names, mlp.out_activation_)  # type: ignore[arg-type]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the network as plain arrays, for ``numpy.savez`` and the like.

        Returns
        -------
        dict of str to ndarray
            ``weights_0`` ..., ``biases_0`` ..., ``activations_0`` ... (text) and
            ``out_activation`` (text); `from_arrays` reads them back.
        """
        arrays: dict[str, NDArray[Any]] = {"out_activation": np.array(self.out_activation)}
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays[f"weights_{i}"], arrays[f"biases_{i}"] = w, b
        for i, names in enumerate(self.activations):
            arrays[f"activations_{i}"] = np.array(names)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SparseMLP:
        """Build a network from what `to_arrays` returned.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            All that `to_arrays` returned; other entries are ignored.

        Returns
        -------
        SparseMLP

        Raises
        ------
        ValueError
            If an array is missing.
        """
        depth = sum(str(key).startswith("activations_") for key in arrays)
        layers, hidden = range(depth + 1), range(depth)
        needed = [f"{part}_{i}" for part in ("weights", "biases") for i in layers]
        needed += [*(f"activations_{i}" for i in hidden), "out_activation"]
        missing = [key for key in needed if key not in arrays]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} missing among the arrays {sorted(arrays)}: pass all "
                "that to_arrays() returned"
            )
        return cls(
            tuple(arrays[f"weights_{i}"] for i in layers),
            tuple(arrays[f"biases_{i}"] for i in layers),
            tuple(tuple(arrays[f"activations_{i}"].tolist()) for i in hidden),
            str(arrays["out_activation"]),
        )

    def to_text(
        self,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        precision: int = 4,
    ) -> str:
        """Write the network as one readable line per neuron.

        Parameters
        ----------
        feature_names : sequence of n_features str, default=None
            None stands for x0, x1, ...
        output_names : sequence of n_outputs str, default=None
            None stands for y, or y0, y1, ... if there are several.
        precision : int, default=4
            Significant digits, at least: more where a bias is large, so that what it cancels
            of a feature far from zero is right to about so many.

        Returns
        -------
        str
            First the hidden neurons, layer by layer (``h2.0`` is the first neuron
            of the second layer), then the outputs.

        Raises
        ------
        ValueError
            If names are not as many as there are features or outputs, or `precision` is
            no integer of at least 1.
        """
        given: Any = precision
        if not isinstance(given, int | np.integer) or isinstance(given, bool) or given < 1:
            raise ValueError(
                f"precision={precision!r} must be an integer of at least 1; the default is 4"
            )

        def digits(layer: int, neuron: int) -> int:
            is_target = layer == self.depth and self.out_activation == "identity"
            needed = digits_needed(self, layer, neuron, precision - 1, of_any_unit=is_target)
            return max(precision, needed)

        return network_text(self, feature_names, output_names, digits)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        sizes = "-".join(map(str, (self.n_features, *self.hidden_layer_sizes, self.n_outputs)))
        return f"<SparseMLP {sizes}, {self.nnz} non-zeros, {self.out_activation} output>"


def _compressed(matrix: Array) -> Any:
    """Return what `scipy.sparse.csr_array` does, in a third of the time."""
    rows, columns = np.nonzero(matrix)
    ends = np.searchsorted(rows, np.arange(len(matrix) + 1))
    parts = (matrix[rows, columns], columns.astype(np.int32), ends.astype(np.int32))
    return csr_array(parts, shape=matrix.shape)


def _saturated(sums: Array, operator: Any, hidden: Array, bias: Array) -> Array:
    """Return ``operator @ hidden + bias`` with what overflowed at the largest number, in place."""
    if not np.isfinite(sums.sum()):
        overflows = ~np.isfinite(sums).all(axis=0) & np.isfinite(hidden).all(axis=0)
        # Once more in units of the largest factors, where no part of a sum overflows.
        largest = np.abs(operator.data).max(initial=1.0)
        magnitude = np.abs(hidden[:, overflows]).max(axis=0, initial=1.0)
        again = (operator / largest) @ (hidden[:, overflows] / magnitude)
        again = (again + bias / largest / magnitude) * largest * magnitude
        sums[:, overflows] = np.nan_to_num(again)
    return sums


def output_activation(raw: Array, name: str) -> Array:
    """Apply an output activation to raw outputs (k, n): one line per output."""
    if name == "logistic":
        tiny, below_one = np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg
        return np.asarray(np.clip(expit(raw), tiny, below_one))
    if name == "softmax":
        with np.errstate(over="ignore"):  # exp(-inf) is the right probability
            exponentials = np.exp(raw - raw.max(axis=0))
        total = exponentials[0].copy()
        for line in exponentials[1:]:  # not sum(axis=0), whose order depends on n == 1
            total += line
        return exponentials / total
    return raw


def activation_slices(names: Sequence[str]) -> list[tuple[str, slice]]:
    """Contiguous runs of equal activations.

    Examples
    --------
    >>> activation_slices(["tanh", "tanh", "identity"])
    [('tanh', slice(0, 2, None)), ('identity', slice(2, 3, None))]
    """
    runs, start = [], 0
    for name, run in groupby(names):
        stop = start + len(list(run))
        runs.append((name, slice(start, stop)))
        start = stop
    return runs


def _finite_array(values: ArrayLike, ndim: int, name: str) -> Array:
    array = np.array(values, dtype=np.float64, order="C")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise ValueError(f"{name} must hold finite numbers only, got {bad}")
    return array


def _check_layers(
    weights: list[Array], biases: list[Array], names: list[list[str]], out_activation: str
) -> None:
    if out_activation not in OUT_ACTIVATIONS:
        raise ValueError(f"out_activation must be one of {OUT_ACTIVATIONS}, got {out_activation!r}")
    if not len(weights) == len(biases) == len(names) + 1:
        raise ValueError(
            f"{len(names)} hidden layers need {len(names) + 1} weight and bias arrays, "
            f"got {len(weights)} and {len(biases)}"
        )
    if weights[0].shape[0] < 1 or weights[-1].shape[1] < 1:
        raise ValueError(
            "a network needs at least 1 feature and 1 output, got "
            f"{weights[0].shape[0]} and {weights[-1].shape[1]}"
        )
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if w.shape[1] != len(b):
            raise ValueError(f"weights[{i}] has {w.shape[1]} columns, biases[{i}] {len(b)} entries")
        if i and w.shape[0] != weights[i - 1].shape[1]:
            raise ValueError(
                f"weights[{i}] has {w.shape[0]} rows, but the layer before has "
                f"{weights[i - 1].shape[1]} neurons"
            )
        if i < len(names) and len(names[i]) != len(b):
            raise ValueError(
                f"activations[{i}] has {len(names[i])} names for {len(b)} neurons: name one each"
            )
    unknown = {name for layer in names for name in layer} - set(ACTIVATION_NAMES)
    if unknown:
        raise ValueError(
            f"unknown activation {sorted(map(str, unknown))[0]!r}: use {ACTIVATION_NAMES}"
        )


def _remove_dead_neurons(weights: list[Array], biases: list[Array], names: list[list[str]]) -> None:
    """Drop hidden neurons without input or output, in place; see `SparseMLP`.

    One pass suffices: dropping a constant can only make later neurons constant,
    and dropping a neuron without output only earlier ones outputless.
    """
    for i in range(len(names)):
        constant = ~weights[i].any(axis=0)
        if not constant.any():
            continue
        values = [
            float(ACTIVATIONS[names[i][j]].value(biases[i][j : j + 1])[0])
            for j in np.flatnonzero(constant)
        ]
        with np.errstate(over="ignore", invalid="ignore"):  # refused below, by its value
            biases[i + 1] = biases[i + 1] + np.array(values) @ weights[i + 1][constant]
        _keep_neurons(weights, biases, names, i, ~constant)
    for i in reversed(range(len(names))):
        is_heard = weights[i + 1].any(axis=1)
        if not is_heard.all():
            _keep_neurons(weights, biases, names, i, is_heard)
    if not np.isfinite(np.concatenate(biases)).all():
        raise ValueError("folding constant neurons overflowed: use weights below 1e150")
    if any(len(layer) == 0 for layer in names):  # then every hidden layer is empty by now
        weights[:] = [np.zeros((weights[0].shape[0], len(biases[-1])))]
        biases[:], names[:] = [biases[-1]], []


def _keep_neurons(
    weights: list[Array],
    biases: list[Array],
    names: list[list[str]],
    layer: int,
    keep: Any,
) -> None:
    """Keep the neurons of a hidden layer that a mask or an index array selects."""
    weights[layer] = np.ascontiguousarray(weights[layer][:, keep])
    biases[layer] = biases[layer][keep]
    weights[layer + 1] = np.ascontiguousarray(weights[layer + 1][keep])
    names[layer] = np.array(names[layer], dtype=object)[keep].tolist()


def _group_by_activation(weights: list[Array], biases: list[Array], names: list[list[str]]) -> None:
    """Sort the neurons of every hidden layer by activation, otherwise as they were."""
    for i, layer in enumerate(names):
        places = [ACTIVATION_NAMES.index(name) for name in layer]
        if places != sorted(places):
            order = np.argsort(places, kind="stable")
            _keep_neurons(weights, biases, names, i, order)

"""From raw rows to what every stage works on, and from its networks back to raw rows.

NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from ._network import SparseMLP

Array = NDArray[np.float64]

# A column whose deviation is below this share of its largest magnitude is constant:
# what varies there is rounding.
_ROUNDING = 1e-12


def total_weight(weight: Array) -> float:
    """Add up weights; the largest number if their sum is beyond it."""
    with np.errstate(over="ignore"):
        return float(min(weight.sum(), np.finfo(np.float64).max))


def moments(values: Array, weight: Array) -> tuple[Array, Array]:
    """Return the weighted mean and standard deviation of every column.

    Computed on values scaled by their largest magnitude, so that columns of any
    finite scale neither overflow nor vanish.

    Parameters
    ----------
    values : ndarray of shape (n, d)
    weight : ndarray of shape (n,)

    Returns
    -------
    mean, deviation : ndarray of shape (d,)
        The deviation of a column that is constant up to rounding is 0.
    """
    share = weight / weight.max()
    share = share / share.sum()
    largest = np.abs(values).max(axis=0)
    unit = np.where(largest > 0, largest, 1.0)
    scaled = values / unit
    mean = share @ scaled
    deviation = np.sqrt(share @ np.square(scaled - mean))
    # Subnormal magnitudes carry too few digits to be worth a feature.
    is_constant = (deviation <= _ROUNDING) | (unit * deviation < np.finfo(np.float64).tiny)
    # The mean of equal numbers is that number, whatever rounding made of it.
    return (
        np.where(is_constant, values[0], mean * unit),
        np.where(is_constant, 0.0, deviation * unit),
    )


@dataclass(frozen=True, eq=False)
class Scaling:
    """Standardisation of inputs and outputs, to be folded into a network.

    Attributes
    ----------
    features : int ndarray of shape (d_varying,)
        The columns that vary; the others never reach a network. The first one, as
        zeros, where none varies.
    n_features : int
    x_mean, x_deviation : ndarray of shape (d_varying,)
        A feature is mirrored where its deviation is negative.
    outputs : int ndarray of shape (k,)
        The targets, as a network gives them.
    y_mean, y_deviation : ndarray of shape (k,)
        Of the targets for a regression, 0 and 1 for classes. The deviation of a constant
        is its magnitude, so that rounding stays small. Where it is negative, a network
        gives the opposite of a target, or the complement of a label.
    is_regression : bool
    varies : bool, default=True
        Whether any column does.
    """

    features: NDArray[np.intp]
    n_features: int
    x_mean: Array
    x_deviation: Array
    outputs: NDArray[np.intp]
    y_mean: Array
    y_deviation: Array
    is_regression: bool
    varies: bool = True

    @classmethod
    def of(cls, X: Array, target: Array, weight: Array, *, is_regression: bool) -> Scaling:
        """Measure the scaling of canonical rows."""
        mean, deviation = moments(X, weight)
        features = np.flatnonzero(deviation > 0)
        varies = bool(features.size)
        if not varies:  # a network has to have an input, if one without a weight
            features, deviation = np.array([0]), np.ones_like(deviation)
        if is_regression:
            y_mean, y_deviation = moments(target, weight)
            magnitude = np.where(y_mean != 0, np.abs(y_mean), 1.0)
            y_deviation = np.where(y_deviation > 0, y_deviation, magnitude)
        else:
            y_mean, y_deviation = np.zeros(target.shape[1]), np.ones(target.shape[1])
        of_inputs = mean[features], deviation[features]
        outputs = np.arange(target.shape[1])
        return cls(
            features, X.shape[1], *of_inputs, outputs, y_mean, y_deviation, is_regression, varies
        )

    @property
    def places_of_targets(self) -> NDArray[np.intp]:
        """Where every target is among the outputs of a network: the inverse of `outputs`."""
        return np.argsort(self.outputs)

    def scale_inputs(self, X: Array) -> Array:
        """Standardise the varying columns of `X`."""
        if not self.varies:  # but for rounding
            return np.zeros((len(X), 1))
        chosen = X[:, self.features] / self.x_deviation
        return np.ascontiguousarray(chosen - self.x_mean / self.x_deviation)

    def scale_targets(self, target: Array) -> Array:
        """Standardise targets; labels stay what they are."""
        target = target[:, self.outputs]
        if not self.is_regression:
            return np.where(self.y_deviation < 0, 1 - target, target)
        with np.errstate(over="ignore"):
            scaled = (target - self.y_mean) / self.y_deviation
        if not np.isfinite(scaled).all():  # a difference beyond the largest number
            scaled = target / self.y_deviation - self.y_mean / self.y_deviation
        return scaled

    def fold(self, network: SparseMLP) -> SparseMLP:
        """Make a network of standardised rows one of raw rows.

        Parameters
        ----------
        network : SparseMLP
            On ``len(features)`` standardised inputs.

        Returns
        -------
        SparseMLP
            On `n_features` raw inputs, with the same predictions up to rounding.
        """
        weights, biases = self._folded(network)
        first = np.zeros((self.n_features, weights[0].shape[1]))
        first[self.features] = weights[0]
        weights[0] = first
        back = self.places_of_targets
        weights[-1], biases[-1] = weights[-1][:, back], biases[-1][back]
        return SparseMLP(tuple(weights), tuple(biases), network.activations, network.out_activation)

    def can_fold(self, network: SparseMLP) -> bool:
        """Tell whether the numbers of the folded network lie within double precision.

        A linear network of features around 1e-200 and targets around 1e200 has weights
        beyond it, and one with those scales swapped has weights below it.
        """
        with np.errstate(all="ignore"):
            weights, biases = self._folded(network)
        tiny = np.finfo(np.float64).tiny
        return all(np.isfinite(bias).all() for bias in biases) and all(
            (np.isfinite(folded) & ((np.abs(folded) >= tiny) | (given == 0))).all()
            for folded, given in zip(weights, network.weights, strict=True)
        )

    def _folded(self, network: SparseMLP) -> tuple[list[Array], list[Array]]:
        """Return weights, the first by varying features, and biases of the folded network."""
        weights, biases = list(network.weights), list(network.biases)
        biases[0] = biases[0] - (self.x_mean / self.x_deviation) @ weights[0]
        weights[0] = weights[0] / self.x_deviation[:, None]
        weights[-1] = weights[-1] * self.y_deviation
        biases[-1] = biases[-1] * self.y_deviation + self.y_mean
        # -0.0, which mirroring makes of 0.0, is no number to keep.
        return [w + 0.0 for w in weights], [b + 0.0 for b in biases]

    def unfold(self, network: SparseMLP) -> SparseMLP:
        """Make a network of raw rows one of standardised rows: the inverse of `fold`.

        What the network makes of constant columns goes into its biases as if they
        were zero.
        """
        weights, biases = list(network.weights), list(network.biases)
        weights[-1] = weights[-1][:, self.outputs] / self.y_deviation
        biases[-1] = (biases[-1][self.outputs] - self.y_mean) / self.y_deviation
        varying = weights[0][self.features]
        biases[0] = biases[0] + self.x_mean @ varying
        weights[0] = varying * self.x_deviation[:, None]
        return SparseMLP(tuple(weights), tuple(biases), network.activations, network.out_activation)


def class_scores(target: Array, weight: Array, loss_name: str) -> tuple[Array, Array, Array]:
    """Describe labels to the data-set encoder, which reads standardised numbers.

    Parameters
    ----------
    target : ndarray of shape (n, k)
        0/1 labels, one-hot rows, or standardised numbers.
    weight : ndarray of shape (n,)
    loss_name : {"squared_error", "logistic", "softmax"}

    Returns
    -------
    y : ndarray of shape (n, k)
        The labels, standardised.
    scale, shift : ndarray of shape (k,)
        A decoded network's outputs times `scale` plus `shift` are raw outputs: to
        first order, a step in a standardised label's expectation is a step of
        `scale` in its log-odds.
    """
    k = target.shape[1]
    if loss_name == "squared_error":
        return target, np.ones(k), np.zeros(k)
    lowest = 0.5 / len(target)
    share = np.clip(weight @ target / weight.sum(), lowest, 1 - lowest)
    deviation = np.sqrt(share * (1 - share))
    shift = logit(share) if loss_name == "logistic" else np.log(share)
    return (target - share) / deviation, 1 / deviation, shift


def split_rows(
    target: Array, fraction: float, random_state: np.random.RandomState, *, is_regression: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose validation rows that resemble the rest.

    Rows are taken one from each of equal blocks along the order of the targets, so
    that every range of a target, and every class of enough rows, has its share. The
    first row of every class stays with the training rows.

    Parameters
    ----------
    target : ndarray of shape (n, k)
        Of canonical rows: sorted by target.
    fraction : float in (0, 1)
    random_state : RandomState
    is_regression : bool

    Returns
    -------
    train, validation : int ndarray, ascending
        If fewer than 2 rows would be left for either, both are all rows.
    """
    n = len(target)
    pool = np.arange(n)
    if not is_regression:
        starts_class = np.ones(n, dtype=bool)
        starts_class[1:] = (target[1:] != target[:-1]).any(axis=1)
        pool = pool[~starts_class]
    n_validation = min(round(fraction * n), len(pool))
    if n_validation < 2 or n - n_validation < 2:
        return np.arange(n), np.arange(n)
    edges = np.linspace(0, len(pool), n_validation + 1)
    lowest = np.ceil(edges[:-1]).astype(np.intp)
    highest = np.maximum(np.ceil(edges[1:]).astype(np.intp), lowest + 1)
    chosen = lowest + np.floor(random_state.random_sample(n_validation) * (highest - lowest))
    validation = pool[np.minimum(chosen.astype(np.intp), len(pool) - 1)]
    is_train = np.ones(n, dtype=bool)
    is_train[validation] = False
    return np.flatnonzero(is_train), np.flatnonzero(~is_train)


def representative_rows(
    target: Array, weight: Array, n_rows: int, *, is_regression: bool
) -> tuple[NDArray[np.intp], Array]:
    """Choose rows that stand for all, evenly along the order of the targets.

    One row for each of `n_rows` equal shares of the weight. A class of less weight than a
    quarter of the mean one has more rows than that asks for, each of less weight: so a
    rare class is not lost. (Beyond `n_rows` / 8 classes, only the shares count.)

    Parameters
    ----------
    target : ndarray of shape (n, k)
        Of canonical rows: sorted by target.
    weight : ndarray of shape (n,)
    n_rows : int
    is_regression : bool

    Returns
    -------
    index : int ndarray, ascending
        All rows if there are no more than `n_rows`, else at most so many.
    weight : ndarray
        Of the chosen rows, of the same sum for every class.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.arange(6.0)[:, None]
    >>> representative_rows(target, np.array([1, 1, 1, 1, 4, 4.0]), 3, is_regression=True)
    (array([1, 4, 5]), array([4., 4., 4.]))
    """
    n = len(target)
    if n <= n_rows:
        return np.arange(n), weight
    starts = np.zeros(1, dtype=np.intp)
    if not is_regression:
        differs = np.flatnonzero((target[1:] != target[:-1]).any(axis=1))
        if len(differs) < n_rows // 8:
            starts = np.concatenate([starts, differs + 1])
    sizes = np.diff(starts, append=n)
    of_class = np.add.reduceat(weight, starts)
    drawn = np.maximum(of_class / of_class.sum(), 0.25 / len(starts))
    density = np.repeat(drawn / of_class, sizes)
    mass = weight * density
    # Rows of so much weight that one share is less are there for certain, once.
    is_certain = np.zeros(n, dtype=bool)
    n_free = n_rows
    while (heavy := (mass > 0) & (mass * n_free >= mass.sum())).any():
        is_certain |= heavy
        mass[heavy] = 0
        n_free = n_rows - int(is_certain.sum())
    chosen = np.where(is_certain, weight, 0.0)
    if n_free:
        ends = np.cumsum(mass)
        share = ends[-1] / n_free
        middles = (np.arange(n_free) + 0.5) * share
        drawn_at = np.searchsorted(ends, middles)
        chosen[drawn_at] = share / density[drawn_at]
    # No class is without a row: its least mass, a fifth of 1 / C, is more than a share.
    index = np.flatnonzero(chosen)
    sums = np.add.reduceat(chosen, starts)
    return index, (chosen * np.repeat(of_class / sums, sizes))[index]

"""Which of many features a network is looked for on.

Nonparametric independence screening [1]_: a feature is relevant if a smooth function of
it alone tells something of a target, or its product with another one does of what such
functions leave over. How sure that has to be is set by the share of false discoveries
[2]_, so noise is left out however many columns of it there are.

References
----------
.. [1] J. Fan, Y. Feng, R. Song, "Nonparametric independence screening in sparse
   ultra-high-dimensional additive models", JASA 106, 2011.
.. [2] Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", JRSS B 57, 1995.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.special import betainc, ndtri

from ._network import SparseMLP
from ._penalised_loss import diagonal
from ._rows import Rows
from ._threads import one_blas_thread

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

FEW_FEATURES = 16  # up to here all are seen
ROWS_PER_FEATURE = 16  # rows that a feature which tells nothing needs to be seen nevertheless
ROWS_PER_RELEVANT_FEATURE = 8  # and one which does
FALSE_DISCOVERIES = 0.1  # share among the relevant features that may be there by chance
PAIR_LEVEL = 0.05  # chance that any pair is taken for an interaction where there is none
LEAST_RELEVANT = 8  # features that are called relevant, if need be by their rank alone
PAIR_PRODUCTS = 4e9  # multiplications that the search for interactions may take
_DEGREE = 3  # of the polynomials that stand for smooth functions
_RIDGE = 1e-3  # their penalty, of a unit of their variance
_COLLINEAR = 1e-3  # share of a power's deviation that lower ones must leave


@dataclass(frozen=True, eq=False)
class Screening:
    """What networks see of the features.

    Attributes
    ----------
    seen : int ndarray, ascending
        The features that networks are looked for on.
    relevant : int ndarray, ascending
        Positions in `seen` of those that tell something of a target.
    n_features : int
    """

    seen: Indices
    relevant: Indices
    n_features: int

    def including(self, features: Indices) -> Screening:
        """Return the same, with further features among those seen."""
        seen = np.union1d(self.seen, features)
        return replace(self, seen=seen, relevant=np.searchsorted(seen, self.seen[self.relevant]))

    def take(self, rows: Rows) -> Rows:
        """Return rows of the features seen."""
        if len(self.seen) == self.n_features:
            return rows
        return replace(rows, X=np.ascontiguousarray(rows.X[:, self.seen]))

    def narrow(self, network: SparseMLP) -> SparseMLP:
        """Make a network that uses no others one of the features seen."""
        return replace(network, weights=(network.weights[0][self.seen], *network.weights[1:]))

    def widen(self, network: SparseMLP) -> SparseMLP:
        """Make a network of the features seen one of all features."""
        first = np.zeros((self.n_features, network.weights[0].shape[1]))
        first[self.seen] = network.weights[0]
        return replace(network, weights=(first, *network.weights[1:]))


def screen(rows: Rows, n_rows: float) -> Screening:
    """Choose the features that networks are looked for on.

    Parameters
    ----------
    rows : Rows
        Standardised.
    n_rows : float
        How many rows networks are trained by, of which `rows` may be a part.

    Returns
    -------
    Screening
        All features, up to `FEW_FEATURES`, and as many as there are rows for: one for
        `ROWS_PER_FEATURE` rows, or for `ROWS_PER_RELEVANT_FEATURE` if all are relevant.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.RandomState(0).standard_normal((300, 40))
    >>> y = np.cos(2 * X[:, 3]) + X[:, 5] * X[:, 7]
    >>> screening = screen(Rows(X, y[:, None], np.ones(300)), n_rows=300)
    >>> len(screening.seen)
    18
    >>> [int(i) for i in (3, 5, 7) if i in screening.seen[screening.relevant]]
    [3, 5, 7]
    """
    d = rows.X.shape[1]
    total = rows.weight.sum()
    share, each = rows.weight / total, rows.weight_per_draw / total  # of rows, of draws
    y = rows.target - share @ rows.target
    deviation = np.sqrt(share @ np.square(y))
    varies = deviation > 0  # some rows of many may be all alike
    if d <= FEW_FEATURES or not varies.any():
        return Screening(np.arange(d), np.arange(d), d)
    y = y[:, varies] / deviation[varies]
    with one_blas_thread():
        powers = _polynomials(np.tanh(rows.X), share)
        ranking, n_relevant = _main_effects(powers, y, share, each)
        most = max(FEW_FEATURES, int(n_rows / ROWS_PER_RELEVANT_FEATURE))
        relevant = ranking[: min(n_relevant, most)]
        if len(relevant) < most:
            left = _left_over([power[:, relevant] for power in powers], y, share)
            paired = _interactions(powers[0], left, share, each, ranking)
            paired = paired[~np.isin(paired, relevant)]
            relevant = np.concatenate([relevant, paired[: most - len(relevant)]])
    rest = ranking[~np.isin(ranking, relevant)]
    ranking = np.concatenate([relevant, rest])
    n_seen = max(len(relevant), FEW_FEATURES, int(n_rows / ROWS_PER_FEATURE))
    seen = np.sort(ranking[:n_seen])
    n_relevant = max(len(relevant), LEAST_RELEVANT)
    return Screening(seen, np.searchsorted(seen, np.sort(ranking[:n_relevant])), d)


def _polynomials(values: Array, share: Array) -> list[Array]:
    """Return powers of every column, centred, orthogonal to the lower ones, of deviation 1.

    What a column of few distinct values has no further power for is 0.
    """
    powers: list[Array] = []
    for degree in range(1, _DEGREE + 1):
        power = values**degree
        power -= share @ power
        before = np.sqrt(share @ np.square(power))
        for lower in powers:
            power -= lower * (share @ (lower * power))
        deviation = np.sqrt(share @ np.square(power))
        is_new = deviation > _COLLINEAR * before
        powers.append(np.where(is_new, power / np.where(is_new, deviation, 1.0), 0.0))
    return powers


def _main_effects(powers: list[Array], y: Array, share: Array, each: Array) -> tuple[Indices, int]:
    """Rank features by what they tell of a target, and count those that tell something."""
    d, k = powers[0].shape[1], y.shape[1]
    weighted = share[:, None] * y
    explained = sum((np.square(power.T @ weighted) for power in powers), np.zeros((d, k)))
    # Under the null hypothesis, what is explained follows a beta distribution.
    left = np.clip(1 - explained, 0.0, 1.0)
    n = 1 / float(share @ each)  # draws that say as much by equal weights
    freedom = max(n - _DEGREE - 1, 1.0)
    chance = np.minimum(k * betainc(freedom / 2, _DEGREE / 2, left).min(axis=1), 1.0)
    ranking = np.lexsort((-explained.max(axis=1), chance))
    is_low = chance[ranking] <= FALSE_DISCOVERIES * np.arange(1, d + 1) / d
    return ranking, int(np.flatnonzero(is_low).max(initial=-1)) + 1


def _left_over(powers: list[Array], y: Array, share: Array) -> Array:
    """Return what smooth functions of some features leave of the targets."""
    design = np.hstack(powers)
    if not design.shape[1]:
        return y
    weighted = design.T * share
    matrix = weighted @ design
    diagonal(matrix)[:] += _RIDGE
    return np.asarray(y - design @ solve(matrix, weighted @ y, assume_a="pos"))


def _interactions(
    values: Array, left: Array, share: Array, each: Array, ranking: Indices
) -> Indices:
    """Return features whose products with others tell of what is left, by their evidence.

    Of many features only the first of the ranking are paired.
    """
    n, k = left.shape
    m = min(len(ranking), int(np.sqrt(PAIR_PRODUCTS / (2 * n * k))))
    paired = ranking[:m]
    values = values[:, paired]
    squares = np.square(values)
    evidence = np.zeros(m)
    for residual in left.T:
        weighted = share * residual
        products = values.T @ (weighted[:, None] * values)
        # The variance of that sum, whatever the residuals are distributed like.
        variance = squares.T @ ((weighted * (each * residual))[:, None] * squares)
        score = np.abs(products) / np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
        np.fill_diagonal(score, 0.0)
        evidence = np.maximum(evidence, score.max(axis=1))
    n_tests = float(m * (m - 1) * k) or 1.0
    limit = -float(ndtri(PAIR_LEVEL / n_tests))
    strongest = np.argsort(-evidence, kind="stable")
    return np.asarray(paired[strongest[evidence[strongest] > limit]])

"""The form that data are brought into, so that how they were written down changes no fit.

NumPy only. Rows, features and outputs come in an order, and features and outputs have a
sign, that follow from the data themselves. What then is drawn at random, for a row, a
feature or an output, belongs to the same one however a table was sorted, and whatever
its columns or classes were called.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._preprocessing import Scaling, moments

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

# Statistics of columns are compared in steps of this size: far above the rounding that
# another order of the rows, or another unit, makes. Not a round number, because a step
# must not end where statistics of balanced designs lie.
_STEP = 1e-6 * np.sqrt(2.0)


def canonical_rows(
    X: Array, target: Array, weight: Array, draws: Array | None = None
) -> tuple[Array, Array, Array, Array]:
    """Merge equal rows, and sort.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    target : ndarray of shape (n, k)
    weight : ndarray of shape (n,)
    draws : ndarray of shape (n,), optional
        How many rows each is as; by default one.

    Returns
    -------
    X, target, weight : ndarray
        Of the distinct rows, in lexicographic order, targets first; weights of equal rows
        are added, and the largest of them is 1, so that their scale changes nothing.
    draws : ndarray
        How many rows each is as.

    Examples
    --------
    >>> import numpy as np
    >>> X, target, weight = np.array([[2.0], [1.0], [2.0]]), np.zeros((3, 1)), np.ones(3)
    >>> [part.tolist() for part in canonical_rows(X, target, weight)]
    [[[1.0], [2.0]], [[0.0], [0.0]], [0.5, 1.0], [1.0, 2.0]]
    """
    both = np.hstack([target, X]) + 0.0  # -0.0 becomes 0.0: equal rows are equal in bits too
    order, is_new = lexicographic_order(both)
    starts = np.flatnonzero(is_new)
    n_draws = np.add.reduceat(np.ones(len(X)) if draws is None else draws[order], starts)
    weight = np.add.reduceat(weight[order], starts)
    distinct, k = both[order[starts]], target.shape[1]
    return (
        np.ascontiguousarray(distinct[:, k:]),
        np.ascontiguousarray(distinct[:, :k]),
        weight / weight.max(initial=0.0),
        n_draws,
    )


def lexicographic_order(rows: Array) -> tuple[Indices, NDArray[np.bool_]]:
    """Return the lexicographic order of rows, and where in it a new row begins.

    Columns are looked at only for rows that are equal in all columns before.
    """
    order = np.arange(len(rows))
    is_new = np.zeros(len(rows), dtype=bool)
    is_new[:1] = True
    for column in rows.T:
        group = np.cumsum(is_new)
        has_equals = np.bincount(group)[group] > 1
        if not has_equals.any():
            break
        tied = order[has_equals]
        tied = tied[np.lexsort((column[tied], group[has_equals]))]
        order[has_equals] = tied
        values = column[order]
        is_new[1:] |= values[1:] != values[:-1]
    return order, is_new


def counting_rows(
    X: Array, target: Array, weight: Array, draws: Array | None = None
) -> tuple[Array, Array, Array, Array | None]:
    """Drop rows of no or negligible weight.

    Negligible is a weight below the rounding error of the sum of all: such a row could
    not move a mean, but lie as many standard deviations from it as it likes.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    target : ndarray of shape (n, k)
    weight : ndarray of shape (n,)
        Of any finite scale.
    draws : ndarray of shape (n,), optional

    Returns
    -------
    X, target, weight, draws : ndarray
        The largest weight is below 1. No draws if there were none.
    """
    # A power of two rounds nothing, and sums of what it leaves do not overflow.
    weight = np.ldexp(weight, -np.frexp(weight.max(initial=0.0))[1])
    counts = weight > np.finfo(np.float64).eps * weight.sum()
    draws = None if draws is None else draws[counts]
    return X[counts], target[counts], weight[counts], draws


@dataclass(frozen=True, eq=False)
class Columns:
    """In which order, and with which sign, features and outputs are taken.

    Attributes
    ----------
    features : int ndarray of shape (d,)
        Their indices: those first that are correlated most with the targets.
    feature_signs : ndarray of shape (d,)
        1 or -1, in that order: so that a feature's skewness is positive, or if it is 0 the
        covariance with the squared targets; 1 if both are 0.
    outputs : int ndarray of shape (k,)
        The indices of the targets: those first whose distribution is skewed most,
        which are the rarest classes.
    output_signs : ndarray of shape (k,)
        1 or -1: so that the skewness is positive, or if it is 0 the covariance with the sum
        of the features, or with its square. A label of sign -1 is taken as its complement.
        One-hot classes have none.
    """

    features: Indices
    feature_signs: Array
    outputs: Indices
    output_signs: Array

    @classmethod
    def of(cls, X: Array, target: Array, weight: Array, *, one_hot: bool) -> Columns:
        """Compare the columns of rows of positive weight by their moments.

        Columns that agree in all of them, as those do that are equal, stay in the order
        in which they are.
        """
        share = weight / weight.sum()
        z, t = _standardised(X, weight), _standardised(target, weight)
        rarity = np.square(t).sum(axis=1)
        skewness = _third_moments(share, z)
        feature_signs = _first_sign(skewness, (share * rarity) @ z)
        z *= feature_signs
        total = z.sum(axis=1) / np.sqrt(z.shape[1])
        along = np.stack([_third_moments(share, t), (share * total) @ t, (share * total**2) @ t])
        output_signs = np.ones(t.shape[1]) if one_hot else _first_sign(*along)
        relevance = np.square((share[:, None] * z).T @ t).sum(axis=1)
        features = _descending(
            relevance,
            skewness * feature_signs,
            (share * total**2) @ z,
            (share * total**3) @ z,
        )
        outputs = _descending(*(along * output_signs))
        return cls(features, feature_signs[features], outputs, output_signs[outputs])

    def arrange(self, X: Array, target: Array, *, is_regression: bool) -> tuple[Array, Array]:
        """Return the columns of `X` and `target` as the class describes."""
        target = target[:, self.outputs]
        if is_regression:
            target = target * self.output_signs
        else:
            target = np.where(self.output_signs < 0, 1 - target, target)
        return X[:, self.features] * self.feature_signs, target

    def on_raw_columns(self, scaling: Scaling) -> Scaling:
        """Return the scaling of raw columns that follows from one of arranged columns."""
        signs = self.feature_signs[scaling.features]
        return replace(
            scaling,
            features=self.features[scaling.features],
            x_mean=scaling.x_mean * signs,
            x_deviation=scaling.x_deviation * signs,
            outputs=self.outputs,
            y_mean=scaling.y_mean * self.output_signs,
            y_deviation=scaling.y_deviation * self.output_signs,
        )


def _standardised(values: Array, weight: Array) -> Array:
    """Return columns of mean 0 and deviation 1; zeros for those that do not vary."""
    mean, deviation = moments(values, weight)
    unit = np.where(deviation > 0, deviation, 1.0)
    scaled = np.asarray(values / unit - mean / unit)
    scaled[:, deviation == 0] = 0.0
    return scaled


def _third_moments(share: Array, values: Array) -> Array:
    return np.asarray(np.einsum("n,nj,nj,nj->j", share, values, values, values))


def _steps(statistic: Array) -> Array:
    return np.round(statistic / _STEP)


def _first_sign(*statistics: Array) -> Array:
    """Return the sign of the first statistic that is not 0; 1 if all are."""
    signs = np.zeros(len(statistics[0]))
    for statistic in statistics:
        signs = np.where(signs == 0, np.sign(_steps(statistic)), signs)
    return np.where(signs == 0, 1.0, signs)


def _descending(*statistics: Array) -> Indices:
    """Return the order by the first statistic, then by the next ones."""
    return np.lexsort([-_steps(statistic) for statistic in reversed(statistics)])

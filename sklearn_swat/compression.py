"""Small networks in place of large ones: what a fitted MLP does, with fewer numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state

from ._classifier import SWATClassifier
from ._control import Deadline, Task
from ._front import position
from ._network import MAX_DEPTH
from ._regressor import SWATRegressor
from ._rows import Rows
from ._teacher import Teacher, read_teacher
from ._validation import validate_rows

__all__ = ["Compression", "compress"]

Array = NDArray[np.float64]

_LEAST_ROWS = 10  # of which two are held out
_FEW_ROWS = 1000  # up to which "auto" adds drawn rows
_SPREAD = 0.3  # of the difference of two rows that a drawn row lies from a third


@dataclass(frozen=True, eq=False)
class Compression:
    """A small network in place of a large one, and how much it is like it.

    Attributes
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted; its `network_` is the small network, its `path_` the front.
    nnz_before : int
        Non-zero weights and biases of the MLP.
    n_held_out : int
        Rows of `X` that no network was trained, judged or chosen on.
    path_fidelity : ndarray of shape (n_networks,)
        R2 of the outputs against the MLP's on these rows, for every network of the
        front: 1 minus the share of the variance of the MLP's outputs that the
        difference has, all outputs together. The outputs of a classifier are
        probabilities.
    path_agreement : ndarray of shape (n_networks,) or None
        Share of these rows for which the classes are the same. None for a regression.
    """

    estimator: Any
    nnz_before: int
    n_held_out: int
    path_fidelity: Array
    path_agreement: Array | None

    @property
    def nnz(self) -> int:
        """Non-zero weights and biases of the small network."""
        return int(self.estimator.nnz_)

    @property
    def fidelity(self) -> float:
        """R2 of the small network's outputs against the MLP's, on the held-out rows."""
        return float(self.path_fidelity[self._position])

    @property
    def agreement(self) -> float | None:
        """Share of the held-out rows of the same class; None for a regression."""
        return None if self.path_agreement is None else float(self.path_agreement[self._position])

    @property
    def _position(self) -> int:
        return position(self.estimator.path_, self.estimator.network_)

    def select(
        self, *, max_nnz: int | None = None, min_fidelity: float | None = None
    ) -> Compression:
        """Return the same with another network of the front.

        Exactly one of the parameters has to be given.

        Parameters
        ----------
        max_nnz : int, optional
            How many non-zero numbers the network may have; see `SWATRegressor.select`.
        min_fidelity : float, optional
            The smallest network of at least this fidelity. It is chosen on the
            held-out rows, which makes its fidelity there a little too good: the
            smaller one of those that lie around the limit is a lucky one.

        Returns
        -------
        Compression

        Raises
        ------
        ValueError
            If not exactly one is given, or no network of the front meets it.

        Examples
        --------
        See `compress`.
        """
        if (max_nnz is None) == (min_fidelity is None):
            raise ValueError(
                f"select takes exactly one of max_nnz and min_fidelity, got {max_nnz} and "
                f"{min_fidelity}: pass max_nnz=50 or min_fidelity=0.99, for example"
            )
        if min_fidelity is None:
            return replace(self, estimator=self.estimator.select(max_nnz=max_nnz))
        faithful = np.flatnonzero(self.path_fidelity >= min_fidelity)
        if not faithful.size:
            best = int(self.path_fidelity.argmax())
            highest = np.floor(1e4 * self.path_fidelity[best]) / 1e4  # passing it must not fail
            raise ValueError(
                f"min_fidelity={min_fidelity} is too much: the most faithful network of the "
                f"front has {highest:.4f} with {self.estimator.path_[best].nnz} "
                "non-zeros; pass at most that, or compress on more rows, or with a smaller alpha"
            )
        return replace(self, estimator=self.estimator.select(index=int(faithful[0])))

    def __str__(self) -> str:
        same = "" if self.agreement is None else f", the same class for {self.agreement:.1%}"
        return (
            f"{self.nnz:,} of {self.nnz_before:,} numbers ({self.nnz / self.nnz_before:.1%}), "
            f"fidelity {self.fidelity:.4f}{same}, on {self.n_held_out} held-out rows"
        )


def compress(
    mlp: Any,
    X: ArrayLike,
    *,
    alpha: float = 1e-4,
    max_nnz: int | None = None,
    start: str = "mlp",
    test_fraction: float = 0.2,
    n_augmented: int | str = "auto",
    random_state: Any = None,
    **parameters: Any,
) -> Compression:
    """Find a small network that does what a fitted MLP does.

    The MLP says what it makes of the rows, and the search of `SWATRegressor` learns
    that [1]_: the MLP's network is encoded into the latent space, descended from there
    with a price on every number, and pruned; the network itself is pruned as it is too.
    A classifier is learned by its probabilities; its loss is their divergence.

    Parameters
    ----------
    mlp : fitted estimator, torch.nn.Sequential or skorch net
        - scikit-learn's MLPRegressor or MLPClassifier, or a SWAT estimator, also at the
          end of a pipeline that scales, inside a TransformedTargetRegressor whose
          transformer scales, or as the best estimator of a search;
        - a sequence of Linear layers and Tanh, Sigmoid, ReLU or LeakyReLU; Dropout
          is left out. Behind the last Linear layer, Sigmoid, Softmax or LogSoftmax
          makes it a classifier of the classes 0, 1, ...: append one where it computes
          logits. Anything else is a regression;
        - a skorch net of such a module.
    X : array-like of shape (n_samples, n_features)
        Rows such as the MLP is to be used on, as it takes them, numbers all. They need
        no targets, and so may be more than it was trained on.
    alpha : float, default=1e-4
        Price of one non-zero weight or bias: see `SWATRegressor`. Above the default there:
        outputs of an MLP have no noise, so that every weight gains something.
    max_nnz : int, default=None
        How many the network may have at most: the most faithful one within this budget
        is chosen, whatever `alpha`. None leaves the choice to `alpha`.
    start : {"mlp", "data"}, default="mlp"
        Where the search starts: at the network of the MLP, or, as that of
        `SWATRegressor`, at what the rows suggest. An MLP of more than 4 hidden layers
        can be compressed with "data" only.
    test_fraction : float, default=0.2
        Share of the rows that are held out, to measure fidelity on.
    n_augmented : int or "auto", default="auto"
        Rows that are drawn in addition, and used for training alone: each is a row plus
        0.3 times the difference of two others, labelled by the MLP. "auto" draws 1,000
        where there are no more rows than that to train on, else none: on small tables
        fidelity gains much by them.
    random_state : int, RandomState or None, default=None
        Of the held-out rows, the drawn rows and the search.
    **parameters
        Further parameters of `SWATRegressor` or `SWATClassifier`, such as `n_jobs`.

    Returns
    -------
    Compression
        The fitted estimator with its fidelity on rows that it has not seen. `select`
        gives other sizes without another search.

    Raises
    ------
    TypeError
        If `mlp` is no MLP that can be read.
    ValueError
        If it is not fitted, deeper than 4 hidden layers, or has parts that cannot be
        read, or if a parameter or `X` cannot be used.

    References
    ----------
    .. [1] C. Bucila, R. Caruana, A. Niculescu-Mizil, "Model compression", KDD 2006;
       G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network",
       arXiv 1503.02531, at temperature 1.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn.preprocessing import scale
    >>> from sklearn_swat.compression import compress
    >>> X, y = load_diabetes(return_X_y=True)
    >>> mlp = MLPRegressor(hidden_layer_sizes=20, early_stopping=True, random_state=0)
    >>> mlp = mlp.fit(scale(X), scale(y))
    >>> small = compress(mlp, scale(X), max_nnz=60, max_iter=5, depth=1, random_state=0)
    >>> small.nnz_before, small.nnz <= 60, small.fidelity > 0.9
    (241, True, True)
    >>> small.select(max_nnz=15).nnz <= 15
    True
    >>> smallest = small.select(min_fidelity=0.9)
    >>> smallest.nnz <= small.nnz, smallest.estimator.predict(scale(X)).shape
    (True, (442,))
    """
    if start not in ("mlp", "data"):
        raise ValueError(f"start={start!r} must be 'mlp' or 'data'")
    random = check_random_state(random_state)
    rows = validate_rows(None, X, ensure_min_samples=_LEAST_ROWS)
    teacher = read_teacher(mlp, X)
    _check_shape(teacher, rows, start)
    train, test = _split(len(rows), test_fraction, random)
    outputs = teacher.outputs(X)
    drawn = _draw_rows(rows[train], n_augmented, random)
    learned, target = rows[train], outputs[train]
    if len(drawn):
        learned = np.vstack([learned, drawn])
        target = np.vstack([target, teacher.outputs(_like(drawn, X))])
    parameters |= {
        "alpha": alpha,
        "start": teacher.network if start == "mlp" else "data",
        "random_state": random.randint(np.iinfo(np.int32).max),
    }
    estimator = _fit(teacher, _like(learned, X), target, parameters)
    estimator.set_params(start="data")  # what was fitted is not to hold on to the MLP
    fidelity, agreement = _measure(teacher, estimator, rows[test], outputs[test])
    result = Compression(estimator, teacher.nnz, len(test), fidelity, agreement)
    return result if max_nnz is None else result.select(max_nnz=max_nnz)


def _check_shape(teacher: Teacher, rows: Array, start: str) -> None:
    network = teacher.network
    if network.n_features != rows.shape[1]:
        raise ValueError(
            f"X has {rows.shape[1]} features, but the MLP takes {network.n_features}: pass rows "
            "as those that it was fitted on"
        )
    if start == "mlp" and network.depth > MAX_DEPTH:
        raise ValueError(
            f"the MLP has {network.depth} hidden layers, and a search can start at no more than "
            f"{MAX_DEPTH}; pass start='data' to learn its outputs without its weights"
        )


def _split(
    n: int, test_fraction: float, random: np.random.RandomState
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the held-out rows."""
    n_test = round(test_fraction * n)
    if not 2 <= n_test <= n - 2:
        raise ValueError(
            f"test_fraction={test_fraction} holds out {n_test} of {n} rows, but at least 2 have "
            "to be held out and 2 left; pass 0.2, or more rows: they need no targets"
        )
    order = random.permutation(n)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _draw_rows(rows: Array, n_augmented: Any, random: np.random.RandomState) -> Array:
    """Draw rows around those given, along differences that there are between them."""
    if isinstance(n_augmented, str) and n_augmented == "auto":
        n_augmented = _FEW_ROWS if len(rows) <= _FEW_ROWS else 0
    if not isinstance(n_augmented, Integral) or n_augmented < 0:
        raise ValueError(
            f"n_augmented={n_augmented!r} must be a number of rows, 0 for none, or 'auto'"
        )
    a, b, c = random.randint(len(rows), size=(3, int(n_augmented)))
    return np.asarray(rows[a] + _SPREAD * (rows[b] - rows[c]))


def _like(rows: Array, X: Any) -> Any:
    """Give rows the column names of X, if it is a table of pandas or polars."""
    if hasattr(X, "iloc"):
        return type(X)(rows, columns=X.columns)
    return type(X)(dict(zip(X.columns, rows.T, strict=True))) if hasattr(X, "columns") else rows


def _fit(teacher: Teacher, X: Any, target: Array, parameters: dict[str, Any]) -> Any:
    """Fit an estimator to the outputs of the teacher."""
    if teacher.classes is None:
        estimator = SWATRegressor(**parameters)
        return estimator.fit(X, target[:, 0] if target.shape[1] == 1 else target)
    # Not by `fit`, which takes classes: the probabilities tell more.
    estimator = SWATClassifier(**parameters)
    estimator._validate_params()
    if estimator.class_weight is not None:
        raise ValueError(
            f"class_weight={estimator.class_weight!r} has no use here, since the probabilities of "
            "the MLP are learned and not its classes: leave it out, and pass rows of X in the "
            "proportions that matter"
        )
    rows = validate_rows(estimator, X, reset=True)
    loss_name = teacher.network.out_activation
    estimator.classes_ = teacher.classes
    estimator._is_multilabel = loss_name == "logistic" and target.shape[1] > 1
    weighed = Rows(rows, target, np.ones(len(rows)))
    deadline = Deadline.after(estimator.max_time)
    return estimator._fit_rows(estimator, weighed, loss_name, deadline, Task())


def _measure(
    teacher: Teacher, estimator: Any, rows: Array, outputs: Array
) -> tuple[Array, Array | None]:
    """Compare every network of the front with the teacher."""
    found = [point.network.predict(rows) for point in estimator.path_]
    fidelity = [r2_score(outputs, own, multioutput="variance_weighted") for own in found]
    if teacher.classes is None:
        return np.array(fidelity), None

    def decide(probabilities: Array) -> NDArray[Any]:
        is_exclusive = teacher.network.out_activation == "softmax"
        return probabilities.argmax(axis=1)[:, None] if is_exclusive else probabilities > 0.5

    same = [(decide(own) == decide(outputs)).all(axis=1).mean() for own in found]
    return np.array(fidelity), np.array(same)

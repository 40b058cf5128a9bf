"""The estimator for classification, of two classes, several, or several labels."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import type_of_target, unique_labels

from ._base import BaseSWAT
from ._draws import count_draws
from ._losses import LOSSES
from ._network import SparseMLP, output_activation
from ._online import with_absent_labels
from ._rows import Rows
from ._validation import (
    is_multilabel,
    validate_classes,
    validate_rows_and_targets,
    validate_weights,
    weight_classes,
)

Array = NDArray[np.float64]


class SWATClassifier(ClassifierMixin, BaseSWAT):
    """Small sparse neural network for classification.

    `fit` begins at networks that a pretrained multi-scale autoencoder makes of the rows,
    descends by gradient in its latent space and then in the weights, over several depths
    at once, prunes the best candidates in weight space, and keeps the network of the lowest
    ``J = normalised validation loss + alpha * nnz``. `predict` runs that network alone, in NumPy.

    Parameters
    ----------
    alpha : float, default=2e-5
        Price of one non-zero weight or bias, in units of the normalised loss (data
        loss divided by that of the best constant): at the default, 100 numbers
        must explain 0.2 % of it. Higher prices give smaller networks. Where rows are
        split three times (see `path_`), a number has to be worth 5e-5 at least.
    max_nnz : int, default=None
        Non-zero numbers that `network_` may have, whatever `alpha` says; `path_` has
        larger ones too. None sets no budget.
    depth : "auto", int from 1 to 4, or several, default="auto"
        Numbers of hidden layers to search; "auto" searches all four. Linear networks
        are tried beside them, and pruning may thin a network down to one.
    max_width : int, default=None
        Neurons per hidden layer at most; a given `start` may have more. None means 16, or
        as many as there are features up to 32, or two per output (two classes are one) up
        to 64, whichever is most; averages of several networks, and a wider one that is
        tried beside them, may then have four times as many. Memory and time grow with its
        square: a fit of few rows takes 0.4 GB with 16, and 2 GB with 1,000. What takes more
        memory than the machine has is refused.
    activations : "all", str or list of str, default="all"
        What a neuron may be: "sigmoid", "tanh", "leaky_relu", "identity".
    n_restarts : int, default=2
        Candidates per depth. If `start` is "data" or "random", every second one differs
        from the others, which is worth more than another of the same kind: it has tanh
        neurons alone (if `activations` allows tanh and others), and sees only the features
        that tell something of a target where there are more than 16. With
        ``start="data"`` it also begins with steeper neurons of few features, which find
        waves. Where nothing is found that is better than a constant by 10 %, a second
        descent from 8 restarts per depth follows.
    start : {"data", "random"}, fitted estimator or SparseMLP, default="data"
        Where the descent starts: at the networks that the data-set encoder makes of
        the rows, at random (arXiv 2410.08339), or at the network of a fitted
        scikit-learn MLP or SWAT estimator. That network (with ReLU read as leaky ReLU) is
        pruned as it is too, whatever `depth`, `max_width` and `activations` say. A search
        clones, and so un-fits, an estimator: pass ``sklearn.frozen.FrozenEstimator(mlp)``
        there.
    space : {"both", "latent", "weights"}, default="both"
        Where it descends: on latent points alone (arXiv 2410.08339), on the weights
        alone, or for a quarter of the steps on both and then on the weights, which
        get lower than a latent point can. With "weights" and ``start="random"`` the
        pretrained autoencoder plays no part: the honest comparison.
    max_iter : int, default=30
        Descent steps at most. With 0, pruning begins at the start networks; with
        ``refine=False`` as well, they are returned as they are.
    max_time : float, default=None
        Seconds that a fit may take; None sets no limit. The descent ends by 35 % of them (a
        second one by 35 % of what is then left) and the pruning paths by 95 %; the rest is
        for the refit. The best network so far is kept, and `stop_reason_` is "max_time".
        There is a warning only if `max_nnz` then leaves nothing but a constant. The limit
        is looked at between steps, and not before the start networks are judged, so a fit
        may take somewhat longer. Without a limit, the same data and `random_state` give
        the same bits.
    learning_rate : float, default=0.04
        Step size of Adam from a start that fits already; with ``start="random"`` 2.5 times
        as much. Weights, latent points and thresholds each take a fixed share of it.
    batch_size : "auto" or int, default="auto"
        Rows per step; "auto" takes all up to 512, else 256.
    refine : bool, default=True
        Follow the descent by pruning paths in weight space, and refit on all rows.
        False stops after the descent: `path_` holds its networks, not pruned and not refitted.
    validation_fraction : float, default=0.2
        Share of the rows that networks are judged on. Up to 500 rows are split three times, and
        all of the splits judge. Of no effect where `fit` is given `X_val`.
        A share that leaves fewer than two rows to either side leaves all rows to both.
    n_iter_no_change : int, default=30
        Steps without an improvement of J by `tol` after which the descent stops, looked at
        every five steps. At the default of `max_iter` it ends none.
    tol : float, default=1e-4
        By how much J has to fall to count as an improvement; see `n_iter_no_change`.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights of the classes, which multiply the sample weights; of several labels a dict
        for each. "balanced" gives every class the same sum of weights; of several labels,
        a row has the product of the weights of all, which balances none by itself.
    checkpoint : path-like, default=None
        A file written by ``python -m sklearn_swat.pretrain``; None is the bundled one.
    device : str, default="auto"
        Where the descent runs: "auto" is CUDA if there is any, else the CPU. A GPU takes
        some hundred candidates in the time of a few, as with ``n_restarts=64``; the
        pruning paths run on the CPU.
    n_jobs : int, default=None
        Pruning paths at a time, through joblib; None is 1 outside a joblib context.
    random_state : int, RandomState or None, default=None
        Of the split, the start points and the minibatches.
    verbose : int, default=0
        0 is silent. From 1 on, print a line for every verdict on the descent's networks,
        for every pruning path at its end, and for the choice.
    warm_start : bool, default=False
        Start at the network of the previous fit, as with `start`; features, outputs and
        classes must be the same. If it was fitted to the same rows, the losses in `path_`
        promise too much: it has seen those that judge.

    Attributes
    ----------
    network_ : SparseMLP
        The chosen network, on raw rows.
    path_ : tuple of PathPoint
        The front: a network per size that is worth it, by ascending `nnz`, with
        normalised `train_loss` and `validation_loss`, measured before the network
        was refitted on all rows, the latter raised to what networks of about the same
        size suggest. Up to 500 rows are split three times, unless `X_val` or a network as
        `start` is given or `refine` is False, and it is the mean over these splits.
        `path_frame` makes a table of it. `partial_fit` moves the numbers of the chosen one
        alone.
    selected_features_ : ndarray of int
        Ascending indices of the features that `network_` uses.
    feature_importances_ : ndarray of shape (n_features,)
        Their shares in how far the network can move its outputs, by absolute weights
        along all its paths, per standard deviation; 0 for features not used.
    nnz_, depth_, n_layers_, n_outputs_ : int
        Of `network_`.
    hidden_layer_sizes_ : tuple of int
    coefs_, intercepts_ : list of ndarray
    activations_ : tuple of tuple of str
    out_activation_ : str
    loss_ : float
        Normalised training loss of `network_`, before the refit.
    loss_curve_ : list of float
        The lowest training loss of any candidate at each record of `history_`; of more than
        512 rows, that of a minibatch.
    history_ : list of dict
        The descent (the first, where there are several): per record "step", "seconds",
        "candidates" (depth and restart of each) and arrays of their hard networks'
        "train_loss", "validation_loss" and "nnz".
    n_iter_ : int
        Descent steps taken.
    stop_reason_ : {"max_time", "callback", "interrupt"} or None
        What cut the fit short: `max_time`, a callback that returned True, or Ctrl-C;
        None if it ran to its end.
    classes_ : ndarray
        The class labels.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If `X` had column names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_swat import SWATClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SWATClassifier(depth=1, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9), model.predict_proba(X).shape
    (True, (150, 3))
    """

    _n_stages = 4  # of few rows, there are paths of other splits too
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseSWAT._parameter_constraints,
        "class_weight": [None, StrOptions({"balanced"}), dict, list],
    }

    def __init__(
        self,
        *,
        alpha: float = 2e-5,
        max_nnz: int | None = None,
        depth: Any = "auto",
        max_width: int | None = None,
        activations: Any = "all",
        n_restarts: int = 2,
        start: Any = "data",
        space: str = "both",
        max_iter: int = 30,
        max_time: float | None = None,
        learning_rate: float = 0.04,
        batch_size: int | str = "auto",
        refine: bool = True,
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 30,
        tol: float = 1e-4,
        class_weight: Any = None,
        checkpoint: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
    ) -> None:
        super().__init__(
            alpha=alpha,
            max_nnz=max_nnz,
            depth=depth,
            max_width=max_width,
            activations=activations,
            n_restarts=n_restarts,
            start=start,
            space=space,
            max_iter=max_iter,
            max_time=max_time,
            learning_rate=learning_rate,
            batch_size=batch_size,
            refine=refine,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            checkpoint=checkpoint,
            device=device,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
            warm_start=warm_start,
        )
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Find the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Need not be scaled.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a 0/1 indicator matrix of several labels.
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight 2 counts exactly as two rows, and one of weight 0 as none: a class
            that has no other rows is none. None weighs all alike.
        X_val : array-like of shape (n_val, n_features), default=None
            Rows that judge the networks, which then are fitted to those of `X` alone, all
            of them. None lets a share of the rows judge, `validation_fraction`, drawn by
            chance: right unless rows depend on one another, as those of one patient or of
            one day do. In a `Pipeline`, ``transform_input=["X_val"]`` transforms them.
        y_val : array-like of shape (n_val,) or (n_val, n_labels), default=None
        sample_weight_val : array-like of shape (n_val,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; the message says which and why.
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Refine the numbers of the chosen network on further rows.

        The first call, of an estimator that is not fitted, is a `fit`. Later ones, also
        after a `fit`, move the network's numbers and leave its structure: no number
        becomes or ceases to be zero. All rows count alike, however long ago they came, so
        that a stream ends near the numbers that all its rows at once would give. See the
        notes of `SWATRegressor.partial_fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Any number of rows, one included; the first call takes at least two, and
            should be given enough to tell the structure by: a warning says if that came to
            be a constant, which later calls add no weights to.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight 2 counts exactly as two rows, of this call or another.
        classes : array-like of shape (n_classes,), default=None
            All classes that may come; needed in the first call, unless there are several
            labels. A class that the first call has no row of counts as half a row, spread
            over those that are there.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data cannot be used, hold another class, or have a loss beyond all
            numbers; if `class_weight` is "balanced", which takes all rows to tell. The
            estimator then is as before.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.utils import shuffle
        >>> from sklearn_swat import SWATClassifier
        >>> X, y = shuffle(*load_iris(return_X_y=True), random_state=0)
        >>> model = SWATClassifier(depth=1, max_iter=5, random_state=0)
        >>> for start in range(0, 150, 50):
        ...     rows = slice(start, start + 50)
        ...     model = model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        >>> bool(model.score(X, y) > 0.9)
        True
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all rows at once, which partial_fit "
                "never has; pass the weights as a dict, "
                "sklearn.utils.class_weight.compute_class_weight makes them, or sample_weight"
            )
        if not hasattr(self, "network_"):
            if is_multilabel(y):
                classes = np.arange(np.shape(y)[1])
            elif classes is None:
                raise ValueError(
                    "classes must be passed on the first call to partial_fit: an array of all "
                    "classes that may come"
                )
            return self._first_partial_fit(X, y, sample_weight, classes)
        if classes is not None and not np.array_equal(validate_classes(classes), self.classes_):
            raise ValueError(
                f"classes={classes!r} are not those of the first call, {self.classes_.tolist()}; "
                "pass the same, or None, or call fit to start anew"
            )
        return self._partial_fit(X, y, sample_weight)

    def _encode(
        self, X: Any, y: Any, sample_weight: Any, classes: Any = None, *, reset: bool = True
    ) -> tuple[Rows, str]:
        X, y = validate_rows_and_targets(self, X, y, is_regression=False, reset=reset)
        if reset and type_of_target(y).startswith("multiclass-multioutput"):
            raise ValueError(
                "y has several columns of classes that are not all 0 or 1: pass labels as 0 and 1, "
                "or fit a classifier per column with sklearn.multioutput.MultiOutputClassifier"
            )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        weight = validate_weights(sample_weight, X)
        draws = count_draws(weight)  # before class weights, which count nothing
        if self.class_weight is not None:
            known = classes if reset else self.classes_
            if y.ndim == 2 and known is not None:
                known = np.array([0, 1])
            weight = weight_classes(weight, self.class_weight, y, known, may_be_none=not reset)
        if reset:
            self._remember_classes(y[weight > 0], classes)
        target = self._encode_labels(y, weight > 0)
        is_exclusive = target.shape[1] > 1 and not self._is_multilabel
        loss_name = "softmax" if is_exclusive else "logistic"
        rows = Rows(X, target, weight, draws)
        if reset and classes is not None:  # a stream begins
            rows = with_absent_labels(rows, LOSSES[loss_name])
        return rows, loss_name

    def _start_network(self, n_outputs: int) -> str | SparseMLP:
        """Return how to start; a network of other classes would tell one from the wrong other."""
        start = super()._start_network(n_outputs)
        theirs = getattr(self.start, "classes_", None)
        if self._is_multilabel:
            is_other = getattr(self.start, "out_activation_", None) == "softmax"
        else:
            is_other = theirs is not None and not np.array_equal(theirs, self.classes_)
        if is_other:
            raise ValueError(
                f"start was fitted to {_called(np.asarray(theirs), False)}, but y has "
                f"{_called(self.classes_, self._is_multilabel)}; pass an estimator that was fitted "
                "to these, or the network_ of a SWAT estimator, whose outputs are then taken in "
                "this order"
            )
        return start

    def _remember_classes(self, y: NDArray[Any], classes: Any) -> None:
        """Set `classes_`: those of the rows that count, or those given."""
        before: Any = getattr(self, "classes_", None)
        was_multilabel = getattr(self, "_is_multilabel", None)
        self._is_multilabel = y.ndim == 2
        if self._is_multilabel:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_ = validate_classes(y if classes is None else classes)
        if len(self.classes_) < 2 and not self._is_multilabel:
            only = [f"one class only ({label!r})" for label in self.classes_.tolist()]
            found = only[0] if only else "no class"
            needs = "but a classifier needs at least 2 classes"
            raise ValueError(
                f"y has {found} among the rows of positive weight, {needs}; add rows of another "
                "class"
                if classes is None
                else f"classes has {found}, {needs}; name all that may come"
            )
        is_other = was_multilabel != self._is_multilabel or not np.array_equal(
            before, self.classes_
        )
        if self.warm_start and hasattr(self, "network_") and is_other:
            raise ValueError(
                f"warm_start=True goes on from a network of {_called(before, was_multilabel)}, but "
                f"y has {_called(self.classes_, self._is_multilabel)}; pass the same, or set "
                "warm_start=False to start anew"
            )

    def _encode_labels(self, y: NDArray[Any], is_counting: NDArray[np.bool_]) -> Array:
        """Return 0/1 labels, one column per output; zeros for rows that do not count."""
        n_labels = len(self.classes_)
        if self._is_multilabel:
            if y.ndim != 2 or y.shape[1] != n_labels:
                raise ValueError(
                    f"y has shape {y.shape}, but there are {n_labels} labels; pass a 0/1 matrix "
                    "of one column per label"
                )
            labels: Array = np.where(is_counting[:, None], y, 0).astype(np.float64)
            if not np.isin(labels, (0, 1)).all():
                row, column = np.argwhere(~np.isin(labels, (0, 1)))[0]
                raise ValueError(
                    f"y has {y[row, column]} in row {row}, column {column} (counted from 0), but "
                    "of several labels each is 0 or 1; pass 1 where a label applies, as "
                    "sklearn.preprocessing.MultiLabelBinarizer does"
                )
            return labels
        if y.ndim != 1:
            raise ValueError(
                f"y has shape {y.shape}, but was a column of classes in the first call; pass one, "
                "or call fit with such y"
            )
        found = y[is_counting]
        unknown = np.setdiff1d(unique_labels(found), self.classes_) if found.size else found
        if unknown.size:
            raise ValueError(
                f"y has the classes {unknown.tolist()}, which are not among "
                f"{self.classes_.tolist()}; call fit with rows of them, or name all classes "
                "in the first call of partial_fit"
            )
        target = np.zeros((len(y), n_labels))
        target[is_counting, np.searchsorted(self.classes_, found)] = 1
        return target if n_labels > 2 else target[:, 1:]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        raw = self._raw_outputs(X)
        if self._is_multilabel:
            return (raw > 0).astype(np.int64)
        chosen = (raw[:, 0] > 0).astype(np.intp) if raw.shape[1] == 1 else raw.argmax(1)
        predicted: NDArray[Any] = self.classes_[chosen]
        return predicted

    def predict_proba(self, X: ArrayLike) -> Array:
        """Predict the probability of every class (of every label, if there are several).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
        """
        raw = self._raw_outputs(X)
        if raw.shape[1] == 1 and not self._is_multilabel:
            raw = np.hstack([-raw, raw])  # 1 - p would cancel where p is all but 1
        return np.ascontiguousarray(output_activation(raw.T, self.out_activation_).T)

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Predict the logarithm of `predict_proba`, right where the probability underflows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
        """
        raw = self._raw_outputs(X)
        if self._is_multilabel:
            return np.asarray(log_expit(raw))
        if raw.shape[1] == 1:
            return np.hstack([log_expit(-raw), log_expit(raw)])
        return np.asarray(log_softmax(raw, axis=1))

    def decision_function(self, X: ArrayLike) -> Array:
        """Return the log-odds (two classes, labels) or unnormalised log-probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
        """
        raw = self._raw_outputs(X)
        return raw[:, 0] if raw.shape[1] == 1 and not self._is_multilabel else raw

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _called(classes: NDArray[Any], is_multilabel: bool | None) -> str:
    """Return how messages call classes, or labels that do not exclude each other."""
    return f"{len(classes)} labels" if is_multilabel else f"the classes {classes.tolist()}"

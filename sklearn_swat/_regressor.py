"""The estimator for regression."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context

from ._base import BaseSWAT
from ._draws import count_draws
from ._rows import Rows
from ._validation import validate_rows_and_targets, validate_weights

Array = NDArray[np.float64]


class SWATRegressor(RegressorMixin, BaseSWAT):
    """Small sparse neural network for regression.

    `fit` begins at networks that a pretrained multi-scale autoencoder makes of the rows,
    descends by gradient in its latent space and then in the weights, over several depths
    at once, prunes the best candidates in weight space, and keeps the network of the lowest
    ``J = normalised validation loss + alpha * nnz``. `predict` runs that network alone, in NumPy.

    Parameters
    ----------
    alpha : float, default=2e-5
        Price of one non-zero weight or bias, in units of the normalised loss (data
        loss divided by that of the best constant): at the default, 100 numbers
        must explain 0.2 % of it. Higher prices give smaller networks.
    max_nnz : int, default=None
        Non-zero numbers that `network_` may have, whatever `alpha` says; `path_` has
        larger ones too. None sets no budget.
    depth : "auto", int from 1 to 4, or several, default="auto"
        Numbers of hidden layers to search; "auto" searches all four. Linear networks
        are tried beside them, and pruning may thin a network down to one.
    max_width : int, default=None
        Neurons per hidden layer at most; a given `start` may have more. None means 16, or
        as many as there are features up to 32, or two per output up to 64, whichever is
        most; averages of several networks, and a wider one that is tried beside them, may
        then have four times as many. Memory and time grow with its square: a fit of few
        rows takes 0.4 GB with 16, and 2 GB with 1,000. What takes more memory than the
        machine has is refused.
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
        Share of the rows that networks are judged on. Where at most 2,000 rows (divided by
        the number of outputs) are left to train on, these judge as well, each by what
        the network would say of it had it been left out. Of no effect where `fit` is given
        `X_val`. A share that leaves fewer than two rows to either side leaves all rows to
        both.
    n_iter_no_change : int, default=30
        Steps without an improvement of J by `tol` after which the descent stops, looked at
        every five steps. At the default of `max_iter` it ends none.
    tol : float, default=1e-4
        By how much J has to fall to count as an improvement; see `n_iter_no_change`.
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
        Start at the network of the previous fit, as with `start`; features and outputs
        must be as many. If it was fitted to the same rows, the losses in `path_` promise
        too much: it has seen those that judge.

    Attributes
    ----------
    network_ : SparseMLP
        The chosen network, on raw rows.
    path_ : tuple of PathPoint
        The front: a network per size that is worth it, by ascending `nnz`, with
        normalised `train_loss` and `validation_loss`, measured before the network
        was refitted on all rows (of `X`, where `X_val` judges; where rows are few, the
        latter on left-out training rows too); `path_frame` makes a table of it.
        `partial_fit` moves the numbers of the chosen one alone.
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
        The descent (the first, where there are two): per record "step", "seconds",
        "candidates" (depth and restart of each) and arrays of their hard networks'
        "train_loss", "validation_loss" and "nnz".
    n_iter_ : int
        Descent steps taken.
    stop_reason_ : {"max_time", "callback", "interrupt"} or None
        What cut the fit short: `max_time`, a callback that returned True, or Ctrl-C;
        None if it ran to its end.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If `X` had column names.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_swat import SWATRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = SWATRegressor(depth=1, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.4), model.predict(X).shape
    (True, (442,))
    >>> model.select(max_nnz=30).nnz_ <= 30
    True
    """

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
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight 2 counts exactly as two rows. None weighs all alike.
        X_val : array-like of shape (n_val, n_features), default=None
            Rows that judge the networks, which then are fitted to those of `X` alone, all
            of them. None lets a share of the rows judge, `validation_fraction`, drawn by
            chance: right unless rows depend on one another, as those of one patient or of
            one day do. In a `Pipeline`, ``transform_input=["X_val"]`` transforms them.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
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
    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Refine the numbers of the chosen network on further rows.

        The first call, of an estimator that is not fitted, is a `fit`. Later ones, also
        after a `fit`, move the network's numbers and leave its structure: no number
        becomes or ceases to be zero. All rows count alike, however long ago they came, so
        that a stream ends near the numbers that all its rows at once would give. See
        Notes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Any number of rows, one included; the first call takes at least two, and
            should be given enough to tell the structure by: a warning says if that came to
            be a constant, which later calls add no weights to.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight 2 counts exactly as two rows, of this call or another.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data cannot be used, or their loss is beyond all numbers. The estimator
            then is as before.

        Notes
        -----
        What earlier rows had to say is kept as the Gauss-Newton matrix of their loss by
        the network's numbers, as in recursive least squares and the online Laplace
        approximation [1]_: exact for a linear network of up to 64 numbers. Larger
        networks keep its diagonal and 16 leading directions, those of more than 300
        numbers the diagonal alone.

        Only the chosen network moves: the others of `path_`, the losses there and
        `history_` are those of the last `fit`, and so is the scaling.

        References
        ----------
        .. [1] H. Ritter, A. Botev, D. Barber, "Online structured Laplace approximations
           for overcoming catastrophic forgetting", NeurIPS 2018.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_swat import SWATRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = SWATRegressor(depth=1, max_iter=5, random_state=0)
        >>> for start in range(0, 400, 100):
        ...     model = model.partial_fit(X[start : start + 100], y[start : start + 100])
        >>> bool(model.score(X[400:], y[400:]) > 0.4)
        True
        """
        if not hasattr(self, "network_"):
            return self._first_partial_fit(X, y, sample_weight)
        return self._partial_fit(X, y, sample_weight)

    def _encode(
        self, X: Any, y: Any, sample_weight: Any, classes: Any = None, *, reset: bool = True
    ) -> tuple[Rows, str]:
        X, y = validate_rows_and_targets(self, X, y, is_regression=True, reset=reset)
        weight = validate_weights(sample_weight, X)
        target = y.reshape(len(y), -1)
        if reset:
            self._is_flat, self._n_targets = y.ndim == 1, target.shape[1]
        elif target.shape[1] != self._n_targets:
            raise ValueError(
                f"y has {target.shape[1]} outputs, but the network has {self._n_targets}; pass as "
                "many, or call fit with such y"
            )
        return Rows(X, target, weight, count_draws(weight)), "squared_error"

    def predict(self, X: ArrayLike) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        """
        outputs = self._raw_outputs(X)
        return outputs[:, 0] if self._is_flat else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

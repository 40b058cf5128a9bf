"""The estimator for regression."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils.validation import _check_sample_weight, validate_data

from ._base import BaseSWAT

Array = NDArray[np.float64]


class SWATRegressor(RegressorMixin, BaseSWAT):
    """Small sparse neural network for regression.

    `fit` descends by gradient in the latent space of a pretrained multi-scale
    autoencoder, over several depths at once, prunes the best candidates in weight
    space, and keeps the network of the lowest ``J = normalised validation loss +
    alpha * nnz``. `predict` runs that network alone, in NumPy.

    Parameters
    ----------
    alpha : float, default=1e-4
        Price of one non-zero weight or bias, in units of the normalised loss (data
        loss divided by that of the best constant): at the default, 100 numbers
        must explain 1 % of it. Higher prices give smaller networks.
    depth : "auto", int from 1 to 4, or several, default="auto"
        Numbers of hidden layers to search; "auto" searches all four. Linear networks
        are tried beside them, and pruning may thin a network down to one.
    max_width : int, default=16
        Neurons per hidden layer at most.
    activations : "all", str or list of str, default="all"
        What a neuron may be: "sigmoid", "tanh", "leaky_relu", "identity".
    n_restarts : int, default=2
        Candidates per depth.
    start : {"data", "random"}, fitted estimator or SparseMLP, default="data"
        Where the descent starts: at the networks that the data-set encoder makes of
        the rows, at random (arXiv 2410.08339), or at the network of a fitted
        scikit-learn MLP or SWAT estimator. That network is pruned as it is too,
        whatever `depth`, `max_width` and `activations` say. A search clones, and so
        un-fits, an estimator: pass ``sklearn.frozen.FrozenEstimator(mlp)`` there.
    space : {"both", "latent", "weights"}, default="both"
        Where it descends: on latent points alone (arXiv 2410.08339), on the weights
        alone, or for a quarter of the steps on both and then on the weights, which
        get lower than a latent point can. With "weights" and ``start="random"`` the
        pretrained autoencoder plays no part: the honest comparison.
    max_iter : int, default=100
        Descent steps at most. 0 judges the start networks as they are.
    learning_rate : float, default=0.1
        Adam's; half of it on latent tokens (of unit mean square), 0.4 times it on weights.
    batch_size : "auto" or int, default="auto"
        Rows per step; "auto" takes all up to 4,096, else 1,024.
    refine : bool, default=True
        Follow the descent by pruning paths in weight space, and refit on all rows.
        False gives the decoded network itself.
    validation_fraction : float, default=0.2
        Share of the rows that networks are judged on.
    n_iter_no_change : int, default=25
        Steps without an improvement of J by `tol` after which the descent stops.
    tol : float, default=1e-4
        In units of J.
    checkpoint : path-like, default=None
        A file written by ``python -m sklearn_swat.pretrain``; None is the bundled one.
    device : str, default="auto"
        Where the descent runs: "auto" is CUDA if there is any, else the CPU.
    n_jobs : int, default=None
        Pruning paths at a time, through joblib; None is 1 outside a joblib context.
    random_state : int, RandomState or None, default=None
        Of the split, the start points and the minibatches.
    verbose : int, default=0
        Above 0, print a line every few descent steps.
    warm_start : bool, default=False
        Start at the network of the previous fit, as with `start`.

    Attributes
    ----------
    network_ : SparseMLP
        The chosen network, on raw rows.
    path_ : tuple of PathPoint
        The front: a network per size that is worth it, by ascending `nnz`, with
        normalised `train_loss` and `validation_loss`, measured before the network
        was refitted on all rows; `path_frame` makes a table of it.
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
        The best candidate's training loss at each record of `history_`.
    history_ : list of dict
        The descent: per record the step, the seconds, and per candidate the losses
        of its hard network and its size.
    n_iter_ : int
        Descent steps taken.
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
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Find the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Need not be scaled.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight 2 counts exactly as two rows. None weighs all alike.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; the message says which and why.
        """
        X, y = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True,
            ensure_min_samples=2,
        )  # fmt: skip
        y = np.asarray(y, dtype=np.float64)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        self._is_flat = y.ndim == 1
        return self._fit_rows(X, y.reshape(len(y), -1), weight, "squared_error")

    def predict(self, X: ArrayLike) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._is_flat else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

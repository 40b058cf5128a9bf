"""The estimators: parameters, validation of data, and the fitted attributes."""

from __future__ import annotations

import copy
import os
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_expit, log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import _front
from ._activations import ACTIVATION_NAMES
from ._network import MAX_DEPTH, SparseMLP
from ._pruning import PathPoint
from ._refinement import Rows
from ._search import search, to_device

Array = NDArray[np.float64]


class _BaseSWAT(BaseEstimator):
    """What both estimators share."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "depth": [StrOptions({"auto"}), Interval(Integral, 1, MAX_DEPTH, closed="both"),
                  "array-like"],
        "max_width": [Interval(Integral, 1, None, closed="left")],
        "activations": [StrOptions({"all", *ACTIVATION_NAMES}), "array-like"],
        "n_restarts": [Interval(Integral, 1, None, closed="left")],
        "start": [StrOptions({"data", "random"}), BaseEstimator, SparseMLP],
        "space": [StrOptions({"both", "latent", "weights"})],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "refine": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "checkpoint": [None, str, os.PathLike],
        "device": [str],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
    }  # fmt: skip

    def __init__(
        self,
        *,
        alpha: float = 1e-4,
        depth: Any = "auto",
        max_width: int = 16,
        activations: Any = "all",
        n_restarts: int = 2,
        start: Any = "data",
        space: str = "both",
        max_iter: int = 100,
        learning_rate: float = 0.1,
        batch_size: int | str = "auto",
        refine: bool = True,
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 25,
        tol: float = 1e-4,
        checkpoint: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.depth = depth
        self.max_width = max_width
        self.activations = activations
        self.n_restarts = n_restarts
        self.start = start
        self.space = space
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.refine = refine
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.checkpoint = checkpoint
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    # ------------------------------------------------------------------------ fitting
    def _fit_rows(self, X: Array, target: Array, weight: Array, loss_name: str) -> Self:
        """Search, and keep the result."""
        result = search(
            Rows(X, target, weight),
            loss_name,
            self._settings(target.shape[1]),
            self._load_autoencoder,
            refines=self.refine,
            validation_fraction=self.validation_fraction,
            random_state=check_random_state(self.random_state),
            n_jobs=self.n_jobs,
            report=self._report if self.verbose else None,
        )
        self.path_ = result.path
        self.network_ = result.chosen.network
        self.loss_ = result.chosen.train_loss
        self._input_deviation = np.zeros(self.n_features_in_)
        self._input_deviation[result.scaling.features] = result.scaling.x_deviation
        self._output_deviation = result.scaling.y_deviation
        self.history_ = result.history
        self.loss_curve_ = [float(np.nanmin(record["train_loss"])) for record in result.history]
        self.n_iter_ = result.n_iter
        if result.was_interrupted:
            warnings.warn(
                f"fit was interrupted after {self.n_iter_} of at most {self.max_iter} descent "
                f"steps; the best network so far ({self.nnz_} non-zeros) is kept: fit again, "
                "or go on from it with warm_start=True",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _settings(self, n_outputs: int) -> Any:
        """Translate the parameters for the descent."""
        from ._descent import DescentSettings  # here, so that predicting needs no torch

        start = self._start_network(n_outputs)
        widest = max(start.hidden_layer_sizes) if isinstance(start, SparseMLP) else 1
        return DescentSettings(
            alpha=float(self.alpha),
            depths=self._depths(),
            n_restarts=int(self.n_restarts),
            n_slots=max(int(self.max_width), widest),
            activations=self._activation_names(),
            start=start,
            space=self.space,
            max_iter=int(self.max_iter),
            learning_rate=float(self.learning_rate),
            batch_size=self.batch_size,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
            device=self._torch_device(),
        )

    def _depths(self) -> tuple[int, ...]:
        if isinstance(self.depth, str):
            return tuple(range(1, MAX_DEPTH + 1))
        depths = tuple(sorted({int(depth) for depth in np.atleast_1d(self.depth)}))
        if not depths or depths[0] < 1 or depths[-1] > MAX_DEPTH:
            raise ValueError(
                f"depth={self.depth!r}: every depth must be in 1..{MAX_DEPTH}; pass such a "
                "number, several of them, or 'auto' for all"
            )
        return depths

    def _activation_names(self) -> tuple[str, ...]:
        if isinstance(self.activations, str):
            return ACTIVATION_NAMES if self.activations == "all" else (self.activations,)
        names = tuple(self.activations)
        unknown = [name for name in names if name not in ACTIVATION_NAMES]
        if unknown or not names:
            raise ValueError(
                f"activations={self.activations!r} names {unknown or 'none'}; choose one or "
                f"more of {list(ACTIVATION_NAMES)}, or 'all'"
            )
        return names

    def _start_network(self, n_outputs: int) -> str | SparseMLP:
        """Return how to start, or the network to start at, on raw rows."""
        start: Any = self.start
        if self.warm_start and hasattr(self, "network_"):
            fits = (self.network_.n_features, self.network_.n_outputs) == (
                self.n_features_in_, n_outputs,
            )  # fmt: skip
            if fits and self.network_.depth:
                start = self.network_
        if isinstance(start, str):
            return start
        network = start if isinstance(start, SparseMLP) else self._network_of(start)
        if (network.n_features, network.n_outputs) != (self.n_features_in_, n_outputs):
            raise ValueError(
                f"start has {network.n_features} features and {network.n_outputs} outputs, but "
                f"the data have {self.n_features_in_} and {n_outputs}; pass an MLP that was "
                "fitted on such data, or start='data'"
            )
        if network.depth > MAX_DEPTH:
            raise ValueError(
                f"start has {network.depth} hidden layers, at most {MAX_DEPTH} are possible; "
                "pass a shallower MLP, or start='data'"
            )
        # A linear network has no hidden layer to descend with; it is tried in any case.
        return network if network.depth else "data"

    @staticmethod
    def _network_of(estimator: Any) -> SparseMLP:
        """Return a fitted estimator's network: ours, or a scikit-learn MLP's."""
        found = getattr(estimator, "network_", None)
        if isinstance(found, SparseMLP):
            return found
        return SparseMLP.from_sklearn(estimator, exact=False)

    def _torch_device(self) -> Any:
        import torch

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"device={self.device!r} is not available here ({str(error).splitlines()[0]}); "
                "pass 'auto', 'cpu', or a device that torch reports"
            ) from None
        return device

    def _load_autoencoder(self) -> Any:
        from ._checkpoint import load_checkpoint

        return to_device(load_checkpoint(self.checkpoint), self._torch_device())

    @staticmethod
    def _report(record: dict[str, Any]) -> None:
        best = int(np.nanargmin(record["validation_loss"]))
        print(
            f"step {record['step']:5d}  candidates {len(record['candidates']):3d}  "
            f"best: validation loss {record['validation_loss'][best]:.4f}, "
            f"{record['nnz'][best]} non-zeros, depth {record['candidates'][best][0]}"
        )

    # ------------------------------------------------------------------------ the front
    def path_frame(self) -> Any:
        """Return the front as a table.

        Returns
        -------
        pandas.DataFrame
            One row per network of `path_`, by ascending size, with the columns

            - ``nnz``: its size, with a bias per neuron of the first layer and per
              output even where it happens to be zero;
            - ``depth``, ``hidden_layer_sizes``, ``n_features_used``;
            - ``train_loss``, ``validation_loss``: normalised, before the refit;
            - ``validation_error``: standard error of ``validation_loss`` over the
              validation rows, equal rows merged; the choice of the best network on
              the same rows is not in it;
            - ``price``: ``J = validation_loss + alpha * nnz``, at the present `alpha`;
            - ``is_chosen``: whether it is `network_`.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_swat import SWATRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = SWATRegressor(depth=1, max_iter=5, random_state=0).fit(X, y)
        >>> frame = model.path_frame()
        >>> len(frame) == len(model.path_)
        True
        >>> bool(frame.price.idxmin() == frame.is_chosen.idxmax())
        True
        """
        check_is_fitted(self)
        return _front.path_frame(self.path_, float(self.alpha), self.network_)

    def select(
        self, *, max_nnz: int | None = None, rule: str | None = None, index: int | None = None
    ) -> Self:
        """Return this estimator with another network of the front.

        Exactly one of the parameters has to be given.

        Parameters
        ----------
        max_nnz : int, optional
            How many non-zero numbers the network may have: of those within this
            budget the one with the lowest validation loss.
        rule : {"one_standard_error"}, optional
            The smallest network whose validation loss is at most one standard error
            above the lowest one: that of the lowest, over the validation rows.
        index : int, optional
            Its position in `path_`; 0 is the smallest, -1 the last and largest.

        Returns
        -------
        estimator
            A copy that shares nothing mutable with this one, and whose `network_`
            and all that depends on it are those of the network asked for.

        Raises
        ------
        ValueError
            If not exactly one is given, or no network of the front meets it.
        TypeError
            If `max_nnz` or `index` is no integer.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_swat import SWATRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = SWATRegressor(depth=1, max_iter=5, random_state=0).fit(X, y)
        >>> model.select(max_nnz=10).nnz_ <= 10
        True
        >>> model.select(rule="one_standard_error").nnz_ <= model.nnz_
        True
        >>> model.select(index=0).nnz_  # the constant
        1
        """
        check_is_fitted(self)
        position = _front.find(self.path_, max_nnz=max_nnz, rule=rule, index=index)
        # The points of the front are immutable: the copy may share them.
        selected = copy.deepcopy(self, {id(self.path_): self.path_})
        selected.network_ = self.path_[position].network
        selected.loss_ = self.path_[position].train_loss
        return selected

    @property
    def selected_features_(self) -> NDArray[np.intp]:
        """Ascending indices of the features that the chosen network uses."""
        return self.network_.used_features

    @property
    def feature_importances_(self) -> Array:
        """Shares of the features in how much the outputs can move; they sum to 1.

        For a feature and an output, count every path between them through the
        network with the product of its absolute weights and of the largest slopes of
        its activations (1/4 for a sigmoid, else 1), per standard deviation of the
        feature among the training rows and, in a regression, of the target. The sum
        over all paths bounds the slope of the output, before the output activation,
        by the standardised feature. The importance is that bound, added over the
        outputs, as a share of the sum over the features.

        A feature that the network does not use has 0, and all have 0 in a constant
        network. It is a bound, which saturation and cancelling paths fall short of,
        and tells what this network uses: of two features that say the same, pruning
        may have kept either. ``sklearn.inspection.permutation_importance`` measures
        what the score loses without a feature.
        """
        network = self.network_  # raises AttributeError before a fit
        return _front.feature_importances(network, self._input_deviation, self._output_deviation)

    def get_support(self, indices: bool = False) -> NDArray[Any]:
        """Return which features the chosen network uses.

        Parameters
        ----------
        indices : bool, default=False

        Returns
        -------
        ndarray
            A mask of shape (n_features_in_,), or with `indices` the ascending
            indices of the features used.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_swat import SWATRegressor
        >>> X = np.random.RandomState(0).standard_normal((100, 4))
        >>> model = SWATRegressor(depth=1, max_iter=5, random_state=0).fit(X, X[:, 2])
        >>> model.get_support()
        array([False, False,  True, False])
        >>> model.get_support(indices=True)
        array([2])
        >>> model.feature_importances_
        array([0., 0., 1., 0.])
        """
        check_is_fitted(self)
        if indices:
            return self.selected_features_.copy()
        mask = np.zeros(self.n_features_in_, dtype=bool)
        mask[self.selected_features_] = True
        return mask

    # --------------------------------------------------------------- fitted attributes
    path_: tuple[PathPoint, ...]
    network_: SparseMLP

    @property
    def nnz_(self) -> int:
        """Number of non-zero weights and biases."""
        return self.network_.nnz

    @property
    def depth_(self) -> int:
        """Number of hidden layers."""
        return self.network_.depth

    @property
    def n_layers_(self) -> int:
        """Number of layers, input and output included."""
        return self.network_.depth + 2

    @property
    def hidden_layer_sizes_(self) -> tuple[int, ...]:
        """Number of neurons of every hidden layer."""
        return self.network_.hidden_layer_sizes

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, of shape (n_in, n_out) each."""
        return list(self.network_.weights)

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of every layer."""
        return list(self.network_.biases)

    @property
    def activations_(self) -> tuple[tuple[str, ...], ...]:
        """The activation of every hidden neuron."""
        return self.network_.activations

    @property
    def n_outputs_(self) -> int:
        """Number of outputs."""
        return self.network_.n_outputs

    @property
    def out_activation_(self) -> str:
        """Output activation."""
        return self.network_.out_activation

    def _validated(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        rows: Array = validate_data(self, X, reset=False, dtype=np.float64)
        return rows

    def _raw_outputs(self, X: ArrayLike) -> Array:
        rows = self._validated(X)  # before the network is asked for: it may not be fitted
        return self.network_.decision_function(rows)

    def _outputs(self, X: ArrayLike) -> Array:
        rows = self._validated(X)  # before the network is asked for: it may not be fitted
        return self.network_.predict(rows)


class SWATRegressor(RegressorMixin, _BaseSWAT):
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
    feature_importances_ : ndarray of shape (n_features_in_,)
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


class SWATClassifier(ClassifierMixin, _BaseSWAT):
    """Small sparse neural network for classification.

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
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply the sample weights.
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
    feature_importances_ : ndarray of shape (n_features_in_,)
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_BaseSWAT._parameter_constraints,
        "class_weight": [None, StrOptions({"balanced"}), dict, list],
    }

    def __init__(
        self,
        *,
        alpha: float = 1e-4,
        depth: Any = "auto",
        max_width: int = 16,
        activations: Any = "all",
        n_restarts: int = 2,
        start: Any = "data",
        space: str = "both",
        max_iter: int = 100,
        learning_rate: float = 0.1,
        batch_size: int | str = "auto",
        refine: bool = True,
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 25,
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
            depth=depth,
            max_width=max_width,
            activations=activations,
            n_restarts=n_restarts,
            start=start,
            space=space,
            max_iter=max_iter,
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
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Find the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Need not be scaled.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a 0/1 indicator matrix of several labels.
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
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, ensure_min_samples=2)
        check_classification_targets(y)
        if type_of_target(y).startswith("multiclass-multioutput"):
            raise ValueError(
                "y has several columns of more than two classes each, which is not supported; "
                "fit a classifier per column with sklearn.multioutput.MultiOutputClassifier"
            )
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, y)
            if not weight.any() or weight.min() < 0:
                raise ValueError(
                    f"class_weight={self.class_weight!r} gives rows weights from {weight.min():g} "
                    f"to {weight.max():g}; pass positive numbers, or 'balanced'"
                )
        counts = weight > 0
        self._is_multilabel = y.ndim == 2
        binarizer = LabelBinarizer().fit(y[counts])
        self.classes_ = binarizer.classes_
        if len(self.classes_) < 2 and not self._is_multilabel:
            (only,) = self.classes_.tolist()
            raise ValueError(
                f"y has one class only ({only!r}) among the rows of positive weight, but a "
                "classifier needs at least 2 classes; add rows of another class"
            )
        target = np.zeros((len(y), 1 if len(self.classes_) == 2 else len(self.classes_)))
        target = target if not self._is_multilabel else np.zeros(y.shape)
        target[counts] = binarizer.transform(y[counts])
        is_exclusive = target.shape[1] > 1 and not self._is_multilabel
        return self._fit_rows(X, target, weight, "softmax" if is_exclusive else "logistic")

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
        probabilities = self._outputs(X)
        if probabilities.shape[1] == 1 and not self._is_multilabel:
            probabilities = np.hstack([1 - probabilities, probabilities])
        return probabilities

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Predict the logarithm of `predict_proba`."""
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

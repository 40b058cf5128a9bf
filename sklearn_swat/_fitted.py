"""What a fitted estimator has: its front, the chosen network and what it says of the features."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from . import _front
from ._network import SparseMLP
from ._online import Memory
from ._pruning import PathPoint
from ._validation import validate_rows

Array = NDArray[np.float64]


class FittedNetwork:
    """The fitted half of both estimators."""

    alpha: float
    max_nnz: int | None
    n_features_in_: int
    path_: tuple[PathPoint, ...]
    network_: SparseMLP
    loss_: float
    n_iter_: int
    _memory: Memory

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
            - ``validation_error``: standard error of ``validation_loss`` over the rows
              that it is of; the choice of the best network on the same rows is not in it;
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
        self,
        *,
        max_nnz: int | None = None,
        alpha: float | None = None,
        rule: str | None = None,
        index: int | None = None,
    ) -> Self:
        """Return this estimator with another network of the front.

        Exactly one of the parameters has to be given. `alpha` and `rule` choose among the
        networks within the budget of the fit, its own `max_nnz`; `max_nnz` and `index`
        among all.

        Parameters
        ----------
        max_nnz : int, optional
            How many non-zero numbers the network may have: of those within this
            budget the one with the lowest validation loss. Of a dozen numbers or so, a fit
            with this `max_nnz` of its own often finds a better one, as it looks for small
            networks from the beginning.
        alpha : float, optional
            Another price of one non-zero: the network with the lowest
            ``validation_loss + alpha * nnz``.
        rule : {"one_standard_error"}, optional
            The smallest network whose validation loss is at most one standard error
            above the lowest; the standard error is that of the network with the lowest. A
            high `alpha`, or the default where there is little noise, may have chosen a
            smaller one.
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
            If `max_nnz` or `index` is no integer, `alpha` no number, or one of them a
            bool.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_swat import SWATRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = SWATRegressor(depth=1, max_iter=5, random_state=0).fit(X, y)
        >>> model.select(max_nnz=10).nnz_ <= 10
        True
        >>> model.select(alpha=1e-2).nnz_ <= model.select(alpha=1e-3).nnz_
        True
        >>> model.select(rule="one_standard_error").nnz_ <= model.nnz_
        True
        >>> model.select(index=0).nnz_  # the constant
        1
        """
        check_is_fitted(self)
        path: Sequence[PathPoint] = self.path_
        if self.max_nnz is not None and max_nnz is None and index is None:
            path = _front.affordable(path, self.max_nnz)
        position = _front.find(path, max_nnz=max_nnz, alpha=alpha, rule=rule, index=index)
        # Networks and points are immutable, and callbacks are shared among clones as well.
        shared = [self.path_, self.network_, self._memory, getattr(self, "_skl_callbacks", None)]
        selected = copy.deepcopy(self, {id(each): each for each in shared})
        selected.network_ = self.path_[position].network
        selected.loss_ = self.path_[position].train_loss
        return selected

    @property
    def _fitted_network(self) -> SparseMLP:
        """The chosen network; before a fit an error that says so."""
        check_is_fitted(self)
        return self.network_

    @property
    def selected_features_(self) -> NDArray[np.intp]:
        """Ascending indices of the features that the chosen network uses."""
        return self._fitted_network.used_features

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
        network = self._fitted_network
        scaling = self._memory.scaling
        deviation = np.zeros(self.n_features_in_)
        deviation[scaling.features] = np.abs(scaling.x_deviation)  # mirrored: negative
        y_deviation = np.abs(scaling.y_deviation[scaling.places_of_targets])
        return _front.feature_importances(network, deviation, y_deviation)

    def get_support(self, indices: bool = False) -> NDArray[Any]:
        """Return which features the chosen network uses.

        Parameters
        ----------
        indices : bool, default=False

        Returns
        -------
        ndarray
            A mask of shape (n_features,), or with `indices` the ascending
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

    # --------------------------------------------------------------- the chosen network
    @property
    def nnz_(self) -> int:
        """Number of non-zero weights and biases."""
        return self._fitted_network.nnz

    @property
    def depth_(self) -> int:
        """Number of hidden layers."""
        return self._fitted_network.depth

    @property
    def n_layers_(self) -> int:
        """Number of layers, input and output included."""
        return self._fitted_network.depth + 2

    @property
    def hidden_layer_sizes_(self) -> tuple[int, ...]:
        """Number of neurons of every hidden layer."""
        return self._fitted_network.hidden_layer_sizes

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, of shape (n_in, n_out) each."""
        return list(self._fitted_network.weights)

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of every layer."""
        return list(self._fitted_network.biases)

    @property
    def activations_(self) -> tuple[tuple[str, ...], ...]:
        """The activation of every hidden neuron."""
        return self._fitted_network.activations

    @property
    def n_outputs_(self) -> int:
        """Number of outputs."""
        return self._fitted_network.n_outputs

    @property
    def out_activation_(self) -> str:
        """Output activation."""
        return self._fitted_network.out_activation

    # ------------------------------------------------------------------------ predictions
    def _raw_outputs(self, X: ArrayLike) -> Array:
        return self._fitted_network.decision_function(validate_rows(self, X))

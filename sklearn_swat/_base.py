"""What both estimators share: parameters, and the fit of encoded rows."""

from __future__ import annotations

import copy
import os
import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from . import _online
from ._activations import ACTIVATION_NAMES
from ._control import Control, Deadline, Hooks, Task
from ._descent_settings import DescentSettings
from ._documentation import page_of
from ._fitted import FittedNetwork
from ._front import non_zeros
from ._interrupts import import_torch
from ._losses import LOSSES
from ._network import MAX_DEPTH, SparseMLP
from ._parameters import (
    activation_names,
    check_width,
    depths_of,
    previous_network,
    start_network,
    torch_device,
    widths_of,
)
from ._rows import Rows
from ._search import search
from ._search_result import SearchResult
from ._validation import in_other_words, warn_of_other_units


class BaseSWAT(FittedNetwork, CallbackSupportMixin, BaseEstimator):
    """What both estimators share."""

    _n_stages: ClassVar[int] = 3  # of a fit that refines, at most
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, 1e6, closed="both")],
        "max_nnz": [None, Interval(Integral, 1, None, closed="left")],
        "depth": [StrOptions({"auto"}), Interval(Integral, 1, MAX_DEPTH, closed="both"),
                  "array-like"],
        "max_width": [None, Interval(Integral, 1, None, closed="left")],
        "activations": [StrOptions({"all", *ACTIVATION_NAMES}), "array-like"],
        "n_restarts": [Interval(Integral, 1, None, closed="left")],
        "start": [StrOptions({"data", "random"}), BaseEstimator, SparseMLP],
        "space": [StrOptions({"both", "latent", "weights"})],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, 100, closed="right")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_time": [None, Interval(Real, 0, None, closed="left")],
        "refine": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "checkpoint": [None, str, os.PathLike],
        "device": [str],
        "n_jobs": [
            None, Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
    }  # fmt: skip

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
        checkpoint: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.max_nnz = max_nnz
        self.depth = depth
        self.max_width = max_width
        self.activations = activations
        self.n_restarts = n_restarts
        self.start = start
        self.space = space
        self.max_iter = max_iter
        self.max_time = max_time
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

    def _get_doc_link(self) -> str:
        """Return the address that scikit-learn's HTML picture of an estimator links to."""
        return page_of(type(self).__name__)

    # ------------------------------------------------------------------------ fitting
    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        classes: Any = None,
        held_out: tuple[Any, Any, Any] = (None, None, None),
    ) -> Self:
        """Search, and keep the result: all of it at once, at the end.

        Whatever ends a fit early, it leaves this estimator as it was before or as it is
        after a fit: the work is done on a copy, whose state is taken over in one step.
        """
        deadline = Deadline.after(self.max_time)
        task = self._begin_task(X, y, sample_weight)
        fitted = copy.copy(self)
        with np.errstate(all="ignore"):  # as in validate_rows
            rows, loss_name = fitted._encode(X, y, sample_weight, classes)
            judging = fitted._encode_held_out(*held_out)
        if judging is not None:
            warn_of_other_units(rows.X, judging.X, stacklevel=4)
        return self._fit_rows(fitted, rows, loss_name, deadline, task, judging)

    def _encode_held_out(self, X: Any, y: Any, sample_weight: Any) -> Rows | None:
        """Check and encode the rows that judge, if there are any; the others have been seen."""
        parts = {"X_val": X, "y_val": y, "sample_weight_val": sample_weight}
        if all(part is None for part in parts.values()):
            return None
        if X is None or y is None:
            given = ", ".join(name for name, part in parts.items() if part is not None)
            raise ValueError(
                f"{given} without {'X_val' if X is None else 'y_val'}: pass both, or neither"
            )
        try:
            rows, _ = self._encode(X, y, sample_weight, reset=False)
        except (ValueError, TypeError) as error:
            raise in_other_words(error, f"X_val, y_val: {error}") from None
        if not rows.weight.any():
            raise ValueError(
                "X_val, y_val: class_weight gives all rows a weight of 0; pass one at least of a "
                "class that counts"
            )
        return rows

    def _fit_rows(
        self,
        fitted: Self,
        rows: Rows,
        loss_name: str,
        deadline: Deadline,
        task: Task,
        held_out: Rows | None = None,
    ) -> Self:
        """Search, and take over the state of `fitted`, which has seen the data, with the result."""
        import_torch()
        control = Control(
            deadline, task, lambda result: vars(fitted) | _attributes(result), bool(self.verbose)
        )
        result = search(
            rows,
            loss_name,
            fitted._settings(rows.target.shape[1]),
            self._load_autoencoder,
            refines=self.refine,
            max_nnz=self.max_nnz,
            validation_fraction=self.validation_fraction,
            random_state=check_random_state(self.random_state),
            n_jobs=self.n_jobs,
            control=control,
            held_out=held_out,
        )
        self.__dict__ = vars(fitted) | _attributes(result, control.stop_reason)
        task.end(lambda: {})  # the estimator is what it is after a fit already
        if control.was_interrupted:
            warnings.warn(
                f"fit was interrupted after {self.n_iter_} of at most {self.max_iter} descent "
                f"steps; the best network so far ({non_zeros(self.nnz_)}) is kept: fit again, "
                "or go on from it with warm_start=True",
                ConvergenceWarning,
                stacklevel=5,
            )
        if (way_out := self._way_out_of_the_constant()) is not None:
            warnings.warn(
                f"no network within max_nnz={self.max_nnz} was found but a constant, as pruning "
                "did not get that far; the next one has "
                f"{non_zeros(self.path_[1].nnz)}: {way_out}",
                ConvergenceWarning,
                stacklevel=5,
            )
        return self

    def _way_out_of_the_constant(self) -> str | None:
        """Say how a fit finds small networks that was left without, though it was to find them."""
        was_cut_short = self.stop_reason_ in ("max_time", "interrupt")
        if self.max_nnz is None or len(self.path_) < 2 or (self.refine and not was_cut_short):
            return None
        if self.network_ is not self.path_[0].network or self.path_[1].nnz <= self.max_nnz:
            return None
        if not self.refine:
            return "set refine=True"
        if self.stop_reason_ == "interrupt":
            return "select(index=1) returns it"
        return f"allow more than max_time={self.max_time}"

    def _begin_task(self, X: Any, y: Any, sample_weight: Any) -> Task:
        """Begin the task that callbacks see a fit as."""
        if not getattr(self, "_skl_callbacks", None):
            return Task()
        n_stages = self._n_stages if self.refine else 1
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        hooks = Hooks(self, X, y, metadata)
        context = self._init_callback_context(max_subtasks=n_stages)
        context.call_on_fit_task_begin(**hooks.arguments())
        return Task(context, hooks)

    def _encode(
        self, X: Any, y: Any, sample_weight: Any, classes: Any = None, *, reset: bool = True
    ) -> tuple[Rows, str]:
        """Check data and encode the targets; return them and the name of the loss.

        With `reset` remember what was seen, else hold the data against it.
        """
        raise NotImplementedError

    def _first_partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        """Fit to the first rows of a stream; warn if no more rows can make more of the network."""
        self._fit(X, y, sample_weight, classes)
        if self.network_.is_constant:
            warnings.warn(
                "the rows of the first partial_fit tell no more than a constant, and further calls "
                "add no weights to it; begin with more rows, of all classes if there are any",
                UserWarning,
                stacklevel=4,
            )
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Refine the chosen network's numbers on further rows."""
        with np.errstate(all="ignore"):  # as in validate_rows
            rows, loss_name = self._encode(X, y, sample_weight, reset=False)
        before = self.network_
        network, memory = _online.update(before, self._memory, rows, LOSSES[loss_name])
        path = tuple(
            replace(point, network=network) if point.network is before else point
            for point in self.path_
        )
        self.__dict__.update(network_=network, path_=path, _memory=memory)  # at once
        return self

    def _settings(self, n_outputs: int) -> DescentSettings:
        """Translate the parameters for the descent."""
        start = self._start_network(n_outputs)
        n_slots, max_width = widths_of(self.max_width, start, self.n_features_in_, n_outputs)
        depths = depths_of(self.depth)
        check_width(n_slots, depths, int(self.n_restarts))
        return DescentSettings(
            alpha=float(self.alpha),
            depths=depths,
            n_restarts=int(self.n_restarts),
            n_slots=n_slots,
            max_width=max_width,
            activations=activation_names(self.activations),
            start=start,
            space=self.space,
            max_iter=int(self.max_iter),
            learning_rate=float(self.learning_rate),
            batch_size=self.batch_size,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
            device=torch_device(self.device),
        )

    def _start_network(self, n_outputs: int) -> str | SparseMLP:
        """Return how to start, or the network to start at, on raw rows."""
        shape = (self.n_features_in_, n_outputs)
        start: Any = self.start
        if self.warm_start and hasattr(self, "network_"):
            start = previous_network(self.network_, start, *shape)
        return start_network(start, *shape)

    def _load_autoencoder(self, device: Any) -> Any:
        from ._autoencoder import to_device
        from ._checkpoint import load_checkpoint

        return to_device(load_checkpoint(self.checkpoint), device)


def _attributes(result: SearchResult, stop_reason: str | None = None) -> dict[str, Any]:
    """Return the fitted attributes that a search's result is kept in."""
    return {
        "path_": result.path,
        "network_": result.chosen.network,
        "loss_": result.chosen.train_loss,
        "history_": result.history,
        "loss_curve_": [float(np.fmin.reduce(record["train_loss"])) for record in result.history],
        "n_iter_": result.n_iter,
        "stop_reason_": stop_reason,
        "_memory": result.memory,
    }

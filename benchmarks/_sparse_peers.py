"""Other ways to a sparse network: gradual magnitude pruning, and LassoNet.

Both get scaled inputs and targets, a fifth of the rows to choose by, fine-tuning under
the final mask, and several sizes to begin with, of which the validation loss picks one
per budget. A network's size counts all its non-zero weights and biases, without those
of neurons that reach no output or that no feature reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray

from benchmarks._masked_training import FittedNetwork, Forward, Parameters, Problem, train

# Of dense networks that magnitude pruning begins with: activation, hidden layers.
DENSE_NETWORKS: tuple[tuple[str, tuple[int, ...]], ...] = (("relu", (100,)), ("tanh", (16, 16)))
DENSE_STEPS, PRUNE_STEPS, TUNE_STEPS = 1_500, 600, 600
PRUNINGS = 12  # on the way from one budget to the next
RATE = 5e-3

LASSONET_WIDTHS = (2, 4, 8, 16)  # narrow, so that there are networks within every budget
LASSONET_EPOCHS = (1_000, 100)  # of the dense network and per penalty, its defaults
LASSONET_RATE = 1e-2  # ten times its default: its full-batch steps are few for narrow networks
# Nothing is removed at this penalty; to find the largest such takes longer than the path.
LASSONET_START = 0.1
LASSONET_MULTIPLIER = 1.3  # of the penalty, which grows a hundred-thousandfold on the way


def magnitude_pruning(
    task: str,
    X: NDArray[Any],
    y: NDArray[Any],
    budgets: Sequence[int],
    seed: int,
    n_steps: tuple[int, int, int] = (DENSE_STEPS, PRUNE_STEPS, TUNE_STEPS),
) -> dict[int, FittedNetwork]:
    """Prune dense networks by magnitude, gradually, to one budget after the other.

    From one budget to the next the size falls by the cubic schedule of Zhu and Gupta
    (arXiv 1710.01878), over all layers at once, while training goes on. At each budget
    a copy is fine-tuned, and then trained on all rows for as many steps as were best.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    X, y : ndarray
        Training rows.
    budgets : sequence of int
        Non-zeros at most.
    seed : int
        Of the split, the weights and the minibatches.
    n_steps : tuple of int
        Before pruning, from budget to budget, and of fine-tuning.

    Returns
    -------
    dict of int to FittedNetwork
        For each budget the network of the lowest validation loss.
    """
    problem = Problem(task, X, y, seed)
    best: dict[int, tuple[float, FittedNetwork]] = {}
    for activation, hidden in DENSE_NETWORKS:
        forward = partial(_mlp, activation)
        sizes = (X.shape[1], *hidden, problem.n_outputs)
        parameters = _initial(sizes, seed)
        masks = {name: torch.ones_like(p) for name, p in parameters.items()}
        rows = problem.train
        parameters, _, _ = train(
            problem, rows, forward, parameters, masks, n_steps[0], RATE, seed, falls=False
        )
        for budget in sorted(budgets, reverse=True):
            size = count_alive(masks)
            for i in range(1, PRUNINGS + 1):
                left = (1 - i / PRUNINGS) ** 3
                masks = strongest(parameters, masks, round(budget + (size - budget) * left))
                parameters, _, _ = train(
                    problem, rows, forward, parameters, masks, n_steps[1] // PRUNINGS, RATE,
                    seed + i, falls=False,
                )  # fmt: skip
            network, loss = fine_tune(problem, forward, parameters, masks, n_steps[2], seed)
            if budget not in best or loss < best[budget][0]:
                best[budget] = loss, network
    return {budget: network for budget, (_, network) in best.items()}


def fine_tune(
    problem: Problem,
    forward: Forward,
    parameters: Parameters,
    masks: Parameters,
    n_steps: int,
    seed: int,
) -> tuple[FittedNetwork, float]:
    """Train under a mask, then again on all rows for as many steps as were best.

    Parameters
    ----------
    problem : Problem
        Rows and loss.
    forward : callable
        Of parameters and scaled inputs.
    parameters, masks : dict of Tensor
        Where to begin, and which entries may move.
    n_steps : int
        At most.
    seed : int
        Of the minibatches.

    Returns
    -------
    FittedNetwork, float
        And its validation loss before the training on all rows.
    """
    run = partial(train, problem, forward=forward, parameters=parameters, masks=masks)
    _, loss, step = run(rows=problem.train, n_steps=n_steps, rate=RATE, seed=seed)
    tuned, _, _ = run(rows=problem.rows, n_steps=n_steps, rate=RATE, seed=seed, stop_at=step)
    nnz = int(sum(int(mask.sum()) for mask in masks.values()))
    return FittedNetwork(problem, forward, tuned, nnz), loss


def _mlp(activation: str, parameters: Parameters, X: torch.Tensor) -> torch.Tensor:
    depth = len(parameters) // 2
    for i in range(depth):
        X = X @ parameters[f"weights_{i}"] + parameters[f"biases_{i}"]
        if i < depth - 1:
            X = torch.relu(X) if activation == "relu" else torch.tanh(X)
    return X


def _initial(sizes: Sequence[int], seed: int) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    parameters = {}
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        scale = (2 / (n_in + n_out)) ** 0.5
        parameters[f"weights_{i}"] = scale * torch.randn(n_in, n_out, generator=generator)
        parameters[f"biases_{i}"] = torch.zeros(n_out)
    return parameters


def strongest(parameters: Parameters, masks: Parameters, size: int) -> Parameters:
    """Return masks of the largest entries, as many as `size` has room for.

    Parameters
    ----------
    parameters, masks : dict of Tensor
        A layer's are ``weights_0`` and ``biases_0``, and so on.
    size : int
        Non-zeros at most. The output biases, which stay, are among them.

    Returns
    -------
    dict of Tensor
        Without the entries of neurons that are cut off, which make room for others.
    """
    last = f"biases_{len(parameters) // 2 - 1}"
    magnitude = torch.cat(
        [(parameters[n].abs() * masks[n]).ravel() for n in parameters if n != last]
    )
    ranked = magnitude.sort(descending=True).values

    def masks_above(count: int) -> Parameters:
        least = float(ranked[count - 1]) if count else float("inf")
        chosen = {
            name: masks[name] if name == last else ((p.abs() >= least) * masks[name])
            for name, p in parameters.items()
        }
        return _alive(chosen)

    low, high = 0, int((ranked > 0).sum())
    while low < high:
        middle = (low + high + 1) // 2
        if count_alive(masks_above(middle)) <= size:
            low = middle
        else:
            high = middle - 1
    return masks_above(low)


def _alive(masks: Parameters) -> Parameters:
    """Return masks without what no feature reaches or what reaches no output."""
    depth = len(masks) // 2
    masks = {name: mask.clone() for name, mask in masks.items()}
    for i in range(depth - 1):
        lives = masks[f"weights_{i}"].any(0)
        masks[f"weights_{i + 1}"] *= lives[:, None]
        masks[f"biases_{i}"] *= lives
    for i in range(depth - 1, 0, -1):
        lives = masks[f"weights_{i}"].any(1)
        masks[f"weights_{i - 1}"] *= lives
        masks[f"biases_{i - 1}"] *= lives
    return masks


def count_alive(masks: Parameters) -> int:
    """Return how many entries are left once cut-off neurons are removed.

    Parameters
    ----------
    masks : dict of Tensor
        Ones and zeros.

    Returns
    -------
    int
    """
    return int(sum(int(mask.sum()) for mask in _alive(masks).values()))


def lassonet_path(
    task: str,
    X: NDArray[Any],
    y: NDArray[Any],
    budgets: Sequence[int],
    seed: int,
    n_steps: int = TUNE_STEPS,
) -> dict[int, FittedNetwork]:
    """Follow LassoNet's path of penalties for several widths; fine-tune what fits a budget.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.
    X, y : ndarray
        Training rows.
    budgets : sequence of int
        Non-zeros at most.
    seed : int
        Of the split, the weights and the minibatches.
    n_steps : int
        Of fine-tuning.

    Returns
    -------
    dict of int to FittedNetwork
        For each budget the network of the lowest validation loss, where there is one.

    Raises
    ------
    ImportError
        If the package ``lassonet`` is not installed.
    """
    try:
        from lassonet import LassoNetClassifier, LassoNetRegressor
    except ImportError as error:
        raise ImportError(
            "The comparison with LassoNet needs the package lassonet: pip install lassonet, or "
            "leave it out with --skip lassonet"
        ) from error
    problem = Problem(task, X, y, seed)
    of_task = LassoNetRegressor if task == "regression" else LassoNetClassifier
    best: dict[int, tuple[float, FittedNetwork]] = {}
    for width in LASSONET_WIDTHS:
        model = of_task(
            hidden_dims=(width,), lambda_start=LASSONET_START, n_iters=LASSONET_EPOCHS,
            path_multiplier=LASSONET_MULTIPLIER, verbose=0,
            random_state=seed, torch_seed=seed, device="cpu",
            optim=(
                partial(torch.optim.Adam, lr=LASSONET_RATE),
                partial(torch.optim.SGD, lr=LASSONET_RATE, momentum=0.9),
            ),
        )  # fmt: skip
        history = model.path(
            problem.train.X.numpy(), problem.train.target.numpy(),
            X_val=problem.validation.X.numpy(), y_val=problem.validation.target.numpy(),
            return_state_dicts=True, disable_lambda_warning=True,
        )  # fmt: skip
        forward = partial(_functional, model.model)
        for budget in budgets:
            within = [item for item in history if _lassonet_nnz(item.state_dict) <= budget]
            if not within:
                continue
            item = min(within, key=lambda item: item.val_loss)
            masks = {name: (p != 0).float() for name, p in item.state_dict.items()}
            network, loss = fine_tune(problem, forward, item.state_dict, masks, n_steps, seed)
            if budget not in best or loss < best[budget][0]:
                best[budget] = loss, network
    return {budget: network for budget, (_, network) in best.items()}


def _functional(module: Any, parameters: Parameters, X: torch.Tensor) -> torch.Tensor:
    outputs: torch.Tensor = torch.func.functional_call(module, parameters, (X,))
    return outputs


def _lassonet_nnz(state: Parameters) -> int:
    return int(sum(int(torch.count_nonzero(p)) for p in state.values()))

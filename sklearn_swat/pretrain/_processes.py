"""Several processes that train one autoencoder, as `torchrun` starts them.

A GPU is far from busy with the many small operations of one process. Each process
trains on batches of its own, and every few batches all take the average of their
parameters: local SGD [1]_. The first process alone writes files.

References
----------
.. [1] S. Stich, "Local SGD converges fast and communicates little", ICLR 2019.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import distributed
from torch.nn.utils import parameters_to_vector, vector_to_parameters

BATCHES_APART = 8  # a divisor of an epoch's number, so that its parameters are averages


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that `torchrun` started beside this one, if it did."""
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield
        return
    distributed.init_process_group("gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def n_processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if _are_several() else 1


def own_device(device: str) -> str:
    """Return the GPU of this process where there are several, else `device`."""
    if device != "cuda" or not _are_several():
        return device
    return f"cuda:{int(os.environ['LOCAL_RANK']) % max(1, torch.cuda.device_count())}"


def this_process() -> int:
    """Return the number of this process among them, from 0."""
    return distributed.get_rank() if _are_several() else 0


def said_by_first(number: float) -> float:
    """Return the first process's number, so that all decide the same."""
    if not _are_several():
        return number
    said = torch.tensor(number, dtype=torch.float64)
    distributed.broadcast(said, 0)
    return float(said)


def _are_several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


class AverageParameters(Callback):
    """Gives all processes the average of their parameters every few batches."""

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Average, where it is time to."""
        if not training or int(net.module_.n_batches) % BATCHES_APART or not _are_several():
            return
        parameters = list(net.module_.parameters())
        with torch.no_grad():
            mean = parameters_to_vector(parameters).cpu()
            distributed.all_reduce(mean)
            mean = mean.to(parameters[0].device) / n_processes()
            vector_to_parameters(mean, parameters)

"""The same bits across runs, processes, workers and backends; the same network with any threads."""

import hashlib
import multiprocessing
import os
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.datasets import make_friedman1
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_swat import SWATRegressor

QUICK = {"max_iter": 5, "depth": [1, 2], "max_width": 4, "random_state": 0}
ROWS = {"n_samples": 80, "n_features": 5, "noise": 0.5, "random_state": 0}

CODE = f"""
import sys
from sklearn.datasets import make_friedman1
from sklearn_swat import SWATRegressor
X, y = make_friedman1(**{ROWS!r})
model = SWATRegressor(**{QUICK!r}).fit(X, y)
sys.stdout.buffer.write(model.predict(X).tobytes())
"""


@pytest.fixture(scope="module")
def waves():
    return make_friedman1(**ROWS)


@pytest.fixture(scope="module")
def fitted(waves):
    return SWATRegressor(**QUICK).fit(*waves)


def everything(model):
    """Return all bits of the front."""
    arrays = [a for point in model.path_ for a in (*point.network.weights, *point.network.biases)]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.parametrize(
    ("backend", "n_jobs"), [("loky", 2), ("threading", 2), ("sequential", 1), ("loky", -1)]
)
def test_jobs_and_backends_give_the_same_bits(waves, fitted, backend, n_jobs):
    with parallel_config(backend):
        model = SWATRegressor(n_jobs=n_jobs, **QUICK).fit(*waves)
    assert everything(model) == everything(fitted)


def test_fits_at_the_same_time_give_the_same_bits_and_leave_the_threads_alone(waves, fitted):
    def blas():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):  # else one thread could not become one
        before = blas()
        jobs = (delayed(SWATRegressor(**QUICK).fit)(*waves) for _ in range(3))
        models = Parallel(n_jobs=3, prefer="threads")(jobs)
        assert blas() == before
    assert {everything(model) for model in models} == {everything(fitted)}


def test_more_rows_than_one_thread_s_give_the_same_bits_with_any_number_of_threads():
    X, y = make_friedman1(14_000, noise=1.0, random_state=0)  # sums of 10,000 terms are split
    models = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            models.append(SWATRegressor(**{**QUICK, "max_iter": 1, "depth": 1}).fit(X, y))
    one, two = models
    assert everything(one) == everything(two)
    assert [p.validation_loss for p in one.path_] == [p.validation_loss for p in two.path_]


def test_another_process_gives_the_same_bits_with_any_number_of_threads(waves, fitted):
    found = predicted_elsewhere("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    np.testing.assert_array_equal(found, fitted.predict(waves[0]))


def test_threads_of_torch_s_own_library_change_no_more_than_rounding(waves, fitted):
    found = predicted_elsewhere("MKL_NUM_THREADS")
    np.testing.assert_allclose(found, fitted.predict(waves[0]), rtol=1e-6)


def predicted_elsewhere(*variables):
    """Fit and predict in a process of its own, where a library may use three threads."""
    environment = {**os.environ, **dict.fromkeys(variables, "3"), "PYTHONHASHSEED": "3"}
    found = subprocess.run(
        [sys.executable, "-c", CODE], check=True, capture_output=True, env=environment
    )
    return np.frombuffer(found.stdout)


@pytest.mark.parametrize("n_threads", [1, 4])
def test_any_number_of_blas_threads_gives_the_same_network(waves, fitted, n_threads):
    with threadpool_limits(n_threads):
        model = SWATRegressor(**QUICK).fit(*waves)
    assert model.activations_ == fitted.activations_
    np.testing.assert_allclose(model.predict(waves[0]), fitted.predict(waves[0]), rtol=1e-6)


def test_a_fit_leaves_the_random_numbers_of_others_alone(waves):
    def draw():
        return random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002

    def seed():
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)

    seed()
    expected = draw()
    seed()
    SWATRegressor(**QUICK).fit(*waves)
    assert draw() == expected


def _predict(model, X, queue):
    queue.put(model.predict(X).tobytes())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_any_kind_predict_the_same_bits(waves, fitted, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    with warnings.catch_warnings():
        # Python warns of any fork of a process that has threads, whoever began them.
        warnings.simplefilter("ignore", DeprecationWarning)
        worker = context.Process(target=_predict, args=(fitted, waves[0], queue))
        worker.start()
    found = queue.get(timeout=60)
    worker.join(60)
    assert worker.exitcode == 0
    assert found == fitted.predict(waves[0]).tobytes()

"""Limits on threads end with the work that asked for them, whoever leaves last."""

import sys
import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  loads SciPy's own BLAS
from joblib import Parallel, delayed
from sklearn.datasets import make_friedman1
from threadpoolctl import ThreadpoolController

from sklearn_swat import SWATRegressor, _threads
from sklearn_swat._threads import _release_openblas, one_blas_thread, one_torch_thread


def blas_threads():
    """Return the thread counts of the BLAS libraries that are loaded."""
    return [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()]


@pytest.fixture
def two_threads():
    """Give BLAS two threads, as far as it has several at all."""
    limit = ThreadpoolController().limit(limits=2, user_api="blas")
    yield blas_threads()
    limit.restore_original_limits()


def test_a_limit_of_the_caller_in_another_thread_is_no_obstacle(two_threads):
    if max(two_threads) < 2:
        pytest.skip("BLAS has a single thread here")
    seen = []

    def work():
        with one_blas_thread():
            seen.append(blas_threads())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert seen == [[1] * len(two_threads)]
    assert blas_threads() == two_threads


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_the_last_of_two_threads_lifts_the_limit(two_threads, first_leaves_first):
    if max(two_threads) < 2:
        pytest.skip("BLAS has a single thread here")
    # A limit set in this thread keeps all others from setting one: release it first.

    _release_openblas()
    entered, may_leave, seen = (
        [threading.Event() for _ in "ab"],
        [threading.Event() for _ in "ab"],
        [],
    )

    def work(i):
        if i:
            entered[0].wait(30)
        with one_blas_thread():
            entered[i].set()
            may_leave[i].wait(30)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    entered[1].wait(30)
    seen.append(blas_threads())
    for i in (0, 1) if first_leaves_first else (1, 0):
        may_leave[i].set()
        threads[i].join(30)
        seen.append(blas_threads())
    ones = [1] * len(two_threads)
    assert seen == [ones, ones, two_threads]


def test_a_limit_ends_with_an_exception(two_threads):
    def fail():
        with one_blas_thread():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert blas_threads() == two_threads


def test_the_end_of_a_limit_on_torch_leaves_the_limit_of_another_thread_on_blas(two_threads):
    _release_openblas()
    torch_limit = one_torch_thread()
    with one_blas_thread():

        def leave_torch():
            with torch_limit:
                pass

        thread = threading.Thread(target=leave_torch)
        thread.start()
        thread.join(30)
        assert blas_threads() == [1] * len(two_threads)
    assert blas_threads() == two_threads


def test_fits_in_threads_give_the_bits_of_fits_one_by_one():
    X, y = make_friedman1(80, random_state=0)
    models = [
        SWATRegressor(depth=[1, 2], max_iter=6, max_width=4, n_restarts=1, random_state=seed)
        for seed in range(4)
    ]
    alone = [model.fit(X, y).predict(X) for model in models]
    together = Parallel(n_jobs=4, backend="threading")(
        delayed(lambda model: model.fit(X, y).predict(X))(model) for model in models
    )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_use_that_ctrl_c_cuts_off_anywhere_neither_blocks_the_next_nor_keeps_the_limit(
    two_threads, monkeypatch
):
    monkeypatch.setattr(_threads, "PATIENCE", 0.05)

    def use():
        with one_blas_thread():
            pass

    interrupts = []  # which hold the frames that they cut off, as an interactive session does
    for moment in range(1000):
        interrupts.append(interrupt_at(moment, use))
        use()  # hangs if a lock is held for good
        assert blas_threads() == two_threads
        if interrupts[-1] is None:
            break
    assert len(interrupts) - 1 > 20  # the last one was none


def interrupt_at(moment, function):
    """Call a function, and raise KeyboardInterrupt at a line of `_threads`; return it if it was."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if frame.f_code.co_filename != _threads.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == moment + 1:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt as interrupt:
        return interrupt
    finally:
        sys.settrace(before)
    return None

"""No leaks, threads that do not disturb one another, no files, and an import that loads little."""

import gc
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_friedman1

from benchmarks.footprint import open_files, resident_bytes
from sklearn_swat import SWATClassifier, SWATRegressor

QUICK = {"max_iter": 3, "depth": 1, "max_width": 4, "n_restarts": 1, "random_state": 0}


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_twenty_fits_leave_nothing_behind():
    X, y = make_friedman1(50, n_features=5, random_state=0)
    for _ in range(5):  # what is loaded once
        SWATRegressor(**QUICK).fit(X, y)
    gc.collect()
    memory, files = resident_bytes(), open_files()
    for _ in range(20):
        SWATRegressor(**QUICK).fit(X, y).predict(X)
    gc.collect()
    assert resident_bytes() - memory < 16 * 2**20
    assert open_files() <= files


def test_a_fitted_estimator_is_freed_without_the_garbage_collector():
    X, y = make_friedman1(50, n_features=5, random_state=0)
    gc.collect()
    gc.disable()
    try:
        model = SWATRegressor(**QUICK).fit(X, y)
        is_there = weakref.ref(model)
        del model
        assert is_there() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_sixteen_threads_predict_the_same_bits(method):
    X, y = load_iris(return_X_y=True)
    model = SWATClassifier(**QUICK).fit(X[::3], y[::3])
    rows = np.random.RandomState(0).standard_normal((3000, 4))
    predict = getattr(model, method)
    expected = predict(rows)
    with ThreadPoolExecutor(16) as pool:
        for found in pool.map(predict, [rows] * 64):
            np.testing.assert_array_equal(found, expected)


def test_fitting_and_predicting_write_no_file_and_open_no_connection(tmp_path):
    code = (
        "import sys\n"
        "bad = []\n"
        "def watch(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.bind', 'os.mkdir', 'os.rename', 'os.remove'):\n"
        "        bad.append((event, arguments))\n"
        "    if event == 'open' and isinstance(arguments[1], str):\n"
        "        if set(arguments[1]) & set('wax+') and arguments[0] != '/dev/null':\n"
        "            bad.append((event, arguments))\n"
        "from sklearn_swat import SWATRegressor\n"
        "import numpy as np, torch, torch.optim.adam\n"
        "sys.addaudithook(watch)\n"
        "X = np.random.RandomState(0).standard_normal((40, 3))\n"
        f"SWATRegressor(**{QUICK!r}).fit(X, X[:, 0]).predict(X)\n"
        "assert not bad, bad\n"
        "open('mark', 'w').close()\n"
        "assert bad\n"
    )
    subprocess.run([sys.executable, "-B", "-c", code], check=True, cwd=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mark"]


def test_the_bare_import_loads_nothing_but_itself():
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import sklearn_swat\n"
        "assert set(sys.modules) - before == {'sklearn_swat'}, set(sys.modules) - before\n"
        "assert {'SWATClassifier', 'SWATRegressor', '__version__'} <= set(dir(sklearn_swat))\n"
        "assert not {'sklearn', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert sklearn_swat.SWATRegressor(alpha=0.5).alpha == 0.5\n"
        "assert 'sklearn' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_import_of_an_estimator_loads_little():
    code = (
        "import sys, sklearn.base, sklearn.utils.validation\n"
        "before = set(sys.modules)\n"
        "from sklearn_swat import SWATClassifier, SWATRegressor\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "heavy = {'torch', 'safetensors', 'pandas', 'matplotlib', 'sympy', 'onnx', 'skorch'}\n"
        "assert not new & heavy, new & heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""One fit in a fresh process: its time and the memory that the process came to hold.

``python -m benchmarks._fit_probe '{"n_rows": 1000, "n_features": 20}'`` prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

FRESH_ROWS, FIRST_FRESH_SEED = 2_000, 1_000  # by which a fit is scored


def measure_fit(settings: dict[str, Any]) -> dict[str, float]:
    """Fit in a process of its own.

    Parameters
    ----------
    settings : dict
        ``n_rows``, ``n_features``, ``model`` ("swat" or "mlp"), ``seed``, and
        ``parameters`` of the model.

    Returns
    -------
    dict
        ``wall_seconds``, ``processor_seconds``, ``peak_megabytes`` (10**6 bytes) of the
        process, ``data_megabytes`` of its rows, ``score`` on fresh rows, and ``nnz``.

    Raises
    ------
    RuntimeError
        If the process failed; with its last words.
    """
    command = [sys.executable, "-m", "benchmarks._fit_probe", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the fit of {settings} failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def peak_megabytes() -> float:
    """Return the most memory that this process has held, in 10**6 bytes.

    Returns
    -------
    float
    """
    try:  # not ru_maxrss, which on Linux starts at what the parent process held
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1]) / 1e6
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def fit(
    n_rows: int,
    n_features: int,
    model: str = "swat",
    seed: int = 0,
    parameters: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Fit one model on Friedman's first function.

    Parameters
    ----------
    n_rows, n_features : int
        Five features matter.
    model : {"swat", "mlp"}
    seed : int
        Of the rows and the model.
    parameters : dict, default=None
        Of the model.

    Returns
    -------
    dict
        See `measure_fit`.
    """
    from sklearn.datasets import make_friedman1

    from benchmarks._dense import count_weights, dense_mlp, fit_quietly

    X, y = make_friedman1(n_rows, n_features, noise=1.0, random_state=seed)
    if model == "swat":
        from sklearn_swat import SWATRegressor

        parameters = parameters or {}
        # The import of torch is no part of the fit's time.
        SWATRegressor(max_iter=1, refine=False).fit(X[:100, :5], y[:100])
        estimator: Any = SWATRegressor(random_state=seed, **parameters)
    else:
        estimator = dense_mlp("regression", seed)
    wall, processor = time.perf_counter(), time.process_time()
    fit_quietly(estimator, X, y)
    measured = {
        "wall_seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "peak_megabytes": peak_megabytes(),
        "data_megabytes": (X.nbytes + y.nbytes) / 1e6,
        "nnz": int(estimator.nnz_ if model == "swat" else count_weights(estimator)),
    }
    fresh = make_friedman1(FRESH_ROWS, n_features, noise=1.0, random_state=FIRST_FRESH_SEED + seed)
    return {**measured, "score": float(estimator.score(*fresh))}


if __name__ == "__main__":
    print(json.dumps(fit(**json.loads(sys.argv[1]))))

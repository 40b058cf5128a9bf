"""Fits whose networks and predictions are kept: `python tests/golden.py` records them anew.

The bits of a fit depend on the platform, and so there is a file for each kind of platform,
`tests/golden/<platform>.json`. The command writes that of the platform it runs on.
"""

import json
import platform
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_iris, make_friedman1
from threadpoolctl import threadpool_info

if __name__ == "__main__":  # run as a script, beside the package that need not be installed
    sys.path.insert(0, str(Path(__file__).parents[1]))

from sklearn_swat import SWATClassifier, SWATRegressor

FOLDER = Path(__file__).parent / "golden"
COMMAND = "python tests/golden.py"
SETTINGS = {
    "alpha": 1e-4, "max_iter": 8, "depth": [1, 2], "max_width": 4, "n_restarts": 1,
    "random_state": 0,
}  # fmt: skip
FITS = {
    "regression": (SWATRegressor, lambda: make_friedman1(150, noise=0.3, random_state=0)),
    "binary": (SWATClassifier, lambda: load_breast_cancer(return_X_y=True)),
    "multi-class": (SWATClassifier, lambda: load_iris(return_X_y=True)),
}
ARCHITECTURE = ("widths", "activations", "nonzero", "features", "front")
TOLERANCE = 1e-6  # of predictions; those of a class are probabilities
SCORE_TOLERANCE = 0.05  # between platforms, where a fit may go another way


def platform_key():
    """Name what the bits depend on: the system, the processor, and who multiplies matrices."""
    kernels = {each.get("architecture") for each in threadpool_info() if each["user_api"] == "blas"}
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    parts = [
        platform.system(),
        platform.machine(),
        *(name + ".".join(version.split(".")[:2]) for name, version in versions.items()),
        torch.backends.cpu.get_cpu_capability(),
        *sorted(filter(None, kernels)),
    ]
    return "-".join(parts).lower().replace(" ", "_")


@cache
def fit(name):
    """Fit, and describe the network by what JSON can hold."""
    kind, load = FITS[name]
    X, y = load()
    step = 1 + len(X) // 160
    X, y = X[::step], y[::step]
    model = kind(**SETTINGS).fit(X, y)
    network = model.network_
    predict = model.predict if kind is SWATRegressor else model.predict_proba
    return {
        "widths": [weights.shape[1] for weights in network.weights],
        "activations": [list(layer) for layer in model.activations_],
        "nonzero": [
            ["".join("01"[int(w != 0)] for w in row) for row in np.vstack([weights, biases])]
            for weights, biases in zip(network.weights, network.biases, strict=True)
        ],
        "features": np.asarray(model.selected_features_).tolist(),
        "front": [point.nnz for point in model.path_],
        "score": model.score(X, y),
        "predictions": np.asarray(predict(X[::5])).tolist(),
    }


def differences(recorded, found):
    """Say what a fit has other than the record of this platform."""
    told = [
        f"{name}: {recorded[name]} before, {found[name]} now"
        for name in ARCHITECTURE
        if recorded[name] != found[name]
    ]
    before, now = np.array(recorded["predictions"]), np.array(found["predictions"])
    if before.shape != now.shape:
        told.append(f"predictions: shape {before.shape} before, {now.shape} now")
    elif not np.allclose(before, now, rtol=TOLERANCE, atol=TOLERANCE):
        at = np.unravel_index(np.abs(before - now).argmax(), before.shape)
        told.append(
            f"predictions: at {tuple(map(int, at))} {before[at]!r} before, {now[at]!r} now, which "
            f"is the largest of {np.sum(~np.isclose(before, now, TOLERANCE, TOLERANCE))} "
            f"differences above {TOLERANCE:g}"
        )
    return told


def loose_differences(recorded, found):
    """Say what a fit has other than may be on another platform than that of the record."""
    if abs(recorded["score"] - found["score"]) > SCORE_TOLERANCE:
        return [f"score: {recorded['score']:.4f} there, {found['score']:.4f} here"]
    return []


def message(name, told, path, is_same_platform):
    """Say what changed, in which fit, and what to do."""
    where = "has changed" if is_same_platform else "is not what it is on another platform"
    return "\n  ".join(
        [
            f"the {name} fit {where} (record: {path.name}):",
            *told,
            f"if this is meant, record it anew: {COMMAND}",
        ]
    )


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def main():
    path = FOLDER / f"{platform_key()}.json"
    before = read(path) if path.exists() else {}
    found = {name: fit(name) for name in FITS}
    for name in FITS:
        told = differences(before[name], found[name]) if name in before else ["recorded first"]
        print(f"{name}: {'; '.join(told) or 'as before'}")
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()

"""Data of any shape, scale, type and layout that a user may bring, and what a fit owes them.

A `Case` is a handful of names and numbers, so that hypothesis can shrink it and a record
can hold it; `Case.data` makes the arrays of them. `broken_promises` fits it and returns
what did not hold.
"""

import math
import tempfile
import traceback
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from sklearn_swat import SWATClassifier, SWATRegressor

TASKS = ("regression", "several targets", "two classes", "several classes", "several labels")
COLUMNS = (
    "normal", "constant", "integer", "boolean", "duplicate", "collinear", "heavy", "offset",
    "rounding", "outlier",
)  # fmt: skip
TARGETS = ("noise", "linear", "curved", "heavy", "constant", "offset")
CONTAINERS = (
    "C", "Fortran", "read-only", "reversed", "memmap", "list", "object", "odd names",
    "mixed dtypes", "nullable",
)  # fmt: skip
DTYPES = ("float64", "float32", "float16", "int32", "uint8", "bool", "longdouble")
WEIGHTS = (
    None, "ones", "zeros and integers", "huge", "tiny", "wide", "almost none", "one row of many",
)  # fmt: skip
ODD_NAMES = ("a b", "*/", "\n", "", "é", "x0", '"', "\\", "💥", "%s", "{0}", "</script>")


@dataclass(frozen=True)
class Case:
    """What `data` is to be like; see the tuples above for the names.

    Attributes
    ----------
    scale, target_scale : float
        Largest decimal exponents of the columns' scales and of the targets'.
    repeats : float
        Share of the rows that repeat another one.
    imbalance : bool
        Whether all classes but one are as rare as can be.
    held_out : bool
        Whether every third row judges.
    """

    task: str = "regression"
    n: int = 20
    d: int = 2
    k: int = 3
    columns: tuple[str, ...] = ("normal",)
    target: str = "linear"
    scale: float = 0.0
    target_scale: float = 0.0
    repeats: float = 0.0
    imbalance: bool = False
    container: str = "C"
    dtype: str = "float64"
    weights: str | None = None
    held_out: bool = False
    seed: int = 0

    @property
    def is_regression(self):
        return self.task in ("regression", "several targets")

    def data(self, folder):
        """Make X, y and the weights; a memory map lies in the folder."""
        rng = np.random.default_rng(self.seed)
        X = _columns(self, rng)
        y = _target(self, X, rng)
        exponents = rng.uniform(-self.scale, self.scale, self.d)
        with np.errstate(all="ignore"):
            X = np.clip(X * 10.0**exponents, -1e300, 1e300)
        source = np.arange(self.n)
        is_repeat = rng.random(self.n) < self.repeats
        source[is_repeat] = rng.integers(0, self.n, is_repeat.sum())
        with np.errstate(all="ignore"):
            X = _contained(X[source], self, folder)
        return X, y[source], _weights(self, rng)

    def asdict(self):
        return asdict(self)


def _columns(case, rng):
    n, d = case.n, case.d
    X = rng.standard_normal((n, d))
    for j in range(d):
        kind = case.columns[int(rng.integers(len(case.columns)))]
        if kind == "constant":
            X[:, j] = rng.choice([0.0, 1.0, -7.3])
        elif kind == "integer":
            X[:, j] = rng.integers(-5, 100, n)
        elif kind == "boolean":
            X[:, j] = rng.random(n) < 0.3
        elif kind == "duplicate" and j:
            X[:, j] = X[:, rng.integers(j)]
        elif kind == "collinear" and j:
            X[:, j] = X[:, :j] @ rng.standard_normal(j)
        elif kind == "heavy":
            X[:, j] = rng.standard_cauchy(n) ** 3
        elif kind == "offset":
            X[:, j] += 10.0 ** rng.uniform(3, 11)
        elif kind == "rounding":
            X[:, j] = 0.1 + 1e-16 * rng.integers(0, 3, n)
        elif kind == "outlier":
            X[:, j] = 0
            X[rng.integers(n), j] = 1
    return X


def _target(case, X, rng):
    n = case.n
    signal = np.tanh(X[:, : min(3, case.d)]).sum(axis=1)
    if case.is_regression:
        k = case.k if case.task == "several targets" else 1
        noise = rng.standard_normal((n, k))
        y = {
            "noise": lambda: noise,
            "linear": lambda: signal[:, None] + 0.1 * noise,
            "curved": lambda: np.sin(3 * signal)[:, None] * np.arange(1, k + 1),
            "heavy": lambda: rng.standard_cauchy((n, k)) ** 3,
            "constant": lambda: np.full((n, k), 1.1),
            "offset": lambda: 1e9 + noise,
        }[case.target]()
        exponents = rng.uniform(-case.target_scale, case.target_scale, k)
        with np.errstate(all="ignore"):
            y = np.clip(y * 10.0**exponents, -1e300, 1e300)
        return y if case.task == "several targets" else y[:, 0]
    if case.task == "several labels":
        Y = (signal[:, None] + rng.standard_normal((n, case.k)) > 0).astype(int)
        if case.imbalance:
            Y[1:, 0] = 0
        return Y
    k = 2 if case.task == "two classes" else max(3, case.k)
    if case.imbalance:
        y = np.zeros(n, dtype=int)
        y[: k - 1] = np.arange(1, k)[:n]
    else:
        y = rng.integers(0, k, n)
    return np.array([f"class {label}" for label in range(k)])[y]


def _contained(X, case, folder):
    if case.dtype != "float64":
        if case.dtype in ("int32", "uint8", "bool"):
            top = {"int32": 2**31 - 1, "uint8": 255, "bool": 1}[case.dtype]
            X = np.clip(np.rint(X), 0 if top < 256 else -top, top)
        else:
            top = min(float(np.finfo(case.dtype).max), 1e300)
            X = np.clip(X, -top, top)
        X = X.astype(case.dtype)
    match case.container:
        case "Fortran":
            return np.asfortranarray(X)
        case "read-only":
            X.flags.writeable = False
        case "reversed":
            return X[::-1, ::-1]
        case "memmap":
            path = Path(folder) / "rows"
            mapped = np.memmap(path, dtype=X.dtype, mode="w+", shape=X.shape)
            mapped[:] = X
            mapped.flush()
            return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)
        case "list":
            return X.tolist()
        case "object":
            return X.astype(object)
        case "odd names":
            return pd.DataFrame(X, columns=[_odd_name(j) for j in range(X.shape[1])])
        case "mixed dtypes":
            frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
            return frame.assign(x0=X[:, 0] > np.median(X[:, 0]))
        case "nullable":
            return pd.DataFrame(X.astype(np.float64)).astype("Float64").rename(columns=str)
    return X


def _odd_name(j):
    return ODD_NAMES[j] if j < len(ODD_NAMES) else f"{ODD_NAMES[j % len(ODD_NAMES)]}{j}"


def _weights(case, rng):
    n = case.n
    return {
        None: lambda: None,
        "ones": lambda: np.ones(n),
        "zeros and integers": lambda: rng.integers(0, 4, n).astype(float),
        "huge": lambda: np.full(n, 1e308),
        "tiny": lambda: np.full(n, 1e-308),
        "wide": lambda: 10.0 ** rng.uniform(-300, 300, n),
        "almost none": lambda: np.where(np.arange(n) < 3, 1.0, 0.0),
        "one row of many": lambda: np.where(np.arange(n) == n - 1, 1e12, 1.0),
    }[case.weights]()


@st.composite
def cases(draw, max_rows=2000, max_features=300, max_classes=50, max_outputs=20):
    """Draw a case: small ones, mostly plain, up to the limits."""
    size = st.one_of(st.integers(1, 40), st.integers(1, max_rows))
    width = st.one_of(st.integers(1, 6), st.integers(1, max_features))
    task = draw(st.sampled_from(TASKS))
    least = 2 if task == "several labels" else 1  # one label is two classes
    most = max_outputs if task in ("several targets", "several labels") else max_classes
    return Case(
        task=task,
        n=draw(size),
        d=draw(width),
        k=draw(st.one_of(st.integers(least, min(4, most)), st.integers(least, most))),
        columns=tuple(draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4))),
        target=draw(st.sampled_from(TARGETS)),
        scale=draw(st.sampled_from([0.0, 3.0, 30.0, 300.0])),
        target_scale=draw(st.sampled_from([0.0, 3.0, 30.0, 300.0])),
        repeats=draw(st.sampled_from([0.0, 0.0, 0.3, 0.95])),
        imbalance=draw(st.booleans()),
        container=draw(st.sampled_from(CONTAINERS)),
        dtype=draw(st.sampled_from(DTYPES)),
        weights=draw(st.sampled_from(WEIGHTS)),
        held_out=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def may_be_refused(case, y, weight, y_val=None, weight_val=None):
    """Tell whether the data are beyond what can be fitted, or judged, at all."""
    if len(y) < 2:
        return True
    is_exclusive = case.task in ("two classes", "several classes")
    found = _counting(y, weight)
    if not len(found) or (is_exclusive and len(np.unique(found)) < 2):
        return True
    if y_val is None:
        return False
    judging = _counting(y_val, weight_val)
    return not len(judging) or (is_exclusive and not set(judging) <= set(found))


def _counting(y, weight):
    return y if weight is None else y[weight > 0]


def _every_third(X, y, weight, n):
    """Return the other rows, and every third one as `fit` takes those that judge."""
    third = np.arange(n) % 3 == 2

    def part(rows, mask):
        if rows is None:
            return None
        if isinstance(rows, list):
            return [row for row, is_part in zip(rows, mask, strict=True) if is_part]
        return rows[mask]

    names = {"X_val": X, "y_val": y, "sample_weight_val": weight}
    judging = {name: part(rows, third) for name, rows in names.items()}
    return [part(rows, ~third) for rows in (X, y, weight)], judging


def broken_promises(case, **parameters):
    """Fit a case; return what did not hold, and how the fit ended.

    Returns
    -------
    list of str
        Empty if all held.
    str
        "fitted", or the error that the data were refused with.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _broken_promises(case, folder, parameters)


def _broken_promises(case, folder, parameters):
    X, y, weight = case.data(folder)
    judging = {}
    if case.held_out and case.n > 2:
        (X, y, weight), judging = _every_third(X, y, weight, case.n)
    before = _bytes(X), y.tobytes()
    kind = SWATRegressor if case.is_regression else SWATClassifier
    model = kind(**parameters)
    broken = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(X, y, sample_weight=weight, **judging)
        except (ValueError, TypeError) as error:
            where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
            if not {"sklearn_swat", "sklearn"} & set(where.parts):
                broken.append(f"a raw error from {where.name}: {error!r:.300}")
            elif not may_be_refused(
                case, y, weight, judging.get("y_val"), judging.get("sample_weight_val")
            ):
                broken.append(f"refused: {error!r:.300}")
            return broken, f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            broken.append(f"{last.filename}:{last.lineno}: {error!r:.300}")
            return broken, type(error).__name__
        broken += _wrong_predictions(model, X, case)
    broken += _our_warnings(caught)
    if (_bytes(X), y.tobytes()) != before:
        broken.append("the data were changed")
    broken += _wrong_front(model)
    return broken, "fitted"


def _bytes(X):
    return np.asarray(X, dtype=np.float64).tobytes()


def _wrong_predictions(model, X, case):
    """Predict the rows of the fit, and rows as far off as there are numbers."""
    broken = []
    rows = np.asarray(X, dtype=np.float64)[:50]
    far = np.where(np.arange(rows.size).reshape(rows.shape) % 2, 1e308, -1e308)
    for name, each in (("training", X), ("zero", 0 * rows), ("far", far)):
        if isinstance(X, pd.DataFrame) and not isinstance(each, pd.DataFrame):
            each = pd.DataFrame(each, columns=X.columns)
        methods = ["predict"]
        if not case.is_regression:
            methods += ["predict_proba", "decision_function"]
        for method in methods:
            try:
                out = getattr(model, method)(each)
            except Exception as error:
                broken.append(f"{method} of {name} rows: {error!r:.300}")
                continue
            if len(out) != len(each):
                broken.append(f"{method} of {name} rows has {len(out)} rows")
            if out.dtype.kind == "f" and not np.isfinite(out).all():
                broken.append(f"{method} of {name} rows is not finite")
            is_share = method == "predict_proba" and case.task != "several labels"
            if is_share and not np.allclose(out.sum(axis=1), 1):
                broken.append(f"probabilities of {name} rows do not sum to 1")
    return broken


def _wrong_front(model):
    """Hold the chosen network against the best constant, on the rows that judged both."""
    broken = []
    chosen = [point for point in model.path_ if point.network is model.network_]
    if len(chosen) != 1:
        return ["the chosen network is not one of the front"]
    constant = model.path_[0]
    if constant.network.weights[0].any() or not math.isfinite(constant.validation_loss):
        broken.append("the front does not begin at a constant of finite loss")
    if chosen[0].validation_loss > constant.validation_loss:
        broken.append("the chosen network is worse than the constant")
    if not math.isfinite(model.loss_):
        broken.append("the training loss is not finite")
    return broken


def _our_warnings(caught):
    """Return the warnings but for those of scikit-learn on y, and of ours on few odd X_val."""
    return [
        f"{entry.category.__name__} at {Path(entry.filename).name}:{entry.lineno}: {entry.message}"
        for entry in caught
        if "could represent a regression problem" not in str(entry.message)
        and "hand over X_val in the units of X" not in str(entry.message)
    ]

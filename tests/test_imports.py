"""The modules that predict load without torch, and imports point one way."""

import ast
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import sklearn_swat
from sklearn_swat import _regressor

PACKAGE = Path(sklearn_swat.__file__).parent
WITHOUT_TORCH = (
    "_activations", "_averages", "_base", "_beginnings", "_candidates", "_canonical", "_classifier",
    "compression", "_control", "_descent_settings", "_documentation", "_draws", "_fallback",
    "_fitted", "_front", "__init__", "_joined_splits", "_leave_one_out", "_losses", "_neighbours",
    "_network", "_network_text", "_online", "_packing", "_parameters", "_paths", "_penalised_loss",
    "_preprocessing", "_problem", "_pruning", "_random_beginnings", "_random_network",
    "_refinement", "_refusals", "_regressor", "_rows", "_screening", "_search", "_search_result",
    "_smoothing", "_split", "_stages", "_teacher", "_threads", "_validation",
    "export/__init__", "export/_c", "export/_common", "export/_latex", "export/_onnx",
    "export/_sklearn", "export/_sympy", "export/_text", "export/_torch",
)  # fmt: skip


def imported_at_the_top(path):
    """Return the names that a module imports when it loads."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_modules_of_the_prediction_side_load_without_torch(module):
    names = imported_at_the_top(PACKAGE / f"{module}.py")
    assert not names & {
        "torch",
        "_descent",
        "_adam",
        "_autoencoder",
        "_checkpoint",
        "_dataset_encoder",
        "_soft_network",
        "_start_points",
        "_token_layers",
        "_torch_module",
    }


def test_the_package_has_its_names_and_no_others():
    names = {}
    exec("from sklearn_swat import *", names)
    assert set(sklearn_swat.__all__) <= set(names)
    assert set(sklearn_swat.__all__) <= set(dir(sklearn_swat))
    assert names["SWATRegressor"] is sklearn_swat.SWATRegressor is _regressor.SWATRegressor
    assert isinstance(sklearn_swat.__version__, str)
    with pytest.raises(AttributeError, match="module 'sklearn_swat' has no attribute 'nonsense'"):
        _ = sklearn_swat.nonsense
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        from sklearn_swat import nonsense  # noqa: F401


def test_the_version_is_told_without_an_installation(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    monkeypatch.delitem(vars(sklearn_swat), "__version__", raising=False)
    assert sklearn_swat.__version__ == "0+unknown"
    del sklearn_swat.__version__  # the next to ask looks it up


def test_nothing_imports_the_estimators_or_pretraining():
    estimators = {"_base", "_fitted", "_regressor", "_classifier"}
    for path in PACKAGE.glob("_*.py"):
        if path.stem not in {"__init__", *estimators}:
            assert not imported_at_the_top(path) & {*estimators, "export", "pretrain"}, path.name


def test_exports_load_without_the_libraries_they_export_to():
    for path in PACKAGE.glob("export/*.py"):
        assert not imported_at_the_top(path) & {"onnx", "skl2onnx", "sympy"}, path.name

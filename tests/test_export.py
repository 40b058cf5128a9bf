"""What holds for every export: who may be exported, and what is imported for it."""

import subprocess
import sys

import pytest
from export_cases import make_estimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from sklearn_swat import SWATClassifier, SWATRegressor, export

EXPORTS = [getattr(export, name) for name in export.__all__ if name.startswith(("export", "to_"))]


@pytest.mark.parametrize("function", EXPORTS)
@pytest.mark.parametrize("estimator", [SWATRegressor(), SWATClassifier()])
def test_an_unfitted_estimator_is_refused(function, estimator):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        function(estimator)


@pytest.mark.parametrize("function", EXPORTS)
@pytest.mark.parametrize(
    "other", [LinearRegression(), SWATRegressor, None, make_pipeline(SWATRegressor())]
)
def test_what_is_no_estimator_of_ours_is_refused(function, other):
    with pytest.raises(TypeError, match="only a SWATRegressor or SWATClassifier can be exported, "):
        function(other)


@pytest.mark.parametrize("function", EXPORTS)
def test_an_export_leaves_the_estimator_as_it_was(function):
    estimator = make_estimator("regression", 1, 1, density=1.0, activations=["tanh"])
    before = dict(vars(estimator))
    assert function(estimator) is not None
    assert vars(estimator) == before


@pytest.mark.parametrize(
    ("call", "library"),
    [
        ("to_sympy(model)", "sympy"),
        ("to_onnx(model)", "skl2onnx"),
        ("register_skl2onnx_converters()", "skl2onnx"),
    ],
)
def test_a_missing_library_is_named_with_the_way_out(monkeypatch, call, library):
    monkeypatch.setitem(sys.modules, library, None)
    names = vars(export) | {"model": make_estimator("regression", 1)}
    with pytest.raises(
        ImportError, match=rf"needs {library}.*pip install 'sklearn_swat\[export\]'"
    ):
        eval(call, names)


def test_importing_the_exports_imports_no_library_they_export_to():
    code = (
        "import sys, sklearn_swat.export\n"
        "loaded = {'torch', 'onnx', 'skl2onnx', 'sympy'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_has_its_documentation():
    for name in export.__all__:
        assert "Examples" in getattr(export, name).__doc__

"""Small sparse neural networks for scikit-learn.

What is named here is loaded when it is asked for (PEP 562, SPEC 1): the bare import takes no
time, and brings along neither scikit-learn nor torch.
"""

TYPE_CHECKING = False  # type checkers take it for true; typing would take time to load

if TYPE_CHECKING:
    from ._classifier import SWATClassifier
    from ._network import SparseMLP
    from ._regressor import SWATRegressor

    __version__: str
else:
    _MODULES = {
        "SWATClassifier": "_classifier", "SWATRegressor": "_regressor", "SparseMLP": "_network",
    }  # fmt: skip

    def __getattr__(name):
        """Load a name of `__all__`, once."""
        if name == "__version__":
            value = _version()
        elif name in _MODULES:
            from importlib import import_module

            value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})

    def _version():
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("sklearn-swat")
        except PackageNotFoundError:  # a source tree that was not installed
            return "0+unknown"


__all__ = ["SWATClassifier", "SWATRegressor", "SparseMLP", "__version__"]

"""Small sparse neural networks for scikit-learn."""

from importlib.metadata import PackageNotFoundError, version

from ._classifier import SWATClassifier
from ._regressor import SWATRegressor

try:
    __version__ = version("sklearn-swat")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0+unknown"

__all__ = ["SWATClassifier", "SWATRegressor", "__version__"]

"""Take a fitted network elsewhere: text, LaTeX, C, SymPy, torch, ONNX, scikit-learn.

Every function takes a fitted `SWATRegressor` or `SWATClassifier`. Libraries beyond the
package's own requirements (SymPy, ONNX) are imported by the function that needs them.
"""

from ._c import to_c
from ._latex import to_latex
from ._onnx import register_skl2onnx_converters, to_onnx
from ._sklearn import to_sklearn
from ._sympy import to_sympy
from ._text import export_text
from ._torch import to_torch

__all__ = [
    "export_text",
    "register_skl2onnx_converters",
    "to_c",
    "to_latex",
    "to_onnx",
    "to_sklearn",
    "to_sympy",
    "to_torch",
]

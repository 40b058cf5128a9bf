"""A fitted estimator as C source."""

from __future__ import annotations

import re
from textwrap import TextWrapper
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from .._activations import LEAKY_SLOPE
from .._names import outputs_of
from .._network_text import linear_text
from ._common import check_precision, fitted_network, input_names, is_binary

_KEYWORDS = frozenset(re.findall(r"\w+", """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long main register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while _Bool _Complex _Imaginary
"""))  # fmt: skip
# What <math.h> declares, functions also with the suffixes f and l.
_MATH = frozenset(re.findall(r"\w+", """
    HUGE_VAL INFINITY NAN acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh
    double_t erf erfc exp exp2 expm1 fabs fdim float_t floor fma fmax fmin fmod fpclassify frexp
    gamma hypot ilogb isfinite isgreater isgreaterequal isinf isless islessequal islessgreater
    isnan isnormal isunordered j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb lrint
    lround math_errhandling modf nan nearbyint nextafter nexttoward pow remainder remquo rint round
    scalbln scalbn signbit signgam sin sinh sqrt tan tanh tgamma trunc y0 y1 yn
"""))  # fmt: skip
_FUNCTIONS = {
    "sigmoid": """static {real} {name}_sigmoid({real} z)
{{
    const {real} e = exp{f}(-fabs{f}(z)); /* at most 1: no overflow */
    return (z >= 0 ? 1 : e) / (1 + e);
}}
""",
    "leaky_relu": """static {real} {name}_leaky_relu({real} z)
{{
    return z > 0 ? z : {slope} * z;
}}
""",
}
_SOFTMAX = """    {real} top = out[0], total = 0;
    for (int j = 1; j < {k}; ++j)
        top = out[j] > top ? out[j] : top;
    for (int j = 0; j < {k}; ++j)
        total += out[j] = exp{f}(out[j] - top);
    for (int j = 0; j < {k}; ++j)
        out[j] /= total;"""


def to_c(estimator: Any, name: str = "predict", dtype: str = "double") -> str:
    """Write the network of a fitted estimator as C99 source of one function.

    Parameters
    ----------
    estimator : SWATRegressor or SWATClassifier
        Fitted.
    name : str, default="predict"
        Of the function, a C identifier. Sources with different names can go into one file.
    dtype : {"double", "float"}, default="double"
        "float" is for processors without double precision. The weights apply to raw
        features, so with features that lie far from zero (years, time stamps) it costs
        about as many digits as storing such features in a float does.

    Returns
    -------
    str
        ``void name(const dtype *x, dtype *out)`` reads the features from `x` and writes what
        `predict` returns (of a classifier, what `predict_proba` returns: a probability
        per class, both of two) to `out`, which must not overlap with `x`. It needs
        ``<math.h>`` and nothing else, allocates nothing and keeps no state.

    Raises
    ------
    TypeError
        If `estimator` is no SWAT estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If `name` is no identifier, or already one in C, or `dtype` is unknown or cannot
        hold the numbers of the network.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat import SWATRegressor
    >>> from sklearn_swat.export import to_c
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = SWATRegressor(depth=1, max_iter=0, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> print(to_c(model, name="risk"))
    /* SWATRegressor from x[2] to out[1], 2 non-zero numbers, by sklearn_swat.
     * x[0]: x0
     * out[0]: y
     */
    #include <math.h>
    <BLANKLINE>
    void risk(const double *x, double *out)
    {
        out[0] = ...*x[0] + ...;
    }
    <BLANKLINE>
    """
    network = fitted_network(estimator)
    _check_name(name)
    check_precision(dtype, network)
    suffix = "f" if dtype == "float" else ""

    def number(value: float) -> str:  # the shortest text that reads back as the same number
        return f"{np.float32(value)!s}f" if suffix else repr(value)

    def line(layer: int, neuron: int) -> str:
        weight, bias = network.weights[layer][:, neuron], network.biases[layer][neuron]
        return linear_text(weight, bias, sources, number, "*")  # lines break at spaces

    def apply(activation: str, text: str) -> str:
        return text if activation == "identity" else f"{functions[activation]}({text})"

    sources = [f"x[{j}]" for j in range(network.n_features)]
    functions = {"tanh": f"tanh{suffix}", **{key: f"{name}_{key}" for key in _FUNCTIONS}}
    used = {key for activations in network.activations for key in activations}
    body = [] if network.used_features.size else ["(void)x;"]
    for i, activations in enumerate(network.activations):
        targets = [f"h{i + 1}_{j}" for j in range(len(activations))]
        body += [
            f"const {dtype} {targets[j]} = {apply(activation, line(i, j))};"
            for j, activation in enumerate(activations)
        ]
        sources = targets
    raw = [line(network.depth, j) for j in range(network.n_outputs)]
    if network.out_activation == "logistic":
        used.add("sigmoid")
        if is_binary(estimator):  # two columns of one output
            body += [
                f"const {dtype} z = {raw[0]};",
                f"out[0] = {apply('sigmoid', '-z')};",
                f"out[1] = {apply('sigmoid', 'z')};",
            ]
        else:
            body += [f"out[{j}] = {apply('sigmoid', text)};" for j, text in enumerate(raw)]
    else:
        body += [f"out[{j}] = {text};" for j, text in enumerate(raw)]
    indented = TextWrapper(
        99, initial_indent=" " * 4, subsequent_indent=" " * 8,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    lines = [indented.fill(statement) for statement in body]
    words = {"name": name, "real": dtype, "f": suffix, "slope": number(LEAKY_SLOPE)}
    if network.out_activation == "softmax":
        lines.append(_SOFTMAX.format(k=network.n_outputs, **words))
    helpers = [text.format(**words) for key, text in _FUNCTIONS.items() if key in used]
    function = [f"void {name}(const {dtype} *x, {dtype} *out)", "{", *lines, "}", ""]
    return "\n".join([_header(estimator), "#include <math.h>\n", *helpers, *function])


def _check_name(name: Any) -> None:
    if not (isinstance(name, str) and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)):
        raise ValueError(
            f"name={name!r} is no C identifier: use letters, digits and underscores, and "
            "begin with no digit"
        )
    if name in _KEYWORDS | _MATH or re.sub("[flFL]$", "", name) in _MATH:
        raise ValueError(f"name={name!r} is taken in C: use another, for example 'predict'")


def _header(estimator: Any) -> str:
    """Say in a comment what the entries of `x` and `out` are."""
    network, outputs = estimator.network_, outputs_of(estimator)
    if is_classifier(estimator):
        labels = estimator.classes_ if is_binary(estimator) else outputs
        outputs = [f"probability of {label}" for label in labels]
    inputs = input_names(estimator)
    lines = [
        f"{type(estimator).__name__} from x[{len(inputs)}] to out[{len(outputs)}], "
        f"{network.nnz} non-zero numbers, by sklearn_swat.",
        *(f"x[{j}]: {_comment(inputs[j])}" for j in network.used_features),
        *(f"out[{j}]: {_comment(text)}" for j, text in enumerate(outputs)),
    ]
    return "/* " + "\n * ".join(lines) + "\n */"


def _comment(text: str) -> str:
    """Escape what is not plain ASCII, and what would end a comment or begin another."""
    return ascii(text)[1:-1].replace("*/", "* /").replace("/*", "/ *")

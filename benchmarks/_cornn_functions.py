"""The 54 functions of the CORNN benchmark and the rows that are drawn from them.

From the formulas and the sampling of arXiv 2109.05606: two inputs, one output, no
noise; 3,750 training and 1,250 test rows, uniform in the function's domain, the same
points of the unit square for all; inputs scaled from the domain and outputs from the
training rows to [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import cos, exp, pi, sin, sqrt
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_ROWS, N_TRAIN = 5_000, 3_750
SEED = 0  # of the points, which are part of the benchmark


@dataclass(frozen=True)
class CornnFunction:
    """A function of two inputs with its domain.

    Attributes
    ----------
    name : str
        As the benchmark spells it.
    x_domain, y_domain : tuple of float
        Lowest and highest value.
    function : callable
        Takes and returns arrays of one shape.
    """

    name: str
    x_domain: tuple[float, float]
    y_domain: tuple[float, float]
    function: Callable[[Array, Array], Array]


def _squares(x: Array, y: Array) -> Array:
    return x**2 + y**2


def _waves(t: Array, turn: Callable[[Array], Array], factors: Any) -> Array:
    """Return the sum of five waves of rising frequency."""
    return np.sum([factor * turn((j + 1) * t + j) for j, factor in enumerate(factors, 1)], axis=0)


def _ackley_distance(x: Array, y: Array) -> Array:
    return -200 * exp(-0.2 * sqrt(_squares(x, y)))


def _beale(x: Array, y: Array) -> Array:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _bird(x: Array, y: Array) -> Array:
    return (
        sin(x) * exp((1 - cos(y)) ** 2) + cos(y) * exp((1 - sin(x)) ** 2) + (x - y) ** 2
    )  # fmt: skip


def _egg_holder(x: Array, y: Array) -> Array:
    first = -(y + 47) * sin(sqrt(abs(y + x / 2 + 47)))
    return first - x * sin(sqrt(abs(x - (y + 47))))


def _goldstein_price(x: Array, y: Array) -> Array:
    first = 19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2
    second = 18 - 32 * x + 12 * x**2 + 4 * y - 36 * x * y + 27 * y**2
    return (1 + (x + y + 1) ** 2 * first) * (30 + (2 * x - 3 * y) ** 2 * second)


def _levi_13(x: Array, y: Array) -> Array:
    first = sin(3 * pi * x) ** 2 + (x - 1) ** 2 * (1 + sin(3 * pi * y) ** 2)
    return first + (y - 1) ** 2 * (1 + sin(2 * pi * y) ** 2)


def _cross_in_tray(x: Array, y: Array) -> Array:
    wave = abs(sin(x) * sin(y) * exp(abs(100 - sqrt(_squares(x, y)) / pi)))
    return -0.0001 * (wave + 1) ** 0.1


def _deckkers_aarts(x: Array, y: Array) -> Array:
    r2 = _squares(x, y)
    return 1e5 * r2 - r2**2 + 1e-5 * r2**4


def _schaffer(x: Array, y: Array, wave: Array) -> Array:
    return 0.5 + (wave**2 - 0.5) / (1 + 0.001 * _squares(x, y)) ** 2


def _styblinski_tang(t: Array) -> Array:
    return t**4 - 16 * t**2 + 5**t  # not the textbook's 5 * t: so the benchmark has it


def _xin_she_yang_3(x: Array, y: Array) -> Array:
    bump = 2 * exp(-_squares(x, y)) * cos(x) ** 2 * cos(y) ** 2
    return exp(-((x / 15) ** 10 + (y / 15) ** 10)) - bump


def _xin_she_yang_4(x: Array, y: Array) -> Array:
    envelope = exp(-(sin(sqrt(abs(x))) ** 2 + sin(sqrt(abs(y))) ** 2))
    return (sin(x) ** 2 + sin(y) ** 2 - exp(-_squares(x, y))) * envelope


def _zakharov(x: Array, y: Array) -> Array:
    line = 0.5 * x + y
    return _squares(x, y) + line**2 + line**4


def _square(name: str, low: float, high: float, function: Callable[..., Array]) -> CornnFunction:
    return CornnFunction(name, (low, high), (low, high), function)


FUNCTIONS: tuple[CornnFunction, ...] = (
    _square(
        "Ackley", -32, 32,
        lambda x, y: -20 * exp(-0.2 * sqrt(_squares(x, y) / 2))
        - exp((cos(2 * pi * x) + cos(2 * pi * y)) / 2) + 20 + np.e,
    ),
    _square("Ackley N.2", -32, 32, _ackley_distance),
    _square(
        "Ackley N.3", -32, 32,
        lambda x, y: _ackley_distance(x, y) + 5 * exp(cos(3 * x) + sin(3 * y)),
    ),
    _square(
        "Ackley N.4", -35, 35,
        lambda x, y: exp(-0.2) * sqrt(_squares(x, y)) + 3 * (cos(2 * x) + sin(2 * y)),
    ),
    CornnFunction("Adjiman", (-1, 2), (-1, 1), lambda x, y: cos(x) * sin(y) - x / (y**2 + 1)),
    _square(
        "Alpine N.1", 0, 10,
        lambda x, y: abs(x * sin(x) + 0.1 * x) + abs(y * sin(y) + 0.1 * y),
    ),
    _square("Alpine N.2", 0, 10, lambda x, y: sqrt(x) * sin(x) * sqrt(y) * sin(y)),
    _square(
        "Bartels Conn", -500, 500,
        lambda x, y: abs(_squares(x, y) + x * y) + abs(sin(x)) + abs(cos(y)),
    ),
    _square("Beale", -4.5, 4.5, _beale),
    _square("Bird", -2 * pi, 2 * pi, _bird),
    _square(
        "Bohachevsky N.1", -100, 100,
        lambda x, y: x**2 + 2 * y**2 - 0.3 * cos(3 * pi * x) - 0.4 * cos(4 * pi * y) + 0.7,
    ),
    _square(
        "Bohachevsky N.2", -100, 100,
        lambda x, y: x**2 + 2 * y**2 - 0.3 * cos(3 * pi * x) * cos(4 * pi * y) + 0.3,
    ),
    _square("Booth", -10, 10, lambda x, y: (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2),
    _square("Brent", -20, 0, lambda x, y: (x + 10) ** 2 + (y + 10) ** 2 + exp(-_squares(x, y))),
    _square("Brown", -1, 1, lambda x, y: (x**2) ** (y**2 + 1) + (y**2) ** (x**2 + 1)),
    CornnFunction(
        "Bukin N.6", (-15, -5), (-3, 3),
        lambda x, y: 100 * sqrt(abs(y - 0.01 * x**2)) + 0.01 * abs(x + 10),
    ),
    _square("Cross-In-Tray", -10, 10, _cross_in_tray),
    _square("Deckkers-Aarts", -20, 20, _deckkers_aarts),
    _square(
        "Drop-Wave", -5.2, 5.2,
        lambda x, y: -(1 + cos(12 * sqrt(_squares(x, y)))) / (0.5 * _squares(x, y) + 2),
    ),
    _square(
        "Easom", -50, 50,
        lambda x, y: -cos(x) * cos(y) * exp(-((x - pi) ** 2) - (y - pi) ** 2),
    ),
    _square(
        "Egg Crate", -5, 5, lambda x, y: _squares(x, y) + 25 * (sin(x) ** 2 + sin(y) ** 2)
    ),
    _square("Egg Holder", -512, 512, _egg_holder),
    _square("Exponential", -1, 1, lambda x, y: -exp(-0.5 * _squares(x, y))),
    _square("Goldstein-Price", -2, 2, _goldstein_price),
    _square(
        "Griewank", -600, 600,
        lambda x, y: 1 + _squares(x, y) / 4000 - cos(x) * cos(y / sqrt(2)),
    ),
    _square("Himmelblau", -6, 6, lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2),
    _square(
        "Holder-Table", -10, 10,
        lambda x, y: -abs(sin(x) * cos(y) * exp(abs(1 - sqrt(_squares(x, y)) / pi))),
    ),
    _square(
        "Keane", 0, 10,
        lambda x, y: -(sin(x - y) ** 2) * sin(x + y) ** 2 / sqrt(_squares(x, y)),
    ),
    _square("Leon", 0, 10, lambda x, y: 100 * (y - x**3) ** 2 + (1 - x) ** 2),
    _square("Levi N.13", -10, 10, _levi_13),
    _square("Matyas", -10, 10, lambda x, y: 0.26 * _squares(x, y) - 0.48 * x * y),
    CornnFunction(
        "McCormick", (-1.5, 4), (-3, 3),
        lambda x, y: sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1,
    ),
    _square(
        "Michalewicz", 0, pi,
        lambda x, y: -sin(x) * sin(x**2 / pi) ** 20 - sin(y) * sin(2 * y**2 / pi) ** 20,
    ),
    _square(
        "Periodic", -10, 10,
        lambda x, y: 1 + sin(x) ** 2 + sin(y) ** 2 - 0.1 * exp(-_squares(x, y)),
    ),
    _square("Qing", -500, 500, lambda x, y: (x - 1) ** 2 + (y - 2) ** 2),
    _square(
        "Rastrigin", -5.12, 5.12,
        lambda x, y: 20 + _squares(x, y) - 10 * cos(2 * pi * x) - 10 * cos(2 * pi * y),
    ),
    _square("Ridge", -5, 5, lambda x, y: x + abs(y)),
    _square("Rosenbrock", -5, 10, lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2),
    _square(
        "Salomon", -100, 100,
        lambda x, y: 1 - cos(2 * pi * sqrt(_squares(x, y))) + 0.1 * sqrt(_squares(x, y)),
    ),
    _square("Schaffer N.2", -100, 100, lambda x, y: _schaffer(x, y, sin(x**2 - y**2))),
    _square(
        "Schaffer N.3", -100, 100, lambda x, y: _schaffer(x, y, sin(cos(abs(x**2 - y**2))))
    ),
    _square("Schwefel 2.20", -100, 100, lambda x, y: abs(x) + abs(y)),
    _square("Schwefel 2.22", -100, 100, lambda x, y: abs(x) + abs(y) + abs(x) * abs(y)),
    _square("Schwefel 2.23", -10, 10, lambda x, y: x**10 + y**10),
    _square(
        "Shubert", -10, 10, lambda x, y: _waves(x, cos, [1] * 5) * _waves(y, cos, [1] * 5)
    ),
    _square(
        "Shubert 3", -10, 10,
        lambda x, y: _waves(x, sin, range(1, 6)) + _waves(y, sin, range(1, 6)),
    ),
    _square("Sphere", -5.12, 5.12, _squares),
    _square(
        "Styblinski-Tang", -5, 5,
        lambda x, y: 0.5 * (_styblinski_tang(x) + _styblinski_tang(y)),
    ),
    _square("Sum Squares", -10, 10, lambda x, y: x**2 + 2 * y**2),
    _square(
        "Three-Hump Camel", -5, 5,
        lambda x, y: 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2,
    ),
    _square(
        "Xin-She Yang N.2", -2 * pi, 2 * pi,
        lambda x, y: (abs(x) + abs(y)) * exp(-(sin(x**2) + sin(y**2))),
    ),
    _square("Xin-She Yang N.3", -2 * pi, 2 * pi, _xin_she_yang_3),
    _square("Xin-She Yang N.4", -10, 10, _xin_she_yang_4),
    _square("Zakharov", -5, 10, _zakharov),
)  # fmt: skip
NAMES = tuple(function.name for function in FUNCTIONS)


def sample(name: str) -> tuple[Array, Array, Array, Array]:
    """Return the rows of one function, as the benchmark draws and scales them.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    X_train, X_test, y_train, y_test : ndarray
        Inputs of shape (n, 2) and outputs of shape (n,), 3,750 and 1,250 rows. Test
        outputs are scaled as the training ones, so that some may leave [-1, 1].
    """
    if name not in NAMES:
        raise ValueError(f"Unknown function {name!r}; the functions are {', '.join(NAMES)}.")
    function = FUNCTIONS[NAMES.index(name)]
    generator = np.random.RandomState(SEED)
    x = generator.uniform(*function.x_domain, N_ROWS)
    y = generator.uniform(*function.y_domain, N_ROWS)
    z = function.function(x, y)
    X = np.column_stack(
        [_to_unit(x, *function.x_domain), _to_unit(y, *function.y_domain)]
    )  # fmt: skip
    target = _to_unit(z, z[:N_TRAIN].min(), z[:N_TRAIN].max())
    return X[:N_TRAIN], X[N_TRAIN:], target[:N_TRAIN], target[N_TRAIN:]


def _to_unit(values: Array, low: float, high: float) -> Array:
    return 2 * (values - low) / (high - low) - 1

"""The LaTeX parses, says what the text says, and escapes what is special in a name."""

import pytest
from export_cases import estimators, make_estimator
from hypothesis import given, settings
from matplotlib.mathtext import MathTextParser

from sklearn_swat.export import to_latex


def lines_of(latex):
    first, *lines, last = latex.split("\n")
    assert (first, last) == (r"\begin{aligned}", r"\end{aligned}")
    assert all(line.endswith(r" \\") for line in lines[:-1])
    return [line.removesuffix(r" \\") for line in lines]


def parse(line):
    line = line.replace(r"\textbackslash{}", "").replace(r"\textasciicircum{}", "")
    MathTextParser("path").parse(f"${line.replace('&', '')}$".replace(r"\textstyle", ""))


@given(estimator=estimators)
@settings(max_examples=25, deadline=None)
def test_every_equation_parses(estimator):
    for line in lines_of(to_latex(estimator)):
        assert line.count(" &= ") == 1
        parse(line)


def test_equations_read_as_the_network():
    estimator = make_estimator("multi-class", 1, 1, activations=["leaky_relu"], names=["bmi"])
    latex = to_latex(estimator)
    assert r"h_{1,0} &= \operatorname{leakyReLU}\left(" in latex
    assert r"\,\text{bmi}" in latex
    assert r"P(\text{0}) &= e^{z_{0}} / \textstyle\sum_i e^{z_i}" in latex
    assert r"\operatorname{leakyReLU}(z) &= \max(z, 0.01\,z)" in latex
    assert r"\sigma" not in latex


def test_a_probability_of_two_is_that_of_the_second():
    estimator = make_estimator("binary", 0, 1, density=1.0, classes=["no", "yes"])
    first, definition = lines_of(to_latex(estimator))
    assert first.startswith(r"P(\text{yes}) &= \sigma\left(")
    assert definition == r"\sigma(z) &= \frac{1}{1 + e^{-z}}"


def test_small_numbers_are_powers_of_ten():
    estimator = make_estimator("regression", 0, 1, density=1.0)
    estimator.network_ = type(estimator.network_)(([[1.5e-7]],), ([-2e-9],), ())
    (line,) = lines_of(to_latex(estimator))
    assert line == r"y &= 1.5 \cdot 10^{-7}\,x_{0} - 2 \cdot 10^{-9}"


def test_special_characters_are_escaped():
    name = "a_b^2 %&#$ {x} \\input ~\n"
    estimator = make_estimator("regression", 0, 1, density=1.0, names=[name])
    expected = (
        r"\text{a\_b\textasciicircum{}2 \%\&\#\$ \{x\} \textbackslash{}input "
        r"\textasciitilde{}\textbackslash{}n}"
    )
    assert expected in to_latex(estimator)
    assert r"\text{5\%}" in to_latex(estimator, feature_names=["5%"])


def test_decimals_below_one_are_refused():
    with pytest.raises(ValueError, match="decimals=0 must be at least 1"):
        to_latex(make_estimator("regression", 1), decimals=0)

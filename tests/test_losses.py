"""What would break: a wrong gradient or curvature, weights that are not shares, overflow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, mean_squared_error

from sklearn_swat._losses import LOSSES, Loss, normalised_loss

ALL = list(LOSSES.values())


def problem(loss: Loss, n: int = 40, k: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(n, k)) * 2
    if loss.name == "squared_error":
        target = rng.normal(size=(n, k))
    elif loss.name == "logistic":
        target = (rng.random((n, k)) < 0.4).astype(float)
    else:
        target = np.eye(k)[rng.integers(0, k, n)]
    return raw, target, rng.random(n) + 0.1


def test_the_table_is_keyed_by_name_and_uses_scikit_learns_output_activations():
    assert {name: loss.out_activation for name, loss in LOSSES.items()} == {
        "squared_error": "identity",
        "logistic": "logistic",
        "softmax": "softmax",
    }
    assert all(loss.name == name for name, loss in LOSSES.items())


def test_squared_error_equals_scikit_learns():
    raw, target, weight = problem(LOSSES["squared_error"])
    expected = mean_squared_error(target, raw, sample_weight=weight)
    assert LOSSES["squared_error"].value(raw, target, weight) == pytest.approx(expected, rel=1e-12)


def test_softmax_equals_scikit_learns_log_loss():
    raw, target, weight = problem(LOSSES["softmax"])
    p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    expected = log_loss(target.argmax(axis=1), p, sample_weight=weight)
    assert LOSSES["softmax"].value(raw, target, weight) == pytest.approx(expected, rel=1e-12)


def test_logistic_is_the_mean_of_scikit_learns_log_losses():
    raw, target, weight = problem(LOSSES["logistic"])
    p = 1 / (1 + np.exp(-raw))
    expected = np.mean([log_loss(target[:, j], p[:, j], sample_weight=weight) for j in range(3)])
    assert LOSSES["logistic"].value(raw, target, weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("raw", [-1e300, -745.0, -40.0, -1e-300, 0.0, 1e-8, 40.0, 745.0, 1e300])
def test_logistic_keeps_its_digits_where_outputs_are_extreme(raw, k):
    for label in (0.0, 1.0):
        found = LOSSES["logistic"].value(np.full((1, k), raw), np.full((1, k), label), np.ones(1))
        assert found == pytest.approx(np.logaddexp(0.0, raw) - label * raw, rel=1e-15)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_gradient_is_the_finite_difference(loss, k):
    raw, target, weight = problem(loss, n=6, k=k)
    gradient = loss.on(target, weight).gradient(raw)
    for i, j in np.ndindex(raw.shape):
        up, down = raw.copy(), raw.copy()
        up[i, j] += 1e-6
        down[i, j] -= 1e-6
        slope = (loss.value(up, target, weight) - loss.value(down, target, weight)) / 2e-6
        assert gradient[i, j] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_curvature_factor_squares_to_the_second_derivative(loss, k):
    raw, target, weight = problem(loss, n=6, k=k)
    factor = loss.on(target, weight).curvature_factor(raw)
    assert factor.shape == (k, 6, k)
    matrices = np.einsum("rij,ril->ijl", factor, factor)
    for j in range(k):
        up, down = raw.copy(), raw.copy()
        up[:, j] += 1e-5  # rows do not interact: one shift differentiates all of them
        down[:, j] -= 1e-5
        gradients = [loss.on(target, weight).gradient(shifted) for shifted in (up, down)]
        second = (gradients[0] - gradients[1]) / 2e-5
        np.testing.assert_allclose(matrices[:, :, j], second, atol=1e-8)


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_probabilities_that_are_reproduced_have_no_loss(seed, k):
    rng = np.random.default_rng(seed)
    raw, other, weight = 2 * rng.normal(size=(9, k)), rng.normal(size=(9, k)), rng.random(9) + 0.1
    for loss, probabilities in (("logistic", expit(raw)), ("softmax", softmax(raw, axis=1))):
        assert abs(LOSSES[loss].value(raw, probabilities, weight)) < 1e-14
        assert LOSSES[loss].value(other, probabilities, weight) > -1e-14
        gradient = LOSSES[loss].on(probabilities, weight).gradient(other)
        step = 1e-6 * rng.normal(size=other.shape)
        moved = [LOSSES[loss].value(other + s * step, probabilities, weight) for s in (1, -1)]
        assert moved[0] - moved[1] == pytest.approx(2 * np.sum(gradient * step), abs=1e-12)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
def test_no_constant_is_better_than_the_best_constant(loss):
    _, target, weight = problem(loss)
    best = loss.constant(target, weight)
    assert best.shape == (3,)

    def of_constant(raw):
        return loss.value(np.broadcast_to(raw, target.shape), target, weight)

    found = minimize(of_constant, best + 0.3, tol=1e-10).fun
    assert loss.constant_loss(target, weight) == of_constant(best)
    assert loss.constant_loss(target, weight) <= found + 1e-9


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_a_class_without_rows_gives_a_finite_constant(name):
    target = np.zeros((5, 3))
    target[:, 1] = 1
    constant = LOSSES[name].constant(target, np.ones(5))
    assert np.isfinite(constant).all()
    assert constant.argmax() == 1
    assert 0 <= LOSSES[name].constant_loss(target, np.ones(5)) < 1e-8


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_only_the_proportions_of_row_weights_matter(loss, scale, seed):
    raw, target, weight = problem(loss, seed=seed)
    value, scaled_value = (loss.value(raw, target, weight * s) for s in (1, scale))
    assert scaled_value == pytest.approx(value, rel=1e-12)
    gradient, scaled_gradient = (loss.on(target, weight * s).gradient(raw) for s in (1, scale))
    np.testing.assert_allclose(scaled_gradient, gradient, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
def test_an_integer_weight_equals_repeated_rows(loss):
    raw, target, _ = problem(loss)
    counts = np.random.default_rng(1).integers(0, 4, len(raw))
    repeated = [np.repeat(a, counts, axis=0) for a in (raw, target)]
    expected = loss.value(*repeated, np.ones(counts.sum()))
    assert loss.value(raw, target, counts.astype(float)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", ALL[1:], ids=lambda loss: loss.name)
def test_huge_outputs_neither_overflow_nor_warn(loss):
    raw = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    target = np.array([[0.0, 1.0, 0.0]] * 2)
    assert loss.value(raw, target, np.ones(2)) > 1000
    assert np.isfinite(loss.on(target, np.ones(2)).gradient(raw)).all()
    assert np.isfinite(loss.on(target, np.ones(2)).curvature_factor(raw)).all()


@pytest.mark.parametrize("weight", [np.zeros(3), np.array([1.0, np.nan, 1.0])])
def test_weights_without_a_positive_sum_are_named_in_the_error(weight):
    with pytest.raises(ValueError, match=r"sum to (0\.0|nan).*positive"):
        LOSSES["squared_error"].value(np.zeros((3, 1)), np.zeros((3, 1)), weight)


@pytest.mark.parametrize("reference", [0.0, -1.0, float("nan")])
def test_a_constant_target_has_no_normalised_loss(reference):
    with pytest.raises(ValueError, match="constant targets"):
        normalised_loss(LOSSES["squared_error"], *np.zeros((2, 3, 1)), np.ones(3), reference)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
def test_the_best_constant_has_normalised_loss_one(loss):
    _, target, weight = problem(loss)
    raw = np.broadcast_to(loss.constant(target, weight), target.shape)
    reference = loss.constant_loss(target, weight)
    assert normalised_loss(loss, raw, target, weight, reference) == 1.0


@pytest.mark.parametrize("n", [7, 10, 49, 106])
@pytest.mark.parametrize("k", [2, 3, 7])
def test_classes_of_equally_many_rows_are_equal_to_the_last_bit(n, k):
    labels = np.eye(k)[np.arange(n * k) % k]
    softmax_constant = LOSSES["softmax"].constant(labels, np.ones(n * k))
    np.testing.assert_array_equal(softmax_constant, softmax_constant[0])
    if k == 2:
        np.testing.assert_array_equal(LOSSES["logistic"].constant(labels, np.ones(n * k)), 0.0)

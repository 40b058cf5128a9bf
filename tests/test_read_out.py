"""Output layers: the regressions that they claim to be, at the penalty that leaves out best."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import LeaveOneOut, cross_val_predict, cross_val_score

from sklearn_swat import _read_out
from sklearn_swat._read_out import PENALTIES, read_out
from sklearn_swat.pretrain._sampler import Sampler


def test_the_read_out_is_the_ridge_regression_of_the_best_left_out_error():
    sampler = Sampler(torch.Generator().manual_seed(0))
    network, X = sampler.networks(1, (1, 2), 3, 6, 1), sampler.normal(30, 3)
    y = torch.stack([X[:, 0] - X[:, 1], X[:, 2] ** 2], 1) + 0.5 * sampler.normal(30, 2)
    w_out, b_out = read_out(network, X, y, torch.ones(30), "squared_error")
    for hidden, coefficients, intercept in zip(network.last_hidden(X), w_out, b_out, strict=True):
        hidden = hidden.double().numpy()
        ridges = [Ridge(30 * penalty) for penalty in PENALTIES]
        errors = [
            -cross_val_score(r, hidden, y, cv=LeaveOneOut(), scoring="neg_mean_squared_error").sum()
            for r in ridges
        ]
        best = ridges[int(np.argmin(errors))].fit(hidden, y.double().numpy())
        np.testing.assert_allclose(coefficients, best.coef_.T, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(intercept, best.intercept_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_for_classes_it_is_the_logistic_regression_of_about_the_best_left_out_loss(
    n_classes, monkeypatch
):
    monkeypatch.setattr(_read_out, "STEPS", 2000)  # to the end, to compare with
    sampler = Sampler(torch.Generator().manual_seed(1))
    network, X = sampler.networks(1, (1, 2), 3, 6, 1), sampler.normal(60, 3)
    score = torch.stack([X[:, 0] - X[:, 1], X[:, 2], X[:, 0]], 1)[:, :n_classes]
    y = (score + sampler.normal(60, n_classes)).argmax(1).numpy()
    name = "logistic" if n_classes == 2 else "softmax"
    target = torch.tensor(y[:, None] if n_classes == 2 else np.eye(3)[y]).float()
    w_out, b_out = read_out(network, X, target, torch.ones(60), name)
    bound = _read_out.CURVATURE_BOUNDS[name]
    for hidden, w, b in zip(network.last_hidden(X), w_out, b_out, strict=True):
        hidden = hidden.double().numpy()
        models = [
            LogisticRegression(C=1 / (60 * bound * p), solver="newton-cholesky", tol=1e-9)
            for p in PENALTIES
        ]
        left_out = [
            log_loss(y, cross_val_predict(m, hidden, y, cv=LeaveOneOut(), method="predict_proba"))
            for m in models
        ]
        raw = hidden @ w.double().numpy() + b.double().numpy()
        powers = np.exp(np.hstack([0 * raw, raw]) if n_classes == 2 else raw)
        ours = powers / powers.sum(1, keepdims=True)
        theirs = [m.fit(hidden, y).predict_proba(hidden) for m in models]
        chosen = int(np.argmin([np.abs(p - ours).max() for p in theirs]))
        np.testing.assert_allclose(ours, theirs[chosen], atol=5e-3)
        assert left_out[chosen] <= min(left_out) + 0.01


def test_an_overflowing_network_does_not_stop_the_others():
    sampler = Sampler(torch.Generator().manual_seed(0))
    network, X = sampler.networks(1, (1, 2), 3, 6, 1), sampler.normal(30, 3)
    network.w_in[0] = torch.inf
    labels = (X[:, :1] > 0).float()
    w_out, b_out = read_out(network, X, labels, torch.ones(30), "logistic")
    assert torch.isfinite(w_out[1:]).all()
    assert torch.isfinite(b_out[1:]).all()

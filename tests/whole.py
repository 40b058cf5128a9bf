"""What must hold of an estimator at any moment."""

import numpy as np


def assert_is_whole(model, X):
    """Check that all fitted attributes are of one and the same fit."""
    assert np.isfinite(model.predict(X)).all()
    (position,) = (i for i, p in enumerate(model.path_) if p.network is model.network_)
    assert model.loss_ == model.path_[position].train_loss
    assert model._memory.network is model.network_
    assert len(model.loss_curve_) == len(model.history_)
    assert model.n_features_in_ == model.network_.n_features == model._memory.scaling.n_features
    assert not hasattr(model, "_callback_fit_ctx")

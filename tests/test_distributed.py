"""Searches and pruning paths on the workers of a cluster, through joblib."""

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV

from sklearn_swat import SWATRegressor

distributed = pytest.importorskip("distributed")

QUICK = {"max_iter": 5, "n_restarts": 1, "depth": 1, "max_width": 4, "random_state": 0}


@pytest.fixture(scope="module")
def rows():
    X, y = load_diabetes(return_X_y=True)
    return X[:150], y[:150]


@pytest.fixture(scope="module")
def cluster():
    """Two real workers, processes of their own, on the loopback interface alone."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield cluster


def on(cluster, fit):
    """Fit there, and return what was fitted and whether the cluster had something to do."""
    before = cluster.scheduler.transition_counter
    with joblib.parallel_config(backend="dask"):
        fitted = fit()
    return fitted, cluster.scheduler.transition_counter > before


def test_pruning_paths_on_a_cluster_give_the_same_bits(rows, cluster):
    X, y = rows
    here = SWATRegressor(**QUICK).fit(X, y)
    there, was_used = on(cluster, lambda: SWATRegressor(n_jobs=2, **QUICK).fit(X, y))
    assert was_used
    np.testing.assert_array_equal(there.predict(X), here.predict(X))
    assert [p.validation_loss for p in there.path_] == [p.validation_loss for p in here.path_]


def test_a_grid_search_on_a_cluster_gives_the_same_bits(rows, cluster):
    X, y = rows
    search = GridSearchCV(SWATRegressor(**QUICK), {"alpha": [1e-3, 0.1]}, cv=2)
    here = search.fit(X, y)
    scores, best = here.cv_results_["mean_test_score"], here.predict(X)
    there, was_used = on(cluster, lambda: search.set_params(n_jobs=2).fit(X, y))
    assert was_used
    np.testing.assert_array_equal(there.cv_results_["mean_test_score"], scores)
    np.testing.assert_array_equal(there.predict(X), best)

"""
A search over alpha
===================

Where the score on fresh rows counts more than the price of a number, let cross-validation
choose. The rule of one standard error then takes a smaller network than the best.
"""

# %%
# Three classes of wine from thirteen measurements; three folds, few steps, to be quick.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from sklearn_swat import SWATClassifier

X, y = load_wine(return_X_y=True, as_frame=True)


def best_small(results):
    """Return the highest alpha within one standard error of the best score."""
    best = results["mean_test_score"].argmax()
    error = results["std_test_score"][best] / np.sqrt(3)
    within = (
        results["mean_test_score"] >= results["mean_test_score"][best] - error
    )
    return int(
        np.where(within, results["param_alpha"].astype(float), -1).argmax()
    )


search = GridSearchCV(
    SWATClassifier(
        depth=1, max_width=6, max_iter=10, n_restarts=1, random_state=0
    ),
    {"alpha": [1e-3, 5e-3, 2e-2, 5e-2]},
    scoring="neg_log_loss",
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
    refit=best_small,
).fit(X, y)
model = search.best_estimator_
print(search.best_params_, "gives", model.nnz_, "numbers")
print(
    model.network_.to_text(model.feature_names_in_, load_wine().target_names)
)

# %%
alphas = np.array(search.cv_results_["param_alpha"], dtype=float)
loss, spread = (
    -search.cv_results_["mean_test_score"],
    search.cv_results_["std_test_score"],
)
fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
ax.errorbar(
    alphas, loss, spread / np.sqrt(3), fmt="o-", color="#0072B2", capsize=3
)
ax.plot(
    search.best_params_["alpha"],
    loss[search.best_index_],
    "o",
    markersize=13,
    markerfacecolor="none",
    markeredgecolor="#D55E00",
    markeredgewidth=2,
    label="chosen",
)
ax.set(
    xscale="log",
    xlabel="alpha",
    ylabel="log-loss of the folds",
    ylim=(0, None),
)
ax.grid(alpha=0.3)
ax.legend()

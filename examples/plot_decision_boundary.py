"""
A decision boundary, number by number
=====================================

What a classifier of a given size can say: networks of one front on two moons.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

from sklearn_swat import SWATClassifier

X, y = make_moons(300, noise=0.25, random_state=0)
model = SWATClassifier(depth=1, max_width=8, max_iter=30, random_state=0).fit(X, y)

# %%
# The smallest network is the constant; the next ones are lines, and then the boundary bends.
fig, axes = plt.subplots(
    2, 3, figsize=(9.5, 6), layout="constrained", sharex=True, sharey=True
)
for ax, budget in zip(axes.flat, (1, 3, 5, 8, 12, model.nnz_), strict=True):
    smaller = model.select(max_nnz=budget)
    DecisionBoundaryDisplay.from_estimator(
        smaller,
        X,
        ax=ax,
        response_method="predict_proba",
        cmap="PuOr",
        vmin=0,
        vmax=1,
        alpha=0.8,
    )
    ax.scatter(*X.T, c=y, cmap="PuOr", edgecolors="black", linewidths=0.4, s=14)
    layers = smaller.hidden_layer_sizes_ or "none"
    ax.set_title(f"{smaller.nnz_} numbers, hidden {layers}", fontsize=10)
    ax.set(xlabel="", ylabel="")

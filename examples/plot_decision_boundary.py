"""
A decision boundary, number by number
=====================================

What a classifier of a given size can say: networks of one front on two moons.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

from sklearn_swat import SWATClassifier

X, y = make_moons(300, noise=0.25, random_state=0)
model = SWATClassifier(depth=1, random_state=0)
model.fit(X, y)

# %%
# The smallest network is the constant; then comes a line, and then the boundary bends.
fig, axes = plt.subplots(
    2, 3, figsize=(9.5, 6), layout="constrained", sharex=True, sharey=True
)
colours = {"cmap": "PuOr", "vmin": 0, "vmax": 1}
positions = (
    np.linspace(0, len(model.path_) - 1, axes.size).round().astype(int)
)
for ax, position in zip(axes.flat, positions, strict=True):
    smaller = model.select(index=position)
    DecisionBoundaryDisplay.from_estimator(
        smaller,
        X,
        ax=ax,
        response_method="predict_proba",
        alpha=0.8,
        **colours,
    )
    ax.scatter(*X.T, c=y, edgecolors="black", linewidths=0.4, s=14, **colours)
    hidden = sum(smaller.hidden_layer_sizes_)
    ax.set_title(
        f"{smaller.nnz_} numbers, {hidden} hidden neurons", fontsize=10
    )
    ax.set(xlabel="", ylabel="")

"""
What alpha does
===============

``alpha`` is the price of one non-zero number. The higher the price, the smaller the network:
for one front this is a theorem, and the picture shows it.
"""

# %%
# One fit gives the whole front: a network for every size that is worth it.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_friedman1

from sklearn_swat import SWATRegressor

X, y = make_friedman1(500, noise=1.0, random_state=0)
model = SWATRegressor(depth=1, max_width=8, max_iter=30, random_state=0).fit(
    X, y
)
sizes = np.array([point.nnz for point in model.path_])
losses = np.array([point.validation_loss for point in model.path_])

# %%
# For every price, the network of the lowest ``J = validation loss + alpha * size`` is chosen.
alphas = np.geomspace(1e-5, 0.3, 400)
chosen = (losses + alphas[:, None] * sizes).argmin(axis=1)

left, right = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")[1]
left.step(alphas, sizes[chosen], where="post", color="#0072B2")
left.set(
    xscale="log",
    xlabel="alpha",
    ylabel="non-zero numbers of the chosen network",
)
left.axvline(model.alpha, color="#999999", linestyle="--", linewidth=1)
left.annotate(
    "default", (model.alpha, 1.5), xytext=(4, 0), textcoords="offset points"
)
right.plot(
    sizes, losses, "o", color="#999999", markersize=4, label="on the front"
)
corners = np.unique(chosen)
right.plot(
    sizes[corners],
    losses[corners],
    "o-",
    color="#0072B2",
    label="chosen by some alpha",
)
right.set(
    xlabel="non-zero numbers",
    ylabel="normalised validation loss",
    ylim=(0, None),
)
right.legend()
for ax in (left, right):
    ax.grid(alpha=0.3)

# %%
# On the left, size falls in steps as the price rises, and never rises. On the right is why: a
# price is a slope, so ``alpha`` reaches the corners of the front's lower hull only. A flat stretch
# of the left curve is a network that stays the best over a wide range of prices: a good place to
# be. The networks between the corners are there all the same; ``select`` takes them by size.
assert (np.diff(sizes[chosen]) <= 0).all()
for nnz in (5, 15, 25):
    smaller = model.select(max_nnz=nnz)
    print(
        f"at most {nnz}: {smaller.nnz_} numbers, R² on the training rows {smaller.score(X, y):.2f}"
    )

# %%
# ``alpha`` is part of the descent as well, where it weighs the penalty on the soft networks. So a
# price that is far from that of the fit is worth a fit of its own: it finds another front.
for alpha in (1e-4, 1e-3, 1e-2, 1e-1):
    fitted = SWATRegressor(
        alpha=alpha, depth=1, max_width=8, max_iter=30, random_state=0
    ).fit(X, y)
    nnz = sizes[(losses + alpha * sizes).argmin()]
    print(
        f"alpha {alpha:g}: {nnz} numbers on the front above, {fitted.nnz_} in a fit of its own"
    )

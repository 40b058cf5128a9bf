"""
Reading a network as a formula
==============================

A network of a few numbers is a formula. It can be printed, written as LaTeX or as a SymPy
expression, and held against what is known of the data.
"""

# %%
# Friedman's first problem again, of which the truth is known:
# :math:`10 \sin(\pi x_0 x_1) + 20 (x_2 - \frac{1}{2})^2 + 10 x_3 + 5 x_4`.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_friedman1

from sklearn_swat import SWATRegressor
from sklearn_swat.export import export_text, to_latex, to_sympy

X, y = make_friedman1(500, noise=1.0, random_state=0)
model = SWATRegressor(alpha=1e-3, depth=1, max_width=8, random_state=0).fit(
    X, y
)
print(export_text(model, decimals=3))


# %%
# Each feature is in few neurons, so the formula falls apart into pieces that can be drawn. Grey is
# the truth, each piece shifted to a mean of zero.
def without_mean(values):
    """Shift values to a mean of zero."""
    return values - values.mean()


line = np.linspace(0, 1, 60)
x0, x1 = np.meshgrid(line, line)


def piece(**features):
    """Predict with some features given and the others in the middle of their range."""
    some = next(iter(features.values()))
    rows = np.full((some.size, 10), 0.5)
    for name, values in features.items():
        rows[:, int(name[1:])] = values.ravel()
    return without_mean(model.predict(rows)).reshape(some.shape)


fig, axes = plt.subplots(2, 3, figsize=(9.5, 6), layout="constrained")
levels = np.linspace(-6, 6, 13)
truth = without_mean(10 * np.sin(np.pi * x0 * x1))
surfaces = {"truth": truth, "network": piece(x0=x0, x1=x1)}
for ax, (title, values) in zip(axes[0, :2], surfaces.items(), strict=True):
    shown = ax.contourf(x0, x1, values, levels, cmap="cividis", extend="both")
    ax.set(title=f"{title}: x0 and x1", xlabel="x0", ylabel="x1")
axes[0, 2].set_axis_off()
fig.colorbar(shown, ax=axes[0, 2], location="left", fraction=0.3)
pieces = {"x2": 20 * (line - 0.5) ** 2, "x3": 10 * line, "x4": 5 * line}
for ax, (name, values) in zip(axes[1], pieces.items(), strict=True):
    ax.plot(
        line,
        without_mean(values),
        color="#999999",
        linewidth=4,
        label="truth",
    )
    ax.plot(line, piece(**{name: line}), color="#0072B2", label="network")
    ax.set(xlabel=name, ylim=(-5.5, 5.5))
    ax.grid(alpha=0.3)
axes[1, 0].legend()

# %%
# As LaTeX, for a paper, and as a SymPy expression, to differentiate or to simplify:
print(to_latex(model, decimals=3))
(expression,) = to_sympy(model)
print(
    "slope by x3:",
    expression.diff("x3").subs({"x2": 0.5, "x3": 0.5, "x4": 0.5}),
)

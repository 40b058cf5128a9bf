"""
A first network
===============

Friedman's first problem: ten features, of which the target depends on five, and noise. A
small sparse network finds the five, and what is left of it can be read.
"""

# %%
# The data come from scikit-learn's generator:
# :math:`y = 10 \sin(\pi x_0 x_1) + 20 (x_2 - \frac{1}{2})^2 + 10 x_3 + 5 x_4` plus noise of
# standard deviation 1.
from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split

from sklearn_swat import SWATRegressor

X, y = make_friedman1(500, noise=1.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = SWATRegressor(alpha=2e-3, depth=1, random_state=0).fit(
    X_train, y_train
)
print(f"R² {model.score(X_test, y_test):.3f} with {model.nnz_} numbers")
print("features:", model.selected_features_.tolist())

# %%
# A line per neuron. Inputs and targets were not scaled by us: the fit scales them and folds
# the scales into the weights, so that the formula takes the features as they are.
print(model.network_)

# %%
# The same as a picture. A line is a weight: blue is positive, orange negative, and the width is
# how much it moves its neuron. The curve in a neuron is its activation.
from sklearn_swat.plotting import NetworkDisplay

NetworkDisplay.from_estimator(model, X_train)

# %%
# How many numbers are worth it? The front holds a network for every size; the ring is the one
# that ``alpha`` chose. See :ref:`sphx_glr_gallery_plot_alpha.py` for that choice.
from sklearn_swat.plotting import ParetoDisplay

ParetoDisplay.from_estimator(model, X_test, y_test)

# %%
# For comparison, scikit-learn's dense network on standardised features, by the solver that its
# documentation recommends for small tables.
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mlp = MLPRegressor(solver="lbfgs", max_iter=1000, random_state=0)
dense = make_pipeline(StandardScaler(), mlp)
dense.fit(X_train, y_train)
size = sum(part.size for part in (*dense[-1].coefs_, *dense[-1].intercepts_))
print(f"R² {dense.score(X_test, y_test):.3f} with {size:,} numbers")

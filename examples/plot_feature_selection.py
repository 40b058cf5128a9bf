"""
Feature selection in a pipeline
===============================

A sparse network says which features it can do without. So it works as a step that selects
features for another model.
"""

# %%
# Thirty measurements of cell nuclei. The price is high: a feature has to be worth its weights.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_swat import SWATClassifier

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, random_state=0, stratify=y
)
selector = SelectFromModel(
    SWATClassifier(alpha=3e-3, depth=1, random_state=0), threshold=1e-9
)
forest = RandomForestClassifier(random_state=0)
pipeline = make_pipeline(selector, forest).fit(X_train, y_train)

network = pipeline[0].estimator_
n_kept = pipeline[0].get_support().sum()
everything = RandomForestClassifier(random_state=0).fit(X_train, y_train)
print(
    f"network of {network.nnz_} numbers: {network.score(X_test, y_test):.3f}"
)
print(f"forest on {n_kept} features: {pipeline.score(X_test, y_test):.3f}")
print(f"forest on all {X.shape[1]}: {everything.score(X_test, y_test):.3f}")

# %%
# Two views of the features. The network uses a few: of several that say the same it keeps one, and
# another fit may keep another. The forest spreads its importance over all of them.
ours, theirs = network.feature_importances_, everything.feature_importances_
order = np.argsort(ours + 1e-3 * theirs)
fig, ax = plt.subplots(figsize=(7, 6.5), layout="constrained")
height = np.arange(len(order))
ax.barh(height + 0.2, ours[order], 0.4, color="#0072B2", label="network")
ax.barh(height - 0.2, theirs[order], 0.4, color="#999999", label="forest")
ax.set_yticks(height, X.columns[order], fontsize=8)
ax.set(xlabel="importance", ylim=(-0.6, len(order) - 0.4))
ax.grid(axis="x", alpha=0.3)
ax.legend(loc="lower right")

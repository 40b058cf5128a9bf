"""
Choosing on the front
=====================

A fit keeps every network that no smaller one beats on rows that it has not seen. This example goes
through the ways to choose among them, on a table with few rows and much noise.
"""

# %%
# The progression of diabetes after a year, from ten measurements of 331 patients.
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from sklearn_swat import SWATRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
model = SWATRegressor(
    depth=[1, 2], max_width=8, max_iter=30, random_state=0
).fit(X_train, y_train)
frame = model.path_frame()
frame["test R²"] = [
    model.select(index=i).score(X_test, y_test) for i in range(len(frame))
]
columns = [
    "nnz",
    "hidden_layer_sizes",
    "n_features_used",
    "validation_loss",
    "validation_error",
]
print(
    frame[[*columns, "is_chosen", "test R²"]].round(3).to_string(index=False)
)

# %%
# The validation loss has a standard error, because rows are few: the networks of the lower part
# of the table cannot be told apart. The rule of one standard error takes the smallest
# network whose loss is within that error of the lowest.
import matplotlib.pyplot as plt

cautious = model.select(rule="one_standard_error")
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.errorbar(
    frame.nnz,
    frame.validation_loss,
    frame.validation_error,
    fmt="o-",
    color="#0072B2",
    ecolor="#999999",
    elinewidth=1,
    capsize=2,
    markersize=4,
)
best = frame.loc[frame.validation_loss.idxmin()]
ax.axhline(
    best.validation_loss + best.validation_error,
    color="#999999",
    linestyle="--",
)
for name, other, colour in (
    ("alpha", model, "#D55E00"),
    ("one standard error", cautious, "#009E73"),
):
    at = frame[
        frame.nnz
        == next(p.nnz for p in model.path_ if p.network is other.network_)
    ]
    ax.plot(
        at.nnz,
        at.validation_loss,
        "o",
        markersize=13,
        markerfacecolor="none",
        markeredgecolor=colour,
        markeredgewidth=2,
        label=f"chosen by {name}",
    )
ax.set(xlabel="non-zero numbers", ylabel="normalised validation loss")
ax.grid(alpha=0.3)
ax.legend()

# %%
# A budget is the third way, and the position on the front the fourth. All return a copy of the
# estimator that predicts with the other network; nothing is fitted again.
for name, other in (
    ("alpha", model),
    ("one standard error", cautious),
    ("max_nnz=5", model.select(max_nnz=5)),
    ("index=-1, the largest", model.select(index=-1)),
):
    print(
        f"{name:>22}: {other.nnz_:>3} numbers, test R² {other.score(X_test, y_test):.3f}"
    )

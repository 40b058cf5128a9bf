"""The main job on real data: two tables, two estimators, a small network out of each.

For scikit-learn's own diabetes and breast-cancer tables it prints the Pareto front
with the dense MLP beside it and the chosen network as text, and saves pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import train_test_split

from benchmarks._dense import count_weights, dense_mlp, fit_quietly
from sklearn_swat import SWATClassifier, SWATRegressor

ALPHA = 2e-3  # above the default: networks to read


def load(task: str) -> tuple[Any, Any]:
    """Return features and target of the table of a task.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is to be predicted.

    Returns
    -------
    X : DataFrame
        The features, in their own units.
    y : Series
        The target; the classes of breast cancer by their names.
    """
    if task == "regression":
        return load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    table = load_breast_cancer(as_frame=True)
    return table.data, table.target.map(dict(enumerate(map(str, table.target_names))))


def front_rows(model: Any, X_test: Any, y_test: Any) -> list[tuple[int, float, float]]:
    """Return nnz, validation loss and test score of every network of the front.

    Parameters
    ----------
    model : SWATRegressor or SWATClassifier
        A fitted estimator.
    X_test, y_test : array-like
        Rows that the fit has not seen.

    Returns
    -------
    list of tuple
        A tuple per network, the smallest first.
    """
    return [
        (
            point.nnz,
            float(point.validation_loss),
            float(model.select(max_nnz=point.nnz).score(X_test, y_test)),
        )
        for point in model.path_
    ]


def print_front(
    rows: Sequence[tuple[int, float, float]],
    score_name: str,
    chosen: tuple[int, float],
    dense: tuple[int, float],
) -> None:
    """Print the front as a table.

    Parameters
    ----------
    rows : sequence of tuple
        What `front_rows` returns.
    score_name : str
        The name of the score.
    chosen, dense : tuple of (int, float)
        Number of weights and test score of the network that predicts, and of the
        dense MLP.
    """
    print(f"{'weights':>9}  {'validation loss':>15}  {'test ' + score_name:>13}")
    # The chosen network is refitted on all rows, so its size alone tells which row it is.
    marked = min(range(len(rows)), key=lambda i: abs(rows[i][0] - chosen[0]))
    for i, (nnz, loss, score) in enumerate(rows):
        mark = f"  <- chosen: {chosen[0]} weights, {chosen[1]:.3f}" if i == marked else ""
        print(f"{nnz:>9,}  {loss:>15.3f}  {score:>13.3f}{mark}")
    print(f"{dense[0]:>9,}  {'':>15}  {dense[1]:>13.3f}  dense scikit-learn MLP, defaults, scaled")


def save_pictures(model: Any, X: Any, y: Any, dense: tuple[int, float], stem: Path) -> None:
    """Save the network and the front as PNG.

    Parameters
    ----------
    model : SWATRegressor or SWATClassifier
        A fitted estimator.
    X, y : array-like
        Test rows.
    dense : tuple of (int, float)
        Number of weights and test score of the dense MLP.
    stem : Path
        The beginning of the names of the two files.
    """
    import matplotlib

    matplotlib.use("Agg")  # a file is written, no window opens
    from sklearn_swat.plotting import NetworkDisplay, ParetoDisplay

    network = NetworkDisplay.from_estimator(model, X)
    front = ParetoDisplay.from_estimator(model, X, y, reference=("dense MLP", *dense))
    front.ax_.set_ylabel(f"test {front.value_name}")
    for display, what in ((network, "network"), (front, "front")):
        path = stem.with_name(f"{stem.name}_{what}.png")
        display.figure_.savefig(path, dpi=150, bbox_inches="tight")
        print(f"saved {path}")


def show(title: str, task: str, score_name: str, seed: int, out: Path) -> None:
    """Fit one table, print what came out and save the pictures.

    Parameters
    ----------
    title : str
        The heading.
    task : {"regression", "classification"}
        What is to be predicted.
    score_name : str
        The name of the score.
    seed : int
        The seed of the split and of both models.
    out : Path
        The folder of the pictures.
    """
    X, y = load(task)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, random_state=seed, stratify=y if task == "classification" else None
    )
    estimator = SWATClassifier if task == "classification" else SWATRegressor
    start = time.perf_counter()
    model = estimator(alpha=ALPHA, random_state=seed).fit(X_train, y_train)
    seconds = time.perf_counter() - start
    baseline = fit_quietly(dense_mlp(task, seed), X_train, y_train)
    dense = (count_weights(baseline), float(baseline.score(X_test, y_test)))

    rows = f"{len(X_train)} training rows, {X.shape[1]} features"
    print(f"\n{title}: {rows}, alpha={ALPHA:g}, {seconds:.1f} s\n")
    chosen = (model.nnz_, float(model.score(X_test, y_test)))
    print_front(front_rows(model, X_test, y_test), score_name, chosen, dense)
    print("\nThe chosen network:\n")
    # A binary classifier has one output, the probability of the second class.
    classes = list(map(str, getattr(model, "classes_", [])))
    names = classes[1:] if len(classes) == 2 else classes or [str(y.name)]
    print(model.network_.to_text(list(map(str, X.columns)), names))
    print()
    save_pictures(model, X_test, y_test, dense, out / task)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demo.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the pictures")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split and the models")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    show("Diabetes progression (regression)", "regression", "R²", options.seed, options.out)
    show("Breast cancer (classification)", "classification", "accuracy", options.seed, options.out)


if __name__ == "__main__":
    main()

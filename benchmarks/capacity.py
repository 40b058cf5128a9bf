"""Problems that want many neurons, beside dense MLPs: clusters, products, moved images.

Nothing here is a small network's home ground: classes of several clusters each, a sum of
many products, classes told apart by their covariance alone, and digits that were moved.
Beside the default fit there are one without wider layers than usual (``max_width``),
scikit-learn's MLP with its defaults, and a linear model. Everything is drawn by
scikit-learn and a seed. Results are kept as JSON, one record per problem and seed, and
the report is computed from that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._command import add_resume_option, make_parser, report
from benchmarks._dense import count_weights, dense_mlp, fit_quietly
from benchmarks._results import begin, missing, run_and_keep
from benchmarks.advantage import test_loss
from benchmarks.quick import swat
from sklearn_swat._parameters import widths_of

Array = NDArray[Any]
Draw = Callable[[int], tuple[Array, Array, Array, Array]]  # training and test rows, their targets
TEST_ROWS = 2_000
NOISE = 0.2  # deviation, of targets of deviation 1
CANVAS, REPEATS = 12, 2  # pixels of a side, and pictures of each training digit


def clusters(
    seed: int, n_rows: int, n_features: int, n_classes: int, per_class: int
) -> tuple[Array, Array]:
    """Draw classes of so many normal clusters each, four fifths of the features informative."""
    return make_classification(
        n_rows, n_features, n_informative=4 * n_features // 5, n_redundant=0,
        n_classes=n_classes, n_clusters_per_class=per_class, random_state=seed,
    )  # fmt: skip


def covariances(seed: int, n_rows: int, n_features: int, n_classes: int) -> tuple[Array, Array]:
    """Draw normal classes around one point, each of a random covariance."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    shapes = rng.standard_normal((n_classes, n_features, n_features))
    return np.einsum("ni,nij->nj", rng.standard_normal((n_rows, n_features)), shapes[y]), y


def products(seed: int, n_rows: int, n_features: int) -> tuple[Array, Array]:
    """Draw a quadratic form of normal features, with noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features))
    y = np.einsum("ni,ij,nj->n", X, rng.standard_normal((n_features, n_features)), X)
    return X, y / y.std() + NOISE * rng.standard_normal(n_rows)


def moved_digits(seed: int) -> tuple[Array, Array, Array, Array]:
    """Move scikit-learn's digits over a larger canvas; no digit is in both parts."""
    digits = load_digits()
    parts = train_test_split(
        digits.images / 16, digits.target, test_size=0.25, stratify=digits.target, random_state=seed
    )
    rng = np.random.default_rng(seed)

    def moved(images: Array) -> Array:
        canvas = np.zeros((len(images), CANVAS, CANVAS))
        for picture, image in zip(canvas, images, strict=True):
            top, left = rng.integers(CANVAS - len(image) + 1, size=2)
            picture[top : top + len(image), left : left + len(image)] = image
        return canvas.reshape(len(images), -1)

    train, test, y_train, y_test = parts
    return (
        moved(np.repeat(train, REPEATS, axis=0)),
        moved(test),
        np.repeat(y_train, REPEATS),
        y_test,
    )


def with_test_rows(draw: Callable[..., tuple[Array, Array]], n_rows: int, **options: int) -> Draw:
    """Return a function of the seed that draws training rows and `TEST_ROWS` others."""

    def parts(seed: int) -> tuple[Array, Array, Array, Array]:
        X, y = draw(seed, n_rows + TEST_ROWS, **options)
        return X[TEST_ROWS:], X[:TEST_ROWS], y[TEST_ROWS:], y[:TEST_ROWS]

    return parts


def _classes_of_clusters(n_rows: int, n_features: int, n_classes: int, per_class: int) -> Draw:
    return with_test_rows(
        clusters, n_rows, n_features=n_features, n_classes=n_classes, per_class=per_class
    )


# What is drawn: a name and a function of the seed.
PROBLEMS: dict[str, Draw] = {
    "12 classes, 1,000 x 20": _classes_of_clusters(1_000, 20, 12, 1),
    "12 classes of 2 clusters, 2,000 x 20": _classes_of_clusters(2_000, 20, 12, 2),
    "10 classes of 2 clusters, 4,000 x 30": _classes_of_clusters(4_000, 30, 10, 2),
    "10 classes of 2 clusters, 20,000 x 30": _classes_of_clusters(20_000, 30, 10, 2),
    "6 classes of 3 clusters, 3,000 x 12": _classes_of_clusters(3_000, 12, 6, 3),
    "8 classes of 3 clusters, 6,000 x 10": _classes_of_clusters(6_000, 10, 8, 3),
    "5 covariances, 2,000 x 12": with_test_rows(covariances, 2_000, n_features=12, n_classes=5),
    "moved digits, 2,694 x 144": moved_digits,
    "465 products, 6,000 x 30": with_test_rows(products, 6_000, n_features=30),
}
TITLES = {
    "swat": "SWAT, default fit", "narrow": "SWAT, max_width as usual", "mlp": "MLP, defaults",
    "linear": "linear model",
}  # fmt: skip


def linear_model(task: str) -> Any:
    """Return the unfitted linear baseline of a task."""
    if task == "classification":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    return make_pipeline(StandardScaler(), RidgeCV())


def run_one(name: str, n_rows: int, seed: int) -> dict[str, Any]:
    """Fit all models to one problem with one seed.

    Parameters
    ----------
    name : str
        Of `PROBLEMS`.
    n_rows : int
        Part of the key of a record: 0.
    seed : int
        Of the rows and of all models.

    Returns
    -------
    dict
        The record that is kept: score, test loss in units of the best constant's, numbers
        and processor seconds of every model.
    """
    X, X_test, y, y_test = PROBLEMS[name](seed)
    task = "classification" if y.dtype.kind == "i" else "regression"
    n_outputs = len(np.unique(y)) if task == "classification" else 1
    usual_width, _ = widths_of(None, "data", X.shape[1], n_outputs)
    models = {
        "swat": swat(task, seed),
        "narrow": swat(task, seed, max_width=usual_width),
        "mlp": dense_mlp(task, seed),
        "linear": linear_model(task),
    }
    swat(task, seed, max_iter=1, refine=False).fit(X[:200], y[:200])  # the import of torch
    found = {}
    for key, model in models.items():
        begun = process_time()
        fit_quietly(model, X, y)
        seconds = process_time() - begun
        found[key] = {
            "score": float(model.score(X_test, y_test)),
            "test_loss": test_loss(model, task, X_test, y_test, y),
            "nnz": _size(key, model),
            "processor_seconds": seconds,
        }
    return {"table": name, "task": task, "n_rows": n_rows, "seed": seed, "models": found}


def _size(key: str, model: Any) -> int:
    """Return how many numbers a fitted model has."""
    if key == "mlp":
        return count_weights(model)
    if key == "linear":
        return int(model[-1].coef_.size + np.size(model[-1].intercept_))
    return int(model.nnz_)


def make_report(results: dict[str, Any]) -> str:
    """Return a table of all models and what the wider layers bring.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
    """
    runs = results["runs"]
    lines = []
    for name in PROBLEMS:
        of_problem = [run["models"] for run in runs if run["table"] == name]
        if not of_problem:
            continue

        def median(model: str, key: str, of_problem: Any = of_problem) -> float:
            return float(np.median([models[model][key] for models in of_problem]))

        unit = median("mlp", "processor_seconds")
        lines.append(
            {"problem": name}
            | {
                title: f"{median(model, 'score'):.3f} ({median(model, 'nnz'):,.0f}; "
                f"{median(model, 'processor_seconds') / unit:.1f})"
                for model, title in TITLES.items()
            }
        )
    n_draws = len({run["seed"] for run in runs})
    parts = [
        ", ".join(f"{key} {value}" for key, value in results["meta"].items()),
        "Score on test rows (R2 or accuracy), with numbers and with time in fits of the MLP; "
        f"medians over {n_draws} draws.\n{pd.DataFrame(lines).to_string(index=False)}",
    ]
    for other in ("narrow", "mlp"):
        ratios = [
            run["models"]["swat"]["test_loss"] / run["models"][other]["test_loss"] for run in runs
        ]
        parts.append(
            f"Test loss (squared error, log-loss) of the default fit, divided by that of "
            f"{TITLES[other]}:\n{np.exp(np.mean(np.log(ratios))):.2f} (geometric mean), "
            f"{min(ratios):.2f} to {max(ratios):.2f}"
        )
    return "\n\n".join(parts)


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run what is missing and keep every record as it comes.

    Parameters
    ----------
    options : Namespace
        The command line.

    Returns
    -------
    dict
        The results.
    """
    results = begin(options)
    keys = ((name, 0, seed) for seed in range(options.seeds) for name in options.problems)

    def describe(record: dict[str, Any]) -> str:
        scores = [f"{key} {found['score']:.3f}" for key, found in record["models"].items()]
        return f"{record['table']}, seed {record['seed']}: {', '.join(scores)}"

    todo = missing(results, keys)
    run_and_keep(results, options.out, run_one, todo, options.jobs, describe, tuple(PROBLEMS))
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("capacity", __doc__)
    add = parser.add_argument
    names = list(PROBLEMS)
    add("--problems", nargs="+", choices=names, default=names, metavar="NAME", help="which")
    add("--seeds", type=int, default=3, help="draws of each problem")
    add("--jobs", type=int, default=1, help="processes; more than 1 disturbs the times")
    add_resume_option(parser)
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()

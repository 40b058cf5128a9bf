import json

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import (
    _cornn_functions,
    _peers_report,
    _sparse_peers,
    compare,
    cornn,
    peers,
    scaling,
)
from benchmarks._dense_peers import count_torch_weights, dense_peers
from benchmarks._masked_training import Problem
from benchmarks._user_table import preprocessor, read_table

# ----------------------------------------------------------------------------- CORNN


def test_the_benchmark_has_54_functions_with_names_of_their_own():
    assert len(set(_cornn_functions.NAMES)) == len(_cornn_functions.FUNCTIONS) == 54


@pytest.mark.parametrize("name", _cornn_functions.NAMES)
def test_rows_are_scaled_from_domain_and_training_targets(name):
    X_train, X_test, y_train, y_test = _cornn_functions.sample(name)
    assert X_train.shape == (3750, 2)
    assert X_test.shape == (1250, 2)
    assert np.abs(X_train).max() <= 1
    assert (y_train.min(), y_train.max()) == (-1, 1)
    assert np.isfinite(y_test).all()


@pytest.mark.parametrize(
    ("name", "error"),  # of the training mean on the test rows, as the benchmark states it
    [
        ("Ackley", 0.0637), ("Bukin N.6", 0.1896), ("Deckkers-Aarts", 0.1727),
        ("Egg Holder", 0.0941), ("Goldstein-Price", 0.0702), ("Levi N.13", 0.1220),
        ("Shubert", 0.0140), ("Shubert 3", 0.0778), ("Styblinski-Tang", 0.0723),
        ("Xin-She Yang N.4", 0.0552), ("Zakharov", 0.0940),
    ],
)  # fmt: skip
def test_functions_are_those_of_the_benchmark(name, error):
    _, _, y_train, y_test = _cornn_functions.sample(name)
    np.testing.assert_allclose(np.mean((y_test - y_train.mean()) ** 2), error, atol=6e-5)


def test_an_unknown_function_is_named():
    with pytest.raises(ValueError, match="Unknown function 'Parabola'"):
        _cornn_functions.sample("Parabola")


def test_cornn_runs_resumes_and_reports(tmp_path, capsys):
    out = tmp_path / "cornn.json"
    command = ["--functions", "Sphere", "--rows", "60", "--max-epochs", "3", "--out", str(out)]
    cornn.main(command)
    first = out.read_text(encoding="utf-8")
    (run,) = json.loads(first)["runs"]
    assert all(run["default"]["budgets"][b]["nnz"] <= int(b) for b in ("65", "261"))
    assert run["default"]["front"][0][0] == 1  # the constant
    cornn.main([*command, "--resume"])
    assert json.loads(out.read_text(encoding="utf-8"))["runs"] == [run]
    report = capsys.readouterr().out
    assert "below adam and lbfgs on 45 of 54" in report
    assert "Sphere" in report


def cornn_run(name, seed, losses, dense):
    """A record whose networks of at most 65 and 261 non-zeros have these losses."""
    budgets = {
        str(b): {"nnz": b - 1, "depth": 2, "test_loss": loss}
        for b, loss in zip(cornn.BUDGETS, losses, strict=True)
    }
    found = {
        "budgets": budgets,
        "front": [[64, 0.1, losses[0]], [70, 0.1, min(losses)]],
        "processor_seconds": 1.0,
    }
    methods = {m: {"test_loss": loss, "processor_seconds": 1.0} for m, loss in dense.items()}
    return {
        "table": name, "n_rows": 3750, "seed": seed, **methods,
        **dict.fromkeys(cornn.SETTINGS, found),
    }  # fmt: skip


def test_a_budget_wins_only_below_both_dense_networks():
    dense = {"adam": 0.5, "lbfgs": 0.2}
    runs = [cornn_run("Ackley", 0, (0.3, 0.1), dense), cornn_run("Beale", 0, (0.6, 0.3), dense)]
    lines = cornn.wins_lines(cornn.flatten(runs, "default"))
    assert [line.split(": ")[1].split(" (")[0] for line in lines] == ["1 of 2", "0 of 2", "1 of 2"]
    assert lines[2].startswith("MISSED")


# ----------------------------------------------------------------------------- peers


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(80, 3)) * [1.0, 10.0, 0.1]
    return X, 100 + X[:, 0] - 0.2 * X[:, 1]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_pruned_networks_keep_to_their_budget_and_predict(task, rows):
    X, y = rows
    if task == "classification":
        y = np.where(y > 100, "high", "low")
    networks = _sparse_peers.magnitude_pruning(task, X, y, (8, 30), 0, n_steps=(60, 24, 60))
    assert set(networks) == {8, 30}
    assert all(network.nnz <= budget for budget, network in networks.items())
    for network in networks.values():
        live = sum(int(torch.count_nonzero(p)) for p in network.parameters.values())
        assert live <= network.nnz
    predicted = networks[30].predict(X)
    if task == "regression":
        assert np.mean((predicted - y) ** 2) < 0.5 * np.var(y)
    else:
        assert np.mean(predicted == y) > 0.8
        np.testing.assert_allclose(networks[30].predict_proba(X).sum(1), 1, rtol=1e-6)


def test_pruning_the_same_twice_gives_the_same_bits(rows):
    def weights():
        networks = _sparse_peers.magnitude_pruning("regression", *rows, (8,), 3, n_steps=(9, 12, 9))
        return networks[8].parameters

    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_neurons_that_are_cut_off_make_room():
    ones = {name: torch.ones(shape) for name, shape in (
        ("weights_0", (2, 3)), ("biases_0", (3,)), ("weights_1", (3, 1)), ("biases_1", (1,)),
    )}  # fmt: skip
    parameters = {name: mask.clone() for name, mask in ones.items()}
    parameters["weights_0"] = torch.tensor([[9.0, 8.0, 7.0], [6.0, 5.0, 4.0]])
    parameters["weights_1"] = torch.tensor([[3.0], [0.1], [0.2]])  # two neurons go nowhere
    masks = _sparse_peers.strongest(parameters, ones, 4)
    assert _sparse_peers.count_alive(masks) == 4
    assert masks["weights_0"][:, 0].tolist() == [1, 1]
    assert not masks["weights_0"][:, 1:].any()
    assert masks["weights_1"].ravel().tolist() == [1, 0, 0]


def test_lassonet_keeps_to_its_budget(rows, monkeypatch):
    pytest.importorskip("lassonet")
    monkeypatch.setattr(_sparse_peers, "LASSONET_WIDTHS", (2,))
    monkeypatch.setattr(_sparse_peers, "LASSONET_MULTIPLIER", 4.0)
    monkeypatch.setattr(_sparse_peers, "LASSONET_EPOCHS", (40, 5))
    networks = _sparse_peers.lassonet_path("regression", *rows, (14, 40), 0, n_steps=60)
    assert all(network.nnz <= budget for budget, network in networks.items())
    assert np.mean((networks[40].predict(rows[0]) - rows[1]) ** 2) < 0.5 * np.var(rows[1])


def test_without_lassonet_the_error_says_how_to_get_it(rows, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lassonet", None)
    with pytest.raises(ImportError, match="pip install lassonet"):
        _sparse_peers.lassonet_path("regression", *rows, (14,), 0)


def test_scaling_knows_no_validation_row_twice(rows):
    problem = Problem("regression", *rows, seed=0)
    assert (len(problem.train.X), len(problem.validation.X)) == (64, 16)
    np.testing.assert_allclose(problem.rows.target.mean(), 0, atol=1e-6)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_torch_mlp_learns_and_leaves_the_generator_alone(task, rows):
    X, y = rows
    y = y if task == "regression" else np.where(y > 100, "high", "low")
    before = torch.random.get_rng_state()
    model, weights = dense_peers(task, 0)["torch_mlp"](X, y)
    assert torch.equal(torch.random.get_rng_state(), before)
    n_outputs = 1 if task == "regression" else 2
    assert weights == count_torch_weights(3, n_outputs)
    assert weights == 100 * 4 + 100 * 101 + n_outputs * 101
    assert model.score(X, y) > 0.8


def peers_run(table, seed, swat_score, **rivals):
    def method(score):
        network = {"score": score, "test_loss": 1 - score, "nnz": 20}
        return {**network, "mlp_fits": 3.0, "budgets": {"25": network}}

    methods = {"swat": method(swat_score), **{name: method(s) for name, s in rivals.items()}}
    return {"table": table, "task": "regression", "seed": seed, "n_rows": 99, "methods": methods}


def test_a_tie_is_no_win_and_a_missing_network_loses():
    runs = [
        peers_run("yacht", 0, 0.9, magnitude=0.8, direct=0.9),
        peers_run("concrete", 0, 0.9, direct=0.8),
    ]
    scores = _peers_report.by_budget(runs, "score")
    lines = _peers_report.won_lines(scores)
    assert "2 of 2, 0 ties" in next(line for line in lines if "magnitude" in line)
    assert "1 of 2, 1 ties" in next(line for line in lines if "direct" in line)


def test_the_report_compares_with_the_grid_search():
    dense = {"mlp": 0.5, "grid": 0.91}
    runs = [peers_run("yacht", s, 0.9, magnitude=0.8, **dense) for s in (0, 1)]
    for run, fits in zip(runs, (20.0, 30.0), strict=True):
        run["methods"]["grid"]["mlp_fits"] = fits
    report = _peers_report.make_report({"meta": {}, "runs": runs})
    assert "MISSED  default fit not below the grid search minus 0.005" in report
    assert "MISSED  fit in at most 0.1 of its time: 0.120 in the median" in report
    assert "met     fit in at most 4 times a default MLP's: 3.0 times" in report


def test_a_price_chooses_of_the_front():
    run = peers_run("yacht", 0, 0.9)
    points = [(1, 1.0, 0.0), (10, 0.2, 0.8), (90, 0.19, 0.7)]
    names = ("nnz", "validation_loss", "score")
    run["methods"]["swat"]["front"] = [dict(zip(names, point, strict=True)) for point in points]
    found = _peers_report.by_alpha([run], alphas=(0.0, 1e-3, 1.0))
    assert found["nnz"].tolist() == [90, 10, 1]
    assert found["score"].tolist() == [0.7, 0.8, 0.0]
    assert found["best"].tolist() == [0, 1, 0]


def test_curves_are_drawn(tmp_path):
    runs = [peers_run(t, s, 0.9, grid=0.95) for t in ("yacht", "iris") for s in (0, 1)]
    _peers_report.draw_curves({"runs": runs}, tmp_path / "new" / "curves.png")
    assert (tmp_path / "new" / "curves.png").stat().st_size > 5_000


def test_peers_run_and_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SWAT_DATA", str(tmp_path))
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(60, 3)), columns=list("abc"))
    frame["target"] = frame["a"] * frame["b"]
    frame.to_csv(tmp_path / "yacht.csv.gz", index=False)
    monkeypatch.setattr(peers, "PEERS", {})
    out = tmp_path / "peers.json"
    skip = ["--skip", "mlp_early", "mlp_lbfgs", "torch_mlp", "grid"]
    peers.main(["--seeds", "1", "--out", str(out), *skip])
    (run,) = json.loads(out.read_text(encoding="utf-8"))["runs"]
    assert set(run["methods"]) == {"swat", "direct", "mlp"}
    assert all(n["nnz"] <= int(b) for b, n in run["methods"]["swat"]["budgets"].items())
    assert run["methods"]["mlp"]["nnz"] == 100 * 4 + 101
    assert run["methods"]["mlp"]["mlp_fits"] == 1.0 < run["methods"]["swat"]["mlp_fits"]
    assert "better than direct training" in capsys.readouterr().out
    for method in run["methods"].values():
        method["score"] = 7.0
    del run["methods"]["direct"]
    out.write_text(json.dumps({"meta": {}, "runs": [run]}), encoding="utf-8")
    peers.main(["--seeds", "1", "--out", str(out), *skip, "--resume", "--again", "mlp"])
    (again,) = json.loads(out.read_text(encoding="utf-8"))["runs"]
    scores = {name: method["score"] for name, method in again["methods"].items()}
    assert set(scores) == {"swat", "direct", "mlp"}
    assert scores["swat"] == 7.0 > max(scores["direct"], scores["mlp"])


# --------------------------------------------------------------------------- scaling


def test_predictions_and_a_fit_are_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "PARTS", {"predict": (50,), "candidates": (1, 10**9)})
    monkeypatch.setattr(scaling, "TRAINING_ROWS", 60)
    monkeypatch.setattr(scaling, "BATCH_REPEATS", 2)
    monkeypatch.setattr(scaling, "ROW_REPEATS", 2)
    monkeypatch.setattr(scaling, "N_FEATURES", 5)
    monkeypatch.setattr(scaling, "N_ROWS", 40)
    out = tmp_path / "scaling.json"
    scaling.main(["--parts", "predict", "candidates", "--largest", "1", "--out", str(out)])
    predict, fit = json.loads(out.read_text(encoding="utf-8"))["runs"]
    assert all(0 < t["least"] <= t["median"] for t in predict["batch"].values())
    assert (fit["table"], fit["n_rows"]) == ("candidates", 1)
    assert fit["swat"]["peak_megabytes"] > fit["swat"]["data_megabytes"] > 0
    assert "a batch at least 3 times as fast" in capsys.readouterr().out


# --------------------------------------------------------------------------- compare


@pytest.fixture
def csv(tmp_path):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=60),
            "colour": generator.choice(["red", "green", "blue"], 60),
            "always": 1,
            "price": 0.0,
        }
    )
    frame["price"] = 3 * frame["size"] + 5 * (frame["colour"] == "red")
    frame.loc[::7, "size"] = np.nan
    frame.loc[::9, "colour"] = None
    frame.loc[3, "price"] = np.nan
    path = tmp_path / "my.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_table_of_a_user_is_read(csv):
    table = read_table(csv, "price")
    assert table.task == "regression"
    assert list(table.X) == ["size", "colour"]
    assert len(table.y) == 59
    assert any("1 rows without a target" in note for note in table.notes)
    assert any("always" in note for note in table.notes)
    numbers = preprocessor().fit_transform(table.X)
    assert numbers.shape == (59, 2 + 4)  # size, whether it was missing, three colours and none
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0.5, 1.0, 2.0], "regression"),
        ([0, 1, 2], "classification"),
        (["a", "b", "c"], "classification"),
        ([True, False, True], "classification"),
        (list(range(30)), "regression"),
    ],
)
def test_the_task_is_told_by_the_target(values, task, tmp_path):
    frame = pd.DataFrame({"x": np.arange(30.0), "y": (values * 30)[:30]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv", "y").task == task


def test_a_target_that_is_no_column_is_told_with_what_is_near(csv, capsys):
    with pytest.raises(SystemExit):
        compare.main([str(csv), "--target", "prise"])
    assert "did you mean 'price'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        compare.main([str(csv.with_name("none.csv")), "--target", "price"])
    assert "No file" in capsys.readouterr().err


def test_names_of_columns_are_told_in_quotes(tmp_path):
    path, n = tmp_path / "t.csv", np.arange(40)
    frame = pd.DataFrame({"a, b": "same", "the place": [f"p{i}" for i in n], "y": n / 7})
    frame.assign(x=n).to_csv(path, index=False)
    with pytest.raises(ValueError, match="the columns are 'a, b', 'the place', 'y', 'x':"):
        read_table(path, "z")
    notes = "; ".join(read_table(path, "y").notes)
    assert "two values are left out: 'a, b'" in notes
    assert "of 'the place' the 19 most frequent" in notes


def test_text_is_no_target_of_a_regression(csv):
    with pytest.raises(ValueError, match="--task regression needs numbers, but 'colour'"):
        read_table(csv, "colour", "regression")


def test_rare_classes_are_refused_with_the_way_out(csv):
    table = read_table(csv, "colour")
    with pytest.raises(ValueError, match="lower --folds"):
        compare.splits(table, 40, 0)


@pytest.mark.parametrize("target", ["price", "colour"])
def test_a_comparison_is_printed_kept_and_drawn(target, csv, tmp_path, capsys):
    out, picture = tmp_path / "kept.json", tmp_path / "front.png"
    options = ["--folds", "1", "--out", str(out), "--picture", str(picture)]
    compare.main([str(csv), "--target", target, *options])
    report = capsys.readouterr().out
    linear = "linear regression" if target == "price" else "logistic regression"
    assert all(name in report for name in ("SWAT", "MLP, early stopping", linear, "boosting"))
    (fold,) = json.loads(out.read_text(encoding="utf-8"))["folds"]
    assert all(model["size"] > 0 for model in fold["models"].values() if "error" not in model)
    assert picture.stat().st_size > 5_000
    assert compare.make_report(json.loads(out.read_text(encoding="utf-8"))) + "\n" == report

"""A fit's time limit, callbacks, lines of progress, and Ctrl-C at any moment."""

import copy
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor

import sklearn_swat
from sklearn_swat import SWATClassifier, SWATRegressor, _beginnings, _paths, _search, _split
from sklearn_swat._control import Deadline
from sklearn_swat._interrupts import interrupts_held
from sklearn_swat._problem import Problem
from tests.whole import assert_is_whole

QUICK = {"max_iter": 10, "n_restarts": 1, "depth": 1, "random_state": 0}
PACKAGE = str(Path(sklearn_swat.__file__).parent)
N_MOMENTS = 15  # for each estimator


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X[:150, :6], y[:150]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X[::2], y[::2]


# ------------------------------------------------------------------------------- Ctrl-C
def interrupt_at(moment, action):
    """Run `action`, with KeyboardInterrupt at that line of the package; count the lines."""
    n_lines = 0

    def in_package(frame, event, argument):
        nonlocal n_lines
        n_lines += event == "line"
        if n_lines == moment:
            sys.settrace(None)
            raise KeyboardInterrupt
        return in_package

    def anywhere(frame, event, argument):
        return in_package if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(anywhere)
    try:
        action()
    finally:
        sys.settrace(before)
    return n_lines


@pytest.mark.parametrize("kind", [SWATRegressor, SWATClassifier])
def test_ctrl_c_at_any_moment_leaves_no_half_fitted_estimator(kind, diabetes, iris):
    X, y = diabetes if kind is SWATRegressor else iris
    X, y = X[::2], y[::2]
    labels = y % 2 if kind is SWATClassifier else y
    before = kind(**QUICK | {"max_iter": 5, "max_width": 4}).fit(X[:, :3], labels)
    model = copy.copy(before)
    n_lines = interrupt_at(-1, lambda: model.fit(X, y))
    assert_is_whole(model, X)
    rng, outcomes = random.Random(0), set()
    for moment in sorted(rng.sample(range(1, n_lines), N_MOMENTS)):
        model = copy.copy(before)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                interrupt_at(moment, lambda model=model: model.fit(X, y))
                outcome = "kept the best"
                assert model.stop_reason_ == "interrupt"
                assert [w.category for w in caught] == [ConvergenceWarning]
            except KeyboardInterrupt:
                outcome = "stopped"
        if outcome == "stopped" and model.network_ is before.network_:
            assert vars(model) == vars(before)
            assert_is_whole(model, X[:, :3])
        else:
            assert_is_whole(model, X)
        outcomes.add(outcome)
    assert "kept the best" in outcomes


def test_ctrl_c_during_the_import_of_torch_leaves_a_torch_that_works():
    code = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from sklearn.datasets import load_diabetes
from sklearn_swat import SWATRegressor

class Interrupts(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch.autograd":
            os.kill(os.getpid(), signal.SIGINT)

assert "torch" not in sys.modules
sys.meta_path.insert(0, Interrupts())
X, y = load_diabetes(return_X_y=True)
model = SWATRegressor(depth=1, n_restarts=1, max_iter=2, random_state=0)
try:
    model.fit(X, y)
except KeyboardInterrupt:
    print("interrupted", hasattr(model, "network_"), "torch" in sys.modules)
print(model.fit(X, y).nnz_ > 1)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["interrupted", "False", "True", "True"]


def test_ctrl_c_is_held_back_until_the_end_and_only_in_the_main_thread():
    handler = signal.getsignal(signal.SIGINT)
    reached = []

    def interrupted():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is handler

    def elsewhere():
        with interrupts_held():
            reached.append(signal.getsignal(signal.SIGINT) is handler)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)
    assert reached == ["the end", True]


def test_ctrl_c_before_anything_small_was_found_tells_the_way_to_what_there_is(
    diabetes, monkeypatch
):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_beginnings, "_refine_first", interrupted)
    model = SWATRegressor(max_nnz=3, **QUICK)
    with pytest.warns(ConvergenceWarning) as told:
        model.fit(*diabetes)
    assert model.nnz_ == 1 < model.path_[1].nnz
    assert any(
        "no network within max_nnz=3 was found but a constant" in str(w.message) for w in told
    )
    assert any("select(index=1) returns it" in str(w.message) for w in told)


def test_ctrl_c_in_the_middle_of_a_path_keeps_its_networks(diabetes, monkeypatch):
    rounds, kept = _paths.pruning_rounds, []

    def interrupted(*arguments, **options):
        for i, point in enumerate(rounds(*arguments, **options)):
            if i == 5:
                raise KeyboardInterrupt
            kept.append(point.nnz)
            yield point

    monkeypatch.setattr(_paths, "pruning_rounds", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model = SWATRegressor(**QUICK).fit(*diabetes)
    assert model.stop_reason_ == "interrupt"
    # Nothing of what descent found, which was judged at its luckiest step.
    assert {point.nnz for point in model.path_} <= {1, *kept[1:]}
    assert not model.network_.is_constant
    assert_is_whole(model, diabetes[0])


def test_a_fit_that_fails_leaves_the_one_before(diabetes):
    X, y = diabetes
    model = SWATRegressor(**QUICK).fit(X, y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X[:, :2], y[:-1])
    with pytest.raises(ValueError, match="every depth must be an integer in"):
        model.set_params(depth=[9]).fit(X[:, :2], y)
    assert vars(model) == before | {"depth": [9]}


# ------------------------------------------------------------------------------ max_time
@pytest.mark.parametrize("kind", [SWATRegressor, SWATClassifier])
@pytest.mark.parametrize("max_time", [0, 1e-3, 0.3])
def test_any_time_gives_an_estimator_without_a_warning(kind, max_time, diabetes, iris):
    X, y = diabetes if kind is SWATRegressor else iris
    model = kind(max_time=max_time, random_state=0).fit(X, y)
    assert_is_whole(model, X)
    assert model.stop_reason_ == "max_time"
    assert model.score(X, y) > 0.2


def test_enough_time_changes_nothing(diabetes):
    X, y = diabetes
    free, limited = (SWATRegressor(max_time=t, **QUICK).fit(X, y) for t in (None, 1e6))
    assert limited.stop_reason_ is None
    np.testing.assert_array_equal(free.predict(X), limited.predict(X))


def test_time_that_ends_behind_the_descent_ends_paths_and_refits(diabetes, monkeypatch):
    run = _paths._run_path
    is_late = False

    def late(*arguments, **options):
        nonlocal is_late
        result = run(*arguments, **options)
        is_late = True
        return result

    ask = Deadline.__call__

    def asked(deadline):
        if is_late:
            deadline.at = 0.0
        return ask(deadline)

    monkeypatch.setattr(_paths, "_run_path", late)
    monkeypatch.setattr(Deadline, "__call__", asked)
    refits = []
    monkeypatch.setattr(_search, "_refit", lambda *a: refits.append(a))
    model = SWATRegressor(max_time=1e6, **QUICK).fit(*diabetes)
    assert model.stop_reason_ == "max_time"
    assert not refits
    assert len(model.path_) > 2  # of the first path
    assert_is_whole(model, diabetes[0])


def test_time_that_ends_within_the_last_refit_is_told(monkeypatch, diabetes):
    refit, n_calls = _search._refit, []

    def spy(point, problem, should_stop, known):
        n_calls.append(1)
        if len(n_calls) == n_all:
            should_stop.at = 0.0
            assert should_stop()  # as a refinement asks
        return refit(point, problem, should_stop, known)

    n_all = None
    monkeypatch.setattr(_search, "_refit", spy)
    assert SWATRegressor(max_time=1e6, **QUICK).fit(*diabetes).stop_reason_ is None
    n_all = len(n_calls)
    n_calls.clear()
    model = SWATRegressor(max_time=1e6, **QUICK).fit(*diabetes)
    assert len(n_calls) == n_all
    assert model.stop_reason_ == "max_time"


START = {"start": "data", "max_iter": 0, "refine": False, "random_state": 0}


@pytest.mark.parametrize("cause", [KeyboardInterrupt, MemoryError, "time"])
def test_a_start_that_cannot_see_all_rows_is_that_of_some(monkeypatch, diabetes, cause):
    with monkeypatch.context() as patch:
        patch.setattr(
            _split.Split, "found_on_all_rows",
            lambda split, *_: [None] * len(split.descents[0].candidates),
        )  # fmt: skip
        expected = SWATRegressor(**START).fit(*diabetes)
    descend, n_calls = _split.descend_within_memory, []

    def fail_again(task, settings, load, seed, report=None, should_stop=None):
        n_calls.append(1)
        if len(n_calls) > 1:
            raise cause
        if cause == "time":
            should_stop.at = 0.0
        return descend(task, settings, load, seed, report, should_stop)

    monkeypatch.setattr(_split, "descend_within_memory", fail_again)
    model = SWATRegressor(max_time=1e6, **START)
    if cause is KeyboardInterrupt:
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.fit(*diabetes)
    else:
        model.fit(*diabetes)
    reasons = {KeyboardInterrupt: "interrupt", MemoryError: None, "time": "max_time"}
    assert model.stop_reason_ == reasons[cause]
    assert len(n_calls) == (1 if cause == "time" else 2)
    np.testing.assert_array_equal(model.predict(diabetes[0]), expected.predict(diabetes[0]))


def test_parts_of_a_deadline_share_what_is_left():
    never, soon = Deadline(), Deadline.after(100.0)
    assert not never()
    assert not never.part(0.5)()
    assert soon.part(0.5).at == pytest.approx(soon.at - 50, abs=1)
    assert Deadline.after(-1.0).part(0.5)()
    assert not pickle.loads(pickle.dumps(soon)).has_passed


@pytest.mark.parametrize("max_time", [-1, "soon"])
def test_a_time_is_a_number(diabetes, max_time):
    with pytest.raises(ValueError, match="max_time"):
        SWATRegressor(max_time=max_time).fit(*diabetes)


# ----------------------------------------------------------------------------- callbacks
class Recorder:
    """Record the tasks, and stop where it is told to."""

    max_propagation_depth = None

    def __init__(self, stop_at=None, wants_estimators=True):
        self.stop_at, self.events, self.estimators = stop_at, [], {}

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.events.append(("end", context.task_name))
        self.estimators[context.task_name] = fitted_estimator
        if fitted_estimator is not None:
            assert np.isfinite(fitted_estimator.predict(X)).all()
        return context.task_name == self.stop_at

    def count(self, name):
        return sum(event == ("end", name) for event in self.events)


def test_callbacks_see_every_stage_and_an_estimator_at_each(diabetes):
    recorder = Recorder()
    model = SWATRegressor(**QUICK).set_callbacks(recorder).fit(*diabetes)
    begun = [name for kind, name in recorder.events[1:-1] if kind == "begin"]
    assert begun[:2] == ["fit", "descent"]
    assert sorted(begun) == sorted(name for kind, name in recorder.events[1:-1] if kind == "end")
    assert recorder.events[0] == "setup"
    assert recorder.events[-1] == "teardown"
    assert recorder.count("verdict") == len(model.history_) == 3
    assert recorder.count("path") == 2
    assert recorder.count("network") == len(model.path_)
    last = recorder.estimators["fit"]
    np.testing.assert_array_equal(last.predict(diabetes[0]), model.predict(diabetes[0]))
    assert_is_whole(model, diabetes[0])


def test_callbacks_change_no_bit_and_survive_clone_select_and_pickle(diabetes):
    X, y = diabetes
    plain = SWATRegressor(**QUICK).fit(X, y)
    monitor = ScoringMonitor(scoring="r2")
    model = SWATRegressor(**QUICK).set_callbacks(monitor).fit(X, y)
    np.testing.assert_array_equal(plain.predict(X), model.predict(X))
    scores = [row["r2"] for row in monitor.get_logs().data]
    assert len(scores) > 5
    assert np.isfinite(scores).all()
    assert clone(model)._skl_callbacks[0] is monitor
    assert model.select(index=0)._skl_callbacks[0] is monitor
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), plain.predict(X))


@pytest.mark.parametrize(
    ("stop_at", "expected"),
    [
        ("verdict", {"verdict": 1, "path": 2}),
        ("descent", {"descent": 1, "path": 0, "network": 0}),
        ("path", {"path": 1}),
        ("pruning paths", {"path": 2, "network": 0}),
        ("network", {"path": 2, "network": 1}),
    ],
)
def test_a_callback_can_stop_a_stage_and_the_best_is_kept(diabetes, stop_at, expected):
    recorder = Recorder(stop_at)
    model = SWATRegressor(**QUICK).set_callbacks(recorder).fit(*diabetes)
    assert {name: recorder.count(name) for name in expected} == expected
    assert model.stop_reason_ == "callback"
    assert model.score(*diabetes) > 0.2
    assert_is_whole(model, diabetes[0])


@pytest.mark.parametrize("kind", [SWATRegressor, SWATClassifier])
def test_a_callback_that_ends_the_paths_was_shown_what_the_fit_gives(kind, diabetes, iris):
    X, y = diabetes if kind is SWATRegressor else iris
    recorder = Recorder("pruning paths")
    model = kind(**QUICK).set_callbacks(recorder).fit(X, y)
    shown = recorder.estimators["pruning paths"]
    assert [p.nnz for p in shown.path_] == [p.nnz for p in model.path_]
    np.testing.assert_array_equal(shown.predict(X), model.predict(X))


def test_ctrl_c_while_the_front_is_computed_keeps_it(monkeypatch, diabetes):
    front = Problem.front

    def slow(problem, points):
        signal.raise_signal(signal.SIGINT)
        return front(problem, points)

    monkeypatch.setattr(Problem, "front", slow)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model = SWATRegressor(**QUICK).fit(*diabetes)
    assert model.stop_reason_ == "interrupt"
    assert len(model.path_) > 2


def test_callbacks_go_through_a_search_in_processes(iris):
    monitor = ScoringMonitor(scoring="accuracy")
    grid = {"alpha": [1e-3]}
    search = GridSearchCV(SWATClassifier(**QUICK | {"max_iter": 5}), grid, cv=2, n_jobs=2)
    search.estimator.set_callbacks(monitor)
    assert search.fit(*iris).best_score_ > 0.8
    logs = monitor.get_logs(select="all")
    assert sum(len(log.data) for log in logs) > 3 * 5  # two fits and the last one


def test_a_progress_bar_shows_the_stages(diabetes, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    SWATRegressor(**QUICK).set_callbacks(ProgressBar()).fit(*diabetes)
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("fit", "descent", "pruning paths", "refit", "100%"))


def test_a_callback_that_fails_leaves_the_fit_before(diabetes):
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("no")

    model = SWATRegressor(**QUICK).fit(*diabetes)
    network = model.network_
    with pytest.raises(RuntimeError, match="no"):
        model.set_callbacks(Failing()).fit(diabetes[0][:, :2], diabetes[1])
    assert model.network_ is network
    assert_is_whole(model, diabetes[0])


# ------------------------------------------------------------------------------- verbose
def test_verbose_tells_of_every_stage_and_silence_is_the_default(diabetes, capsys):
    model = SWATRegressor(**QUICK).fit(*diabetes)
    assert capsys.readouterr().out == ""
    model.set_params(verbose=1).fit(*diabetes)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("step ") for line in lines) == len(model.history_)
    assert [line[:11] for line in lines if line.startswith("path")] == [
        "path 1 of 2",
        "path 2 of 2",
    ]
    assert lines[-1].startswith(f"chosen of {len(model.path_)} networks")


# ---------------------------------------------------------------------------- warm_start
def test_a_warm_start_needs_the_same_classes_and_features(iris):
    X, y = iris
    model = SWATClassifier(warm_start=True, **QUICK).fit(X, y)
    network = model.network_
    with pytest.raises(
        ValueError, match=r"the classes \[0, 1, 2\], but y has the classes \[5, 6, 7\]"
    ):
        model.fit(X, y + 5)
    with pytest.raises(ValueError, match="features and 3 outputs, but the data have 2 and 3"):
        model.fit(X[:, :2], y)
    assert model.network_ is network
    assert_is_whole(model, X)
    assert model.set_params(warm_start=False).fit(X[:, :2], y + 5).classes_.tolist() == [5, 6, 7]


def test_a_warm_start_of_no_steps_begins_at_the_classifier_before(iris):
    X, y = iris
    parameters = {**QUICK, "depth": [1, 2], "refine": False, "warm_start": True}
    model = SWATClassifier(**parameters).fit(X, y)
    assert model.depth_ > 0
    (before,) = (p.validation_loss for p in model.path_ if p.network is model.network_)
    model.set_params(max_iter=0).fit(X, y)
    assert min(point.validation_loss for point in model.path_) <= before + 1e-4


@pytest.mark.parametrize("parameter", ["start", "warm_start"])
def test_a_network_of_features_that_are_constant_by_now_is_no_start(diabetes, parameter):
    X, y = diabetes
    quick = {**QUICK, "depth": [1]}
    model = SWATRegressor(**quick, warm_start=True).fit(X, np.sin(30 * X[:, 2]))
    assert model.selected_features_.tolist() == [2]
    Z = X.copy()
    Z[:, 2] = 1.0
    if parameter == "start":
        model = SWATRegressor(**quick, start=FrozenEstimator(model))
    model.fit(Z, y)
    assert model.score(Z, y) > 0.1
    assert 2 not in model.selected_features_


def test_labels_that_are_all_the_same_get_a_constant():
    X = np.random.RandomState(0).standard_normal((60, 3))
    model = SWATClassifier(random_state=0).fit(X, np.tile([0, 1], (60, 1)))
    assert (model.nnz_, model.n_iter_, len(model.path_)) == (2, 1, 1)
    np.testing.assert_array_equal(model.predict(X[:2]), [[0, 1], [0, 1]])


def test_a_constant_of_balanced_classes_is_that_of_all_rows():
    """Its log-odds are exactly 0, which is a number of the network all the same."""
    X = np.random.RandomState(0).standard_normal((24, 1))
    settings = {**QUICK, "alpha": 100.0, "depth": [1], "n_restarts": 1}
    model = SWATClassifier(**settings).fit(X, np.repeat([0, 1], 12))
    np.testing.assert_allclose(model.predict_proba(X), 0.5)


def test_a_warm_start_from_labels_to_classes_says_so(iris):
    X, y = iris
    model = SWATClassifier(warm_start=True, **QUICK).fit(X, np.eye(3, dtype=int)[y][:, :2])
    with pytest.raises(ValueError, match=r"a network of 2 labels, but y has the classes \[0, 1\]"):
        model.fit(X[y < 2], y[y < 2])


@pytest.mark.parametrize(
    ("classes", "message"),
    [([], "classes has no class, "), ([0], r"classes has one class only \(0")],
)
def test_a_stream_needs_the_names_of_two_classes(iris, classes, message):
    X, y = iris
    with pytest.raises(ValueError, match=message + ".*name all that may come"):
        SWATClassifier(**QUICK).partial_fit(X, y, classes=classes)


def test_weights_near_the_largest_number_are_weights(iris, diabetes):
    X, y = iris
    huge = np.full(len(y), 1e308)
    stream = SWATClassifier(**QUICK).partial_fit(X, y, sample_weight=huge, classes=[0, 1, 2])
    assert stream.score(X, y) > 0.9
    X, y = diabetes
    model = SWATRegressor(**QUICK).fit(X, y, sample_weight=np.full(len(y), 1e308))
    assert_is_whole(model.partial_fit(X[:2], y[:2], sample_weight=[1e308, 1e308]), X)


@pytest.mark.parametrize("start", [SWATRegressor(), MLPRegressor()])
def test_a_start_has_to_be_fitted(diabetes, start):
    with pytest.raises(NotFittedError, match="not fitted"):
        SWATRegressor(start=start, **QUICK).fit(*diabetes)

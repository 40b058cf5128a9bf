import sys
from dataclasses import dataclass
from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_iris, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, get_scorer, make_scorer
from sklearn.pipeline import make_pipeline

from sklearn_swat import SWATClassifier, SWATRegressor
from sklearn_swat._network import SparseMLP
from sklearn_swat.plotting import (
    DescentDisplay,
    LatentSpaceDisplay,
    NetworkDisplay,
    ParetoDisplay,
)
from sklearn_swat.plotting._style import LONGEST_NAME, NEGATIVE, POSITIVE


@dataclass
class Point:
    nnz: int
    validation_loss: float
    network: object


class FittedRegressor(RegressorMixin, BaseEstimator):
    """An estimator that has nothing but what a display reads."""

    def __init__(self, network=None, nnz=12):
        self.network = network
        self.nnz = nnz

    def fit(self):
        self.network_ = self.network
        self.nnz_ = self.nnz
        self.path_ = tuple(
            Point(n, 1 / n, self.network if n == self.nnz else object()) for n in (2, 12, 40)
        )
        self.history_ = [
            {"step": 0, "validation_loss": np.array([1.0, 0.9]), "candidates": [(1, 0), (2, 0)]},
            {"step": 10, "validation_loss": np.array([0.5, 0.7]), "candidates": [(1, 0), (2, 0)]},
            {"step": 20, "validation_loss": np.array([0.4]), "candidates": [(1, 0)]},
        ]
        return self

    def select(self, index):
        return FittedRegressor(self.network, self.path_[index].nnz).fit()

    def score(self, X, y):
        return 1 - 1 / self.nnz_


class FittedClassifier(ClassifierMixin, FittedRegressor):
    def __init__(self, network=None, nnz=12, classes=("no", "yes")):
        super().__init__(network, nnz)
        self.classes = classes

    def fit(self):
        self.classes_ = np.array(self.classes)
        return super().fit()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def random_network(sizes, density, seed=0, out_activation="identity"):
    rng = np.random.default_rng(seed)
    names = ("sigmoid", "tanh", "leaky_relu", "identity")
    weights = [rng.normal(size=shape) * (rng.random(shape) < density) for shape in pairwise(sizes)]
    biases = [rng.normal(size=n) * (rng.random(n) < 0.5) for n in sizes[1:]]
    activations = [rng.choice(names, size=n).tolist() for n in sizes[1:-1]]
    return SparseMLP(weights, biases, activations, out_activation)


def one_neuron():
    """y = 2 tanh(3 x1 - 4 x2) - 1, with x0 unused."""
    return SparseMLP(
        (np.array([[0.0], [3.0], [-4.0]]), np.array([[2.0]])),
        (np.array([0.0]), np.array([-1.0])),
        (("tanh",),),
    )


def drawn_lines(display):
    """Start, end and collection index of every weight that was drawn."""
    collections = [c for c in display.ax_.collections if isinstance(c, LineCollection)]
    return [
        (tuple(segment[0]), tuple(segment[1]), to_hex(colour).upper(), width)
        for collection in collections
        for segment, colour, width in zip(
            collection.get_segments(),
            collection.get_colors(),
            collection.get_linewidths(),
            strict=True,
        )
    ]


def label_boxes(display):
    display.figure_.canvas.draw()
    return [text.get_window_extent() for text in display.ax_.texts]


# ----------------------------------------------------------------------- the network


def test_lines_are_thinner_where_nodes_are_small():
    network = SparseMLP((np.ones((80, 2)), np.ones((2, 1))), (np.ones(2), [0.0]), (("tanh",) * 2,))
    roomy, small = NetworkDisplay(network=network).plot(), plt.subplots(figsize=(4, 3))[1]
    crowded = NetworkDisplay(network=network).plot(ax=small)
    widest = [max(width for *_, width in drawn_lines(each)) for each in (roomy, crowded)]
    assert widest[0] == pytest.approx(3.5)
    assert widest[1] < 1.0


def test_network_draws_every_weight_with_its_sign_and_magnitude():
    display = NetworkDisplay(network=one_neuron()).plot()
    lines = drawn_lines(display)
    assert [line[2] for line in lines] == [POSITIVE, NEGATIVE, POSITIVE]
    assert lines[0][3] < lines[1][3]  # 3 is less than 4
    assert lines[1][3] == lines[2][3]  # both the largest of their layer


def test_network_widths_take_the_spread_of_the_features_into_account():
    X = np.column_stack([np.zeros(20), np.linspace(0, 100, 20), np.linspace(0, 1, 20)])
    display = NetworkDisplay.from_estimator(FittedRegressor(one_neuron()).fit(), X)
    widths = {line[2]: line[3] for line in drawn_lines(display)[:2]}
    assert widths[POSITIVE] > widths[NEGATIVE]  # 3 x 100 is more than 4 x 1


def test_network_draws_only_the_features_in_use_by_their_names():
    display = NetworkDisplay(network=one_neuron(), feature_names=["a", "b", "c"]).plot()
    assert [text.get_text() for text in display.ax_.texts] == ["b", "c", "y"]
    assert "2 of 3 features" in display.ax_.get_title()


def test_network_legend_names_the_activations_in_use():
    display = NetworkDisplay(network=one_neuron()).plot()
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["positive", "negative", "tanh"]


def test_network_without_hidden_layer_or_without_weight_is_drawn():
    linear = SparseMLP((np.array([[1.0], [0.0]]),), (np.array([0.5]),), ())
    assert len(drawn_lines(NetworkDisplay(network=linear).plot())) == 1
    constant = SparseMLP((np.zeros((2, 1)),), (np.array([0.5]),), ())
    assert drawn_lines(NetworkDisplay(network=constant).plot()) == []


@pytest.mark.parametrize(
    ("sizes", "density"),
    [((4, 2, 1), 0.9), ((64, 16, 8, 10), 0.27), ((1, 32, 32, 1), 0.2)],
)
def test_network_labels_do_not_overlap_and_lie_inside_the_figure(sizes, density):
    names = [f"a rather long name of feature {i}" for i in range(sizes[0])]
    display = NetworkDisplay(network=random_network(sizes, density), feature_names=names).plot()
    boxes = label_boxes(display)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    width, height = display.figure_.canvas.get_width_height()
    assert all(0 <= b.x0 <= b.x1 <= width and 0 <= b.y0 <= b.y1 <= height for b in boxes)


def test_network_height_grows_with_the_fullest_layer():
    small = NetworkDisplay(network=random_network((4, 2, 1), 1.0)).plot()
    large = NetworkDisplay(network=random_network((64, 4, 1), 1.0)).plot()
    assert large.figure_.get_figheight() > 4 * small.figure_.get_figheight()


def test_network_labels_shrink_to_fit_given_axes():
    _, ax = plt.subplots(figsize=(4, 3))
    display = NetworkDisplay(network=random_network((20, 4, 1), 1.0)).plot(ax)
    assert display.ax_ is ax
    boxes = label_boxes(display)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_network_shortens_a_very_long_name():
    names = ["x" * 200, "b", "c"]
    network = SparseMLP((np.ones((3, 1)),), (np.zeros(1),), ())
    display = NetworkDisplay(network=network, feature_names=names).plot()
    assert max(len(text.get_text()) for text in display.ax_.texts) == LONGEST_NAME


@pytest.mark.parametrize(
    ("n_outputs", "classes", "expected"),
    [
        (1, ("no", "yes"), ["yes"]),
        (3, ("a", "b", "c"), ["a", "b", "c"]),
        (2, ("a", "b", "c"), ["y0", "y1"]),
    ],
)
def test_network_outputs_carry_the_names_of_the_classes(n_outputs, classes, expected):
    network = SparseMLP((np.ones((2, n_outputs)),), (np.zeros(n_outputs),), ())
    model = FittedClassifier(network, classes=classes).fit()
    display = NetworkDisplay.from_estimator(model)
    assert [text.get_text() for text in display.ax_.texts] == ["x0", "x1", *expected]


# ------------------------------------------------------------------ front and descent


def test_front_shows_validation_losses_and_marks_the_chosen_network():
    display = ParetoDisplay.from_estimator(FittedRegressor(nnz=12).fit())
    np.testing.assert_array_equal(display.line_.get_xdata(), [2, 12, 40])
    np.testing.assert_allclose(display.line_.get_ydata(), [1 / 2, 1 / 12, 1 / 40])
    assert display.chosen == 1
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_ylabel() == "normalised validation loss"


def test_front_shows_scores_where_rows_are_given():
    model = FittedRegressor().fit()
    X, y = np.zeros((3, 1)), np.zeros(3)
    display = ParetoDisplay.from_estimator(model, X, y, reference=("dense", 1001, 0.9))
    np.testing.assert_allclose(display.values, [1 / 2, 11 / 12, 39 / 40])
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["front", "chosen: 12 non-zeros, 0.917", "dense: 1,001 weights, 0.900"]
    with pytest.raises(ValueError, match="X and y must be given together"):
        ParetoDisplay.from_estimator(model, X)


def test_front_with_an_empty_network_is_drawn():
    display = ParetoDisplay(nnz=[0, 10], values=[1.0, 0.1], value_name="loss").plot()
    assert display.ax_.get_xscale() == "symlog"


def test_descent_has_a_line_per_candidate_and_a_colour_per_depth():
    display = DescentDisplay.from_estimator(FittedRegressor().fit())
    assert [list(line.get_xdata()) for line in display.lines_] == [[0, 10, 20], [0, 10]]
    assert [list(line.get_ydata()) for line in display.lines_] == [[1.0, 0.5, 0.4], [0.9, 0.7]]
    assert display.lines_[0].get_color() != display.lines_[1].get_color()
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["depth 1", "depth 2"]


# ------------------------------------------------------------------------ conventions

DISPLAYS = (NetworkDisplay, ParetoDisplay, DescentDisplay)


@pytest.mark.parametrize("display", DISPLAYS)
def test_display_follows_the_convention(display):
    model = FittedRegressor(one_neuron()).fit()
    _, ax = plt.subplots()
    shown = display.from_estimator(model, ax=ax)
    assert shown.ax_ is ax
    assert shown.figure_ is ax.figure
    assert shown.plot() is shown
    assert shown.ax_ is not ax


@pytest.mark.parametrize("display", DISPLAYS)
def test_display_of_an_unfitted_estimator_says_so(display):
    with pytest.raises(NotFittedError, match="FittedRegressor"):
        display.from_estimator(FittedRegressor())


@pytest.mark.parametrize("display", DISPLAYS)
def test_display_without_matplotlib_says_what_to_install(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn_swat\[plot\]'"):
        display.from_estimator(FittedRegressor(one_neuron()).fit())


def test_names_and_rows_that_do_not_fit_are_refused():
    X, y = make_friedman1(60, random_state=0)
    X = pd.DataFrame(X[:, :5], columns=list("abcde"))
    model = SWATClassifier(depth=1, max_iter=0, n_restarts=1, max_width=2, random_state=0)
    model.fit(X, y > 14)
    for names, words in (
        (
            {"feature_names": ["a", "b"]},
            "feature_names has 2 names, but the network has 5 features",
        ),
        (
            {"output_names": ["no", "yes"]},
            "output_names has 2 names, but the network has 1 output:",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            NetworkDisplay.from_estimator(model, **names)
    with pytest.raises(ValueError, match="feature names should match"):
        NetworkDisplay.from_estimator(model, X[list("edcba")])
    with pytest.raises(ValueError, match="missing"):
        NetworkDisplay.from_estimator(model, X[list("abcd")])
    with pytest.raises(ValueError, match=r"reference=0.9 is not a name.*pass \('MLP'"):
        ParetoDisplay.from_estimator(model, reference=0.9)


def test_a_network_alone_is_no_estimator():
    with pytest.raises(TypeError, match=r"a SparseMLP is no estimator: .*\(network=...\).plot"):
        NetworkDisplay.from_estimator(one_neuron())


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_widths_of_lines_of_features_of_any_scale(scale):
    X = np.random.RandomState(0).standard_normal((50, 2))
    network = SparseMLP((np.array([[3.0], [-1.0]]) / scale,), (np.zeros(1),), ())
    display = NetworkDisplay.from_estimator(FittedRegressor(network).fit(), X * scale)
    widths = {line[2]: line[3] for line in drawn_lines(display)}
    assert widths[POSITIVE] > widths[NEGATIVE] > 0


def test_the_front_is_scored_network_by_network():
    """Where a bias is zero, a network has fewer non-zeros than its place on the front says."""
    rng = np.random.RandomState(5)
    X = rng.standard_normal((40, 3))
    Y = np.column_stack([X[:, 0] * X[:, 1], np.zeros(40)])
    model = SWATRegressor(depth=1, max_iter=3, random_state=0).fit(X, Y)
    display = ParetoDisplay.from_estimator(model, X, Y)
    scores = [model.select(index=i).score(X, Y) for i in range(len(model.path_))]
    np.testing.assert_array_equal(display.values, scores)
    assert model.path_[display.chosen].network is model.network_


@pytest.mark.parametrize("scoring", ["neg_log_loss", make_scorer(accuracy_score)])
def test_the_front_by_a_score_of_ones_own(scoring):
    X, y = load_iris(return_X_y=True)
    model = SWATClassifier(depth=1, max_iter=3, random_state=0).fit(X[::2], y[::2])
    display = ParetoDisplay.from_estimator(model, X[1::2], y[1::2], scoring=scoring)
    scorer = get_scorer(scoring)
    found = [scorer(model.select(index=i), X[1::2], y[1::2]) for i in range(len(model.path_))]
    np.testing.assert_array_equal(display.values, found)
    name = scoring if isinstance(scoring, str) else "score"
    assert display.ax_.get_ylabel() == name
    with pytest.raises(ValueError, match="needs rows: pass X and y"):
        ParetoDisplay.from_estimator(model, scoring=scoring)


def test_of_constant_targets_the_displays_show_a_constant():
    X, _ = make_friedman1(30, random_state=0)
    model = SWATRegressor(depth=1, n_restarts=1, random_state=0).fit(X, np.full(30, 3.0))
    (words,) = DescentDisplay.from_estimator(model).ax_.texts
    assert words.get_text() == "no descent: a constant is the answer"
    axis = ParetoDisplay.from_estimator(model).ax_
    axis.figure.canvas.draw()
    labels = [t.get_text() for t in (*axis.get_xticklabels(), *axis.get_xticklabels(minor=True))]
    shown = [label for label in labels if label]
    assert "1" in shown
    assert len(set(shown)) == len(shown)
    assert "0" not in shown


def test_displays_of_a_real_fit():
    X, y = make_friedman1(120, 6, random_state=0)
    model = SWATRegressor(depth=1, max_iter=10, random_state=0).fit(X, y)
    network = NetworkDisplay.from_estimator(model, X)
    n_weights = sum(np.count_nonzero(weights) for weights in model.network_.weights)
    assert len(drawn_lines(network)) == n_weights
    front = ParetoDisplay.from_estimator(model, X, y)
    assert list(front.nnz) == [point.nnz for point in model.path_]
    assert front.nnz[front.chosen] == model.nnz_
    assert DescentDisplay.from_estimator(model).lines_


# ---------------------------------------------------------------- the latent space


@pytest.fixture(scope="module")
def friedman():
    X, y = make_friedman1(200, random_state=0)
    settings = {"depth": [1, 2], "max_iter": 5, "n_restarts": 1, "max_width": 6}
    return SWATRegressor(alpha=0.0, random_state=0, **settings).fit(X, y)


def test_the_map_holds_every_network_with_a_hidden_layer_and_rings_the_chosen_one(friedman):
    display = LatentSpaceDisplay.from_estimator(friedman)
    shown = [p for p in friedman.path_ if p.network.depth]
    assert display.nnz.tolist() == [p.network.nnz for p in shown]
    assert display.depth.tolist() == [p.network.depth for p in shown]
    assert shown[display.chosen].network is friedman.network_
    assert display.positions.shape == (len(shown), 2)
    assert 0 < display.share_shown <= 1
    np.testing.assert_array_equal(display.points_.get_offsets(), display.positions)
    plt.close(display.figure_)


def test_the_map_is_the_same_each_time_and_near_means_near(friedman):
    one, two = (LatentSpaceDisplay.from_estimator(friedman) for _ in range(2))
    np.testing.assert_array_equal(one.positions, two.positions)
    steps = np.linalg.norm(np.diff(one.positions, axis=0), axis=1)
    across = np.linalg.norm(one.positions[:, None] - one.positions, axis=2)
    assert np.median(steps) < np.median(across[across > 0])  # neighbours on a path are alike
    plt.close("all")


def test_a_map_of_linear_networks_alone_is_an_error_with_a_way_out():
    X, y = make_friedman1(60, random_state=0)
    model = SWATRegressor(depth=1, max_iter=0, n_restarts=1, max_width=2, random_state=0)
    model.fit(X, X[:, 0])
    with pytest.raises(ValueError, match="lower alpha"):
        LatentSpaceDisplay.from_estimator(model)


@pytest.mark.parametrize(
    ("limits", "labels"),
    [((0.3, 0.6), ["0.4", "0.5", "0.6"]), ((0.04, 0.6), ["", "0.5", ""])],
)
def test_ticks_of_a_descent_have_labels_that_find_room(limits, labels):
    display = DescentDisplay.from_estimator(FittedRegressor().fit())
    display.ax_.set_ylim(limits)
    label = display.ax_.yaxis.get_minor_formatter()
    assert [label(loss, None) for loss in (0.4, 0.5, 0.6)] == labels


@pytest.mark.parametrize(
    "display", [NetworkDisplay, ParetoDisplay, DescentDisplay, LatentSpaceDisplay]
)
def test_a_pipeline_is_refused_with_the_way_out(display):
    pipeline = make_pipeline(FittedRegressor().fit())
    with pytest.raises(TypeError, match=r"Pipeline has no \w+_: .* pipeline, pass its last step"):
        display.from_estimator(pipeline)


@pytest.mark.parametrize(
    ("limits", "labels"), [((1, 25), ["2", "", "5", "20", ""]), ((1, 1000), [""] * 5)]
)
def test_ticks_between_powers_of_ten_have_labels_on_a_narrow_axis(limits, labels):
    display = ParetoDisplay(nnz=[1, 20], values=[1.0, 0.1], value_name="loss").plot()
    display.ax_.set_xlim(limits)
    label = display.ax_.xaxis.get_minor_formatter()
    assert [label(size, None) for size in (2, 3, 5, 20, 0)] == labels

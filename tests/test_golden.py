"""The networks of three fits, as `tests/golden.py` has recorded them."""

import copy

import numpy as np
import pytest

from tests import golden

RECORDS = sorted(golden.FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", golden.FITS)
def test_a_fit_is_as_recorded(name):
    path = golden.FOLDER / f"{golden.platform_key()}.json"
    if path in RECORDS:
        told = golden.differences(golden.read(path)[name], golden.fit(name))
        assert not told, golden.message(name, told, path, True)
    else:
        # No record of this platform: as good as on every other one, within a tolerance.
        for other in RECORDS:
            told = golden.loose_differences(golden.read(other)[name], golden.fit(name))
            assert not told, golden.message(name, told, other, False)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_every_fit(path):
    records = golden.read(path)
    assert records.keys() == golden.FITS.keys()
    for record in records.values():
        assert record["score"] > 0.4
        assert np.isfinite(record["predictions"]).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda fit: fit["widths"].append(1), "widths: "),
        (lambda fit: fit["activations"].append(["tanh"]), "activations: "),
        (lambda fit: fit["nonzero"][0].reverse(), "nonzero: "),
        (lambda fit: fit["front"].pop(), "front: "),
        (lambda fit: fit["predictions"].pop(), r"predictions: shape (5, 2) before, (4, 2) now"),
        (lambda fit: fit["predictions"][1].reverse(), "predictions: at (1, "),
    ],
)
def test_a_difference_is_told(change, told):
    rows = np.random.RandomState(0).random((5, 2)).tolist()
    record = {"widths": [2], "activations": [["tanh"]], "nonzero": [["10", "01"]]}
    record |= {"features": [0], "front": [1, 3], "score": 0.5, "predictions": rows}
    found = copy.deepcopy(record)
    assert golden.differences(record, found) == []
    assert golden.loose_differences(record, found) == []
    change(found)
    (line,) = golden.differences(record, found)
    assert line.startswith(told)
    text = golden.message("binary", [line], RECORDS[0], True)
    assert text.startswith("the binary fit has changed")
    assert golden.COMMAND in text


def test_rounding_is_no_difference_and_another_score_is_one():
    record = {"score": 0.5, "predictions": [1.0], **dict.fromkeys(golden.ARCHITECTURE, 1)}
    assert golden.differences(record, record | {"predictions": [1 + 1e-7]}) == []
    assert len(golden.differences(record, record | {"predictions": [1 + 1e-5]})) == 1
    assert len(golden.loose_differences(record, record | {"score": 0.4})) == 1

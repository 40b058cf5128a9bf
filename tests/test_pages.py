"""README and guide: every Python block runs as it stands, and prints what the page says."""

import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import pytest
from pages import ROOT, is_alike, pages, run

import sklearn_swat
from sklearn_swat import export, plotting


@pytest.fixture(autouse=True)
def no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_blocks_run_and_print_what_the_page_says(page):
    runs = list(run(page))
    for ran in runs:
        assert bool(ran.printed) == (ran.expected is not None), ran.match["code"]
        if ran.expected is not None:
            assert is_alike(ran.printed, ran.expected), f"{ran.printed}\n--- page:\n{ran.expected}"
        if ran.picture is not None:
            assert ran.figures
            assert (page.parent / ran.picture).exists()
    assert any(ran.expected is not None for ran in runs)


def test_readme_and_every_chapter_of_the_guide_are_run():
    names = {page.relative_to(ROOT).as_posix() for page in pages()}
    chapters = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/guide/*.md")}
    assert {"README.md", "docs/quick_start.md", "docs/comparison.md"} <= names
    assert chapters - names == {"docs/guide/index.md"}


def test_every_public_name_is_in_the_reference():
    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split()
    for module in (sklearn_swat, export, plotting):
        assert set(module.__all__) - {"__version__"} <= set(reference)


def test_links_of_the_readme_lead_to_files():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) >= 4
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_words_must_agree_and_numbers_nearly():
    assert is_alike("R² 0.943 with 21 numbers", "R² 0.941 with\n21 numbers\n")
    assert not is_alike("R² 0.943 with 21 numbers", "R² 0.743 with 21 numbers")
    assert not is_alike("h1.0 = tanh(2 x0)", "h1.0 = tanh(2 x1)")
    assert not is_alike("h1.0 = tanh(2 x0)", "h1.1 = tanh(2 x0)")
    assert not is_alike("1 + 2", "1 - 2")
    assert not is_alike("1 2", "1")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_firmware_of_the_guide_compiles(tmp_path):
    text = (ROOT / "docs" / "guide" / "export.md").read_text(encoding="utf-8")
    network, firmware = re.findall(r"^```c\n(.*?)^```$", text, re.M | re.S)
    (tmp_path / "estimate.h").write_text(network, encoding="utf-8")
    (tmp_path / "main.c").write_text(firmware, encoding="utf-8")
    assert len(firmware.splitlines()) <= 20
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "main.c"]
    subprocess.run(command, cwd=tmp_path, check=True)

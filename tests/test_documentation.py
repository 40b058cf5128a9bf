"""An estimator's HTML picture links to its documentation, and pages tell of the same extras."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from sklearn.utils import estimator_html_repr

from sklearn_swat import SWATClassifier, SWATRegressor, _documentation

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "docs/quick_start.md"])
def test_every_extra_is_named_where_the_installation_is(page):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"Extras: (.*?)\. ", (ROOT / page).read_text(encoding="utf-8"), re.S)
    assert set(re.findall("`(.*?)`", extras)) == set(project["optional-dependencies"])


class Metadata:
    def __init__(self, *entries):
        self.entries = entries

    def get_all(self, name):
        assert name == "Project-URL"
        return list(self.entries) or None


@pytest.fixture(autouse=True)
def forget():
    _documentation.published_at.cache_clear()
    yield
    _documentation.published_at.cache_clear()


@pytest.mark.parametrize("estimator", [SWATRegressor(), SWATClassifier()])
def test_the_html_picture_links_to_the_published_page(estimator, monkeypatch):
    entries = "Source, https://x.example/src", "Documentation, https://x.example/docs/"
    monkeypatch.setattr(_documentation, "metadata", lambda _: Metadata(*entries))
    name = type(estimator).__name__
    assert f"https://x.example/docs/generated/sklearn_swat.{name}.html" in estimator_html_repr(
        estimator
    )


def test_without_a_published_page_there_is_no_link(monkeypatch):
    monkeypatch.setattr(_documentation, "metadata", lambda _: Metadata())
    page = estimator_html_repr(SWATRegressor())
    assert "SWATRegressor" in page
    assert "generated/sklearn_swat" not in page
    assert SWATRegressor()._get_doc_link() == ""


def test_a_source_tree_that_is_not_installed_has_no_link(monkeypatch):
    def missing(_):
        raise PackageNotFoundError

    monkeypatch.setattr(_documentation, "metadata", missing)
    assert SWATRegressor()._get_doc_link() == ""

"""Where the documentation is published, for the link in an estimator's HTML picture."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata


@cache
def published_at() -> str:
    """Return the address that the installed package names as its documentation, or ""."""
    try:
        addresses = metadata("sklearn-swat").get_all("Project-URL") or []
    except PackageNotFoundError:  # a source tree that was not installed
        return ""
    for entry in addresses:
        label, _, address = entry.partition(",")
        if label.strip().lower() == "documentation":
            return address.strip().rstrip("/")
    return ""


def page_of(class_name: str) -> str:
    """Return the address of a class's page; "" where no documentation is published."""
    address = published_at()
    return f"{address}/generated/sklearn_swat.{class_name}.html" if address else ""

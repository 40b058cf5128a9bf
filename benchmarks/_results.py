"""Results as files: JSON that is written whole, with the versions that it depends on."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sklearn_swat import __version__


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code: versions and cores.

    Returns
    -------
    dict
        Names and values.
    """
    packages = ("numpy", "scipy", "scikit-learn", "torch")
    return {
        "sklearn_swat": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "cores": os.cpu_count(),
    }


def save(results: dict[str, Any], path: Path) -> None:
    """Write the results in one go: an interrupted write leaves the old file.

    Parameters
    ----------
    results : dict
        The content of the file.
    path : Path
        The JSON file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)

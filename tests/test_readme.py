"""The README's Python blocks run as they stand."""

import re
from pathlib import Path

import matplotlib.pyplot as plt

README = Path(__file__).parents[1] / "README.md"


def test_the_blocks_of_the_readme_run():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 3
    plt.switch_backend("Agg")
    exec("\n".join(blocks), {})  # they build on each other
    assert plt.get_fignums()
    plt.close("all")

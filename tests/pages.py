"""README and guide as programs: their Python blocks run, and the page tells what they print.

``python tests/pages.py`` writes what they print, and the pictures that they draw, into the pages.

A fence right behind a Python block is its output, and an image right behind that its picture. The
blocks of a page share one namespace.
"""

import contextlib
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n"
    r"(?:\s*^```(?:text|c)\n(?P<output>.*?)^```\n)?"
    r"(?:\s*^!\[[^\]]*\]\((?P<picture>[^)]*)\))?",
    re.M | re.S,
)
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?(?=f\b|(?![\w.]*\w))")


def pages():
    """Return the pages that hold Python."""
    found = [
        ROOT / "README.md",
        *sorted(ROOT.glob("docs/*.md")),
        *sorted(ROOT.glob("docs/guide/*.md")),
    ]
    return [page for page in found if BLOCK.search(page.read_text(encoding="utf-8"))]


@dataclass(frozen=True)
class Run:
    """What a block printed and drew, and what the page says of it."""

    match: re.Match
    printed: str
    figures: tuple

    @property
    def expected(self):
        """The output on the page, or None."""
        return self.match["output"]

    @property
    def picture(self):
        """The file of the picture on the page, or None."""
        return self.match["picture"]


def run(page):
    """Run the blocks of a page one after the other, and yield a `Run` of each."""
    text, namespace = page.read_text(encoding="utf-8"), {"__name__": page.stem}
    for match in BLOCK.finditer(text):
        # Blank lines in front: a traceback then names the line of the page.
        lines = "\n" * (text.count("\n", 0, match.start()) + 1)
        before, printed = set(plt.get_fignums()), io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(lines + match["code"], str(page), "exec"), namespace)
        figures = tuple(plt.figure(n) for n in plt.get_fignums() if n not in before)
        yield Run(match, printed.getvalue(), figures)


def is_alike(printed, expected):
    """Tell whether two texts agree: in words exactly, in numbers up to what machines differ by."""
    if NUMBER.sub("#", printed).split() != NUMBER.sub("#", expected).split():
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(expected), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=0.05, abs_tol=0.01) for a, b in pairs)


def refresh(page):
    """Write what the blocks print and draw into the page and beside it."""
    text, done, parts = page.read_text(encoding="utf-8"), 0, []
    for ran in run(page):
        if ran.expected is not None:
            start, end = ran.match.span("output")
            parts += [text[done:start], ran.printed.rstrip("\n") + "\n"]
            done = end
        if ran.picture is not None:
            ran.figures[-1].savefig(page.parent / ran.picture, dpi=120)
    page.write_text("".join([*parts, text[done:]]), encoding="utf-8")
    plt.close("all")


if __name__ == "__main__":
    plt.switch_backend("Agg")
    for each in pages():
        refresh(each)
        print("refreshed", each.relative_to(ROOT))

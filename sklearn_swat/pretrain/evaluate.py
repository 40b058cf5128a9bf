"""Evaluates a checkpoint: ``python -m sklearn_swat.pretrain.evaluate CHECKPOINT``.

Figures go to a JSON file, a page and pictures beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ._evaluation import evaluate
from ._report import draw_pictures, make_page, make_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, evaluate, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_swat.pretrain.evaluate",
        description="Evaluate a checkpoint of the multi-scale autoencoder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoint", nargs="?", type=Path, help="a safetensors file; default: the bundled one")
    add("--networks", type=int, default=100, help="random networks per family and depth")
    add("--seed", type=int, default=0, help="of everything that is drawn")
    add("--out", type=Path, help="a folder for a page, pictures and evaluation.json; default: none")
    options = parser.parse_args(arguments)
    results = evaluate(options.checkpoint, options.networks, options.seed)
    print(make_report(results))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        content = json.dumps(results, indent=1) + "\n"
        (options.out / "evaluation.json").write_text(content, encoding="utf-8")
        pictures = draw_pictures(results, options.out)
        page = make_page(results, pictures)
        (options.out / "evaluation.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

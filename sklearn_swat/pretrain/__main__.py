"""Command line: ``python -m sklearn_swat.pretrain CHECKPOINT --minutes 90``."""

from __future__ import annotations

import argparse

from ._training import pretrain


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and pretrain."""
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_swat.pretrain",
        description="Pretrain the multi-scale autoencoder on random networks and functions.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("checkpoint", help="the safetensors file to write")
    parser.add_argument("--minutes", type=float, default=90.0, help="training time in all")
    parser.add_argument("--device", default="cpu", help="a torch device: cpu, cuda, mps")
    parser.add_argument("--batch-size", type=int, default=40, help="data sets per batch")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the peak")
    parser.add_argument("--seed", type=int, default=0, help="of parameters and batches")
    parser.add_argument("--resume", action="store_true", help="go on where a run stopped")
    parser.add_argument("--start", help="a checkpoint to begin at")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no lines")
    options = parser.parse_args(arguments)
    pretrain(
        options.checkpoint,
        minutes=options.minutes,
        device=options.device,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        resume=options.resume,
        start=options.start,
        seed=options.seed,
        verbose=not options.quiet,
    )


if __name__ == "__main__":
    main()

"""Command line: ``python -m sklearn_swat.pretrain CHECKPOINT --minutes 90``."""

from __future__ import annotations

import argparse
from dataclasses import replace

from .._checkpoint import read_header
from .._token_layers import AutoencoderConfig
from ._processes import own_device, process_group, this_process
from ._training import pretrain

GROWING = ("data_rounds", "decoder_blocks")  # sizes that a checkpoint can grow in


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
    parser.add_argument(
        "--resume", action="store_true", help="go on where a run of these options stopped"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a checkpoint that is there"
    )
    # The second name is for `torchrun`, which takes --start for one of its own options.
    parser.add_argument("--start", "--from", help="a checkpoint to begin at")
    for size in GROWING:
        words = size.replace("_", " ")
        parser.add_argument(
            f"--{size.replace('_', '-')}",
            type=int,
            default=argparse.SUPPRESS,
            help=f"{words}; default: those of --start, else {getattr(AutoencoderConfig, size)}",
        )
    parser.add_argument(
        "--largest-context", type=int, default=512, help="rows of a data set at most"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no lines")
    options = parser.parse_args(arguments)
    sizes = {size: getattr(options, size) for size in GROWING if hasattr(options, size)}
    try:
        config = None
        if sizes:
            config = read_header(options.start)[0] if options.start else AutoencoderConfig()
            config = replace(config, **sizes)
        with process_group():
            pretrain(
                options.checkpoint,
                minutes=options.minutes,
                device=own_device(options.device),
                batch_size=options.batch_size,
                learning_rate=options.learning_rate,
                resume=options.resume,
                overwrite=options.overwrite,
                start=options.start,
                seed=options.seed,
                config=config,
                largest_context=options.largest_context,
                verbose=not options.quiet and this_process() == 0,
            )
    except (ValueError, OSError) as error:  # whose messages say what to do
        parser.exit(2, f"{parser.prog}: error: {error}\n")


if __name__ == "__main__":
    main()

"""A deeper autoencoder that computes what a shallower one does, to be trained on from there."""

from __future__ import annotations

import re
from dataclasses import replace

import torch

from .._autoencoder import MultiScaleAutoencoder
from .._token_layers import AutoencoderConfig

# The linear maps that end a branch beside a residual connection, by their names.
_ENDS = re.compile(r"\b(update_\w+\.\d+\.second|blocks\.\d+\.(mix|mlp\.second))\.\w+$")


def grow(
    autoencoder: MultiScaleAutoencoder, config: AutoencoderConfig, seed: int = 0
) -> MultiScaleAutoencoder:
    """Append rounds and blocks that add nothing yet.

    Their last linear maps are zero, so that tokens pass them unchanged.

    Parameters
    ----------
    autoencoder : MultiScaleAutoencoder
    config : AutoencoderConfig
        That of `autoencoder` with as many `data_rounds` and `decoder_blocks`, or more.
    seed : int, default=0
        Of the parameters that are added.

    Returns
    -------
    MultiScaleAutoencoder

    Raises
    ------
    ValueError
        If another size differs, or there are fewer rounds or blocks.
    """
    before = autoencoder.config
    alike = replace(config, data_rounds=before.data_rounds, decoder_blocks=before.decoder_blocks)
    if (
        alike != before
        or config.data_rounds < before.data_rounds
        or config.decoder_blocks < before.decoder_blocks
    ):
        raise ValueError(
            f"an autoencoder of {before} can grow more data_rounds and decoder_blocks only, "
            f"got {config}; start without a checkpoint to train other sizes"
        )
    grown = MultiScaleAutoencoder(config, torch.Generator().manual_seed(seed))
    known = autoencoder.state_dict()
    grown.load_state_dict(known, strict=False)
    with torch.no_grad():
        for name, parameter in grown.named_parameters():
            if name not in known and _ENDS.search(name):
                parameter.zero_()
    return grown

"""Autoencoders on disk: safetensors files that describe themselves.

A file holds tensors and a JSON header, nothing that can execute. The header
names the format, its version, the autoencoder's sizes and how it was trained.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ._autoencoder import MultiScaleAutoencoder
from ._token_layers import AutoencoderConfig

FORMAT, VERSION = "sklearn_swat.autoencoder", "1"
BUNDLED = "autoencoder.safetensors"
MAX_BYTES = 256 * 2**20
DRAFT = ".part"  # what the name of an unfinished file ends in
_REMEDY = (
    "pass the path of a file written by `python -m sklearn_swat.pretrain`, "
    "or None for the bundled checkpoint"
)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which, why and the way out."""


def save_checkpoint(
    path: str | os.PathLike[str],
    autoencoder: MultiScaleAutoencoder,
    training: dict[str, Any],
    *,
    half: bool = True,
) -> None:
    """Write an autoencoder, whole or not at all.

    Parameters
    ----------
    path : path-like
    autoencoder : MultiScaleAutoencoder
    training : dict
        What a reader should know of the training; JSON-serialisable.
    half : bool, default=True
        Store 16-bit floats, at half the size.

    Raises
    ------
    OSError
        If the file cannot be written; one that was there is as before.
    """
    tensors = {
        name: tensor.detach().to("cpu", torch.float16 if half else torch.float32).contiguous()
        for name, tensor in autoencoder.state_dict().items()
    }
    header = {
        "format": FORMAT,
        "version": VERSION,
        "config": json.dumps(asdict(autoencoder.config)),
        "training": json.dumps(training),
    }
    # The library's writer of files makes a draft of its own, which a kill would leave.
    content = save(tensors, metadata=header)
    write_whole(path, lambda draft: Path(draft).write_bytes(content))


def write_whole(path: str | os.PathLike[str], write: Callable[[str], object]) -> None:
    """Write a file beside `path` and put it in its place once it is on the disk.

    Parameters
    ----------
    path : path-like
        What is there stays until all is written, and if that fails.
    write : callable
        Writes the file of the path that it is given.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    draft = None
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=DRAFT)
        os.close(descriptor)
        write(draft)
        os.chmod(draft, 0o644)
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    except (OSError, SafetensorError, RuntimeError) as error:  # of the system, or the writers
        raise OSError(
            f"cannot write {str(path)!r} ({error}): make room there or name a path that can be "
            "written; what was there before is as it was"
        ) from error
    finally:
        if draft is not None:
            Path(draft).unlink(missing_ok=True)


def load_checkpoint(path: str | os.PathLike[str] | None = None) -> MultiScaleAutoencoder:
    """Load an autoencoder for inference; each file is read once per process.

    Parameters
    ----------
    path : path-like, optional
        None loads the checkpoint that is bundled with the package.

    Returns
    -------
    MultiScaleAutoencoder
        On the CPU, in evaluation mode, parameters frozen. It is shared: run or move a
        copy, not itself.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, foreign, of another version, or its
        tensors do not fit its own description.
    """
    path = _locate(path)
    status = _status(path)
    return _load(path.resolve(), status.st_mtime_ns, status.st_size)


def read_header(
    path: str | os.PathLike[str] | None = None,
) -> tuple[AutoencoderConfig, dict[str, Any]]:
    """Read the sizes and the training record of a checkpoint, without its tensors.

    Parameters
    ----------
    path : path-like, optional
        None reads that of the bundled checkpoint.

    Returns
    -------
    AutoencoderConfig, dict

    Raises
    ------
    CheckpointError
        As `load_checkpoint`.
    """
    path = _locate(path)
    _status(path)
    try:
        with safe_open(path, "pt") as file:
            return _check_header(path, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def _locate(path: str | os.PathLike[str] | None) -> Path:
    if path is None:
        return Path(str(resources.files("sklearn_swat") / "weights" / BUNDLED))
    return Path(path)


def _status(path: Path) -> os.stat_result:
    """Return what the system knows of a file that may be a checkpoint, or say why it is none."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # the latter of a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"the checkpoint {str(path)!r} cannot be read: {reason}; {_REMEDY}"
        ) from None
    if path.is_dir():
        raise CheckpointError(f"the checkpoint {str(path)!r} is a folder; {_REMEDY}")
    if status.st_size > MAX_BYTES:
        raise CheckpointError(
            f"the checkpoint {str(path)!r} has {status.st_size} bytes, at most {MAX_BYTES} "
            f"are possible; {_REMEDY}"
        )
    return status


@lru_cache(maxsize=4)
def _load(path: Path, modified: int, size: int) -> MultiScaleAutoencoder:
    """Load a file as it was when last modified."""
    try:
        with safe_open(path, "pt") as file:
            config, _ = _check_header(path, file.metadata() or {})
            with torch.device("meta"):  # the tensors of the file will be the parameters
                autoencoder = MultiScaleAutoencoder(config)
            expected = autoencoder.state_dict()
            names = set(file.keys())
            if names != set(expected):
                missing, extra = sorted(set(expected) - names), sorted(names - set(expected))
                raise CheckpointError(
                    f"the checkpoint {str(path)!r} lacks the tensors {missing[:3]} and has "
                    f"{extra[:3]} besides (the first of {len(missing)} and {len(extra)}); {_REMEDY}"
                )
            tensors = {}
            for name, like in expected.items():
                found = file.get_slice(name)
                if list(found.get_shape()) != list(like.shape):
                    raise CheckpointError(
                        f"tensor {name!r} of the checkpoint {str(path)!r} has shape "
                        f"{tuple(found.get_shape())}, expected {tuple(like.shape)}; {_REMEDY}"
                    )
                if found.get_dtype() not in ("F16", "F32"):
                    raise CheckpointError(
                        f"tensor {name!r} of the checkpoint {str(path)!r} has type "
                        f"{found.get_dtype()}, expected F16 or F32; {_REMEDY}"
                    )
                tensors[name] = file.get_tensor(name).float()
                if not tensors[name].isfinite().all():
                    raise CheckpointError(
                        f"tensor {name!r} of the checkpoint {str(path)!r} has values that are "
                        f"not finite; {_REMEDY}"
                    )
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None
    autoencoder.load_state_dict(tensors, assign=True)
    return autoencoder.eval().requires_grad_(False)


def _damaged(path: str | os.PathLike[str], error: Exception) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint {str(path)!r} is damaged or not a safetensors file ({error}); {_REMEDY}"
    )


def _check_header(
    path: str | os.PathLike[str], header: dict[str, str]
) -> tuple[AutoencoderConfig, dict[str, Any]]:
    found = (header.get("format"), header.get("version"))
    if found != (FORMAT, VERSION):
        raise CheckpointError(
            f"the file {str(path)!r} has format and version {found}, expected "
            f"{(FORMAT, VERSION)}; {_REMEDY}"
        )
    limit = 4096
    try:
        sizes = json.loads(header["config"])
        training = json.loads(header["training"])
        is_right = sizes.keys() == {field.name for field in fields(AutoencoderConfig)} and all(
            type(size) is int and 1 <= size <= limit for size in sizes.values()
        )
    except (KeyError, ValueError, AttributeError):
        is_right = False
    if not is_right or sizes["model_width"] % sizes["n_heads"]:
        raise CheckpointError(
            f"the header of the checkpoint {str(path)!r} does not describe an autoencoder: its "
            f"sizes must be integers from 1 to {limit}, got {header.get('config')!r:.99}; {_REMEDY}"
        )
    return AutoencoderConfig(**sizes), training

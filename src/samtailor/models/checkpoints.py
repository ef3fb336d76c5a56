"""Weight files: reading and loading; never by unpickling, always strictly."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from samtailor.errors import WeightsError
from samtailor.files import regular, sha256


def checksum(files: Sequence[Path]) -> str:
    """Checksum of weights, in hex: the file's own, or for shards that of their checksums in order."""
    sums = [sha256(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def read_states(files: Sequence[Path]) -> dict[str, Tensor]:
    """Tensors of a file, or of all shards."""
    return {key: value for file in files for key, value in read_state(file).items()}


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors or PyTorch file, read without unpickling objects.

    Raises:
        WeightsError: If the file is damaged or holds something else than named tensors.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(regular(path))
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: expected a safetensors file, found: {error}") from error
    try:
        content = torch.load(regular(path), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise WeightsError(f"{path}: expected a PyTorch file of named tensors, found: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"{path}: expected named tensors, found {type(content).__name__} of other things")
    return dict(content)


def misfits(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Keys of a state dict that do not fit a network: missing, left over, or of another shape; empty if all fit."""
    own = network.state_dict()
    problems = {
        "missing": sorted(own.keys() - state.keys()),
        "left over": sorted(state.keys() - own.keys()),
        "of another shape": sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape),
    }
    return {kind: keys for kind, keys in problems.items() if keys}


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict; a WeightsError names keys that are missing, left over, or of another shape."""
    if problems := misfits(network, state):
        shown = {kind: ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "") for kind, keys in problems.items()}
        found = "; ".join(f"{len(keys)} {kind} ({shown[kind]})" for kind, keys in problems.items())
        raise WeightsError(f"{what}: the weights do not fit the network: {found}")
    network.load_state_dict(dict(state))

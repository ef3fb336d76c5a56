"""A format that samtailor does not have: NumPy's archives. One file, as every format, which tests register."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Geometry
from samtailor.data.formats.format import Format, Header, require_suffix
from samtailor.errors import FileError
from samtailor.files import atomic
from samtailor.labels import LabelSpace


@dataclass(frozen=True)
class NpzGeometry(Geometry):
    """Size of a picture."""

    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, *self.size

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        require_suffix(path, Npz.suffixes)
        names = json.dumps(dict(zip(labels.ids, labels.names, strict=True)))
        with atomic(path) as temporary:
            np.savez(temporary, pixels=labels.to_ids(label[0]), names=names)

    def write_probabilities(self, path: Path, probabilities: NDArray[Any], labels: LabelSpace) -> None:
        require_suffix(path, Npz.suffixes)
        with atomic(path) as temporary:
            np.savez(temporary, pixels=probabilities[:, 0].astype(np.float32))


class Npz(Format):
    """Pictures (C, H, W), label ids (H, W)."""

    suffixes = (".npz",)
    label_suffixes: ClassVar = {"npz": ".npz"}
    probabilities_suffix = ".npz"
    volumes = False

    def read_header(self, path: Path) -> Header:
        pixels, geometry = self.read_pixels((path,))
        return Header(geometry, len(pixels), 8 * pixels.itemsize, len(pixels))

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], NpzGeometry]:
        array = self._read(paths[0], "pixels")
        array = array[None] if array.ndim == 2 else array
        return array[:, None], NpzGeometry((array.shape[1], array.shape[2]))

    def read_ids(
        self, path: Path, labels: LabelSpace, grid: Geometry | None = None
    ) -> tuple[NDArray[Any], NpzGeometry]:
        pixels, geometry = self.read_pixels((path,))
        return pixels[0], geometry

    def read_names(self, path: Path) -> dict[int, str] | None:
        return {int(i): name for i, name in json.loads(str(self._read(path, "names"))).items()}

    def _read(self, path: Path, name: str) -> NDArray[Any]:
        try:
            with np.load(path) as archive:
                array: NDArray[Any] = archive[name]
            return array
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise FileError(path, f"an archive with {name}", str(error), "write it again") from error


class NpzFolder(Npz):
    """One picture in a folder: a channel in each of its archives, as DICOM keeps a slice in each file."""

    def recognises(self, path: Path) -> bool:
        return path.is_dir() and any(path.glob("*.npz"))

    def parts(self, path: Path) -> list[Path]:
        return sorted(path.glob("*.npz"))

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], NpzGeometry]:
        channels = [super(NpzFolder, self).read_pixels((path,)) for path in self.parts(paths[0])]
        return np.concatenate([pixels for pixels, _ in channels]), channels[0][1]

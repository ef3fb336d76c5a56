"""GDAL by way of rasterio, an extra: loaded where a georeferenced file is met, with a small cache of its own."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from samtailor.data.formats.format import reading
from samtailor.errors import FileError
from samtailor.extras import require_extra

_SETTINGS: dict[str, Any] = {
    "GDAL_CACHEMAX": 64,  # MB: the tiles of a window and more; GDAL's own default is a twentieth of the memory
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",  # a folder of 10,000 images is not listed for each of them
}

SIDECARS = (".aux.xml", ".ovr", ".msk", ".msk.ovr")
"""Metadata, overviews and masks that GDAL keeps beside a raster, behind its name."""
_LOOKED_FOR = (*SIDECARS, ".tfw", ".tifw", ".wld", ".tab", ".IMD", ".RPB", ".XML")
"""What GDAL looks for beside a raster."""

_SIGNS = frozenset("!;")

_DRIVERS = {".vrt": ("VRT", "VRT"), ".jp2": ("JP2OpenJPEG", "JPEG 2000 image")}
"""GDAL's names of the kinds that the suffix says, and ours; all others are GeoTIFF."""

logging.getLogger("rasterio").addHandler(logging.NullHandler())  # what is wrong with a file is told in our errors


@contextmanager
def gdal(where: Path | str) -> Iterator[ModuleType]:
    """A block that works with rasterio in our settings, on a file or on what else an error should name.

    Raises:
        ConfigError: If rasterio is not installed.
    """
    rasterio = require_extra("rasterio", "geo", "a georeferenced image", where)
    _silence(rasterio.errors.NotGeoreferencedWarning)
    with rasterio.Env(**_SETTINGS):
        yield rasterio


@cache
def _silence(category: type[Warning]) -> None:
    """Files without CRS or transform are looked into for them; filters belong to no thread, so it is said once."""
    warnings.simplefilter("ignore", category)


def require_companions(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse what GDAL would wait for without end where it looks for more beside a file: pipes and devices.

    Args:
        path: File that is going to be opened.
        suffixes: Of what GDAL looks for, behind the file's name, or in the place of its suffix.

    Raises:
        FileError: Naming the first that is no file.
    """
    for suffix in suffixes:
        for name in (path.name, path.stem):
            beside = path.with_name(f"{name}{suffix}")
            if os.path.exists(beside) and not (os.path.isfile(beside) or os.path.isdir(beside)):
                fix = "take it away, or restore the file"
                raise FileError(beside, f"a file that belongs to {path.name}", "a pipe or a device", fix)


@contextmanager
def plainly_named(files: Sequence[Path]) -> Iterator[Path]:
    """The first of some files that lie together, by a name in which pyogrio sees neither archives (!) nor ends (;)."""
    if not _SIGNS & set(str(files[0])):
        yield files[0]
        return
    with TemporaryDirectory(prefix="samtailor-") as place:
        links = [Path(place, "".join("_" if sign in _SIGNS else sign for sign in file.name)) for file in files]
        for link, file in zip(links, files, strict=True):
            link.symlink_to(file.absolute())
        yield links[0]


def open_dataset(path: Path) -> Any:
    """The dataset of a GeoTIFF, VRT or JPEG 2000, open for reading.

    What a file is called cannot make GDAL open it as one of its hundred other kinds.

    Raises:
        FileError: If it is none of these.
    """
    require_companions(path, _LOOKED_FOR)
    driver, kind = _DRIVERS.get(path.suffix.lower(), ("GTiff", "GeoTIFF"))
    with gdal(path) as rasterio, reading(path, kind):
        return rasterio.open(path, driver=driver)

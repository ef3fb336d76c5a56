"""File formats: every image, label and probability map is read and written here, whatever its format.

`format.py` is the contract. A new format is one file beside it and one entry in `FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from samtailor.data.case import Case, CaseFiles, Geometry, SceneGeometry
from samtailor.data.channels import ChannelChoice
from samtailor.data.conditions import class_indices, not_finite, with_finite
from samtailor.data.formats.coco import CocoFormat
from samtailor.data.formats.dicom import DicomFormat
from samtailor.data.formats.format import Format, Header, LabelFormat, SceneFormat
from samtailor.data.formats.geotiff import GeoTiffFormat
from samtailor.data.formats.itk import MetaImageFormat, NrrdFormat
from samtailor.data.formats.labelme import LabelMeFormat
from samtailor.data.formats.nifti import NiftiFormat
from samtailor.data.formats.picture import PictureFormat
from samtailor.data.formats.slicer_labels import SlicerFormat
from samtailor.data.formats.vector import VectorFormat
from samtailor.data.formats.yolo import YoloFormat
from samtailor.data.scene import Scene
from samtailor.errors import DataError as DataError
from samtailor.errors import FileError, SamTailorError, counted, listed
from samtailor.labels import IGNORE, LabelSpace

FORMATS: list[Format] = [
    NiftiFormat(),
    MetaImageFormat(),
    NrrdFormat(),
    GeoTiffFormat(),
    PictureFormat(),
    DicomFormat(),
]
"""All formats; the first that recognises a path reads it."""

LABEL_FORMATS: list[LabelFormat] = [VectorFormat(), CocoFormat(), LabelMeFormat(), YoloFormat(), SlicerFormat()]
"""Formats of labels that are no images."""


def find_format(path: Path) -> Format | None:
    """The format of a path; None if it can be no image."""
    return next((format for format in FORMATS if format.recognises(path)), None)


def find_label_format(path: Path) -> LabelFormat | None:
    """The format of a path; None if it can be no label."""
    return next((format for format in (*FORMATS, *LABEL_FORMATS) if format.recognises(path)), None)


def label_format_of(path: Path) -> LabelFormat:
    """The format of a label; refused if it can be none."""
    return find_label_format(path) or format_of(path)


def format_of(path: Path) -> Format:
    """The format of a path; refused if it can be no image."""
    if format := find_format(path):
        return format
    if os.path.isdir(path):
        raise FileError(path, "an image file", "a folder", "name the image itself")
    raise FileError(path, f"one of {', '.join(image_suffixes())}", f"'{path.suffix}'", "convert the file")


def image_suffixes(only_pictures: bool = False, only_volumes: bool = False) -> tuple[str, ...]:
    """Suffixes of the image files that can be read, in lower case."""
    unwanted = {True: only_pictures, False: only_volumes}
    formats = (format for format in FORMATS if not unwanted[format.volumes])
    return tuple(dict.fromkeys(suffix for format in formats for suffix in format.suffixes))


def image_files(path: Path) -> CaseFiles:
    """The case that a user means by one path: `x_0000.nii.gz` brings its channels `x_0001.nii.gz`, ... along."""
    format = find_format(path)
    return format.case_files(path) if format else CaseFiles(path.name, (path,))


def parts_of(images: Iterable[Path]) -> Iterator[Path]:
    """All files that images are read from, what a VRT is made of among them; of what cannot be read itself alone."""
    for image in images:
        yield image
        if format := find_format(image):
            with suppress(SamTailorError, OSError):
                yield from format.parts(image)


def accompanies(path: Path) -> bool:
    """Whether a file is neither image nor label but belongs to one beside it."""
    return any(format.accompanies(path) for format in (*FORMATS, *LABEL_FORMATS))


def read_header(path: Path) -> Header:
    """Geometry, channels and bits of an image or a mask, its pixels not read."""
    return format_of(path).read_header(path)


def read_geometry(path: Path) -> Geometry:
    """How an image or a mask lies in its file, by the header alone."""
    return read_header(path).geometry


def read_case(files: CaseFiles, labels: LabelSpace | None, channels: ChannelChoice | None = None) -> Case:
    """Read image and label of a case.

    Args:
        files: Where the case lies.
        labels: Label space of the label file; None reads the image only. An image that is only looked at, or
            segmented, is repaired with a word where voxels are NaN or infinite; one of a data set is refused.
        channels: Channels wanted (see `match_channels`); None takes the file's.

    Raises:
        DataError: If a file cannot be read, or image and label do not go together.
    """
    _require_channels(files, channels)
    pixels, geometry = format_of(files.images[0]).read_pixels(files.images)
    if labels is None:
        pixels = with_finite(pixels, files.images)
    else:
        for error in not_finite(pixels, files.images):
            raise error
    image = match_channels(pixels, channels, files.images[0])
    if labels is None or files.label is None:
        return Case(files.name, image, geometry, files=files.images)
    ids, label_geometry = label_format_of(files.label).read_ids(files.label, labels, geometry)
    if difference := geometry.difference(label_geometry):
        raise FileError(files.label, *difference)
    label = class_indices(files.label, ids, labels, "fix the label, or list the ids in dataset.json")
    for void in (geometry.void, label_geometry.void):
        if void:
            label[void.where] = IGNORE
    return Case(files.name, image, geometry, label, (*files.images, files.label))


def is_scene(path: Path) -> bool:
    """Whether `open_scene` opens it."""
    return isinstance(find_format(path), SceneFormat)


@contextmanager
def open_scene(files: CaseFiles, channels: ChannelChoice | None = None) -> Iterator[Scene]:
    """An image that stays in its files while the block looks at it.

    Args:
        files: Where it lies; in one of the formats that can be read so.
        channels: As in `read_case`.

    Raises:
        DataError: If it cannot be read.
    """
    _require_channels(files, channels)
    format = format_of(files.images[0])
    if not isinstance(format, SceneFormat):
        raise ValueError(f"{files.images[0]} can only be read as a whole")
    geometry = format.read_header(files.images[0]).geometry
    assert isinstance(geometry, SceneGeometry)
    with format.reader(files.images) as reader:
        scene = Scene(files, geometry, reader)
        yield scene.with_channels(_chosen_channels(scene.shape[1], channels, scene.is_gray, files.images[0]))


def _require_channels(files: CaseFiles, channels: ChannelChoice | None) -> None:
    """Refuse other numbers of files than channels wanted: often they are cases, whose numbers look like channels."""
    if isinstance(channels, int) and len(files.images) not in (1, channels):
        found = f"{len(files.images)}: {listed([path.name for path in files.images], 3)}"
        fix = (
            "four digits at the end of a name number its channels; if they number cases, rename the files to end with "
            "_0000 as well"
        )
        raise FileError(files.images[0], counted(channels, "channel"), found, fix)


def read_image(path: Path, channels: ChannelChoice | None = None) -> Case:
    """Read one image without label, and what else belongs to it (see `image_files`); channels as in `read_case`."""
    return read_case(image_files(path), None, channels)


def match_channels(
    image: NDArray[Any],
    channels: ChannelChoice | None,
    path: Path,
    fix: str = "give the channels that the data set names",
) -> NDArray[Any]:
    """Bring an image (C, S, H, W) to the channels wanted (None: as it is) without inventing anything, or refuse it.

    Bands with numbers are taken of what there is. Gray pictures are repeated to three channels; coloured ones whose
    channels are equal become one. `fix` is for the message.
    """
    chosen = _chosen_channels(len(image), channels, lambda: bool((image == image[:1]).all()), path, fix)
    if chosen == list(range(len(image))):
        return image
    return image[chosen]


def _chosen_channels(
    found: int,
    wanted: ChannelChoice | None,
    is_gray: Callable[[], bool],
    path: Path,
    fix: str = "give the channels that the data set names",
) -> list[int]:
    """Which channels of an image, by index, are taken for those that are wanted (see `match_channels`)."""
    if isinstance(wanted, tuple):
        if max(wanted) > found:
            expected = f"a band {max(wanted)}, as bands {', '.join(map(str, wanted))} are used"
            raise FileError(path, expected, f"{found}", "give an image with the bands of the training")
        return [number - 1 for number in wanted]
    if wanted is None or found == wanted:
        return list(range(found))
    if found == 1 and wanted == 3:
        return [0, 0, 0]
    if found == 3 and wanted == 1 and is_gray():
        return [0]
    expected = counted(wanted, "channel")
    raise FileError(path, expected, f"{found}", fix)

"""One series: its slices in order along their normal; whatever is no evenly stacked volume is refused by name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder

from samtailor.data.formats.dicom.dicom_file import DicomFile, Frame, open_dicom
from samtailor.data.formats.dicom.geometry import SeriesGeometry
from samtailor.data.formats.dicom.signature import image_files, is_image
from samtailor.errors import FileError, counted, listed

_SAME_PLACE = 1e-3  # mm
_OFF = 0.1
"""How far a slice may lie from where even stacking puts it, as a share of the distance of slices or pixels."""
_SAME_DIRECTION = 1e-3  # of direction cosines
_SAME_STEP = 1e-3  # as a share

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SCOUTS = {"LOCALIZER", "SCOUT"}

# What slices at one place may differ in, and the macro that says so of an enhanced image's frames (PS3.3, C.7.6.16).
_DIMENSIONS = (
    ("EchoTime", ""),
    ("EffectiveEchoTime", "MREchoSequence"),
    ("EchoNumbers", ""),
    ("InversionTime", ""),
    ("FlipAngle", ""),
    ("DiffusionBValue", "MRDiffusionSequence"),
    ("DiffusionGradientOrientation", "MRDiffusionSequence"),
    ("TemporalPositionIdentifier", ""),
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("TriggerTime", ""),
    ("NominalPercentageOfCardiacPhase", "CardiacSynchronizationSequence"),
    ("ComplexImageComponent", "MRImageFrameTypeSequence"),
    ("FrameType", "CTImageFrameTypeSequence"),
    ("FrameType", "MRImageFrameTypeSequence"),
    ("ImageType", ""),
    ("ConvolutionKernel", "CTReconstructionSequence"),
    ("KVP", "CTXRayDetailsSequence"),
    ("StackID", "FrameContentSequence"),
    ("AcquisitionNumber", ""),
    ("AcquisitionTime", ""),
    ("FrameAcquisitionDateTime", "FrameContentSequence"),
)


@dataclass(frozen=True)
class Series:
    """An evenly stacked series.

    Attributes:
        path: Folder or file.
        planes: Its slices in the order of their places along their normal.
    """

    path: Path
    planes: tuple[Frame, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds all intensities that there can be; single precision where they are fractions."""
        low = min(plane.intensities[0] for plane in self.planes)
        high = max(plane.intensities[1] for plane in self.planes)
        if all(plane.is_whole for plane in self.planes):
            for kind in (np.int16, np.uint16, np.int32):
                if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                    return np.dtype(kind)
        return np.dtype(np.float32)

    @property
    def shear(self) -> float:
        """Angle in degrees between the normal of the slices and the line on which they are stacked (gantry tilt)."""
        step = self._step()
        return float(np.degrees(np.arccos(min(1.0, float(step @ self.planes[0].normal / np.linalg.norm(step))))))

    def geometry(self) -> SeriesGeometry:
        """How the slices lie in the patient."""
        first = self.planes[0]
        rows, columns = first.file.size
        headers = tuple(dict.fromkeys(plane.file for plane in self.planes))
        return SeriesGeometry(
            tuple(file.header for file in headers),
            tuple(plane.number for plane in self.planes),
            first.stacked(self._step()),
            (columns, rows, len(self.planes)),
        )

    def _step(self) -> NDArray[np.float64]:
        """From one slice to the next, mm (LPS+)."""
        first, last = self.planes[0], self.planes[-1]
        if len(self.planes) == 1:
            return first.normal * (first.thickness() or 1.0)
        step: NDArray[np.float64] = (last.position - first.position) / (len(self.planes) - 1)
        return step


def read_series(path: Path) -> Series:
    """Headers of a folder's slices, or of one file, in order.

    Raises:
        FileError: If they are no images, or not one evenly stacked series.
    """
    if os.path.isdir(path):
        files = [open_dicom(file) for file in image_files(path)]
        if not files:
            fix = "name the folder that holds the slices"
            raise FileError(path, "a folder of DICOM images", "none in it", fix)
    else:
        files = [open_dicom(path)]
    for refuse in (_no_images, _scouts, _several_series, _undecodable):
        refuse(path, files)
    planes = [plane for file in files for plane in file.planes]
    for require in (_one_size, _one_orientation):
        require(path, planes)
    normal = planes[0].normal
    planes.sort(key=lambda plane: float(plane.position @ normal))
    heights = np.array([plane.position @ normal for plane in planes])
    _no_duplicates(path, planes, heights)
    _no_gaps(path, planes, heights)
    _even(path, planes, heights)
    return Series(path, tuple(planes))


def _no_images(path: Path, files: Sequence[DicomFile]) -> None:
    """Refuse what is no gray image of a scanner."""
    conditions: tuple[tuple[str, str, Callable[[DicomFile], str | None]], ...] = (
        ("an image", "give the series that it belongs to", _other_object),
        ("an image of a scanner", "screenshots and scanned films have no place in space: leave them out", _capture),
        ("gray images", "colour is a picture of a measurement: give the original series", _colour),
        (
            "MONOCHROME2, larger numbers brighter",
            "turn the gray levels of the files round and set PhotometricInterpretation to MONOCHROME2",
            _inverted,
        ),
        ("one slice in a frame", "convert the series to NIfTI with dcm2niix, which takes them apart", _mosaic),
        ("8, 16 or 32 bits a pixel", "convert the files", _odd_bits),
        ("a rescale slope and intercept", "write the files with rescaled numbers", _lookup_table),
        ("a whole image in each file", "join the parts into one file", _part_of_concatenation),
        ("pixels", "the files are headers only, or truncated: export them again", _no_pixels),
    )
    for expected, fix, condition in conditions:
        _refuse_files(path, files, expected, fix, condition)


def _refuse_files(
    path: Path, files: Sequence[DicomFile], expected: str, fix: str, condition: Callable[[DicomFile], str | None]
) -> None:
    """Refuse the files of which a condition says something, with their names."""
    found = {file.path: said for file in files if (said := condition(file))}
    if len(found) == 1:
        file, said = found.popitem()
        raise FileError(file, expected, said, fix)
    if found:
        said = " and ".join(dict.fromkeys(found.values()))
        where = f" in {len(found)} of {counted(len(files), 'file')} ({listed([file.name for file in found], 3)})"
        raise FileError(path, expected, said + where, fix)


def _other_object(file: DicomFile) -> str | None:
    return None if is_image(file.kind) else file.storage_class.name


def _capture(file: DicomFile) -> str | None:
    name: str = file.storage_class.name
    is_capture = file.storage_class == _SECONDARY_CAPTURE or file.storage_class.startswith(f"{_SECONDARY_CAPTURE}.")
    return f"secondary capture ({name})" if is_capture else None


def _colour(file: DicomFile) -> str | None:
    samples, photometric = file.get("SamplesPerPixel", 1), file.get("PhotometricInterpretation", "MONOCHROME2")
    return None if samples == 1 and str(photometric).startswith("MONOCHROME") else f"{photometric}"


def _inverted(file: DicomFile) -> str | None:
    return "MONOCHROME1" if file.get("PhotometricInterpretation") == "MONOCHROME1" else None


def _mosaic(file: DicomFile) -> str | None:
    return "a mosaic of slices" if "MOSAIC" in _image_type(file) else None


def _odd_bits(file: DicomFile) -> str | None:
    allocated, stored = file.bits
    is_usual = allocated in (8, 16, 32) and 0 < stored <= allocated
    return None if is_usual else f"{stored} of {allocated}"


def _lookup_table(file: DicomFile) -> str | None:
    return "a modality lookup table" if file.get("ModalityLUTSequence") else None


def _part_of_concatenation(file: DicomFile) -> str | None:
    number = file.whole("InConcatenationNumber", 1)
    total = file.whole("InConcatenationTotalNumber", number)
    return f"part {number} of {total} of a concatenation" if total > 1 else None


def _no_pixels(file: DicomFile) -> str | None:
    if file.pixels_at is None:
        return f"none ({file.storage_class.name})" if file.storage_class else "none"
    return None if min(file.size) > 0 else f"{file.size[0]} rows, {file.size[1]} columns"


def _scouts(path: Path, files: Sequence[DicomFile]) -> None:
    """Refuse localisers, alone or among the slices."""
    fix = "move them out of the folder" if len(files) > 1 else "give the series that was planned on it"

    def condition(file: DicomFile) -> str | None:
        return "localisers" if _SCOUTS & _image_type(file) else None

    _refuse_files(path, files, "slices of a volume", fix, condition)


def _image_type(file: DicomFile) -> set[str]:
    """Words of Image Type."""
    values = file.get("ImageType", "")
    return {str(word).upper() for word in ([values] if isinstance(values, str) else values)}


def _several_series(path: Path, files: Sequence[DicomFile]) -> None:
    """Refuse a folder of more than one series, told by number and description; never by whom they show."""
    groups: dict[str, list[DicomFile]] = defaultdict(list)
    for file in files:
        groups[str(file.get("SeriesInstanceUID", ""))].append(file)
    if len(groups) > 1:
        names = [
            f"number {group[0].get('SeriesNumber', '?')} '{group[0].get('SeriesDescription', '')}' "
            f"({counted(len(group), 'file')}, {group[0].path.name}{', ...' if len(group) > 1 else ''})"
            for group in groups.values()
        ]
        fix = "put each series into a folder of its own, and name that"
        raise FileError(path, "one series in a folder", f"{len(groups)}: {listed(names, 4)}", fix)


def _undecodable(path: Path, files: Sequence[DicomFile]) -> None:
    """Refuse compressed pixels that nothing here can read."""
    for syntax in {file.transfer_syntax for file in files}:
        try:
            known = get_decoder(syntax).is_available
        except NotImplementedError:  # none at all, such as for videos
            fix = "convert the files to an uncompressed transfer syntax (dcmtk: dcmdjpeg, gdcm: gdcmconv --raw)"
            raise FileError(path, "a transfer syntax that can be read", f"{syntax.name}", fix) from None
        if not known:
            found = f"{syntax.name}, which no installed package decodes"
            raise FileError(path, "pixels that can be read", found, "pip install 'samtailor[dicom]'")


def _one_size(path: Path, planes: Sequence[Frame]) -> None:
    """Refuse slices of several sizes or pixel spacings."""

    def same(plane: Frame, other: Frame) -> bool:
        pairs = zip(plane.steps, other.steps, strict=True)
        return plane.file.size == other.file.size and all(abs(a - b) <= _SAME_STEP * b for a, b in pairs)

    def told(plane: Frame) -> str:
        rows, columns = plane.file.size
        return f"{rows} x {columns} of {plane.steps[0]:.4g} x {plane.steps[1]:.4g} mm"

    _refuse_groups(path, planes, "slices of one size and pixel spacing", same, told)


def _one_orientation(path: Path, planes: Sequence[Frame]) -> None:
    """Refuse slices in several directions."""

    def same(plane: Frame, other: Frame) -> bool:
        return bool(np.abs(plane.directions - other.directions).max() <= _SAME_DIRECTION)

    def told(plane: Frame) -> str:
        return "\\".join(f"{cosine:.3g}" for cosine in plane.directions.ravel())

    _refuse_groups(path, planes, "slices of one orientation", same, told)


def _refuse_groups(
    path: Path,
    planes: Sequence[Frame],
    expected: str,
    same: Callable[[Frame, Frame], bool],
    told: Callable[[Frame], str],
) -> None:
    """Refuse slices that are not all the same as the first, with the groups that they form."""
    groups: list[list[Frame]] = []
    for plane in planes:
        group = next((group for group in groups if same(plane, group[0])), None)
        if group is None:
            groups.append([plane])
        else:
            group.append(plane)
    if len(groups) > 1:
        found = [f"{told(group[0])} ({len(group)}: {_names(group)})" for group in groups]
        fix = "put the slices of each kind into a folder of their own"
        raise FileError(path, expected, f"{len(groups)} kinds: {listed(found, 4)}", fix)


def _no_duplicates(path: Path, planes: Sequence[Frame], heights: NDArray[np.float64]) -> None:
    """Refuse slices at one place, such as echoes and time points, and say what they differ in."""
    starts = np.flatnonzero(np.diff(heights, prepend=-np.inf) >= _SAME_PLACE)
    places = [planes[first:end] for first, end in pairwise([*starts.tolist(), len(planes)])]
    doubled = next((place for place in places if len(place) > 1), None)
    if doubled is None:
        return
    values = {keyword: len({str(plane.value(macro, keyword)) for plane in doubled}) for keyword, macro in _DIMENSIONS}
    differing = [f"{keyword} ({count} values)" for keyword, count in values.items() if count > 1]
    found = f"{len(planes)} slices at {counted(len(places), 'place')} ({_names(doubled)} are at one)"
    if differing:
        found += f", which differ in {listed(differing)}"
        fix = "put the slices of each volume (of one echo, time point or b-value) into a folder of its own"
    else:
        found += ", which differ in nothing that tells volumes apart"
        fix = "take away what is there twice"
    raise FileError(path, "one slice at each place", found, fix)


def _no_gaps(path: Path, planes: Sequence[Frame], heights: NDArray[np.float64]) -> None:
    """Refuse gaps of a multiple of the usual distance: slices are missing there."""
    if len(planes) < 3:
        return
    steps = np.diff(heights)
    usual = float(np.median(steps))
    multiples = np.round(steps / usual).astype(int)
    if multiples.max() > 1 and np.abs(steps / usual - multiples).max() <= _OFF:
        places = [
            f"{multiples[index] - 1} between {_names(planes[index : index + 2], ' and ')}"
            for index in np.flatnonzero(multiples > 1).tolist()
        ]
        found = f"{(multiples - 1).sum()} missing: {listed(places, 3)}"
        raise FileError(path, f"a slice every {usual:.4g} mm", found, "export the series again, with all slices")


def _even(path: Path, planes: Sequence[Frame], heights: NDArray[np.float64]) -> None:
    """Refuse slices that are not stacked evenly and on a straight line."""
    if len(planes) < 3:
        return
    steps = np.diff(heights)
    usual = (heights[-1] - heights[0]) / len(steps)
    if np.abs(heights - np.linspace(heights[0], heights[-1], len(planes))).max() > _OFF * usual:
        worst = int(np.abs(steps - np.median(steps)).argmax())
        found = f"{steps.min():.4g} to {steps.max():.4g} mm "
        found += f"({steps[worst]:.4g} mm between {_names(planes[worst : worst + 2], ' and ')})"
        fix = "resample the series to even distances, or give the part of it that has them"
        raise FileError(path, f"even distances of the slices, to {_OFF:.0%} of them", found, fix)
    positions = np.array([plane.position for plane in planes])
    aside = positions - np.linspace(positions[0], positions[-1], len(planes))
    across = np.linalg.norm(np.cross(aside, planes[0].normal), axis=1)
    worst = int(across.argmax())
    if across[worst] > _OFF * min(planes[0].steps):
        found = f"{planes[worst].name} {across[worst]:.3g} mm beside it"
        fix = "they are of several acquisitions, or their positions are wrong: export the series again"
        raise FileError(path, f"slices on a straight line, to {_OFF:.0%} of a pixel", found, fix)


def _names(planes: Iterable[Frame], joint: str = ", ") -> str:
    """Names of some slices."""
    names = [plane.name for plane in planes]
    return joint.join(names) if len(names) <= 3 else listed(names, 3)

"""One series: its slices in order along their normal; whatever is no evenly stacked volume is refused by name."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder

from samtailor.data.formats.dicom.dicom_file import DicomFile, Plane, open_dicom
from samtailor.data.formats.dicom.geometry import SeriesGeometry
from samtailor.data.formats.dicom.signature import dicom_files, is_image
from samtailor.errors import FileError, listed

_SAME_PLACE = 1e-3  # mm
_OFF = 0.1
"""How far a slice may lie from where even stacking puts it, as a share of the distance of slices and of the pixels'."""
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
    planes: tuple[Plane, ...]

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
        """How the slices lie in the patient (PS3.3, C.7.6.2.1.1)."""
        first = self.planes[0]
        affine = np.eye(4)
        affine[:3, 0] = first.directions[0] * first.steps[1]
        affine[:3, 1] = first.directions[1] * first.steps[0]
        affine[:3, 2] = self._step()
        affine[:3, 3] = first.position
        affine[:2] *= -1  # LPS+ to RAS+
        rows, columns = first.file.size
        headers = tuple(dict.fromkeys(plane.file for plane in self.planes))
        return SeriesGeometry(
            tuple(file.header for file in headers),
            tuple(plane.number for plane in self.planes),
            affine,
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
        files = [file for file in map(open_dicom, dicom_files(path)) if is_image(file.kind)]
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
    planes.sort(key=lambda plane: plane.height)
    for require in (_no_duplicates, _even):
        require(path, planes)
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
        where = f" in {len(found)} of {len(files)} files ({listed([file.name for file in found], 3)})"
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


def _lookup_table(file: DicomFile) -> str | None:
    return "a modality lookup table" if file.get("ModalityLUTSequence") else None


def _part_of_concatenation(file: DicomFile) -> str | None:
    number = file.get("InConcatenationNumber", 1)
    total = file.get("InConcatenationTotalNumber", number)
    return f"part {number} of {total} of a concatenation" if total > 1 else None


def _no_pixels(file: DicomFile) -> str | None:
    if file.pixels_at is None:
        return f"none ({file.storage_class.name})" if file.storage_class else "none"
    return None if min(file.size) > 0 else f"{file.size[0]} rows, {file.size[1]} columns"


def _scouts(path: Path, files: Sequence[DicomFile]) -> None:
    """Refuse localisers, alone or among the slices."""
    fix = "move them out of the folder" if len(files) > 1 else "give the series that was planned on it"

    def condition(file: DicomFile) -> str | None:
        return "localisers" if _SCOUTS & {str(value).upper() for value in file.get("ImageType", ())} else None

    _refuse_files(path, files, "slices of a volume", fix, condition)


def _several_series(path: Path, files: Sequence[DicomFile]) -> None:
    """Refuse a folder of more than one series, told by number and description; never by whom they show."""
    groups: dict[str, list[DicomFile]] = defaultdict(list)
    for file in files:
        groups[str(file.get("SeriesInstanceUID", ""))].append(file)
    if len(groups) > 1:
        names = [
            f"number {group[0].get('SeriesNumber', '?')} '{group[0].get('SeriesDescription', '')}' "
            f"({len(group)} files, {group[0].path.name}{', ...' if len(group) > 1 else ''})"
            for group in groups.values()
        ]
        fix = "put each series into a folder of its own, and name that"
        raise FileError(path, "one series in a folder", f"{len(groups)}: {listed(names, 4)}", fix)


def _undecodable(path: Path, files: Sequence[DicomFile]) -> None:
    """Refuse compressed pixels that nothing here can read."""
    syntaxes = Counter(file.transfer_syntax for file in files)
    for syntax in syntaxes:
        try:
            known = get_decoder(syntax).is_available
        except NotImplementedError:  # none at all, such as for videos
            fix = "convert the files to an uncompressed transfer syntax (dcmtk: dcmdjpeg, gdcm: gdcmconv --raw)"
            raise FileError(path, "a transfer syntax that can be read", f"{syntax.name}", fix) from None
        if not known:
            found = f"{syntax.name}, which no installed package decodes"
            raise FileError(path, "pixels that can be read", found, "pip install 'samtailor[dicom]'")


def _one_size(path: Path, planes: Sequence[Plane]) -> None:
    """Refuse slices of several sizes or pixel spacings."""

    def told(plane: Plane) -> str:
        rows, columns = plane.file.size
        return f"{rows} x {columns} of {plane.steps[0]:.4g} x {plane.steps[1]:.4g} mm"

    def size(plane: Plane) -> Hashable:
        return (plane.file.size, *(round(step / first.steps[0] / _SAME_STEP) for step in plane.steps))

    first = planes[0]
    _refuse_groups(path, planes, size, told, "slices of one size and pixel spacing")


def _one_orientation(path: Path, planes: Sequence[Plane]) -> None:
    """Refuse slices in several directions."""
    known: list[NDArray[np.float64]] = []

    def direction(plane: Plane) -> Hashable:
        for index, other in enumerate(known):
            if np.allclose(plane.directions, other, rtol=0, atol=_SAME_DIRECTION):
                return index
        known.append(plane.directions)
        return len(known) - 1

    def told(plane: Plane) -> str:
        return "\\".join(f"{cosine:.3g}" for cosine in plane.directions.ravel())

    _refuse_groups(path, planes, direction, told, "slices of one orientation")


def _refuse_groups(
    path: Path,
    planes: Sequence[Plane],
    key: Callable[[Plane], Hashable],
    told: Callable[[Plane], str],
    expected: str,
) -> None:
    """Refuse slices that a key parts into several groups."""
    groups: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        groups[key(plane)].append(plane)
    if len(groups) > 1:
        found = [f"{told(group[0])} ({len(group)}: {_names(group)})" for group in groups.values()]
        fix = "put the slices of each kind into a folder of their own"
        raise FileError(path, expected, f"{len(groups)} kinds: {listed(found, 4)}", fix)


def _no_duplicates(path: Path, planes: Sequence[Plane]) -> None:
    """Refuse slices at one place, such as echoes and time points, and say what they differ in."""
    places: list[list[Plane]] = []
    for plane in planes:
        if places and plane.height - places[-1][0].height < _SAME_PLACE:
            places[-1].append(plane)
        else:
            places.append([plane])
    doubled = [place for place in places if len(place) > 1]
    if not doubled:
        return
    values = {
        keyword: len({str(plane.value(macro, keyword)) for plane in place})
        for place in doubled[:1]
        for keyword, macro in _DIMENSIONS
    }
    differing = [f"{keyword} ({count} values)" for keyword, count in values.items() if count > 1]
    found = f"{len(planes)} slices at {len(places)} ({_names(doubled[0])} at one)"
    if differing:
        found += f", which differ in {listed(differing)}"
        fix = (
            "put the slices of each volume, such as those of one echo, time point or b-value, into a folder of its own"
        )
    else:
        found += ", which differ in nothing that we know of"
        fix = "take away what is there twice"
    raise FileError(path, "one slice at each place", found, fix)


def _even(path: Path, planes: Sequence[Plane]) -> None:
    """Refuse gaps, and slices that are not stacked evenly on a straight line."""
    if len(planes) < 3:
        return
    gaps = np.diff([plane.height for plane in planes])
    usual = float(np.median(gaps))
    missing = [(index, round(gap / usual) - 1) for index, gap in enumerate(gaps) if gap > (2 - 2 * _OFF) * usual]
    fits = all(abs(gap / usual - round(gap / usual)) <= 2 * _OFF for gap in gaps)
    if missing and fits:
        places = [f"{count} between {_names(planes[index : index + 2], ' and ')}" for index, count in missing]
        found = f"{sum(count for _, count in missing)} missing: {listed(places, 3)}"
        raise FileError(path, f"a slice every {usual:.4g} mm", found, "export the series again, with all slices")
    positions = np.array([plane.position for plane in planes])
    even = np.linspace(positions[0], positions[-1], len(planes))
    distance = (positions[-1] - positions[0]) @ planes[0].normal / (len(planes) - 1)
    along = np.abs((positions - even) @ planes[0].normal) / distance
    across = np.linalg.norm(np.cross(positions - even, planes[0].normal), axis=1) / min(planes[0].steps)
    if along.max() > _OFF:
        worst = int(np.argmax(np.abs(gaps - usual)))
        found = f"{gaps.min():.4g} to {gaps.max():.4g} mm ({gaps[worst]:.4g} mm between "
        found += f"{_names(planes[worst : worst + 2], ' and ')})"
        fix = "resample the series to even distances, or give the part of it that has them"
        raise FileError(path, f"even distances of the slices, to {_OFF:.0%}", found, fix)
    if across.max() > _OFF:
        worst = int(across.argmax())
        found = f"{planes[worst].name} {across[worst]:.2g} pixels beside it"
        fix = "the slices are of several acquisitions, or their positions are wrong: export the series again"
        raise FileError(path, f"slices stacked on a straight line, to {_OFF:.0%} of a pixel", found, fix)


def _names(planes: Iterable[Plane], joint: str = ", ") -> str:
    """Names of some slices."""
    names = [plane.name for plane in planes]
    return joint.join(names) if len(names) <= 3 else listed(names, 3)

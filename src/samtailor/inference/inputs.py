"""What is to be segmented, and where each result goes: files, folders and glob patterns become images."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samtailor.data.case import Case, CaseFiles, ProbabilityType
from samtailor.data.channels import ChannelChoice
from samtailor.data.formats import (
    find_format,
    image_files,
    image_suffixes,
    is_scene,
    parts_of,
    read_case,
    read_geometry,
)
from samtailor.data.layouts.contents import passed_over, visible_entries
from samtailor.data.polygons import Drawing, Ground
from samtailor.errors import ConfigError, DataError, DataWarning, FileError, Finding
from samtailor.settings import LabelKind


@dataclass(frozen=True)
class Wanted:
    """What is written for an image beside its label.

    Attributes:
        probabilities: Whether the probability of every class is.
        overlay: Whether the result is drawn over the image.
        probability_type: Type of the probabilities.
        cog: Whether files are cloud-optimised, so that programs can read parts of them over a network.
        polygons: How the polygons of the label are drawn, if they are.
        volumes: Whether it is counted what each class takes.
        heat_map: Whether the probability of each class is drawn over the image.
    """

    probabilities: bool = False
    overlay: bool = False
    probability_type: ProbabilityType = "float32"
    cog: bool = False
    polygons: Drawing | None = None
    volumes: bool = False
    heat_map: bool = False

    @property
    def pictures(self) -> bool:
        """Whether something is drawn."""
        return self.overlay or self.heat_map

    @property
    def softmax(self) -> bool:
        """Whether the probabilities of all classes are looked at."""
        return self.probabilities or self.heat_map


@dataclass(frozen=True)
class Job:
    """One image and its result.

    Attributes:
        files: The image.
        target: Label file to write.
        rows: The rows of a scene that are to be segmented, where processes share one; None if all are.
    """

    files: CaseFiles
    target: Path
    rows: slice | None = None

    @property
    def file(self) -> Path:
        """The image's first file."""
        return self.files.images[0]

    @property
    def probabilities_file(self) -> Path:
        """Where its probabilities are written if they are wanted."""
        kind = find_format(self.file)
        suffix = kind.probabilities_suffix if kind else ".unknown"
        return self.target.parent / "probabilities" / f"{self.files.name}{suffix}"

    @property
    def overlay_file(self) -> Path:
        """Where its overlay is drawn if it is wanted."""
        return self.target.parent / "overlays" / f"{self.files.name}.png"

    @property
    def heat_map_file(self) -> Path:
        """Where its heat maps are drawn if they are wanted."""
        return self.target.parent / "heat-maps" / f"{self.files.name}.png"

    def polygons_file(self, drawing: Drawing) -> Path:
        """Where its polygons are written if they are wanted."""
        return self.target.parent / "polygons" / f"{self.files.name}.{drawing.kind}"

    @property
    def parts_folder(self) -> Path:
        """Where processes that share it leave their parts."""
        return self.target.with_name(f".{self.target.name}.parts")

    def results(self, wanted: Wanted) -> list[Path]:
        """Every file that is written for it."""
        more = [(self.probabilities_file, wanted.probabilities), (self.overlay_file, wanted.overlay)]
        more.append((self.heat_map_file, wanted.heat_map))
        if wanted.polygons:
            more.append((self.polygons_file(wanted.polygons), True))
        format = find_format(self.file)
        beside = format.written_beside(self.target) if format else ()
        return [self.target, *beside, *(file for file, is_wanted in more if is_wanted)]

    def places(self, wanted: Wanted) -> list[str]:
        """What no other job may have: every file that is written for it, and its name in the table of volumes."""
        row = f"called '{self.files.name}' in the table"
        return [*map(str, self.results(wanted)), *([row] if wanted.volumes else [])]


ONLY_LABELS = Wanted()
"""Nothing beside the labels."""


def plan(inputs: Sequence[str | Path], out: Path, kind: LabelKind = "auto", wanted: Wanted = ONLY_LABELS) -> list[Job]:
    """Find the images and name their results.

    Args:
        inputs: Files; folders, of which every image is taken; glob patterns. Channels of a volume
            (`x_0000.nii.gz`, `x_0001.nii.gz`) are one image. What does not exist is kept, and fails when it is read.
        out: Folder of the results; each has the name of its image.
        kind: Kind of the label files.
        wanted: What is written beside them, by the names of the images: a.png and a.tif may both be labelled, but not
            drawn over.

    Raises:
        ConfigError: If there is nothing to do, an image's format writes no labels of that kind, or a result would
            overwrite an input or another result.
    """
    if find_format(out):
        found = f"{out}, which is an image" if os.path.isdir(out) else f"the file name {out}"
        raise ConfigError(f"out: expected a folder, found {found}; results are named after their inputs")
    jobs = [Job(files, out / f"{files.name}{_label_suffix(files.images[0], kind)}") for files in _find_images(inputs)]
    if not jobs:
        raise ConfigError("inputs: expected files, folders or glob patterns, found none")
    sources = _sources(jobs, wanted)
    inputs_of: dict[str, Path] = {}
    for job in jobs:
        for result in job.results(wanted):
            if _real(result) in sources:
                raise ConfigError(
                    f"out: the result of {job.file} would overwrite the input {result}; name another folder"
                )
        for place in job.places(wanted):
            if other := inputs_of.get(place):
                raise ConfigError(
                    f"out: the results of {other} and {job.file} would both be {place}; predict them into two folders"
                )
            inputs_of[place] = job.file
    return jobs


def _sources(jobs: Sequence[Job], wanted: Wanted) -> set[Path]:
    """What no result may replace: the images, and where there are such files, what mosaics are made of."""
    images = [path for job in jobs for path in job.files.images]
    mosaics = [path for path in images if path.suffix.lower() == ".vrt"]
    could_replace = any(os.path.lexists(result) for job in jobs for result in job.results(wanted))
    return set(map(_real, (*images, *(parts_of(mosaics) if could_replace else ()))))


def require_ground(jobs: Iterable[Job]) -> None:
    """Refuse images that do not say where on Earth they lie; what cannot be read fails when it is."""
    for job in jobs:
        try:
            geometry = read_geometry(job.file)
        except (DataError, OSError):
            continue
        Ground.of(job.file, geometry)


def require_scenes(jobs: Iterable[Job], wanted: Wanted) -> None:
    """Refuse what is only written for scenes where an image is none.

    Raises:
        ConfigError: Naming the flag and the image.
    """
    flag = "cog" if wanted.cog else "probability_type" if wanted.probability_type != "float32" else None
    if flag == "probability_type" and not wanted.probabilities:
        raise ConfigError("probability_type: expected --probabilities with it; add that, or leave it out")
    for job in jobs:
        if flag and os.path.lexists(job.file) and not is_scene(job.file):
            expected = "GeoTIFFs only, as other results are not written so"
            raise ConfigError(f"{flag}: expected {expected}; found {job.file}; predict it without --{flag}")


def read(job: Job, channels: ChannelChoice) -> Case:
    """The image of a job, with the channels wanted."""
    require_there(job)
    return read_case(job.files, None, channels)


def require_there(job: Job) -> None:
    """Refuse a job without an image, as one who has mistyped its name wants to hear it."""
    if os.path.isdir(job.file) and not find_format(job.file):
        raise FileError(job.file, "images in the folder", "none", "name the folder that holds them")
    if not os.path.lexists(job.file):
        raise FileError(job.file, "a file, a folder or a glob pattern", "nothing there", "check the path")


def _label_suffix(image: Path, kind: LabelKind) -> str:
    """Suffix of the label file of an image; what can be no image fails when it is read."""
    format = find_format(image)
    if format is None:
        return ".unknown"
    suffix = format.suffix_of(kind)
    if suffix is None:
        expected = f"'auto', or one of {', '.join(format.label_suffixes)}, for {image}"
        raise ConfigError(
            f"format: expected {expected}; found '{kind}', which labels of such images are not written in"
        )
    return suffix


def _find_images(inputs: Iterable[str | Path]) -> list[CaseFiles]:
    """Images in the order of the inputs, each once, also where several of its files are named."""
    found: dict[Path, CaseFiles] = {}
    for files in (image_files(path) for text in inputs for path in _expand(str(text))):
        if (image := _real(files.images[0])) not in found:
            found[image] = files
            _tell_what_else_is_there(files.images[0])
    further_channels = {_real(path) for files in found.values() for path in files.images[1:]}
    return [files for path, files in found.items() if path not in further_channels]


def _expand(text: str) -> list[Path]:
    """Image files that a path or pattern stands for; the path itself if it stands for none."""
    path = Path(text)
    if os.path.isfile(path):
        return [path]
    matches = [path] if os.path.lexists(path) else map(Path, sorted(glob.glob(text, recursive=True)))
    return [image for match in matches for image in _images_at(match)] or [path]


def _images_at(path: Path) -> list[Path]:
    """Images in a folder, or the path itself if it can be an image; a word about what else is in the folder."""
    if not os.path.isdir(path) or find_format(path):
        return [path] if _is_image(path) and not path.name.startswith(".") else []
    images = [entry for entry in visible_entries(path) if _is_image(entry)]
    if images:
        _warn(path, passed_over(path, images, image_suffixes()))
    return images


def _is_image(path: Path) -> bool:
    """Whether a path that nobody has named is an image, and no label for instance."""
    return (format := find_format(path)) is not None and format.can_be_image(path)


def _tell_what_else_is_there(image: Path) -> None:
    """Warn of files in the folder of an image that do not belong to it."""
    if os.path.isdir(image) and (format := find_format(image)):
        _warn(image, passed_over(image, format.parts(image), format.suffixes))


def _warn(folder: Path, findings: Iterable[Finding]) -> None:
    for finding in findings:
        warnings.warn(f"{folder}: {finding.found}", DataWarning, stacklevel=2)


def _real(path: Path) -> Path:
    """The path without links; where there can be no file, as it is."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL
        return path

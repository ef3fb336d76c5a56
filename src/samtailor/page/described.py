"""What the page is told of a project and its cases: plain values, as docs/guide/app.md lists them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from samtailor.data.case import Geometry
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.polygons.ground import Ground
from samtailor.errors import SamTailorError
from samtailor.page.case_editor import CaseEditor
from samtailor.page.cases import ListedCase
from samtailor.page.edits import file_of
from samtailor.page.predictions import NOT_COUNTED
from samtailor.page.project import Project
from samtailor.page.shown_image import windows_of


def described_project(project: Project) -> dict[str, Any]:
    """What the page works on, but for the fit."""
    edited = _edited_files(project)
    labels, folder, segmenter = project.labels, project.folder, None
    if (own := project.segmenter) is not None:
        prompted = own.model.practice.prompts != "none"
        segmenter = {"text": str(project.source), "base": own.model.base.base, "prompted": prompted}
    classes = [
        {"index": index, "name": name, "color": "#{:02x}{:02x}{:02x}".format(*colour)}
        for index, (name, colour) in enumerate(zip(labels.names, labels.palette, strict=True))
    ]
    return {
        "title": folder.root.resolve().name if folder else Path(str(project.source)).name,
        "data": str(folder.root) if folder else None,
        "segmenter": segmenter,
        "base": project.base.name if project.base else None,
        "classes": classes,
        "ignore": None if labels.ignore_id is None else NOT_COUNTED,
        "cases": [_row(project, case, edited) for case in list(project.cases)],
        "editable": project.editable,
    }


def described_row(project: Project, number: int) -> dict[str, Any]:
    """A line of the page's list."""
    return _row(project, project.case(number), _edited_files(project))


def described_case(project: Project, number: int) -> dict[str, Any]:
    """What the page shows of a case, which is opened."""
    with project.editing(number) as editor:
        editor.looked_at()
        shown, geometry = editor.shown, editor.case.geometry
        spacing, unit = spacing_of(editor.case.name, geometry)
        return {
            "id": number,
            "name": project.case(number).files.name,
            "shape": list(editor.shape),
            "spacing": list(spacing),
            "unit": unit,
            "channels": shown.channels,
            "dtype": str(shown.pixels.dtype),
            "window": list(shown.window),
            "windows": windows_of(shown),
            "intensity_unit": "HU" if shown.is_ct else None,
            "void": geometry.void is not None,
            "sources": _sources(project, number, editor),
            "shown": editor.source,
            "axes": "picture" if geometry.spacing is None else "patient",
        }


def spacing_of(name: str, geometry: Geometry) -> tuple[tuple[float, float, float], str]:
    """Distance of slices, rows and columns, and its unit: mm of volumes, m on the Earth, else pixels."""
    pixels = (1.0, 1.0, 1.0), "px"
    if geometry.spacing is not None:
        return geometry.spacing, "mm"
    if not isinstance(geometry, GeoGeometry) or not geometry.crs or not geometry.transform:
        return pixels
    middle = geometry.size[0] // 2
    try:
        area = Ground.of(Path(name), geometry).pixel_areas(slice(middle, middle + 1), geometry.size[1])
    except SamTailorError:  # nowhere on the Earth, for what anybody knows
        return pixels
    side = math.sqrt(float(area[0]))
    return (1.0, side, side), "m"


def _sources(project: Project, number: int, editor: CaseEditor) -> list[str]:
    """Labels of a case that there are."""
    there = {
        "edit": editor.is_edited,
        "truth": editor.truth is not None,
        "prediction": editor.prediction is not None,
        "before": project.predictions.before(number) is not None,
    }
    return [name for name, is_there in there.items() if is_there]


def _edited_files(project: Project) -> set[Path]:
    """Files of unsaved edits."""
    return {path for folder in project.edits_folders if folder.is_dir() for path in folder.iterdir()}


def _row(project: Project, case: ListedCase, edited: set[Path]) -> dict[str, Any]:
    found = project.predictions.now(case.id)
    return {
        "id": case.id,
        "name": case.files.name,
        "split": case.split,
        "volume": case.volume,
        "labelled": case.files.label is not None,
        "edited": file_of(project.edits_folder(case), case.key) in edited,
        "predicted": found is not None,
        "uncertainty": found.uncertainty if found else None,
        "score": case.score if found else None,
        "uploaded": case.uploaded,
        "error": case.error,
    }

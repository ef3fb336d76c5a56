"""Names and colours of classes in the files that viewers of volumes read; a GIS finds them beside the results."""

from __future__ import annotations

from pathlib import Path

from samtailor.files import write_text
from samtailor.labels import LabelSpace

_ITK_SNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    MSH:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


def itk_snap(labels: LabelSpace) -> str:
    """Label descriptions for ITK-SNAP (Segmentation, Import label descriptions); the background is clear."""
    lines = []
    for k, (identifier, name, (red, green, blue)) in enumerate(_entries(labels)):
        shown = f"{1 if k else 0}  {1 if k else 0}  {1 if k else 0}"
        quoted = name.replace('"', "'")
        lines.append(f'{identifier:5}  {red:3}  {green:3}  {blue:3}  {shown}  "{quoted}"\n')
    return _ITK_SNAP_HEAD + "".join(lines)


def slicer(labels: LabelSpace) -> str:
    """A colour table for 3D Slicer (Add data, then chosen in the label map's display); the background is clear."""
    lines = [f"# {len(labels)} colours\n"]
    for k, (identifier, name, colour) in enumerate(_entries(labels)):
        # Words are parted by spaces there; Slicer shows underscores as spaces.
        lines.append(f"{identifier} {'_'.join(name.split())} {' '.join(map(str, colour))} {255 if k else 0}\n")
    return "".join(lines)


TABLES = {"itk-snap.txt": itk_snap, "slicer.ctbl": slicer}
"""What makes the table of a viewer, by the name of the file."""


def write_colours(folder: Path, labels: LabelSpace) -> None:
    """Write the tables of all viewers."""
    for name, made in TABLES.items():
        write_text(folder / name, made(labels))


def _entries(labels: LabelSpace) -> list[tuple[int, str, tuple[int, int, int]]]:
    """Id, name and colour of each class."""
    return list(zip(labels.ids, labels.names, labels.palette, strict=True))

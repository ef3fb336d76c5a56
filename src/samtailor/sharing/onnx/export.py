"""Taking a fitted segmenter elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from samtailor.runs import Run
from samtailor.settings import AnyPath, checked
from samtailor.sharing.folder import require_folder

ExportFormat = Literal["onnx"]
"""What other programs run."""


@dataclass(frozen=True)
class Exported:
    """Where a segmenter was written for other programs.

    Attributes:
        folder: The folder.
        files: The networks in it.
    """

    folder: Path
    files: tuple[Path, ...]

    def __str__(self) -> str:
        lines = [f"network  {file}  ({file.stat().st_size / 1e6:.1f} MB)" for file in self.files]
        return "\n".join([*lines, f"card     {self.folder / 'README.md'}"])


@checked
def export(
    run: AnyPath,
    out: AnyPath,
    format: ExportFormat = "onnx",
    split: bool = False,
    picture: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write a fitted segmenter as a network that other programs run, without torch and without samtailor.

    The network takes what the loaded segmenter takes when it is called as a module, images (B, 3, N, N) in [0, 1], and
    gives the same class logits; batch and size are free, in multiples of the base's stride. Preprocessing, classes,
    colours and offsets of the logits are in its metadata. LoRA is merged.

    Args:
        run: A run, or the directory of a segmenter.
        out: Folder to write: new or empty.
        format: 'onnx'.
        split: Also write image encoder and prompted mask decoder as two networks, which answer clicks and boxes on an
            image that was encoded once.
        picture: Show one case of the run's evaluation on the card; it is then seen by everyone who opens it.
        overwrite: Replace an earlier export in `out`, as a whole; nothing else is replaced.

    Returns:
        Where it is.

    Raises:
        SamTailorError: If there is no such segmenter, it cannot be written there, or the extra `onnx` is missing.
    """
    from samtailor.models.segmenter_model import load_model
    from samtailor.sharing.onnx.folder import export_onnx
    from samtailor.sharing.onnx.tracing import require_onnx

    require_onnx("export")
    folder = Path(out)
    require_folder(folder, run, overwrite, "export")
    record = Path(run) if Run(Path(run)).is_there else None
    export_onnx(load_model(run), folder, split, record, picture)
    return Exported(folder, tuple(sorted(folder.glob("*.onnx"))))

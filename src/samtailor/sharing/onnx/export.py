"""Taking a fitted segmenter elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samtailor.runs import Run
from samtailor.settings import AnyPath, checked
from samtailor.sharing.folder import require_folder
from samtailor.sharing.onnx.formats import NETWORK_ENDS, WEIGHTS_ENDS, ExportFormat


@dataclass(frozen=True)
class Exported:
    """Where a segmenter was written for other programs.

    Attributes:
        folder: The folder.
        files: The networks in it, with their weights.
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
        format: 'onnx' for ONNX Runtime and whatever else reads it; 'openvino' for OpenVINO, which takes half the time
            or less on processors that compute in bfloat16.
        split: Also write image encoder and prompted mask decoder as two networks, which answer clicks and boxes on an
            image that was encoded once.
        picture: Show one case of the run's evaluation on the card; it is then seen by everyone who opens it.
        overwrite: Replace an earlier export in `out`, as a whole; nothing else is replaced.

    Returns:
        Where it is.

    Raises:
        SamTailorError: If there is no such segmenter, it cannot be written there, or the format's extra is missing.
    """
    from samtailor.models.segmenter_model import load_model
    from samtailor.sharing.onnx.folder import export_network, require_format

    require_format(format)
    folder = Path(out)
    require_folder(folder, run, overwrite, "export")
    record = Path(run) if Run(Path(run)).is_there else None
    export_network(load_model(run), folder, split, record, picture, format=format)
    ends = (NETWORK_ENDS[format], WEIGHTS_ENDS[format])
    return Exported(folder, tuple(sorted(path for path in folder.iterdir() if path.name.endswith(ends))))

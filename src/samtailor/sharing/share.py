"""Sharing a fitted segmenter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samtailor.errors import ConfigError
from samtailor.runs import Run
from samtailor.settings import AnyPath, checked
from samtailor.sharing.folder import require_folder


@dataclass(frozen=True)
class Shared:
    """Where a segmenter was written for others.

    Attributes:
        place: Folder, or address on the model hub.
        card: The model card, where it is a file here.
    """

    place: str
    card: Path | None = None

    def __str__(self) -> str:
        return f"shared   {self.place}" + (f"\ncard     {self.card}" if self.card else "")


@checked
def share(
    run: AnyPath,
    out: AnyPath | None = None,
    push: str | None = None,
    private: bool = False,
    merged: bool = False,
    picture: bool = False,
    overwrite: bool = False,
) -> Shared:
    """Write a fitted segmenter for others, with a model card: a folder, or a repository on the model hub.

    Args:
        run: A run, or the directory of a segmenter.
        out: Folder to write: new or empty.
        push: Repository on the hub to write, 'owner/name', instead of a folder.
        private: Make the repository visible to its owner only.
        merged: Write one self-contained network in transformers' format instead of what was trained alone.
        picture: Show one case of the run's evaluation on the card; it is then seen by everyone who opens it.
        overwrite: Replace an earlier share in `out`, as a whole; nothing else is replaced.

    Returns:
        Where it is.

    Raises:
        SamTailorError: If there is no such segmenter, or it cannot be written there.
    """
    from samtailor.models.segmenter_model import load_model
    from samtailor.sharing.export import merge_and_export
    from samtailor.sharing.pretrained import push_to_hub, save_pretrained

    if (out is None) == (push is None):
        raise ConfigError("share: expected either --out FOLDER or --push OWNER/NAME; give one of them")
    if merged and push is not None:
        raise ConfigError("share: expected --merged with --out FOLDER, found --push; push what was trained alone")
    if out is not None:
        require_folder(Path(out), run, overwrite, "share")
    record = Path(run) if Run(Path(run)).is_there else None
    model = load_model(run)
    if push is not None:
        return Shared(push_to_hub(model, push, record, private, picture))
    assert out is not None
    write = merge_and_export if merged else save_pretrained
    write(model, Path(out), record, picture)
    return Shared(str(out), Path(out) / "README.md")

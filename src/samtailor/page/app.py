"""The verb that serves the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from samtailor.errors import ConfigError
from samtailor.settings import AnyPath, Device, Rare, Within, Word, checked

Port = Annotated[int, Within(0, 65535)]
Bytes = Annotated[int, Within(1, 1 << 40)]
LOCAL = "127.0.0.1"
_GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Served:
    """A page that is not served any more.

    Attributes:
        address: Where it was.
    """

    address: str

    def __str__(self) -> str:
        return "stopped"


@checked
def app(
    run: Word[AnyPath | None] = None,
    data: Word[AnyPath | None] = None,
    base: str | None = None,
    classes: Sequence[str] | None = None,
    out: AnyPath | None = None,
    open_: bool = False,
    host: str = LOCAL,
    port: Port = 8765,
    device: Device = "auto",
    weights: Rare[AnyPath | None] = None,
    max_upload: Rare[Bytes] = 2 * _GIGABYTE,
) -> Served:
    """Serve a page on which masks are looked at, corrected, saved, and fitted again.

    The page is for this machine only, and for whoever knows the address that is printed: the token in it is a password.
    Ctrl-C ends it; what was changed and not saved is there at the next start.

    Args:
        run: A run, the directory of a segmenter, or a name on the model hub; what predicts and answers clicks. With
            --base the first word is the data.
        data: Images: a data set, or a folder of images without labels; those the run was trained on by default.
        base: Base model that answers clicks and boxes before anything is fitted, such as lite-medsam.
        classes: Names of the classes of a folder without labels, such as liver spleen.
        out: Folder for the runs that are fitted on the page; beside the run, or 'runs' by default.
        open_: Open the page in a browser.
        host: Address to listen at; another one than 127.0.0.1 lets other machines in that know the token.
        port: Where to listen; 0 takes any that is free.
        device: 'auto' takes a GPU if there is one.
        weights: Weights of the base.
        max_upload: Bytes that an image may have that is dropped on the page.

    Returns:
        Where the page was, when it is not served any more.

    Raises:
        SamTailorError: If the run, the data or a setting is not as expected, or nothing can listen there.
    """
    from samtailor.extras import require_extra

    for package in ("starlette", "uvicorn"):
        require_extra(package, "app", "the page", "samtailor app")
    from samtailor.inference.predictor import choose_device
    from samtailor.outputs import require_place
    from samtailor.page.beginning import begun
    from samtailor.page.listening import Listener
    from samtailor.page.server import Server

    choose_device(device)
    if base is not None and data is None:
        run, data = None, run
    if base is not None and run is not None:
        raise ConfigError(f"base: expected either a run or --base, found {run} and {base}; leave one of them out")
    if out is not None:
        require_place(out, [place for place in (run, data) if place is not None], data=data)
    with Listener(host, port) as listener:
        project, fitting = begun(run, data, base, classes, out, device, weights)
        with project.alone():
            listener.serve(Server(project, fitting, max_upload).application(), max_upload, open_)
        return Served(listener.address)

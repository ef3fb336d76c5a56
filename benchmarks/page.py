"""The page of `samtailor app`: a click on it, on the server's side, and its start up to the first page."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import samtailor
from benchmarks.line import Place, Prepared, Side
from benchmarks.prediction import made_segmenter, write_volume
from samtailor import Prompt
from samtailor.data.intensity import CTWindow
from samtailor.data.preprocessing import Preprocessing
from samtailor.inference.result import Result

_PICTURES = 10


def click(base: str, size: int, side: int) -> Callable[[Side, Place], Prepared]:
    """A point on an object of a CT slice that has been clicked on before, asked for over the page's interface.

    The peer encodes the slice anew for each click, as one who calls `Segmenter.refine` does.

    Args:
        base: Base model.
        size: Side of the network's input.
        side: Rows and columns of a slice.
    """

    def prepare(which: Side, place: Place) -> Prepared:
        side_shown, input_size = (64, 64) if place.small else (side, size)
        made_segmenter(base, place.folder, Preprocessing(CTWindow(), input_size, None, 1))
        images = place.folder / "images"
        images.mkdir(exist_ok=True)
        write_volume(images / "volume.nii.gz", (side_shown, side_shown, 4))
        clicks = itertools.cycle([(side_shown * (0.3 + 0.01 * step), side_shown * 0.5) for step in range(40)])
        return (asked if which == "ours" else refined)(place, images, clicks)

    return prepare


def asked(place: Place, images: Path, clicks: itertools.cycle[tuple[float, float]]) -> Prepared:
    """Clicks over the page's interface."""
    from starlette.testclient import TestClient

    from samtailor.page.beginning import begun
    from samtailor.page.server import Server

    project, fitting = begun(place.folder / "segmenter", images, None, None, None, place.device, None)
    client = TestClient(Server(project, fitting, 1).application())

    def run() -> None:
        prompt = json.dumps({"class": 1, "slice": 1, "points": [next(clicks)]})
        answer = client.post("/api/cases/0/prompt", content=prompt)
        assert answer.status_code == 200, answer.text

    run()
    return Prepared(run, holder=place.holder)


def refined(place: Place, images: Path, clicks: itertools.cycle[tuple[float, float]]) -> Prepared:
    """The same clicks, each by a call of its own."""
    segmenter = samtailor.load(place.folder / "segmenter")
    found = segmenter.predict(images / "volume.nii.gz", device=place.device)
    held: list[Result] = [found]

    def run() -> None:
        prompt = Prompt(segmenter.classes[1], 1, points=(next(clicks),))
        held[0] = segmenter.refine(held[0], [prompt], device=place.device)

    return Prepared(run, holder=place.holder)


def start(side: Side, place: Place) -> Prepared:
    """`samtailor app --base lite-medsam` on ten pictures, up to the answer of the first page; weights are real."""
    if side == "peer":
        return Prepared(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True), holder=None)
    rng = np.random.default_rng(0)
    for number in range(_PICTURES):
        pixels = rng.integers(0, 255, (256, 320), dtype=np.uint8)
        Image.fromarray(pixels).save(place.folder / f"{number}.png")
    words = ["-m", "samtailor", "app", "--base", "lite-medsam", str(place.folder), "--classes", "target", "--port", "0"]

    def run() -> None:
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            opener.open(address[0]).read()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()

    return Prepared(run, holder=None)

"""Whatever happens to a file, the answer is a sentence and an exit code, soon and in little memory.

Every trial damages one file of a data set or a run and gives it to a verb. `--trials` says how many, `--fuzz_seed` from
which on; a failure names the trial, which `--trials=1 --fuzz_seed=N` repeats.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import resource
import shutil
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import SimpleITK
import tifffile
from PIL import Image
from pydicom.uid import RLELossless

from samtailor.cli import main
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_geometry
from samtailor.labels import LabelSpace
from samtailor.models.zoo import Base
from tests import generate
from tests.data.formats.dicom.files import write_enhanced, write_series
from tests.fuzz.damage import BINARY, TEXT
from tests.generate_scenes import scene_folder

SECONDS = 10
HANGING = 60
MEMORY = 1 << 30
BATCHES = 20
SCENE_LABELS = LabelSpace.from_names(generate.PICTURE_CLASSES)
_TEXTS = (".json", ".yaml", ".csv", ".md")

TRAIN = ["--recipe", "head-only", "--epochs", "2", "--sampling.image_size", "32", "--workers", "0", "--device", "cpu"]
BASELINE = ["--points_per_side", "2", "--bootstrap", "10", "--split", "test"]

TRAINED_ON = "volumes"
"""The folder that the run was trained on, which its config names."""

# What is damaged, and what it is given to.
TARGETS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "volumes/**/*",
        (("check", "volumes"), ("score", "volumes/labelsTr", "volumes", "--split", "train", "--out", "out")),
    ),
    ("volumes/imagesTs/*", (("predict", "run", "volumes/imagesTs", "--out", "out"),)),
    ("series/**/*", (("predict", "run", "series", "--out", "out"),)),
    ("itk/**/*", (("check", "itk"), ("predict", "run", "itk/images", "--out", "out"))),
    ("outlines/**/*", (("check", "outlines"),)),
    ("pictures/**/*", (("check", "pictures"), ("score", "pictures/masks", "pictures", "--out", "out"))),
    ("scenes/**/*", (("check", "scenes"), ("score", "mosaics", "scenes", "--split", "test", "--out", "out"))),
    ("mosaics/*", (("score", "mosaics", "scenes", "--split", "test", "--out", "out"),)),
    ("pictures/images/*", (("predict", "run", "pictures/images", "--out", "out"),)),
    (
        "run/**/*",
        (
            ("resume", "run"),
            ("evaluate", "run", "volumes", "--split", "val", "--out", "out"),
            ("predict", "run", "volumes/imagesTs", "--out", "out"),
            ("predict", "run", "volumes/imagesTs", "--out", "out"),
        ),
    ),
    ("run/checkpoints/*", (("resume", "run"),)),
    ("run/*.*", (("resume", "run"),)),
    ("scored/**/*", (("compare", "scored", "scored2", "--out", "out"),)),
    ("baseline/**/*", (("baseline", "volumes", "--out", "baseline", "--base", "tiny-sam", *BASELINE),)),
)


@dataclass(frozen=True)
class Trial:
    """What one seed does: a file, its damage, and the verb that gets it."""

    seed: int

    def run(self, source: Path, place: Path) -> str:
        """Do it in a copy of what the verbs are given; what went wrong, or nothing."""
        random = np.random.default_rng(self.seed)
        pattern, calls = TARGETS[int(random.integers(len(TARGETS)))]
        named = {TRAINED_ON, *(Path(word).parts[0] for call in calls for word in (pattern, *call))}
        for folder in source.iterdir():
            if folder.name in named:
                shutil.copytree(folder, place / folder.name, symlinks=True)
        victims = sorted(path for path in place.glob(pattern) if path.is_file())
        victim = victims[int(random.integers(len(victims)))]
        damages = TEXT if victim.suffix in _TEXTS else BINARY
        damage = damages[int(random.integers(len(damages)))]
        damage(victim, random)
        words = calls[int(random.integers(len(calls)))]
        own = {"resume": "run", "baseline": "baseline"}.get(words[0], "out")
        before = contents(place, own)
        code, text = answer(words, place)
        wrong = []
        if "Traceback" in text:
            wrong.append("a traceback")
        if code not in (0, 1, 2):
            wrong.append(f"exit code {code}")
        if code == 2 and not text.strip():
            wrong.append("no message")
        if contents(place, own) != before:
            wrong.append("changed inputs")
        if not wrong:
            return ""
        what = f"{damage.__name__} of {victim.relative_to(place)}, samtailor {' '.join(words)}"
        return f"trial {self.seed}: {', '.join(wrong)} after {what}\n{text[-1500:]}"


def contents(place: Path, own: str) -> dict[str, object]:
    """What every file holds but those that the verb may write."""
    return {
        str(path.relative_to(place)): path.read_bytes()
        if path.is_file() and not path.is_fifo()
        else os.lstat(path).st_mode
        for path in sorted(place.rglob("*"))
        if path.relative_to(place).parts[0] != own
    }


def answer(words: Sequence[str], place: Path) -> tuple[int | str, str]:
    """Exit code and what is printed, with a time limit; an exception is a traceback, as a user would see it."""
    out = io.StringIO()
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(SECONDS)
    try:
        with contextlib.chdir(place), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code: int | str = main(list(words))
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        return "none", out.getvalue() + traceback.format_exc()
    finally:
        signal.alarm(0)
    return code, out.getvalue()


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def _batch(seeds: Sequence[int], source: Path, scratch: Path, results: multiprocessing.SimpleQueue[str]) -> None:
    """In a process of its own, whose memory is limited: what went wrong in each trial, one after the other."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    for seed in seeds:
        results.put(f"started {seed}")
        place = scratch / str(seed)
        results.put(Trial(seed).run(source, place))
        shutil.rmtree(place)


def _itk_folder(root: Path) -> None:
    """Volumes as ITK's programs keep them, and segmentations of 3D Slicer."""
    for index, suffix in enumerate((".mha", ".nrrd", ".mhd", ".nrrd")):
        hu, ids = generate.volume((12, 10, 3), index)
        image, segments = (SimpleITK.GetImageFromArray(array.T) for array in (hu, ids))
        for number, name in enumerate(generate.LABELS.names[1:]):
            segments.SetMetaData(f"Segment{number}_Name", name)
            segments.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
        for folder, file, one in (("images", f"{index}{suffix}", image), ("labels", f"{index}.seg.nrrd", segments)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            SimpleITK.WriteImage(one, str(root / folder / file), useCompression=index > 0)


def _outlines(root: Path) -> None:
    """Pictures with outlines of YOLO."""
    for index, suffix in enumerate((".bmp", ".webp", ".png", ".bmp")):
        for folder in ("images", "labels"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(generate.picture((20, 24), index)[0]).save(root / "images" / f"{index}{suffix}")
        (root / "labels" / f"{index}.txt").write_text("0 0.1 0.1 0.6 0.1 0.6 0.8\n2 0.5 0.5 0.9 0.5 0.9 0.9 0.5 0.9\n")
    (root / "data.yaml").write_text("names: [cat, dog, cow]\n")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base) -> Iterator[Path]:
    """A data set of each kind, a run, a baseline and two evaluations, all small and sound."""
    root = tmp_path_factory.mktemp("sound")
    generate.nnunet_folder(root / "volumes", cases=4, shape=(12, 10, 3))
    for name, change in (("plain", None), ("packed", lambda header, _: header.compress(RLELossless))):
        write_series(root / "series" / name, generate.volume((3, 10, 12), 1)[0], change=change)
    write_enhanced(root / "series" / "frames" / "1.dcm", generate.volume((3, 10, 12), 2)[0])
    _itk_folder(root / "itk")
    _outlines(root / "outlines")
    for folder in ("images", "masks"):
        (root / "pictures" / folder).mkdir(parents=True)
    for index, suffix in enumerate((".png", ".jpg", ".tif", ".tif", ".png")):
        pixels, ids = generate.picture((20, 24), index)
        image, mask = (root / "pictures" / folder / f"tile_{index}" for folder in ("images", "masks"))
        if suffix == ".tif":
            tifffile.imwrite(
                image.with_suffix(suffix), pixels, photometric="rgb", compression="zlib" if index % 2 else None
            )
            tifffile.imwrite(mask.with_suffix(suffix), ids)
        else:
            Image.fromarray(pixels).save(image.with_suffix(suffix))
            Image.fromarray(ids).save(mask.with_suffix(".png"))
    generate.write_json(root / "pictures" / "dataset.json", {"classes": generate.PICTURE_CLASSES})
    for case in open_dataset(scene_folder(root / "scenes")).split("test"):
        geometry = read_geometry(case.images[0])
        geometry.write_label(root / "mosaics" / f"{case.name}.tif", np.zeros(geometry.shape, np.int16), SCENE_LABELS)
    with contextlib.chdir(root):
        assert main(["train", "volumes", "--out", "run", "--base", tiny_base.name, *TRAIN]) == 0
        assert main(["evaluate", "run", "volumes", "--split", "val"]) == 0
        assert main(["baseline", "volumes", "--out", "baseline", "--base", tiny_base.name, *BASELINE]) == 0
        for name in ("scored", "scored2"):
            assert main(["evaluate", "run", "volumes", "--split", "val", "--out", name]) == 0
    return root


@pytest.mark.parametrize("batch", range(BATCHES))
def test_damage_is_answered_in_one_sentence(
    batch: int, source: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    trials, first = request.config.getoption("--trials"), request.config.getoption("--fuzz_seed")
    seeds = range(first, first + trials)[batch::BATCHES]
    context = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    process = context.Process(target=_batch, args=(seeds, source, tmp_path, results))
    wrong: list[str] = []
    process.start()
    last, done, heard = "", 0, time.monotonic()
    while process.is_alive() or not results.empty():
        if results.empty():
            process.join(0.02)
            if time.monotonic() - heard > HANGING:  # where no signal comes through
                process.kill()
            continue
        text, heard = results.get(), time.monotonic()
        if text.startswith("started"):
            last = text
        else:
            done += 1
            wrong += [text] if text else []
    if done < len(seeds):
        wrong.append(f"the process ended with {process.exitcode} in the trial that it {last}")
    assert not wrong, "\n\n".join(wrong)

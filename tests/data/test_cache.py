"""The slice cache gives what the files hold, notices every change and damage, and survives company."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samtailor.data.cache import SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.corruptions import degradation
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import FORMATS, read_case
from samtailor.data.intensity import CTWindow, Intensity, Percentile, scale
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.data.steps.step import PreprocessingStep
from samtailor.errors import DataError, FileError
from samtailor.labels import LabelSpace
from tests import generate
from tests.data.formats.npz import NpzFolder


@pytest.fixture
def case(nnunet_folder: Path) -> CaseFiles:
    return open_dataset(nnunet_folder).cases[0]


@pytest.fixture
def cache(tmp_path: Path) -> SliceCache:
    return SliceCache(generate.LABELS, made_by(), tmp_path / "cache")


WINDOW = CTWindow()


def made_by(intensity: Intensity = WINDOW, channels: int = 1, *steps: PreprocessingStep) -> Preprocessing:
    return Preprocessing(intensity, 32, None, channels, steps)


def entry(cache: SliceCache) -> Path:
    """The only entry of the cache."""
    (found,) = cache.directory.iterdir()
    return found


def test_cached_slices_are_the_scaled_image_and_the_label(cache: SliceCache, case: CaseFiles) -> None:
    read = read_case(case, generate.LABELS)
    cached = cache.load(case)
    assert cached.name == "case_0"
    assert isinstance(cached.image, np.memmap)
    assert cached.image.shape == (6, 1, 24, 32)
    assert np.array_equal(cached.image.swapaxes(0, 1), scale(read.image, CTWindow()))
    assert read.label is not None
    assert cached.label is not None
    assert np.array_equal(cached.label, read.label)
    assert cached.spacing == read.geometry.spacing
    assert cached.counts.tolist() == [np.bincount(p.ravel(), minlength=3).tolist() for p in read.label]


def test_every_file_of_an_image_in_a_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SliceCache(generate.LABELS, made_by(channels=2), tmp_path / "cache")
    monkeypatch.setattr("samtailor.data.formats.FORMATS", [*FORMATS, NpzFolder()])
    folder = tmp_path / "series"
    folder.mkdir()
    for value in (0, 1, 2):
        np.savez(folder / "0.npz", pixels=np.full((2, 2), 10))
        np.savez(folder / "1.npz", pixels=np.full((2, 2), value))
        assert np.array_equal(
            cache.load(CaseFiles("x", (folder,))).image[0, 1], scale(np.full((2, 2), value), CTWindow())
        )


def test_case_without_label_has_no_counts(cache: SliceCache, case: CaseFiles) -> None:
    cached = cache.load(CaseFiles(case.name, case.images))
    assert cached.label is None
    assert not cached.counts.any()


def test_ignored_pixels_are_not_counted(cache: SliceCache, case: CaseFiles) -> None:
    labels = LabelSpace.from_names(("background", "liver"), ignore_id=2)
    cached = SliceCache(labels, made_by(), cache.directory).load(case)
    assert cached.label is not None
    assert cached.counts.sum() == (cached.label >= 0).sum() < cached.label.size


def test_second_load_takes_the_entry_as_it_is(cache: SliceCache, case: CaseFiles) -> None:
    cache.load(case)
    before = (entry(cache) / "image.npy").stat().st_ino
    cache.load(case)
    assert (entry(cache) / "image.npy").stat().st_ino == before


def test_content_and_settings_make_the_key(cache: SliceCache, case: CaseFiles) -> None:
    assert case.label is not None
    others = [
        SliceCache(generate.LABELS, made_by(Percentile()), cache.directory),
        SliceCache(LabelSpace.from_names(("background", "liver", "tumour")), made_by(), cache.directory),
        SliceCache(generate.LABELS, made_by(channels=3), cache.directory),
        SliceCache(generate.LABELS, made_by(CTWindow(), 1, GaussianDenoising()), cache.directory),
        SliceCache(generate.LABELS, made_by(CTWindow(), 1, GaussianDenoising(2)), cache.directory),
    ]
    keys = {cache.load(case).key, *(other.load(case).key for other in others)}
    keys.add(cache.load(CaseFiles(case.name, case.images)).key)
    hu, ids = generate.volume((32, 24, 6), seed=99)
    generate.write_volume(case.label, ids)
    keys.add(cache.load(case).key)
    generate.write_volume(case.images[0], hu)
    keys.add(cache.load(case).key)
    assert len(keys) == 9


def test_a_corrupted_case_has_an_entry_of_its_own(cache: SliceCache, case: CaseFiles) -> None:
    damages = [
        degradation(("blur",), (1,), 0),
        degradation(("blur",), (2,), 0),
        degradation(("blur",), (1,), 1),
        degradation(("jpeg",), (1,), 0),
        degradation(("blur", "jpeg"), (1,), 0),
    ]
    entries = [cache.load(case)]
    for damage in damages:
        entries.append(SliceCache(generate.LABELS, made_by(), cache.directory, damage).load(case))
    assert len({entry.key for entry in entries}) == len(entries)
    # Random numbers depend on the name, so the same file under another name is another case.
    renamed = SliceCache(generate.LABELS, made_by(), cache.directory, damages[0]).load(replace(case, name="other"))
    assert renamed.key != entries[1].key
    again = SliceCache(generate.LABELS, made_by(), cache.directory, damages[0]).load(case)
    assert again.key == entries[1].key
    assert (again.image != entries[0].image).any()
    np.testing.assert_array_equal(again.label, entries[0].label)
    assert cache.load(replace(case, name="other")).key == entries[0].key


def test_every_setting_of_the_preprocessing_makes_the_key_or_is_known_not_to_matter() -> None:
    """Who adds one need not think of the cache."""
    others: dict[str, Any] = {
        "intensity": Percentile(),
        "channels": 3,
        "steps": (GaussianDenoising(),),
        "image_size": 64,
        "field": 16,
        "bands": (2,),
        "seen": 64,
        "neighbours": True,
    }
    cache = SliceCache(generate.LABELS, made_by())
    files = CaseFiles("x", ())
    for field in fields(Preprocessing):
        changed = SliceCache(generate.LABELS, replace(made_by(), **{field.name: others[field.name]}))
        seen_later = ("image_size", "field", "seen", "neighbours")
        assert (changed._key(files) == cache._key(files)) == (field.name in seen_later), field.name


def test_a_setting_that_the_cache_does_not_know_makes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, files = SliceCache(generate.LABELS, made_by()), CaseFiles("x", ())
    before, plain = cache._key(files), made_by().to_json()
    monkeypatch.setattr(Preprocessing, "to_json", lambda self: plain | {"new": 1})
    assert cache._key(files) != before


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_full_disk_leaves_nothing_behind(
    cache: SliceCache, case: CaseFiles, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    left, save = [written], np.save

    def fill(path: Path, array: np.ndarray) -> None:
        if not left[0]:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        save(path, array)

    monkeypatch.setattr(np, "save", fill)
    with pytest.raises(FileError, match=r"No space left.*SAMTAILOR_HOME"):
        cache.load(case)
    assert list(cache.directory.iterdir()) == []
    monkeypatch.setattr(np, "save", save)
    assert cache.load(case).label is not None


def test_windows_and_the_size_of_the_input_do_not_make_the_key(cache: SliceCache, case: CaseFiles) -> None:
    other = SliceCache(generate.LABELS, Preprocessing(CTWindow(), 64, 16, 1), cache.directory)
    assert other.load(case).key == cache.load(case).key


def test_steps_are_in_the_cache(cache: SliceCache, case: CaseFiles) -> None:
    preprocessing = made_by(Percentile(), 1, GaussianDenoising())
    cached = SliceCache(generate.LABELS, preprocessing, cache.directory).load(case)
    image = read_case(case, None).image
    smooth = scale(GaussianDenoising()(image, None), Percentile())
    assert np.array_equal(cached.image.swapaxes(0, 1), smooth)
    assert np.array_equal(cached.image, np.asarray(preprocessing.prepare(read_case(case, None))))


def test_gray_is_repeated_to_the_wanted_channels(cache: SliceCache, case: CaseFiles) -> None:
    cached = SliceCache(generate.LABELS, made_by(channels=3), cache.directory).load(case)
    assert cached.image.shape == (6, 3, 24, 32)
    with pytest.raises(DataError, match="expected 2 channels, found 1"):
        SliceCache(generate.LABELS, made_by(channels=2), cache.directory).load(case)


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def alter_meta(path: Path) -> None:
    meta = json.loads(path.read_text())
    meta["arrays"]["image"][1] = [1, 2, 3]
    path.write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("image.npy", flip_last_byte),
        ("label.npy", flip_last_byte),
        ("counts.npy", flip_last_byte),
        ("image.npy", cut),
        ("label.npy", Path.unlink),
        ("image.npy", lambda path: path.write_bytes(b"")),
        ("meta.json", Path.unlink),
        ("meta.json", cut),
        ("meta.json", lambda path: path.write_text("[]")),
        ("meta.json", lambda path: path.write_text("{}")),
        ("meta.json", alter_meta),
        (
            "meta.json",
            lambda path: path.write_text('{"arrays": ["image", "label", "counts"], "spacing": 3}'),
        ),
        ("meta.json", lambda path: path.write_text("[" * 100_000)),
        ("meta.json", lambda path: path.write_bytes(b"\xff\xfe\0")),
        ("image.npy", lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18))),
        ("image.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'shape': (1 << 9" + bytes(99))),
        ("image.npy", lambda path: (path.unlink(), path.mkdir())),
    ],
)
def test_damaged_entry_is_built_again(
    cache: SliceCache, case: CaseFiles, name: str, damage: Callable[[Path], object]
) -> None:
    sound = cache.load(case)
    image, key = np.array(sound.image), sound.key
    damage(entry(cache) / name)
    fixed = cache.load(case)
    assert fixed.key == key
    assert np.array_equal(fixed.image, image)
    assert fixed.label is not None
    assert {file.name for file in entry(cache).iterdir()} == {"counts.npy", "image.npy", "label.npy", "meta.json"}


def test_many_can_build_the_same_entry_at_once(cache: SliceCache, case: CaseFiles) -> None:
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            loaded = list(pool.map(lambda _: cache.load(case), range(8)))
        assert all(np.array_equal(one.image, loaded[0].image) for one in loaded)
        assert entry(cache).name == loaded[0].key
        cut(entry(cache) / "image.npy")  # the next round finds it broken
    shutil.rmtree(cache.directory)


def test_missing_file_is_named(cache: SliceCache, case: CaseFiles) -> None:
    case.images[0].unlink()
    with pytest.raises(DataError, match="case_0_0000"):
        cache.load(case)


def test_folder_that_cannot_be_written_is_named(tmp_path: Path, case: CaseFiles) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="SAMTAILOR_HOME"):
        SliceCache(generate.LABELS, made_by(), tmp_path / "file").load(case)


def test_the_default_folder_lies_in_samtailors_home(
    tmp_path: Path, case: CaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path / "home"))
    SliceCache(generate.LABELS, made_by()).load(case)
    assert len(list((tmp_path / "home" / "slices").iterdir())) == 1

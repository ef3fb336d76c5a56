"""Every corruption: the same for the same seed, worse with each severity, and still an image of the file's kind."""

from __future__ import annotations

import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.case import Case, Void
from samtailor.data.corruptions import (
    BY_MODALITY,
    CORRUPTIONS,
    SEVERITIES,
    corruption_names,
    degradation,
    modality_of,
)
from samtailor.data.corruptions.degradation import full_scale
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.in_memory import case_of_array
from samtailor.errors import ConfigError, DataError

EACH = pytest.mark.parametrize("name", CORRUPTIONS)
FIXED_PATTERNS = {*BY_MODALITY["infrared"], "contrast", "blur", "jpeg", "ghosting"}


def scan(slices: int = 3, size: tuple[int, int] = (48, 56), dtype: str = "int16") -> Case:
    """A round patient in air with an organ in every slice, in Hounsfield units."""
    y, x = np.indices(size)
    hu = np.full((slices, *size), -1000.0)
    hu[:, np.hypot((y - size[0] / 2) / size[0], (x - size[1] / 2) / size[1]) < 0.42] = 50
    hu[:, size[0] // 3 : size[0] // 2, size[1] // 3 : size[1] // 2] = 150
    hu += np.random.default_rng(0).normal(0, 5, hu.shape)
    return case_of_array(hu.astype(dtype), (3.0, 5.0, 5.0), "scan")


def picture(channels: int = 1, dtype: str = "uint8", largest: float = 255) -> Case:
    """A picture with all gray levels."""
    ramp = np.linspace(0.05, 0.95, 40 * 48 * channels).reshape(40, 48, channels) * largest
    return case_of_array(ramp.astype(dtype), name="picture")


def corrupted(case: Case, name: str, severity: int = 3, *seed: int) -> NDArray[np.float64]:
    """The image of the corrupted case."""
    return degradation((name,), (severity,), *(seed or (0,)))(case).image.astype(np.float64)


@EACH
def test_the_same_seed_gives_the_same_image_and_another_one_another(name: str) -> None:
    case = scan()
    first = corrupted(case, name, 3, 5)
    np.testing.assert_array_equal(first, corrupted(case, name, 3, 5))
    if name not in {"contrast", "blur", "jpeg", "ghosting"}:  # nothing, or little, of these is random
        assert (first != corrupted(case, name, 3, 6)).any()
        assert (first != corrupted(replace(case, name="other"), name, 3, 5)).any()


def test_another_process_gives_the_same_image() -> None:
    code = (
        "from tests.data.corruptions.test_corruptions import *\n"
        "print([zlib.crc32(corrupted(scan(), n).tobytes()) for n in CORRUPTIONS])"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.strip() == str([zlib.crc32(corrupted(scan(), name).tobytes()) for name in CORRUPTIONS])


@EACH
@pytest.mark.parametrize("case", [scan(), picture(3)], ids=["volume", "picture"])
def test_each_severity_is_worse_than_the_one_before(name: str, case: Case) -> None:
    errors = [np.sqrt(((corrupted(case, name, severity) - case.image) ** 2).mean()) for severity in SEVERITIES]
    assert errors[0] > 0
    assert errors == sorted(errors)


@EACH
@pytest.mark.parametrize(
    "case",
    [scan(1), scan(dtype="float32"), picture(1), picture(3), picture(5), picture(1, "uint16", 4095)],
    ids=["slice", "float", "gray", "colours", "bands", "12 bits"],
)
def test_any_image_stays_one_of_its_kind(name: str, case: Case) -> None:
    before = case.image.copy()
    after = degradation((name,), (5,), 0)(case)
    assert (after.image.dtype, after.image.shape) == (case.image.dtype, case.image.shape)
    assert np.isfinite(after.image).all()
    assert (after.label, after.geometry, after.name) == (case.label, case.geometry, case.name)
    np.testing.assert_array_equal(case.image, before)  # what was given is left as it is
    if case.image.dtype == np.uint16:
        assert after.image.max() <= 4095


@EACH
def test_a_severity_means_the_same_in_every_unit(name: str) -> None:
    """Ten times the numbers are ten times the damage; an offset changes nothing."""
    case = scan(dtype="float32")
    moved = replace(case, image=case.image * 10 + 20000)
    change = corrupted(case, name) - case.image
    np.testing.assert_allclose(corrupted(moved, name) - moved.image, change * 10, atol=10 + 0.02 * np.abs(change).max())


@EACH
def test_a_constant_image_and_one_of_a_pixel_are_no_trouble(name: str) -> None:
    for image in (np.full((9, 11), 7, np.uint8), np.full((1, 1), 200, np.uint8)):
        assert degradation((name,), (5,), 0)(case_of_array(image)).image.shape == (1, 1, *image.shape)


@EACH
def test_a_gray_image_that_is_repeated_stays_gray(name: str) -> None:
    case = picture()
    repeated = replace(case, image=np.repeat(case.image, 3, axis=0))
    expected = np.repeat(corrupted(case, name), 3, axis=0)
    np.testing.assert_array_equal(corrupted(repeated, name), expected)


@EACH
def test_pixels_without_data_stay_as_they_are_and_reach_no_others(name: str) -> None:
    case = picture()
    where = np.zeros((1, 40, 48), bool)
    where[0, 5:20, 5:20] = True
    results = []
    for nothing in (0, 255):
        image = np.where(where, np.uint8(nothing), case.image)
        known = replace(case, image=image, geometry=PictureGeometry((40, 48), Void(where, "nodata")))
        results.append(degradation((name,), (5,), 0)(known).image)
        assert (results[-1][:, where] == nothing).all()
        assert (results[-1] != image).any()
    np.testing.assert_array_equal(results[0][:, ~where], results[1][:, ~where])


def test_pixels_without_data_do_not_set_the_scale() -> None:
    where = np.zeros((1, 40, 48), bool)
    where[0, :20] = True
    image = np.where(where, 60000, 100 + np.arange(48) % 8).astype(np.uint16)[None]
    case = Case("half", image, PictureGeometry((40, 48), Void(where, "nodata")))
    change = (degradation(("gaussian",), (3,), 0)(case).image.astype(float) - image)[:, ~where]
    assert 0.2 < change.std() < 2  # 7 % of seven gray levels


@EACH
def test_slices_are_damaged_apart_but_for_fixed_patterns(name: str) -> None:
    case = scan(2)
    case.image[:, 1] = case.image[:, 0]
    first, second = (corrupted(case, name) - case.image)[0]
    alike = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    if name in FIXED_PATTERNS:
        assert alike > 0.999
    elif name == "bias-field":
        assert (first != second).any()
    else:
        # Where noise is clipped at the limit of the type, nothing is alike either.
        assert abs(alike) < 0.5


def test_a_bias_field_is_smooth_across_slices() -> None:
    case = scan(21)
    case.image[:] = case.image[:, :1]
    inside = corrupted(case, "bias-field", 5)[0, :, 20, 20]
    assert np.abs(np.diff(inside)).max() < 0.35 * np.ptp(inside)


def test_padding_around_a_scanners_circle_does_not_set_the_scale() -> None:
    case, padded = scan(), scan()
    padded.image[:, :, :12] = -3024
    inside = np.s_[:, :, 20:40]
    changes = [(corrupted(each, "gaussian") - each.image)[inside] for each in (case, padded)]
    assert changes[1].std() == pytest.approx(changes[0].std(), rel=0.05)


def test_blur_is_alike_in_all_directions_of_a_slice_and_leaves_its_neighbours() -> None:
    case = scan(3, (31, 31), "float32")
    case.image[:] = 0
    case.image[0, 1, 15, 15] = 1000
    blurred = corrupted(case, "blur", 4)[0]
    np.testing.assert_allclose(blurred[1], blurred[1].T, atol=1e-3)
    assert blurred[1, 15, 18] > 5
    assert (blurred[[0, 2]] == 0).all()


def test_gaussian_noise_has_the_deviation_that_its_level_says() -> None:
    image = np.linspace(100, 1100, 200 * 200, dtype=np.float32).reshape(200, 200)
    change = corrupted(case_of_array(image), "gaussian", 4) - image
    assert change.std() == pytest.approx(0.11 * 990, rel=0.02)
    assert abs(change.mean()) < 3


def test_noise_of_photons_and_speckle_grow_with_the_signal() -> None:
    image = np.concatenate([np.full((80, 80), level, np.float32) for level in (0, 250, 1000)])
    for name, ratio in (("poisson", 2), ("speckle", 4)):
        dark, middle, bright = np.split((corrupted(case_of_array(image), name) - image)[0, 0], 3)
        assert dark.std() == 0
        assert bright.std() / middle.std() == pytest.approx(ratio, rel=0.15)


def test_salt_and_pepper_touches_only_extremes() -> None:
    case = picture(3)
    result = degradation(("salt-and-pepper",), (5,), 0)(case).image
    changed = result != case.image
    assert changed.mean() == pytest.approx(0.1, abs=0.02)
    for channel in range(3):
        ends = {case.image[channel].min(), case.image[channel].max()}
        assert set(result[channel][changed[channel]]) == ends


def test_blur_and_contrast_add_nothing_random() -> None:
    flat = case_of_array(np.full((20, 20), 90, np.uint8))
    assert (degradation(("blur",), (5,), 0)(flat).image == 90).all()
    case = picture()
    pulled = corrupted(case, "contrast", 1)
    assert np.ptp(pulled) == pytest.approx(0.7 * np.ptp(case.image), abs=2)
    assert pulled.mean() == pytest.approx(case.image.mean(), abs=1)


def test_low_dose_noise_has_the_texture_of_a_ct_and_is_strongest_inside() -> None:
    size = (160, 160)
    y, x = np.indices(size)
    radius = np.hypot(y - 79.5, x - 79.5)
    hu = np.where(radius < 70, 50, -1000).astype(np.float32)
    hu[0, 0] = hu[0, 1] = 400  # bone somewhere
    case = case_of_array(np.stack([hu] * 6), (3.0, 1.5, 1.5))
    noise = (corrupted(case, "low-dose", 4) - case.image)[0]
    centre, rim = noise[:, radius < 20].std(), noise[:, (radius > 58) & (radius < 68)].std()
    assert centre > 1.2 * rim
    assert noise[:, radius < 70].std() == pytest.approx(0.1 * 1050, rel=0.1)
    cut = noise[:, 30:130, 30:130]
    power = (np.abs(np.fft.rfft2(cut)) ** 2).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(100, 1.5)[:, None], np.fft.rfftfreq(100, 1.5))
    low, middle = (power[(frequency > a) & (frequency < b)].mean() for a, b in ((0, 0.04), (0.2, 0.3)))
    assert low < 0.4 * middle  # white noise would have as much of both


def test_streaks_fade_from_the_densest_place() -> None:
    case = scan(1, (100, 100))
    case.image[0, 0, 35:46, 55:66] = 3000  # more than a hundredth of the slice
    change = np.abs(corrupted(case, "streaks", 5) - case.image)[0, 0]
    y, x = np.indices((100, 100))
    distance = np.hypot(y - 40, x - 60)
    assert change[(distance > 8) & (distance < 14)].mean() > 2 * change[distance > 45].mean()


def test_rings_are_constant_on_circles() -> None:
    case = scan(1, (61, 61), "float32")
    change = (corrupted(case, "ring", 5) - case.image)[0, 0]
    np.testing.assert_allclose(change, np.rot90(change), atol=0.5)
    np.testing.assert_allclose(change, change[::-1], atol=0.5)
    assert change[30].std() > 5


def test_rician_noise_brightens_what_is_dark() -> None:
    image = np.zeros((100, 100), np.float32)
    image[50:] = 1000
    result = corrupted(case_of_array(image), "rician", 5)[0, 0]
    assert result.min() >= 0
    assert result[:50].mean() == pytest.approx(160 * np.sqrt(np.pi / 2), rel=0.03)  # Rayleigh's mean
    assert result[50:].mean() == pytest.approx(1000 + 160**2 / 2000, rel=0.01)


def test_the_bias_field_is_that_of_monai() -> None:
    from monai.transforms import RandBiasField

    case = case_of_array(np.full((5, 30, 36), 100, np.float32), (1.0, 1.0, 1.0))
    case.image[:, :, 0] = 0
    how = degradation(("bias-field",), (2,), 0)
    drawn = how._random(case.name, "bias-field").uniform(-0.2, 0.2, (4, 4, 4))
    drawn[0, 0, 0] = 0
    coefficients = [drawn[i, j, k] for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    expected = 100 * np.exp(RandBiasField()._generate_random_field((5, 30, 36), 3, coefficients))
    np.testing.assert_allclose(how(case).image[0, :, 1:], expected[:, 1:], rtol=1e-4)


def test_ghosts_are_copies_along_the_rows_axis() -> None:
    image = np.zeros((120, 40), np.float32)
    image[50:60, 15:25] = 1000
    change = np.abs(corrupted(case_of_array(image), "ghosting", 5) - image)[0, 0]
    assert change[:, :15].max() < 1e-3
    assert change[:40, 15:25].max() > 20
    flat = case_of_array(np.tile(np.linspace(10, 200, 40, dtype=np.float32), (120, 1)))
    assert np.abs(corrupted(flat, "ghosting", 5) - flat.image).max() < 1  # the middle of k-space is kept


def test_stripes_are_constant_along_a_column_and_gain_in_rows_and_columns() -> None:
    case = picture(3, "float32", 1000)
    case.image[:] += 1000
    change = corrupted(case, "stripes") - case.image
    np.testing.assert_allclose(change[0, 0], np.tile(change[0, 0, 20], (40, 1)), atol=0.01 + 1e-3 * change.std())
    flat = np.full((40, 48), 500, np.float32)
    flat[0] = 0
    factors = corrupted(case_of_array(flat), "gain")[0, 0, 1:] / 500
    np.testing.assert_allclose(factors * factors[0, 0], factors[:, :1] * factors[:1], rtol=1e-3)
    assert factors.std() > 0.05


def test_dead_pixels_are_the_same_in_all_channels_and_of_the_fraction_of_their_level() -> None:
    ramp = np.linspace(10, 240, 200 * 200).reshape(200, 200)
    case = case_of_array(np.stack([ramp, ramp[::-1], ramp.T], -1).astype(np.uint8))
    changed = degradation(("dead-pixels",), (5,), 0)(case).image != case.image
    assert changed.any(axis=0).mean() == pytest.approx(0.04, abs=0.005)
    assert (changed.sum(axis=0)[changed.any(axis=0)] == 3).mean() > 0.95
    values = degradation(("dead-pixels",), (5,), 0)(case).image[changed]
    assert set(values) == {10, 240}


def test_a_nonuniformity_is_of_low_frequency() -> None:
    case = case_of_array(np.tile(np.linspace(0, 1000, 64, dtype=np.float32), (64, 1)))
    change = (corrupted(case, "nonuniformity", 5) - case.image)[0, 0]
    assert np.abs(np.diff(change, axis=0)).max() < 0.12 * np.ptp(change)
    assert change.std() > 20


def test_slices_draw_their_own_of_several_corruptions_and_severities() -> None:
    names, case = ("gaussian", "contrast"), scan(40)
    mixed = degradation(names, SEVERITIES, 1)(case).image
    alone = {(name, level): degradation((name,), (level,), 1)(case).image for name in names for level in SEVERITIES}
    found = set()
    for index in range(40):
        matches = [which for which, image in alone.items() if (image[:, index] == mixed[:, index]).all()]
        assert len(matches) == 1
        found.update(matches)
    assert len(found) > 7


@pytest.mark.parametrize(
    ("dtype", "ends", "expected"),
    [
        ("uint8", (3, 80), (0, 255)),
        ("uint16", (0, 900), (0, 1023)),
        ("uint16", (0, 60000), (0, 65535)),
        ("int16", (0, 200), (0, 255)),
        ("int16", (-1024, 2000), (-32768, 32767)),
        ("int16", (0, 32767), (0, 32767)),
        ("float32", (0.1, 0.9), (0, 1)),
        ("float32", (0, 300), (0, np.inf)),
        ("float32", (-1, 1), (-np.inf, np.inf)),
    ],
)
def test_the_full_scale_is_what_the_sensor_or_the_type_holds(
    dtype: str, ends: tuple[float, float], expected: tuple[float, float]
) -> None:
    assert full_scale(np.dtype(dtype), *ends) == expected


@pytest.mark.parametrize(
    ("channels", "dataset", "modality"),
    [
        (("CT",), None, "CT"),
        (("ct",), "btcv", "CT"),
        (("T1", "T2", "FLAIR"), None, "MR"),
        (("MRI",), None, "MR"),
        (("gray",), "sirst", "infrared"),
        (("LWIR",), None, "infrared"),
        (("gray",), None, "general"),
        (("R", "G", "B"), "gid5", "general"),
        (("CT", "PET"), None, "general"),
    ],
)
def test_the_modality_is_told_by_channels_or_the_data_sets_name(
    channels: tuple[str, ...], dataset: str | None, modality: str
) -> None:
    assert modality_of(channels, dataset) == modality


def test_a_setting_names_corruptions_or_those_of_the_modality() -> None:
    def named(setting: str, channels: tuple[str, ...] = ("CT",)) -> tuple[str, ...]:
        return corruption_names(setting, "corrupt", channels)

    general = tuple(BY_MODALITY["general"])
    assert named("auto") == (*general, "low-dose", "streaks", "ring")
    assert named("auto", ("gray",)) == general
    assert named("none") == ()
    assert named("rician, blur", ("R", "G", "B")) == ("rician", "blur")
    with pytest.raises(ConfigError, match=r"corrupt: expected 'auto', 'none' or some of gaussian, .*; found 'fog'"):
        named("blur,fog")
    with pytest.raises(ConfigError, match="corrupt: expected each corruption once; found 'blur' twice"):
        named("blur,jpeg,blur")


def test_an_image_that_is_none_is_refused() -> None:
    case = scan(dtype="float32")
    case.image[0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="NaN or infinite"):
        degradation(("blur",), (1,), 0)(case)

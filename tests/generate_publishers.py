"""Miniatures of published data sets: folders laid out as their publishers ship them, with a few small cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from samtailor.data.named import NAMED
from tests.generate import volume, write_volume

BTCV_NUMBERS = (1, 5, 6, 10)
SIRST_NUMBERS = {"train": (1, 2, 4), "val": (5,), "test": (6, 111)}
SCENES = tuple(f"GF2_PMS1__L1A00005645{number}-MSS1" for number in range(39, 44))


def flare22_folder(root: Path, cases: int = 4) -> Path:
    """FLARE22Train with its first cases, next to an archive's unlabelled and validation images."""
    for number in range(1, cases + 1):
        hu, ids = volume((32, 24, 6), number)
        name = f"FLARE22_Tr_{number:04d}"
        write_volume(root / "FLARE22Train" / "images" / f"{name}_0000.nii.gz", hu)
        write_volume(root / "FLARE22Train" / "labels" / f"{name}.nii.gz", ids)
    for path in ("unlabeledCase1_50/Case_00001_0000", "Validation/FLARETs_0001_0000"):
        write_volume(root / f"{path}.nii.gz", volume((32, 24, 6), 99)[0])
    return root


def btcv_folder(root: Path, numbers: tuple[int, ...] = BTCV_NUMBERS) -> Path:
    """RawData with some training cases and one of the unlabelled test cases."""
    for number in numbers:
        hu, ids = volume((32, 24, 6), number)
        write_volume(root / "RawData" / "Training" / "img" / f"img{number:04d}.nii.gz", hu)
        write_volume(root / "RawData" / "Training" / "label" / f"label{number:04d}.nii.gz", ids)
    write_volume(root / "RawData" / "Testing" / "img" / "img0061.nii.gz", volume((32, 24, 6), 99)[0])
    return root


def sirst_folder(root: Path) -> Path:
    """Gray images with a bright spot, masks with soft edges and, of Misc_111, of another size, and the lists."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks", "idx_427"):
        (root / folder).mkdir(parents=True)
    for split, numbers in SIRST_NUMBERS.items():
        (root / "idx_427" / f"{split}.txt").write_text("\n".join(f"Misc_{number}" for number in numbers))
        for number in numbers:
            y, x = rng.integers(8, 30, size=2)
            pixels = rng.normal(60, 5, (40, 44))
            mask = np.zeros((40, 44), dtype=np.uint8)
            mask[y : y + 4, x : x + 4] = 40  # half covered pixels, below the threshold
            mask[y : y + 3, x : x + 3] = 255
            pixels[mask == 255] = 220
            mask = mask[:-2] if number == 111 else mask
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / f"Misc_{number}.png")
            Image.fromarray(mask).save(root / "masks" / f"Misc_{number}_pixels0.png")
            (root / "masks" / f"Misc_{number}.xml").write_text("<annotation/>")
    return root


def scene(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """RGB pixels and mask colours, both (H, W, 3), of six fields of the six classes."""
    rng = np.random.default_rng(seed)
    palette = np.array(NAMED["gid5"].labels.palette, dtype=np.uint8)
    fields = rng.permutation(6).reshape(2, 3)
    ids = np.kron(fields, np.ones((-(-size[0] // 2), -(-size[1] // 3)), dtype=int))[: size[0], : size[1]]
    colours = np.array([[90, 90, 90], [190, 180, 170], [150, 190, 80], [20, 90, 30], [160, 200, 120], [20, 40, 140]])
    pixels = np.clip(colours[ids] + rng.normal(0, 6, (*size, 3)), 0, 255).astype(np.uint8)
    return pixels, palette[ids]


def gid5_scenes(root: Path, size: tuple[int, int] = (340, 360), scenes: tuple[str, ...] = SCENES) -> Path:
    """Scenes with colour masks in TIFF, and their four bands, near infrared first, in image_NirRGB."""
    base = root / "Large-scale Classification_5classes"
    for folder in ("image_RGB", "image_NirRGB", "label_5classes"):
        (base / folder).mkdir(parents=True)
    for seed, name in enumerate(scenes):
        pixels, colours = scene(size, seed)
        tifffile.imwrite(base / "image_RGB" / f"{name}.tif", pixels, photometric="rgb")
        bands = np.concatenate([pixels[..., :1], pixels], axis=-1)
        tifffile.imwrite(base / "image_NirRGB" / f"{name}.tif", bands, photometric="rgb", extrasamples=(0,))
        tifffile.imwrite(base / "label_5classes" / f"{name}_label.tif", colours, photometric="rgb")
    return root


def gid5_tiles(root: Path, tiles: int = 5) -> Path:
    """Tiles with colour masks, in a folder per category."""
    for seed, category in enumerate(("builtup", "farmland", "water")):
        for number in range(1, tiles + 1):
            pixels, colours = scene((28, 28), 10 * seed + number)
            for folder, array in (("images", pixels), ("labels", colours)):
                path = root / folder / category / f"{category}_{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    return root

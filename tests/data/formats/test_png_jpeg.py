"""Only PNG, JPEG and TIFF are opened, whatever their names, and nothing is allocated that they cannot hold."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.data.formats import read_header, read_image
from samtailor.errors import FileError

COLOUR = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
def test_the_content_says_what_a_file_is(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    image = read_image(tmp_path / name).image
    assert image.shape == (3, *read_header(tmp_path / name).geometry.shape) == (3, 1, 24, 40)
    if kind != "JPEG":
        np.testing.assert_array_equal(image, np.moveaxis(COLOUR, -1, 0)[:, None])


@pytest.mark.parametrize("kind", ["EPS", "BMP", "GIF", "WEBP", "PDF", "ICO", "PPM"])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
def test_other_formats_are_not_opened(tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    monkeypatch.setattr(Image, "open", None)
    for read in (read_header, read_image):
        with pytest.raises(
            FileError, match=rf"{name}: expected a readable picture: PNG, JPEG or TIFF, found a file that"
        ):
            read(tmp_path / name)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, rows: bytes, *chunks: bytes) -> bytes:
    """An 8-bit gray PNG."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "x.png").write_bytes(png(*size, b""))
    for read in (read_header, read_image):
        with pytest.raises(FileError, match=r"x\.png: expected a "):
            read(tmp_path / "x.png")


class TestSize:
    """What a header claims is held against the file and the memory."""

    def test_a_large_picture_that_packs_well_is_sound(self, tmp_path: Path) -> None:
        width, height = 20_000, 9_500  # more than Pillow lets pass
        rows = zlib.compressobj(9)
        content = b"".join(rows.compress(bytes(width + 1)) for _ in range(height)) + rows.flush()
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b""))
        assert read_header(tmp_path / "x.png").geometry.shape == (1, height, width)

    def test_more_than_the_file_can_hold_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.png").write_bytes(png(100_000, 100_000, bytes(100)))
        jpeg = bytearray(encoded("JPEG"))
        start = jpeg.index(b"\xff\xc0") + 5
        jpeg[start : start + 4] = struct.pack(">HH", 65_000, 65_000)
        (tmp_path / "x.jpg").write_bytes(jpeg)
        for name, claim in (("x.png", "1e.04 MB"), ("x.jpg", "4225 MB")):
            for read in (read_header, read_image):
                with pytest.raises(FileError, match=rf"{name}: .*too short for the {claim} that its header claims"):
                    read(tmp_path / name)

    def test_more_than_fits_into_memory_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "x.png").write_bytes(encoded("PNG"))
        monkeypatch.setattr("samtailor.data.formats.format.available_memory", lambda: 3 * COLOUR.size)
        with pytest.raises(FileError, match=r"x\.png: expected an image that fits into the 0\.0 GB of free memory"):
            read_image(tmp_path / "x.png")
        monkeypatch.setattr("samtailor.data.formats.format.available_memory", lambda: 4 * COLOUR.size)
        assert read_image(tmp_path / "x.png").image.shape == (3, 1, 24, 40)

    def test_text_that_unpacks_without_end_is_refused(self, tmp_path: Path) -> None:
        bomb = chunk(b"zTXt", b"labels\0\0" + zlib.compress(bytes(100_000_000)))
        (tmp_path / "x.png").write_bytes(png(4, 4, bytes(20), bomb))
        with pytest.raises(FileError, match=r"x\.png: expected a readable picture"):
            read_header(tmp_path / "x.png")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gray_of_few_bits_is_what_it_shows(tmp_path: Path, bits: int) -> None:
    gray = np.random.default_rng(0).integers(0, 2**bits, (6, 16)).astype(np.uint8)
    packed = np.packbits(np.unpackbits(gray[..., None], axis=-1)[..., -bits:].reshape(6, -1), axis=-1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    content = bytearray(png(16, 6, rows))
    content[24] = bits
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "x.png").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").image[0, 0], gray * (255 // (2**bits - 1)))
    assert read_header(tmp_path / "x.png").bits == 8


def test_an_index_beyond_the_palette_is_black(tmp_path: Path) -> None:
    content = png(3, 1, b"\0\0\1\2", chunk(b"PLTE", bytes([9, 8, 7, 6, 5, 4])))
    header = struct.pack(">IIBBBBB", 3, 1, 8, 3, 0, 0, 0)
    (tmp_path / "x.png").write_bytes(content[:8] + chunk(b"IHDR", header) + content[33:])
    assert read_image(tmp_path / "x.png").image[:, 0, 0].T.tolist() == [[9, 8, 7], [6, 5, 4], [0, 0, 0]]


def test_cmyk_is_shown_as_colour(tmp_path: Path) -> None:
    Image.new("RGB", (32, 24), (200, 40, 90)).convert("CMYK").save(tmp_path / "x.jpg")
    assert np.abs(read_image(tmp_path / "x.jpg").image[:, 0, 5, 5].astype(int) - (200, 40, 90)).max() < 6

"""Only what we know is opened, whatever files are called, and nothing is allocated that they cannot hold."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.data.formats import format_of, read_header, read_image
from samtailor.errors import FileError
from samtailor.labels import LabelSpace

COLOUR = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.bmp", "x.webp"])
def test_the_content_says_what_a_file_is(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    image = read_image(tmp_path / name).image
    assert image.shape == (3, *read_header(tmp_path / name).geometry.shape) == (3, 1, 24, 40)
    if kind not in ("JPEG", "WEBP"):
        np.testing.assert_array_equal(image, np.moveaxis(COLOUR, -1, 0)[:, None])


@pytest.mark.parametrize("kind", ["EPS", "GIF", "PDF", "ICO", "PPM", "TGA", "PCX"])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
def test_other_formats_are_not_opened(tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    monkeypatch.setattr(Image, "open", None)
    for read in (read_header, read_image):
        with pytest.raises(
            FileError, match=rf"{name}: expected a readable picture: PNG, JPEG, TIFF, BMP or WebP, found a file that"
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
        bmp = bytearray(encoded("BMP"))
        bmp[18:26] = struct.pack("<ii", 65_000, 65_000)
        (tmp_path / "x.bmp").write_bytes(bmp)
        for name, claim in (("x.png", "1e.04 MB"), ("x.jpg", "4225 MB"), ("x.bmp", "1.268e.04 MB")):
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


class TestBmpAndWebp:
    """Masks are stored so, too."""

    MASK = np.zeros((7, 13), np.uint8)
    MASK[2:5, 3:9] = 2
    MASK[5:, 9:] = 1
    LABELS = LabelSpace.from_names(("background", "one", "two"))

    @pytest.mark.parametrize("palette", [None, [0, 0, 0, 255, 0, 0, 0, 255, 0]])
    def test_ids_and_indices_of_a_bmp(self, palette: list[int] | None, tmp_path: Path) -> None:
        mask = Image.fromarray(self.MASK)
        if palette:
            mask.putpalette(palette)
        mask.save(tmp_path / "x.bmp")
        if palette:
            assert format_of(tmp_path / "x.bmp").content(tmp_path / "x.bmp").palette[1] == (255, 0, 0)
        for name in ("x.bmp", "x.BMP"):
            (tmp_path / "x.bmp").rename(tmp_path / name)
            ids, geometry = format_of(tmp_path / name).read_ids(tmp_path / name, self.LABELS)
            np.testing.assert_array_equal(ids[0], self.MASK)
            assert geometry.shape == (1, 7, 13)
            (tmp_path / name).rename(tmp_path / "x.bmp")

    def test_256_colours(self, tmp_path: Path) -> None:
        colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
        indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
        image = Image.fromarray(indices)
        image.putpalette(colours.tobytes())
        for name in ("x.bmp", "x.png"):
            image.save(tmp_path / name)
            np.testing.assert_array_equal(read_image(tmp_path / name).image[:, 0], np.moveaxis(colours[indices], -1, 0))

    def test_sixteen_bits_of_colour(self, tmp_path: Path) -> None:
        pixels = np.array([[0b0111110000000000, 0b0000001111100000], [0b0000000000011111, 0]], "<u2")
        header = struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, 16, 0, pixels.nbytes, 0, 0, 0, 0)
        start = 14 + len(header)
        content = b"BM" + struct.pack("<IHHI", start + pixels.nbytes, 0, 0, start) + header + pixels[::-1].tobytes()
        (tmp_path / "x.bmp").write_bytes(content)
        assert read_image(tmp_path / "x.bmp").image[:, 0].reshape(3, 4).T.tolist() == [
            *([255, 0, 0], [0, 255, 0]),
            *([0, 0, 255], [0, 0, 0]),
        ]

    def test_one_bit_is_black_and_white(self, tmp_path: Path) -> None:
        Image.fromarray(self.MASK > 0).save(tmp_path / "x.bmp")
        np.testing.assert_array_equal(read_image(tmp_path / "x.bmp").image[0, 0], 255 * (self.MASK > 0))
        assert format_of(tmp_path / "x.bmp").content(tmp_path / "x.bmp").step == 255

    def test_run_lengths(self, tmp_path: Path) -> None:
        # Four pixels of index 1 and the end of a row; a jump over three columns, two of index 2; the end.
        runs = bytes([4, 1, 0, 0, 0, 2, 3, 0, 2, 2, 0, 1])
        colours = bytes([0, 0, 0, 0, 0, 0, 255, 0, 0, 255, 0, 0])  # blue, green, red and nothing
        header = struct.pack("<IiiHHIIiiII", 40, 5, 2, 1, 8, 1, len(runs), 0, 0, 3, 0)
        start = 14 + len(header) + len(colours)
        content = b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + colours + runs
        (tmp_path / "x.bmp").write_bytes(content)
        ids, _ = format_of(tmp_path / "x.bmp").read_ids(tmp_path / "x.bmp", self.LABELS)
        assert ids[0].tolist() == [[0, 0, 0, 2, 2], [1, 1, 1, 1, 0]]  # rows come from the bottom

    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_colours_of_a_webp_without_loss(self, mode: str, tmp_path: Path) -> None:
        colours = np.array(self.LABELS.palette, np.uint8)[self.MASK]
        Image.fromarray(colours).convert(mode).save(tmp_path / "x.webp", lossless=True)
        ids, _ = format_of(tmp_path / "x.webp").read_ids(tmp_path / "x.webp", self.LABELS)
        np.testing.assert_array_equal(ids[0], self.MASK)

    def test_transparent_pixels_are_without_data(self, tmp_path: Path) -> None:
        pixels = np.full((4, 4, 4), 200, np.uint8)
        pixels[0, :, 3] = 0
        Image.fromarray(pixels).save(tmp_path / "x.webp", lossless=True)
        case = read_image(tmp_path / "x.webp")
        assert case.image.shape == (3, 1, 4, 4)
        assert case.geometry.void is not None
        assert case.geometry.void.where[0].sum(axis=1).tolist() == [4, 0, 0, 0]

    def test_an_animation_is_refused(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
        frames[0].save(tmp_path / "x.webp", save_all=True, append_images=frames[1:])
        with pytest.raises(FileError, match="expected a single picture, found an animation of 2 frames"):
            read_header(tmp_path / "x.webp")

    def test_sound_in_the_same_container_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.webp").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(24))
        with pytest.raises(FileError, match=r"x\.webp: expected a readable picture"):
            read_header(tmp_path / "x.webp")


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

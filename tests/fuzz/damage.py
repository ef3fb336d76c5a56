"""What may have happened to a file: each damage is drawn from a seed and done to a file in place."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Random = np.random.Generator
Damage = Callable[[Path, Random], None]

_VALUES: tuple[Any, ...] = (
    *(None, True, "", "x", -1, 0, 10**12, 1e400, float("nan"), "../../x", "a\x00b", [], {}, [[]], {"a": {}}),
    *([1, "x", None], "é" * 300, -0.5, 2**63, "=cmd()", "$x_$", 10**400),
)


def empty(path: Path, random: Random) -> None:
    path.write_bytes(b"")


def truncate(path: Path, random: Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(random.integers(len(content) + 1))])


def flip(path: Path, random: Random) -> None:
    """A few bytes are others, most of them near the start, where headers are."""
    content = bytearray(path.read_bytes())
    for _ in range(random.integers(1, 12)):
        content[int(len(content) * random.random() ** 3)] = int(random.integers(256))
    path.write_bytes(content)


def zero(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    start = int(random.integers(len(content)))
    length = int(random.integers(1, 600))
    content[start : start + length] = bytes(len(content[start : start + length]))
    path.write_bytes(content)


def noise(path: Path, random: Random) -> None:
    path.write_bytes(random.bytes(int(random.integers(1, 3000))))


def append(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes() + random.bytes(int(random.integers(1, 300))))


def huge_field(path: Path, random: Random) -> None:
    """A number of the header says something extreme: sizes, counts, offsets."""
    content = bytearray(path.read_bytes())
    _extreme(content, random)
    path.write_bytes(content)


def inside_gzip(path: Path, random: Random) -> None:
    """As `flip` and `huge_field`, within a compressed file, whose checksum is right again."""
    if not path.name.endswith(".gz"):
        return huge_field(path, random)
    content = bytearray(gzip.decompress(path.read_bytes()))
    if random.random() < 0.5:
        _extreme(content, random)
    else:
        content = content[: int(random.integers(len(content) + 1))]
    return _none(path.write_bytes(gzip.compress(bytes(content), 1)))


def gzip_bomb(path: Path, random: Random) -> None:
    """Far more comes out of a compressed file than its header says."""
    if not path.name.endswith(".gz"):
        return append(path, random)
    content = gzip.decompress(path.read_bytes())
    return _none(path.write_bytes(gzip.compress(content) + gzip.compress(bytes(1 << 26)) * 3))


def another_format(path: Path, random: Random) -> None:
    content = [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"GIF89a",
        b"BM",
        b"\x1f\x8b",
        b"PK\x03\x04",
        b"{}",
    ]
    path.write_bytes(content[int(random.integers(len(content)))] + random.bytes(40))


def directory(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def loop(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def dangling(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def missing(path: Path, random: Random) -> None:
    path.unlink()


def fifo(path: Path, random: Random) -> None:
    """Whoever opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def neighbour(path: Path, random: Random) -> None:
    """Another file of the same folder stands in its place."""
    others = sorted(other for other in path.parent.iterdir() if other != path and other.is_file())
    if others:
        shutil.copy(others[int(random.integers(len(others)))], path)


def value(path: Path, random: Random) -> None:
    """One value of a text file of settings is another, of any type; or a key is lost or has another name."""
    read: Callable[[str], Any] = json.loads if path.suffix == ".json" else yaml.safe_load
    try:
        content = read(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        return flip(path, random)
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                collect(node[key])

    if not isinstance(content, dict | list):
        return flip(path, random)
    collect(content)
    if not places:
        return noise(path, random)
    node, key = places[int(random.integers(len(places)))]
    match int(random.integers(6)):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node["unknown"] = node.pop(key)
        case _:
            node[key] = _VALUES[int(random.integers(len(_VALUES)))]
    return _none(path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content)))


def text(path: Path, random: Random) -> None:
    """Content that parsers are known to trip over."""
    kinds = [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"{}",
        b"[]",
        b"null",
        b"1" * 5000,
        b'"text"',
        b"\xef\xbb\xbf" + path.read_bytes(),
        path.read_bytes().decode("utf-8", "replace").encode("utf-16"),
        b"a: !!python/object/apply:os.system ['exit 9']\n",
        b"a: &a [*a]\n",
        b"a: &a [x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
        b"\xff\xfe\x00\x01",
        b"epoch,loss\n1,\n,,,\nx,y\n",
        b"\x00" * 100,
    ]
    path.write_bytes(kinds[int(random.integers(len(kinds)))])


ANY: tuple[Damage, ...] = (
    empty,
    truncate,
    flip,
    zero,
    noise,
    append,
    another_format,
    directory,
    loop,
    dangling,
    missing,
    fifo,
    neighbour,
)
BINARY: tuple[Damage, ...] = (*ANY, flip, flip, huge_field, huge_field, huge_field, inside_gzip, inside_gzip, gzip_bomb)
TEXT: tuple[Damage, ...] = (*ANY, value, value, value, value, value, value, value, value, text, text, text)


def _extreme(content: bytearray, random: Random) -> None:
    size = int(random.choice([1, 2, 4, 8]))
    start = int(min(len(content), 600) * random.random() ** 2) // 2 * 2
    field = [b"\xff" * size, b"\x00" * size, b"\xff" * (size - 1) + b"\x7f", b"\x7f" + b"\xff" * (size - 1)]
    content[start : start + size] = field[int(random.integers(4))]


def _none(_: object) -> None:
    return None

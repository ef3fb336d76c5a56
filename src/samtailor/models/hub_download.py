"""Files of repositories on the model hub: in the cache layout of its own library, fetched as any other download."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # of its own HTTP client
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # loaded when asked for

from samtailor.errors import WeightsError
from samtailor.models.download import FIX, download


class NotInRepositoryError(WeightsError):
    """The repository is there, the file is not."""


def hub_place(cache: Path, repo: str, file: str, revision: str) -> Path:
    """Where a file of a repository lies, or would lie, in the cache of the hub's library.

    Args:
        cache: Folder of the cache.
        repo: Owner and name.
        file: Name of the file.
        revision: Branch, tag or commit.
    """
    folder = _folder(cache, repo)
    reference = folder / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    return folder / "snapshots" / commit / file


def fetch_from_hub(cache: Path, repo: str, file: str, revision: str) -> Path:
    """A file of a repository, downloaded into the cache of the hub's library.

    Endpoint and token are the library's own (`HF_ENDPOINT`, `HF_TOKEN`, login). The library starts an interrupted
    download from zero, so large files, whose ETag is their sha256, are put among its blobs by `download`; the library
    finds them there.

    Args:
        cache: Folder of the cache.
        repo: Owner and name.
        file: Name of the file.
        revision: Branch, tag or commit.

    Raises:
        NotInRepositoryError: If the repository has no such file.
        WeightsError: If the hub cannot be reached or refuses.
    """
    what = f"{file} of {repo}"
    try:
        remote = get_hf_file_metadata(hf_hub_url(repo, file, revision=revision))
        if remote.commit_hash and remote.etag and re.fullmatch(r"[0-9a-f]{64}", remote.etag):
            url = hf_hub_url(repo, file, revision=remote.commit_hash)
            blob = _folder(cache, repo) / "blobs" / remote.etag
            download(url, blob, what, remote.etag, build_hf_headers())
        found = hf_hub_download(repo, file, revision=revision, cache_dir=cache)
    except (TransportError, HFValidationError, OSError) as error:
        missing = isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)
        kind = NotInRepositoryError if missing else WeightsError
        raise kind(f"{what}: could not be fetched from the hub: {hub_reason(error)}. {FIX}") from error
    return Path(found)


def hub_reason(error: Exception) -> str:
    """What the hub's library could not do, and how to fix it.

    Args:
        error: What it raised.
    """
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    match error:
        case HFValidationError():
            return "that is not the name of a repository, 'owner/name'"
        case GatedRepoError():
            return "its owner must grant you access: ask on its page, then log in with: hf auth login"
        case RepositoryNotFoundError():
            return "the hub has no such repository, or it is private and you are not logged in: hf auth login"
        case RevisionNotFoundError():
            return "the repository has no such revision"
        case LocalEntryNotFoundError():
            return "no connection to the hub"
        case EntryNotFoundError():
            return "the repository has no such file"
        case _ if status in (401, 403):
            return f"the hub refuses access ({status}); log in as one who has it: hf auth login, or set HF_TOKEN"
        case OSError() if error.errno is not None:
            return f"{error.strerror} ({error.filename})"
    return f"the hub cannot be reached ({(str(error).strip() or repr(error)).splitlines()[0]})"


def _folder(cache: Path, repo: str) -> Path:
    """Folder of a repository in the cache, by the library's documented layout."""
    return cache / f"models--{repo.replace('/', '--')}"

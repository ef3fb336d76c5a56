"""The Hugging Face hub, by its own library and in its cache: fetching files of a repository, writing a repository.

The library checks no content and, as of 2.4, starts an interrupted download from zero in a later process. So large
weights are put among its blobs by `samtailor.download`, and the library finds them there.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from huggingface_hub import HfApi, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # of its own HTTP client
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # loaded when asked for

from samtailor.download import FIX, OFFLINE_VARIABLES, download, offline_variable
from samtailor.errors import ConfigError, WeightsError
from samtailor.files import cache_home
from samtailor.published import NAME_ANOTHER
from samtailor.version import VERSION

HUB_FILE = "model.safetensors"
"""The weights in transformers' format, in a repository or a folder."""

_FAILURES = (TransportError, errors.HFValidationError, OSError, RuntimeError)
"""What the hub's client raises: an answer of the hub, no connection, no name of a repository, a broken transfer."""

_LIBRARY: dict[str, Any] = {"library_name": "samtailor", "library_version": VERSION}
_OFFLINE = f"offline mode forbids to contact the hub; unset {' and '.join(OFFLINE_VARIABLES)}"


class NotInRepositoryError(WeightsError):
    """The repository is there, the file is not."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the model hub.

    Attributes:
        repo: Owner and name.
        file: Name of the file.
        revision: Branch, tag or commit.
    """

    repo: str
    file: str = HUB_FILE
    revision: str = "main"
    otherwise: ClassVar[str] = NAME_ANOTHER

    @property
    def place(self) -> Path:
        """Where the file lies, or would lie, in the cache."""
        reference = _folder(self.repo) / "refs" / self.revision
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else self.revision
        return _folder(self.repo) / "snapshots" / commit / self.file

    def fetch(self) -> None:
        """Download it, with the library's endpoint and token (`HF_ENDPOINT`, `HF_TOKEN`, login)."""
        what = f"{self.file} of {self.repo}"
        try:
            remote = get_hf_file_metadata(hf_hub_url(self.repo, self.file, revision=self.revision))
            sha256 = remote.etag or ""
            if remote.commit_hash and re.fullmatch(r"[0-9a-f]{64}", sha256):  # a large file's
                url = hf_hub_url(self.repo, self.file, revision=remote.commit_hash)
                download(url, _folder(self.repo) / "blobs" / sha256, what, sha256, build_hf_headers())
            hf_hub_download(self.repo, self.file, revision=self.revision, cache_dir=_cache())
        except _FAILURES as error:
            missing = isinstance(error, errors.EntryNotFoundError) and not isinstance(
                error, errors.LocalEntryNotFoundError
            )
            kind = NotInRepositoryError if missing else WeightsError
            raise kind(f"{what}: could not be fetched from the hub: {_reason(error)}. {FIX}") from error

    def __str__(self) -> str:
        return f"the file of the hub's {self.repo}"


def fetch_segmenter(repo: str, names: Collection[str]) -> Path:
    """Folder of a segmenter's files, from the cache if they are up to date there or the hub cannot be reached."""
    try:
        offline = offline_variable(hub=True) is not None
        which: dict[str, Any] = {"cache_dir": _cache(), "allow_patterns": sorted(names), **_LIBRARY}
        folder = Path(snapshot_download(repo, local_files_only=offline, dry_run=False, **which))
    except _FAILURES as error:
        raise WeightsError(
            f"{repo}: expected a folder, or a repository of the Hugging Face hub ('owner/name'); there is no such "
            f"folder here, and {_reason(error)}"
        ) from error
    if missing := sorted(name for name in names if not (folder / name).is_file()):
        raise WeightsError(
            f"{repo}: expected a segmenter of samtailor on the hub, found a repository without {', '.join(missing)}; "
            "check the name"
        )
    return folder


def upload(folder: Path, repo: str, private: bool, names: Collection[str]) -> str:
    """Make a folder's files those of a repository, in one commit, delete other `names` there, and give its address."""
    if offline_variable(hub=True) is not None:
        raise WeightsError(f"{repo}: could not be written to the Hugging Face hub: {_OFFLINE}")
    api = HfApi(**_LIBRARY)
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.model_info(url.repo_id).private:  # an earlier repository stays as it is
            raise ConfigError(
                f"private: expected a private repository, found {repo}, which is public; name another one, or make it "
                "private on the hub first"
            )
        old, message = sorted(names), "Share a segmenter"
        api.upload_folder(repo_id=url.repo_id, folder_path=folder, commit_message=message, delete_patterns=old)
    except _FAILURES as error:
        raise WeightsError(f"{repo}: could not be written to the Hugging Face hub: {_reason(error)}") from error
    return str(url)


def _cache() -> Path:
    """Cache of what comes from the hub."""
    return cache_home() / "hub"


def _folder(repo: str) -> Path:
    """Folder of a repository in the cache."""
    return _cache() / repo_folder_name(repo_id=repo, repo_type="model")


def _reason(error: Exception) -> str:
    """What the hub's library could not do, and how to fix it."""
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    match error:
        case errors.HFValidationError():
            return "that is not the name of a repository: name it 'owner/name'"
        case _ if offline_variable(hub=True) is not None:
            return f"it is not in the cache; {_OFFLINE}"
        case errors.GatedRepoError():
            return "its owner must grant you access: ask on its page, then log in with: hf auth login"
        case errors.RepositoryNotFoundError():
            return "the hub has no such repository, or it is private and you are not logged in: hf auth login"
        case errors.RevisionNotFoundError():
            return "the repository has no such revision"
        case errors.EntryNotFoundError() if not isinstance(error, errors.LocalEntryNotFoundError):
            return "the repository has no such file"
        case _ if status in (401, 403):
            return f"the hub refuses access ({status}); log in as one who has it: hf auth login, or set HF_TOKEN"
        case OSError(errno=int(), strerror=reason, filename=file):
            return f"{reason} ({file})"
    return f"the hub cannot be reached ({(str(error).strip() or repr(error)).splitlines()[0]}); connect, and try again"

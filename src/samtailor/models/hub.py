"""The Hugging Face hub: fetching files of a repository, writing a repository."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
)
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # of its own HTTP client

from samtailor.errors import WeightsError
from samtailor.files import cache_home
from samtailor.models.sources import OFFLINE_VARIABLES, offline_variable
from samtailor.version import VERSION

_FAILURES = (TransportError, HFValidationError, OSError, RuntimeError)
"""What the hub's client raises: an answer of the hub, no connection, no name of a repository, a broken transfer."""

_OFFLINE = f"offline mode forbids to contact the hub; unset {' and '.join(OFFLINE_VARIABLES)}"


def download(repo: str, names: Collection[str]) -> Path:
    """Files of a repository, from the cache where they are up to date or the hub cannot be reached.

    Args:
        repo: Name on the hub, 'owner/name'.
        names: Names of the files; all must be there.

    Returns:
        Folder that holds the files.

    Raises:
        WeightsError: If the repository or a file cannot be had.
    """
    try:
        folder = Path(
            snapshot_download(
                repo,
                cache_dir=cache_home() / "hub",
                allow_patterns=sorted(names),
                local_files_only=offline_variable(hub=True) is not None,
                library_name="samtailor",
                library_version=VERSION,
            )
        )
    except _FAILURES as error:
        raise WeightsError(
            f"{repo}: expected a folder, or a repository of the Hugging Face hub ('owner/name'); there is no such "
            f"folder here, and {_reason(error)}"
        ) from error
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise WeightsError(
            f"{repo}: expected a segmenter of samtailor on the hub, found a repository without {', '.join(missing)}; "
            "check the name"
        )
    return folder


def upload(folder: Path, repo: str, private: bool, message: str, names: Collection[str]) -> str:
    """Make the files of a folder those of a repository, in one commit.

    Args:
        folder: What is uploaded.
        repo: Name on the hub, 'owner/name'; made if there is none.
        private: Whether a repository that is made is visible to its owner only.
        message: Message of the commit.
        names: Files that are deleted from the repository if the folder does not have them.

    Returns:
        Address of the repository.

    Raises:
        WeightsError: If the hub cannot be reached or refuses.
    """
    if offline_variable(hub=True) is not None:
        raise WeightsError(f"{repo}: could not be written to the Hugging Face hub: {_OFFLINE}")
    api = HfApi(library_name="samtailor", library_version=VERSION)
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=url.repo_id, folder_path=folder, commit_message=message, delete_patterns=sorted(names)
        )
    except _FAILURES as error:
        raise WeightsError(f"{repo}: could not be written to the Hugging Face hub: {_reason(error)}") from error
    return str(url)


def _reason(error: Exception) -> str:
    """What went wrong and how to fix it."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    match error:
        case HFValidationError():
            return f"'{error}': name it 'owner/name'"
        case _ if offline_variable(hub=True) is not None:
            return f"it is not in the cache; {_OFFLINE}"
        case GatedRepoError():
            return "its owner must grant you access; ask on its page, then log in with: hf auth login"
        case _ if status == 401:
            return "you are not logged in; log in with: hf auth login, or set HF_TOKEN"
        case _ if status == 403:
            return "your account or token must not do that; log in as one that may: hf auth login"
        case RepositoryNotFoundError():
            return "the hub has none of that name, or it is private and you are not logged in: hf auth login"
    return f"the hub failed ({(str(error).strip() or repr(error)).splitlines()[0]}); connect, and try again"

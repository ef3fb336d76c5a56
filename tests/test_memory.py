"""Memory is counted as the operating system counts it, limits of containers included."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from samtailor.memory import available_memory, container_memory, peak_memory, resident_memory


def write_group(folder: Path, limit: str, used: int, cached: int) -> None:
    """A control group of version 2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")


def test_the_peak_stays_when_memory_is_given_back() -> None:
    array = np.ones(8 << 20)
    assert resident_memory(os.getpid()) > array.nbytes
    del array
    assert peak_memory() > 64 << 20
    assert available_memory() > 0


def test_a_process_that_has_ended_holds_nothing() -> None:
    assert resident_memory(2**22 + 1) == 0  # beyond the largest id of Linux


def test_the_tightest_group_counts_and_cached_files_are_free(tmp_path: Path) -> None:
    (tmp_path / "groups").write_text("0::/job/step\n")
    write_group(tmp_path / "root" / "job", "1000", 700, 200)
    write_group(tmp_path / "root" / "job" / "step", "max", 600, 0)
    assert container_memory(tmp_path / "groups", tmp_path / "root") == 500


def test_groups_of_version_1_count_too(tmp_path: Path) -> None:
    (tmp_path / "groups").write_text("5:cpu:/\n4:memory:/box\n")
    group = tmp_path / "root" / "memory" / "box"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("100")
    (group / "memory.usage_in_bytes").write_text("150")
    (group / "memory.stat").write_text("total_inactive_file 20")
    assert container_memory(tmp_path / "groups", tmp_path / "root") == 0


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert container_memory(tmp_path / "groups", tmp_path) is None

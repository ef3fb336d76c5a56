"""A process knows its place from torchrun's variables or SLURM's, and which part of the work is its own."""

from __future__ import annotations

import os

import pytest

from samtailor.cli import main
from samtailor.distributed.collectives import broadcast_from_first, gather, make_once, raise_on_all_ranks
from samtailor.distributed.launch import must_launch
from samtailor.distributed.world import World, world
from samtailor.errors import ConfigError, DataError
from tests.conftest import Report

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "GROUP_WORLD_SIZE": "2"}
SLURM = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_NODES": "2"}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget who has started the tests."""
    for name in {*TORCHRUN, *SLURM} & os.environ.keys():
        monkeypatch.delenv(name)


def set_variables(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_torchrun_and_slurm_tell_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, SLURM)
    assert world() == World(3, 4, 1, 2, "slurm")
    set_variables(monkeypatch, TORCHRUN)  # torchrun within a job of SLURM
    assert world() == World(3, 4, 1, 2, "torchrun")
    assert world().local_size == 2


def test_a_batch_script_of_slurm_without_srun_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"})
    assert world() == World()


def test_machines_of_different_sizes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, {**TORCHRUN, "WORLD_SIZE": "5"})
    with pytest.raises(ConfigError, match="expected as many processes on each machine, found 5 on 2"):
        world()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_hold_everything_once(size: int) -> None:
    items = list(range(5))
    shares = [World(rank, size).share(items) for rank in range(size)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_devices_starts_processes_only_where_nobody_else_did(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not must_launch(1)
    assert must_launch(2)
    with pytest.raises(ConfigError, match="at least 1, found 0"):
        must_launch(0)
    set_variables(monkeypatch, TORCHRUN)
    assert not must_launch(1)
    assert not must_launch(2)
    with pytest.raises(ConfigError, match="torchrun has started 2 processes on this machine; found 3"):
        must_launch(3)


def test_other_verbs_are_for_one_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    set_variables(monkeypatch, TORCHRUN)
    assert main(["check", "data"]) == 2
    assert "expected one process, found 4 of torchrun" in capsys.readouterr().err


def test_alone_everything_is_as_it_is(reports: list[Report]) -> None:
    assert gather("own") == ["own"]
    assert broadcast_from_first(7) == 7
    assert make_once(str, [1, 2], "numbers") == ["1", "2"]
    assert reports == [("numbers", done, 2) for done in range(3)]
    with pytest.raises(DataError, match="mine"), raise_on_all_ranks():
        raise DataError("mine")

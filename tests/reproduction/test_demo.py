"""The demo: big enough to show something, careful with what is there. CI runs its miniature (`.ci/run`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from samtailor.errors import ConfigError
from samtailor.recipes import LoRA
from samtailor.reproduction.demo import demo
from samtailor.reproduction.demo_steps import settings_of


def test_the_demo_fits_lora_of_rank_4_to_at_least_8_patients(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, miniature=False)
    assert settings.patients >= 8
    assert (settings.training.base, settings.training.recipe) == ("lite-medsam", LoRA(rank=4))
    assert settings_of(tmp_path, miniature=True).patients < settings.patients


def test_the_demo_touches_nothing_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="new or empty directory"):
        demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

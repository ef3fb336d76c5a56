"""Choices that are dataclasses: in settings and files a name stands for the class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, fields
from itertools import starmap
from typing import Any, Generic, TypeVar, cast

from samtailor.errors import ConfigError, not_one_of

T = TypeVar("T")


def to_json(value: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Plain dictionary, the inverse of `from_json`."""
    name = next(name for name, kind in kinds.items() if type(value) is kind)
    return {"kind": name, **asdict(value)}


def from_json(content: Mapping[str, Any], kinds: Mapping[str, Callable[..., T]], what: str) -> T:
    """What `to_json` made a dictionary of; `what` names the choice in the error if there is no such one here."""
    try:
        values = dict(content)
        return _find(values.pop("kind"), kinds, what)(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"{what}: expected one of {', '.join(kinds)} with its settings; found {error}") from error


@dataclass(frozen=True)
class StepSetting:
    """One setting of steps, as the command line has it.

    Attributes:
        flag: Its name behind that of the steps' own setting: 'crf.iterations', or 'sigma'.
        owners: The steps that have it, by name, with the field.
    """

    flag: str
    owners: Mapping[str, Field[Any]]


@dataclass(frozen=True, eq=False)  # hashed as the part of a type that it is
class Steps(Generic[T]):
    """Marks a setting that chooses steps in order: their names joined by commas, 'none', or the steps themselves.

    Attributes:
        name: Name of the setting.
        kinds: The steps there are, by name.
        nested: Whether each step's settings are its own on the command line (--refine.crf.iterations); else one flag
            speaks to all chosen steps that have such a setting (--denoise.sigma).
    """

    name: str
    kinds: Mapping[str, type[T]]
    nested: bool

    def settings(self) -> Iterator[StepSetting]:
        """The settings of all steps."""
        found: dict[str, dict[str, Field[Any]]] = {}
        for name, kind in self.kinds.items():
            for field in fields(cast(Any, kind)):
                flag = field.name.rstrip("_")  # a word that Python keeps for itself
                found.setdefault(f"{name}.{flag}" if self.nested else flag, {})[name] = field
        return starmap(StepSetting, found.items())

    def chosen(self, value: str | Sequence[Any], own: Mapping[str, Any] | None = None) -> tuple[T, ...]:
        """The steps that a value stands for.

        Args:
            value: Names joined by commas, 'none', or a list of steps, each as such or as `to_json` writes it.
            own: Settings of the named steps by their flags (see `settings`); what is not there has its default.

        Raises:
            ConfigError: If there is no such step, or no chosen one that has such a setting.
        """
        if not isinstance(value, str):
            self._require_named(own or {}, (), "steps that are spelt out with their settings")
            return tuple(map(self._as_step, value))
        names = [] if value == "none" else [name.strip() for name in value.split(",")]
        kinds = [_find(name, self.kinds, self.name) for name in names]
        self._require_named(own or {}, names, f"'{value}'")
        own_of: dict[str, dict[str, Any]] = {name: {} for name in names}
        for setting in self.settings():
            for name in setting.owners.keys() & own_of.keys():
                if own and setting.flag in own:
                    own_of[name][setting.owners[name].name] = own[setting.flag]
        return tuple(kind(**own_of[name]) for name, kind in zip(names, kinds, strict=True))

    def _as_step(self, value: Any) -> T:
        """A step that is given as such, or as `to_json` writes it."""
        if isinstance(value, Mapping):
            return from_json(value, self.kinds, self.name)
        if not isinstance(value, tuple(self.kinds.values())):
            raise ConfigError(f"{self.name}: expected {self}, or a list of steps; found {value!r} in the list")
        return cast(T, value)

    def _require_named(self, own: Mapping[str, Any], names: Collection[str], found: str) -> None:
        """Refuse settings of steps that are not chosen: they would do nothing."""
        for setting in self.settings():
            if setting.flag in own and not setting.owners.keys() & set(names):
                owners = " or ".join(setting.owners)
                raise ConfigError(
                    f"{self.name}.{setting.flag}: expected with {owners} in --{self.name}, found it with {found}; "
                    f"name the step, or leave the setting out"
                )

    def to_plain(self, steps: Sequence[T]) -> str | list[dict[str, Any]]:
        """Plain value that `chosen` gives the same steps of."""
        return [to_json(step, self.kinds) for step in steps] or "none"

    def __str__(self) -> str:
        return f"'none', or some of {', '.join(self.kinds)}, joined by commas"


def _find(name: str, kinds: Mapping[str, T], what: str) -> T:
    if name not in kinds:
        raise ConfigError(f"{what}: {not_one_of(kinds, name)}")
    return kinds[name]

"""Points of a space: settings by name, put into an experiment's, and what a point is called."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from xlstance.errors import SettingsError
from xlstance.experiment.settings import ExperimentSettings
from xlstance.settings import from_plain

Point = Mapping[str, Any]
"""A value for each varied setting, by the setting's name."""

TRAINING = "training."
"""What begins so is read by a trial alone; any other setting decides what all trials read."""


def with_values(settings: ExperimentSettings, point: Point) -> ExperimentSettings:
    """The settings with a point's values.

    Raises:
        SettingsError: if a setting is unknown (the message has the nearest name), or a value does not fit.
    """
    if not point:
        return settings
    plain = asdict(settings)
    for name, value in point.items():
        try:
            _put(settings, plain, name, value)
        except KeyError as error:
            near = difflib.get_close_matches(name, list(known_names(settings)), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"space: there is no setting {name}{hint}") from error
    try:
        return from_plain(ExperimentSettings, plain)
    except SettingsError as error:
        raise SettingsError(f"space: {label_of(point)}: {error}") from error


def value_at(settings: Any, name: str) -> Any:
    """What stands under a setting's name.

    Raises:
        KeyError: if there is none.
    """
    for part in name.split("."):
        settings = _child(settings, part)
    return settings


def label_of(point: Point) -> str:
    """A point's name, which a file can have too: ``alpha-0.5_temperature-0.05``."""
    shorts = short_names(list(point))
    return "_".join(f"{shorts[name]}-{_text(value)}" for name, value in point.items()) or "base"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The settings' last parts, with as many before as it takes to tell them apart and to say more than a number."""
    shorts = {}
    for name in names:
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            short = ".".join(parts[-count:])
            alone = sum(other == short or other.endswith(f".{short}") for other in names) == 1
            if alone and not parts[-count].isdigit():
                break
        shorts[name] = short
    return shorts


def _text(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", f"{value:g}" if isinstance(value, float) else str(value))


def _put(settings: Any, plain: Any, name: str, value: Any) -> None:
    """Sets a value in the plain copy of settings, and walks down both: only the settings tell what there may be."""
    *way, last = name.split(".")
    for part in way:
        settings, plain = _child(settings, part), plain[_place(settings, part)]
    if not isinstance(settings, Mapping):  # whose entry may be a new one
        _child(settings, last)
    plain[_place(settings, last)] = value


def _place(settings: Any, part: str) -> Any:
    """Where a part of a name stands in the plain copy: an entry of a list is found by its name."""
    if isinstance(settings, list):
        return next((place for place, entry in enumerate(settings) if getattr(entry, "name", None) == part), part)
    if isinstance(settings, Mapping) and part not in settings and part.isdigit():
        return int(part)
    return part


def _child(settings: Any, part: str) -> Any:
    place = _place(settings, part)
    if isinstance(settings, list) and isinstance(place, int):
        return settings[place]
    if isinstance(settings, Mapping) and place in settings:
        return settings[place]
    if is_dataclass(settings) and part in {field.name for field in fields(settings)}:
        return getattr(settings, part)
    raise KeyError(part)


def known_names(settings: Any, before: str = "") -> Iterator[str]:
    """The names of all settings that hold a value, those of entries of lists and mappings included."""
    if is_dataclass(settings):
        children = [(field.name, getattr(settings, field.name)) for field in fields(settings)]
    elif isinstance(settings, Mapping):
        children = [(str(key), value) for key, value in settings.items()]
    elif isinstance(settings, list):
        children = [(entry.name, entry) for entry in settings if hasattr(entry, "name")]
    else:
        yield before
        return
    for name, value in children:
        yield from known_names(value, f"{before}.{name}" if before else name)

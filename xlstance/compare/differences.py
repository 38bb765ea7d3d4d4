"""What differs between settings, as a flat list, and what they have in common."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_HEAD, _TAIL = 24, 35  # of what is too long to be shown whole; paths differ at their ends
_MISSING = object()


def differences(settings: Sequence[Any]) -> list[str]:
    """Every setting that is not the same everywhere, as ``training.batch_size: 64 | 256``.

    Entries of a list that have names, such as arms, are matched by these; one that stands in a list alone is shown
    whole. A setting that is not there at all is shown as ``-``.

    Args:
        settings: nested plain values, one for each run.
    """
    return [f"{path}: {' | '.join(map(_show, values))}" for path, values in _walk(list(settings), "")]


def in_common(settings: Sequence[Any]) -> dict[str, Any]:
    """The settings that are the same everywhere, nested as they are; a list that differs is left out whole."""
    first, *others = settings
    common = {}
    for key, value in first.items():
        rest = [other.get(key, _MISSING) for other in others]
        if all(value == other for other in rest):
            common[key] = value
        elif all(isinstance(one, Mapping) for one in (value, *rest)):
            common[key] = in_common([value, *rest])
    return common


def _walk(values: list[Any], path: str) -> Iterator[tuple[str, list[Any]]]:
    if all(value == values[0] for value in values[1:]):
        return
    parts = [_parts(value) for value in values]
    if any(part is None for part in parts):
        yield path, values
        return
    for key in dict.fromkeys(key for part in parts for key in part or ()):
        found = [(part or {}).get(key, _MISSING) for part in parts]
        yield from _walk(found, f"{path}.{key}" if path else key)


def _parts(value: Any) -> Mapping[str, Any] | None:
    """What a value consists of by name; None where it is to be shown whole."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, list):
        return None
    named = {name: entry for entry in value if (name := _name(entry)) is not None}
    return named if len(named) == len(value) else None


def _name(entry: Any) -> str | None:
    """The name of a list's entry; an augmentation has it in its way."""
    if not isinstance(entry, Mapping):
        return None
    holders = (entry, *(value for value in entry.values() if isinstance(value, Mapping)))
    return next((str(holder["name"]) for holder in holders if holder.get("name")), None)


def _show(value: Any) -> str:
    if value is _MISSING:
        return "-"
    if isinstance(value, Mapping):  # without what says nothing
        value = {key: part for key, part in value.items() if part not in (None, "", [], {})}
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _HEAD + 1 + _TAIL else f"{text[:_HEAD]}…{text[-_TAIL:]}"

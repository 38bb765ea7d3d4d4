"""A part of the page: its place in the table of contents, its template, and what the template shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its id, unique on the page.
        title: its heading.
        badge: what stands beside the heading; empty for nothing.
        template: the file in ``templates`` that shows its content; empty for one that has parts alone.
        content: what the template calls ``content``.
        parts: sections below it.
        folded: of a part: whether its heading alone shows until it is opened: never (empty), in a ``narrow`` window,
            or ``always``; on paper it is open.
    """

    anchor: str
    title: str
    badge: str = ""
    template: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    parts: Sequence["Section"] = ()
    folded: Literal["", "narrow", "always"] = ""

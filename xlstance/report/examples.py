"""Augmentation by example: a few pairs before and after, in their languages and directions of writing."""

from collections import defaultdict
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

from markupsafe import Markup, escape

from xlstance.report.section import Section

_ALIKE = 0.3  # texts that share less are other texts, in which no word is marked


def examples(results: Mapping[str, Any]) -> Section | None:
    """The section of examples; None where the results hold none."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for example in results.get("examples") or ():
        groups[example["augmentation"], example["kind"]].append(_shown(example))
    if not groups:
        return None
    content = {
        "groups": [
            {"name": name, "kind": kind.replace("_", " "), "examples": shown} for (name, kind), shown in groups.items()
        ]
    }
    return Section(anchor="examples", title="Augmentation by example", template="examples.html", content=content)


def _shown(example: Mapping[str, Any]) -> dict[str, Any]:
    """The texts of a pair side by side; words that the augmentation changed are marked."""
    before, after = example.get("before") or {}, example["after"]
    sides = []
    for side in ("query", "passage"):
        old, new = before.get(side), after[side]
        sides.append({"side": side, "before": old, "after": {**new, "html": _marked(old, new)}})
    return {
        "languages": f"{after['query']['lang']} → {after['passage']['lang']}",
        "sides": sides,
        "negative": after.get("negative"),
    }


def _marked(old: Mapping[str, str] | None, new: Mapping[str, str]) -> Markup:
    """The new text as HTML, with the words that the old one does not have marked; all plain if it is another text."""
    words, former = new["text"].split(), old["text"].split() if old else []
    matcher = SequenceMatcher(a=former, b=words, autojunk=False)
    if words == former or matcher.ratio() < _ALIKE:
        return escape(new["text"])
    parts = []
    for tag, _, _, start, end in matcher.get_opcodes():
        text = escape(" ".join(words[start:end]))
        if text:
            parts.append(text if tag == "equal" else Markup("<mark>{}</mark>").format(text))
    return Markup(" ").join(parts)

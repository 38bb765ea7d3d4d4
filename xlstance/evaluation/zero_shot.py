"""Which arms have seen stance data: only the others are zero-shot in stance retrieval."""

from collections.abc import Mapping
from typing import Any

_STANCE_FORMATS = frozenset({"xl-stance", "xstance"})
_EVERY = "*"  # in ``of``: every source of questions that trains


def arms_with_stance_data(settings: Mapping[str, Any]) -> frozenset[str]:
    """The arms that trained on a part of XL-Stance or X-Stance, themselves or by the arm that they start from.

    Made-up stance data, the augmentation ``stance``, are not meant: their texts come from sources of other kinds, and
    their templates share no wording with the queries of the benchmark.

    Args:
        settings: of an experiment, plain values as in ``results.json``.

    Returns:
        Names of arms.
    """
    sources = settings.get("sources", ())
    development = set(settings.get("development", ()))
    apart = development.union(settings.get("bitext", ()))
    every = {source["name"] for source in sources} - apart
    stance = {source["name"] for source in sources if source["format"] in _STANCE_FORMATS}
    for augmentation in settings.get("augmentations", ()):
        parents = set(augmentation["of"]) | (every if _EVERY in augmentation["of"] else set())
        if stance & parents:
            stance.add(next(way["name"] for key, way in augmentation.items() if key != "of" and way))
    trained: set[str] = set()
    for arm in settings.get("arms", ()):
        own = set(arm["sources"]) or stance - development
        if arm["sampler"] != "none" and (stance & own or arm["start"] in trained):
            trained.add(arm["name"])
    return frozenset(trained)

"""How the training data of each arm were augmented, by the ways of its sources: not at all, generically, for stances.

That is what the claims about augmentation compare.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

Kind = Literal["none", "generic", "stances"]
"""From the least to the most: an arm has the last one that anything it trained on has."""

_ORDER: tuple[Kind, ...] = get_args(Kind)
# Ways that are not here, such as pairing and sampling, only list pairs of texts that are there.
WRITES_TEXTS: Mapping[str, Kind] = {
    "code_switching": "generic",
    "translation": "generic",
    "generation": "generic",
    "stance": "stances",
}


def augmentation_kinds(settings: Mapping[str, Any]) -> dict[str, Kind]:
    """What kind of augmentation went into an arm, itself or by the arm that it starts from.

    It follows from the settings of what the arm trains on, and of what that was made of; names say nothing. Pairs of
    texts that are there are no augmentation here: hybrid batches need them.

    Args:
        settings: of an experiment, plain values as in ``results.json``.

    Returns:
        By arm ``stances`` for augmentation made for stance retrieval, with or without other; ``generic`` for other
        alone; ``none``.
    """
    of_pairs: dict[str, Kind] = {source["name"]: "none" for source in settings.get("sources", ())}
    for augmentation in settings.get("augmentations", ()):
        (key, way), *_ = ((key, way) for key, way in augmentation.items() if key != "of" and way)
        parents = (of_pairs.get(name, "none") for name in augmentation["of"])
        of_pairs[way["name"]] = _most(WRITES_TEXTS.get(key, "none"), *parents)
    development = set(settings.get("development", ()))
    of_arms: dict[str, Kind] = {}
    for arm in settings.get("arms", ()):
        own = arm["sources"] or of_pairs.keys() - development
        trained = [of_pairs[name] for name in own] if arm["sampler"] != "none" else []
        of_arms[arm["name"]] = _most(of_arms.get(arm["start"], "none"), *trained)
    return of_arms


def _most(*kinds: Kind) -> Kind:
    return max(kinds, key=_ORDER.index)

"""What fine-tuning took from a pretrained encoder: retrieval within one language, and in English, before and after."""

from collections.abc import Mapping
from typing import Any

from xlstance.evaluation.results import Column

FORGETTING = "forgetting"
_ENGLISH = "en"


def forgetting(figures: Mapping[str, Any], untouched: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The change of mono mAP by fine-tuning on one benchmark.

    Args:
        figures: of the fine-tuned encoder, as ``protocol.summarise`` gives them.
        untouched: those of the encoder before.
        name: of that encoder's arm.

    Returns:
        ``against``, the name; ``mono``, the change of the mean over languages, below 0 if something was forgotten; and
        that of ``en``, or of each language where nobody asks in English.
    """
    before, after = _mono_map(untouched), _mono_map(figures)
    languages = [_ENGLISH] if _ENGLISH in before else sorted(before.keys() - {"mono"})
    changes = {key: after[key] - before[key] for key in ("mono", *languages) if key in before and key in after}
    return {"against": name, **changes}


def _mono_map(figures: Mapping[str, Any]) -> dict[str, float]:
    """Mono mAP, of all under ``mono`` and by query language; what has no value is left out."""
    by_language = {lang: part["mono"]["map"] for lang, part in figures["per_language"].items()}
    found = {"mono": figures["mono"]["map"], **by_language}
    return {key: value for key, value in found.items() if value is not None}


def forgetting_table(results: Mapping[str, Any], benchmark: str) -> tuple[list[str], list[Column]]:
    """The rows and columns of a benchmark's table of forgetting: fine-tuned arms, and changes of mono mAP.

    Args:
        results: the content of ``results.json``.
        benchmark: a benchmark's name.

    Returns:
        Names of arms, and columns; both empty where there is nothing to compare with.
    """
    found = {arm["name"]: arm["benchmarks"].get(benchmark, {}).get(FORGETTING, {}) for arm in results["arms"]}
    keys = {key: changes["against"] for changes in found.values() for key in changes if key != "against"}
    columns = [
        Column(title=f"{key} vs {against}", setting=FORGETTING, figure=key, signed=True)
        for key, against in keys.items()
    ]
    return [arm for arm, changes in found.items() if changes], columns

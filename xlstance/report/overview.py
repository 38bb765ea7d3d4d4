"""What was run: a paragraph, and the numbers at a glance."""

from collections.abc import Iterable, Mapping
from typing import Any

from xlstance.evaluation.results import benchmark_names
from xlstance.report.arms import arm_looks
from xlstance.report.figures import listed
from xlstance.report.section import Section

_NAMED = 6  # augmentations that are told by name
_FEW = 12  # languages that are told by code


def overview(results: Mapping[str, Any]) -> Section:
    """The section that says what was trained on what, and measured on what."""
    facts = {name: value for name, value in _facts(results).items() if value}
    content = {"text": " ".join(_sentences(results)), "facts": facts}
    return Section(anchor="run", title="What was run", template="overview.html", content=content)


def _sentences(results: Mapping[str, Any]) -> Iterable[str]:
    looks = arm_looks(results)
    arms = [arm for arm, look in looks.items() if not look.baseline]
    baselines = [arm for arm, look in looks.items() if look.baseline]
    trained = _trained(results)
    if trained:
        sources = listed(dict.fromkeys(name for arm in trained for name in arm["train"].get("sources", ()))) or "pairs"
        yield f"{_counted(len(arms), 'retriever')} trained on {sources}, from {_encoder(results)}: {listed(arms)}."
        made = list(dict.fromkeys(name for arm in trained for name in arm["augmentation"]))
        if made:
            more = [f"{len(made) - _NAMED} more"] if len(made) > _NAMED else []
            yield f"More pairs were made by augmentation: {listed([*made[:_NAMED], *more])}."
    elif arms:
        as_is = "as it is" if len(arms) == 1 else "as they are"
        yield f"{_counted(len(arms), 'retriever')} measured {as_is}; nothing was trained: {listed(arms)}."
    if baselines:
        yield f"Beside them stand baselines that were not trained here: {listed(baselines)}."
    if names := benchmark_names(results):
        yield (
            f"All were measured on {listed(names)}: within one language (mono), from one language to another (cross), "
            "and in one pool of all languages (multi)."
        )


def _facts(results: Mapping[str, Any]) -> dict[str, str]:
    looks = arm_looks(results)
    baselines = sum(look.baseline for look in looks.values())
    trains = [arm["train"] for arm in _trained(results)]
    beside = f" and {_counted(baselines, 'baseline')}" if baselines else ""
    spoken = {lang for train in trains for pair in train.get("rows", {}) for lang in pair.split("->")}
    return {
        "arms": f"{len(looks) - baselines}{beside}" if looks else "",
        "seeds": ", ".join(map(str, sorted({arm["seed"] for arm in results["arms"]}))),
        "encoder": _encoder(results) if trains or results["settings"].get("encoder") else "",
        "training pairs": _training_pairs(results),
        "training languages": _languages(spoken),
        "steps": _range(train.get("steps") for train in trains),
        "batch size": _range(train.get("batch_size") for train in trains),
        **{name: _benchmark(results, name) for name in benchmark_names(results)},
    }


def _trained(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [arm for arm in results["arms"] if arm["sampler"]]


def _encoder(results: Mapping[str, Any]) -> str:
    """The pretrained encoder's name, or what one from scratch is."""
    given = results["settings"].get("encoder") or {}
    sizes = _range(arm["train"].get("parameters") for arm in results["arms"])
    size = f" ({sizes} parameters)" if sizes else ""
    if "model" not in given:  # a comparison names only what its runs share
        return f"several encoders{size}"
    if given["model"]:
        return f"{str(given['model']).rstrip('/').rpartition('/')[2]}{size}"
    return f"a {given.get('kind', 'transformer')} encoder from scratch{size}"


def _training_pairs(results: Mapping[str, Any]) -> str:
    """Pairs by name, as the published tables count them."""
    tables = (results.get("provenance") or {}).get("tables", ())
    counts = {table["of"]: table["rows"] for table in tables if table["table"] == "pairs"}
    return ", ".join(f"{name} {rows:,}" for name, rows in counts.items())


def _benchmark(results: Mapping[str, Any], name: str) -> str:
    """Its size and languages."""
    figures: Mapping[str, Any] = next(
        (run["benchmarks"][name] for run in results["arms"] if name in run["benchmarks"]), {}
    )
    pool, queries = figures.get("passages") or {}, (figures.get("multi") or {}).get("queries")
    parts = [
        f"{queries:,} queries" if queries else "",
        f"{sum(pool.values()):,} passages" if pool else "",
        _languages(pool),
    ]
    return ", ".join(part for part in parts if part)


def _languages(codes: Iterable[str]) -> str:
    known = sorted(codes)
    if not known:
        return ""
    codes_too = f" ({' '.join(known)})" if len(known) <= _FEW else ""
    return _counted(len(known), "language") + codes_too


def _range(values: Iterable[int | None]) -> str:
    known = sorted({value for value in values if value})
    if not known:
        return ""
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

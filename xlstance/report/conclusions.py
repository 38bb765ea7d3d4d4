"""What the run proves and what it rests on: claims, the leakage audit, and the differences between compared runs."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from xlstance.report.section import Section


def claims(results: Mapping[str, Any]) -> Section | None:
    """The verdicts on the claims; None where there are none."""
    if not results.get("claims"):
        return None
    content = {"claims": results["claims"], "looks": results.get("looks", {})}
    return Section(anchor="claims", title="Claims", template="claims.html", content=content)


def claim_counts(results: Mapping[str, Any]) -> str:
    """How many claims have which verdict; empty if there are none."""
    verdicts = Counter(claim["verdict"] for claim in results.get("claims", ()))
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items(), reverse=True))


def leakage(results: Mapping[str, Any]) -> Section | None:
    """What the audit found by source, benchmark and rule; None where it found nothing."""
    found = results.get("leakage") or {}
    parts = {"source": "by_source", "benchmark": "by_benchmark", "rule": "by_rule"}
    tables = {
        title: [(name, part["leaking"], part["warned"]) for name, part in found.get(key, {}).items()]
        for title, key in parts.items()
    }
    if not any(leaking or warned for _, leaking, warned in tables["source"]):
        return None
    return Section(anchor="leakage", title="Leakage audit", template="leakage.html", content={"tables": tables})


def compared(results: Mapping[str, Any]) -> Section | None:
    """What a comparison of earlier runs says of them; None for the report of one run."""
    if not results.get("compared"):
        return None
    content = {"groups": results["compared"]}
    return Section(anchor="compared", title="Compared runs", template="compared.html", content=content)

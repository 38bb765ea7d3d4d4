"""Where the figures come from: code, machine, tables, arms and settings, and the commands that give them again."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from xlstance.report.section import Section


def sources(results: Mapping[str, Any]) -> Section:
    """The last section of the page."""
    provenance = results.get("provenance") or {}
    content = {
        "code_version": results["code_version"],
        "machine": results["machine"],
        "runs": results["arms"],
        "settings": json.dumps(results["settings"], indent=2, ensure_ascii=False, default=str),
        "tables": provenance.get("tables", ()),
        "commands": _commands(results, provenance) if provenance else "",
        "measured": provenance.get("measured", ()),
        "own_data": [entry for entry in provenance.get("data", ()) if entry["path"] and not entry["fetch"]],
    }
    return Section(anchor="source", title="Source and settings", template="sources.html", content=content)


def _commands(results: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """What to type, from the code to the report, with a comment for each step."""
    version, _, commit = str(results["code_version"]).partition("+g")
    lines = []
    if commit:
        changed = "; the checkout had changes that no commit holds" if commit.endswith(".dirty") else ""
        lines += [f"# the code, version {version}{changed}", f"git checkout {commit.removesuffix('.dirty')}"]
    if provenance.get("lock"):
        lines += [
            f"# the environment; the lock file's SHA-256 begins with {provenance['lock']}",
            "pip install -r requirements/cpu.txt",
            "pip install --no-deps -e .",
        ]
    fetched = list(dict.fromkeys(entry["fetch"] for entry in provenance.get("data", ()) if entry["fetch"]))
    if fetched:
        lines += ["# the data, from their publishers", f"xlstance fetch {shlex.join(fetched)} --into DATA"]
    where = " --data DATA" if any(entry["path"] for entry in provenance.get("data", ())) else ""
    seeds = ", ".join(map(str, sorted({arm["seed"] for arm in results["arms"]})))
    command = shlex.join(["xlstance", *provenance.get("command", ["experiment"])])
    lines += [
        f"# the run; {provenance['settings']} stands beside this report and holds every setting (seeds: {seeds})",
        f"{command} --config {provenance['settings']}{where} --output runs/again",
    ]
    return "\n".join(lines)

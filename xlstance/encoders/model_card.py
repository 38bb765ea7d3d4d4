"""The model card: ``README.md`` of a model folder, for people and for the hub, which reads its front matter."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import yaml

CARD = "README.md"
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
_LANGUAGE = re.compile(r"[a-z]{2,3}")  # an ISO 639 code, all that the hub knows

_USE = """\
With [sentence-transformers](https://sbert.net):

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({name!r})
queries = model.encode(["Which tower stands in Paris?"], prompt_name="query")
passages = model.encode(["Der Eiffelturm steht in Paris.", "La Tamise traverse Londres."], prompt_name="passage")
scores = model.similarity(queries, passages)
```

With xlstance:

```python
from xlstance.encoders import EncoderSettings, load_encoder

encoder = load_encoder(EncoderSettings(model={name!r}))
queries = encoder.encode(["Which tower stands in Paris?"], "query")
passages = encoder.encode(["Der Eiffelturm steht in Paris.", "La Tamise traverse Londres."], "passage")
scores = queries @ passages.T
```
"""


class ModelFacts(TypedDict, total=False):
    """What a card can tell; what is left out is not spoken of.

    Attributes:
        name: the model's hub name, or the folder's: the title, and what the examples load.
        summary: what the model is, a sentence or a few; Markdown.
        base_model: hub name of the model it was trained from.
        languages: BCP 47 codes.
        license: the hub's name of a licence, such as ``apache-2.0``.
        dimension: entries of a vector.
        prefix: put before a text, by kind of text.
        max_length: tokens kept of a text, by kind of text.
        training: settings by name; nested ones are written with dots.
        sources: training data, a mapping for each source: its name, its rows, and what else there is to say.
        results: a mapping for each line of the table of results; numbers as they are to stand there.
        limitations: what the model is not good at or not tested for; a sentence each.
    """

    name: str
    summary: str
    base_model: str
    languages: Sequence[str]
    license: str
    dimension: int
    prefix: Mapping[str, str]
    max_length: Mapping[str, int]
    training: Mapping[str, Any]
    sources: Sequence[Mapping[str, Any]]
    results: Sequence[Mapping[str, Any]]
    limitations: Sequence[str]


def write_model_card(folder: Path, facts: ModelFacts) -> None:
    """Writes ``README.md`` into a model folder, which exists; the same facts give the same bytes."""
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")


def model_card(facts: ModelFacts) -> str:
    """The text of a model card: front matter in YAML, then Markdown."""
    name = facts.get("name", "model")
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True)}---",
        f"# {name}",
        facts.get("summary", ""),
        _shape(facts),
        f"## Use\n\n{_USE.format(name=name)}",
        _section(
            "Training", _table({"setting": key, "value": value} for key, value in _flat(facts.get("training", {})))
        ),
        _section("Training data", _table(facts.get("sources", ()))),
        _section("Results", _table(facts.get("results", ()))),
        _section("Limitations", "\n".join(f"- {' '.join(text.split())}" for text in facts.get("limitations", ()))),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _front_matter(facts: ModelFacts) -> dict[str, Any]:
    codes = sorted({code.split("-")[0].lower() for code in facts.get("languages", ())})
    languages = [code for code in codes if _LANGUAGE.fullmatch(code)]
    base, licence = facts.get("base_model", ""), facts.get("license", "")
    return {
        **({"language": [*(["multilingual"] if len(languages) > 1 else []), *languages]} if languages else {}),
        **({"license": licence} if licence else {}),
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction", "dense-retrieval", "xlstance"],
        **({"base_model": base} if _HUB_NAME.fullmatch(base) else {}),
    }


def _shape(facts: ModelFacts) -> str:
    lines = []
    if "base_model" in facts:
        lines.append(f"Trained from `{facts['base_model']}`.")
    if "dimension" in facts:
        lines.append(f"A text becomes a vector of {facts['dimension']} entries and length 1; compare by dot product.")
    for kind, limit in facts.get("max_length", {}).items():
        lines.append(f"A {kind} is cut after {limit} tokens.")
    for kind, prefix in facts.get("prefix", {}).items():
        if prefix:
            lines.append(f'A {kind} is encoded with "{prefix}" before it; the examples below add it.')
    if facts.get("languages"):
        lines.append(f"Languages: {', '.join(facts['languages'])}.")
    return "\n".join(f"- {line}" for line in lines)


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not columns:
        return ""
    cells = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in cells)


def _cell(value: Any) -> str:
    text = " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")

"""LAReQA's XQuAD-R and MLQA-R: questions whose answer sentence is to be found in every language.

A folder holds one ``{lang}.json`` or ``{lang}.json.gz`` for each language, in SQuAD's layout with ``sentences`` and
``sentence_breaks`` ([start, end) in characters) for each paragraph. A candidate is one sentence, a question's relevant
sentence the one that holds ``answer_start``; its relevant passages are that sentence in every language that has the
question id (Roy et al. 2020, arXiv 2004.05484, section 3).
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlstance.collection import Benchmark
from xlstance.corpora.sentences import Passage
from xlstance.errors import DataError
from xlstance.files import read_text, what_is_there
from xlstance.tables import check_language, make_table


@dataclass
class _Rows:
    """Columns in the making, and the passage that answers each question id in each language."""

    passages: dict[str, list[str | None]] = field(default_factory=lambda: defaultdict(list))
    questions: list[tuple[str, str, str]] = field(default_factory=list)  # (question id, language, text)
    answers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # passage ids by question id


def read_lareqa(
    folder: Path, *, languages: Sequence[str] = (), passage: Passage = "sentence", limit: int = 0
) -> Benchmark:
    """Reads XQuAD-R, MLQA-R, or anything in their layout.

    Args:
        folder: holds ``{lang}.json`` or ``{lang}.json.gz``.
        languages: which of them; empty for all. Only these count as languages that have a question.
        passage: what a candidate is: a sentence, a sentence with its paragraph in the column ``context``, or a
            paragraph.
        limit: keep the first so many question ids in sorted order, 0 for all. Passages stay all.

    Returns:
        The benchmark. Ids are ``{lang}/{question id}`` and ``{lang}/{article}-{paragraph}-{sentence}``, counted from
        0. A query's group is the question id; a passage's group is the smallest question id that it answers, so a
        group has one passage a language at most; a passage that answers nothing is a group of its own. What is
        relevant stands in the qrels alone, which name every language.

    Raises:
        DataError: if a file is missing or not as the format says; the message names file and place.
    """
    paths = _files(folder, languages)
    rows = _Rows()
    for lang, path in paths.items():
        _read_language(path, lang, passage, rows)
    if not rows.questions:
        raise DataError(f"{folder}: no question in {', '.join(path.name for path in paths.values())}")
    keep = set(sorted(rows.answers)[: limit or None])
    groups: dict[str, str] = {}
    for question in sorted(rows.answers):
        for passage_id in rows.answers[question]:
            groups.setdefault(passage_id, question)
    passage_ids = rows.passages["passage_id"]
    group_ids = [groups.get(str(passage_id), passage_id) for passage_id in passage_ids]
    questions = [question for question in rows.questions if question[0] in keep]
    query_ids = [f"{lang}/{question}" for question, lang, _ in questions]
    qrels = [
        (query_id, passage_id)
        for query_id, (question, _, _) in zip(query_ids, questions, strict=True)
        for passage_id in rows.answers[question]
    ]
    notes = [f"{len(keep)} questions in {len(paths)} languages ({', '.join(paths)}); a candidate is a {passage}"]
    if limit:
        notes.append(f"limited to {len(keep)} of {len(rows.answers)} question ids; the pools are whole")
    return Benchmark(
        passages=make_table("passages", {**rows.passages, "group_id": group_ids}),
        queries=make_table(
            "queries",
            {
                "query_id": query_ids,
                "lang": [lang for _, lang, _ in questions],
                "text": [text for _, _, text in questions],
                "group_id": [question for question, _, _ in questions],
            },
        ),
        qrels=make_table(
            "qrels",
            {
                "query_id": [query_id for query_id, _ in qrels],
                "passage_id": [passage_id for _, passage_id in qrels],
                "gain": [1] * len(qrels),
            },
        ),
        notes=tuple(notes),
    )


def _files(folder: Path, languages: Sequence[str]) -> dict[str, Path]:
    """The file of each language, in sorted order."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; {what_is_there(folder.parent)}")
    found = {}
    for path in sorted(folder.iterdir()):
        lang, _, ending = path.name.partition(".")
        if ending in ("json", "json.gz"):
            found[check_language(lang, str(path))] = path
    missing = sorted(set(languages) - set(found))
    if missing or not found:
        raise DataError(f"{folder} has no {missing[0] if missing else '{lang}'}.json(.gz); {what_is_there(folder)}")
    return {lang: path for lang, path in found.items() if lang in languages or not languages}


def _read_language(path: Path, lang: str, passage: Passage, rows: _Rows) -> None:
    """Appends the passages and questions of one file."""
    seen = set()
    for place, title, article, number, paragraph in _paragraphs(path):
        context, sentences, breaks = _sentences(paragraph, place)
        if passage == "paragraph":
            sentences, breaks = [context], [(0, len(context))]
        ids = [f"{lang}/{article}-{number}-{index}" for index in range(len(sentences))]
        if passage == "paragraph":
            ids = [f"{lang}/{article}-{number}"]
        rows.passages["passage_id"] += ids
        rows.passages["lang"] += [lang] * len(ids)
        rows.passages["text"] += sentences
        rows.passages["title"] += [title] * len(ids)
        rows.passages["context"] += [context if passage == "sentence+context" else None] * len(ids)
        for index, question in enumerate(_get(paragraph, "qas", list, place)):
            where = f"{place}, question {index}"
            identity, text = (_get(question, key, str, where) for key in ("id", "question"))
            if not text.strip() or not identity:
                raise DataError(f"{where}: empty question or id")
            if identity in seen:
                raise DataError(f"{where}: the id {identity!r} stands twice in this file; ids are unique")
            seen.add(identity)
            start = _answer_start(question, context, f"{where} ({identity})")
            holders = [i for i, (first, last) in enumerate(breaks) if first <= start < last]
            if len(holders) != 1:
                raise DataError(
                    f"{where} ({identity}): answer_start {start} lies in {len(holders)} sentences, not in 1"
                )
            rows.questions.append((identity, lang, text))
            rows.answers[identity].append(ids[holders[0]])


def _paragraphs(path: Path) -> Iterator[tuple[str, str, int, int, Any]]:
    """Every paragraph of a file with its place for messages, article title, article number and own number."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: line {error.lineno}, column {error.colno}: this is not JSON ({error.msg}); fetch the file again"
        ) from error
    for article, item in enumerate(_get(content, "data", list, str(path))):
        title = _get(item, "title", str, f"{path}: article {article}")
        for number, paragraph in enumerate(_get(item, "paragraphs", list, f"{path}: article {article}")):
            yield f"{path}: article {article}, paragraph {number}", title, article, number, paragraph


def _sentences(paragraph: Any, place: str) -> tuple[str, list[str], list[tuple[int, int]]]:
    """The context, its sentences and their breaks.

    A byte-order mark at the start of a context belongs to the offsets and stays. The text is the published sentence,
    which differs from the context's slice where the publishers mended an encoding error (two sentences of XQuAD-R).
    """
    context = _get(paragraph, "context", str, place)
    sentences = _get(paragraph, "sentences", list, place)
    breaks = _get(paragraph, "sentence_breaks", list, place)
    if not context.strip():
        raise DataError(f"{place}: empty context")
    if len(sentences) != len(breaks):
        raise DataError(f"{place}: {len(sentences)} sentences but {len(breaks)} sentence_breaks; give one per sentence")
    for index, (sentence, span) in enumerate(zip(sentences, breaks, strict=True)):
        if not isinstance(sentence, str) or not sentence.strip("\ufeff \t\n"):
            raise DataError(f"{place}: sentence {index} is empty or no text")
        if not (isinstance(span, list) and len(span) == 2 and all(isinstance(end, int) for end in span)):
            raise DataError(f"{place}: sentence_breaks {index} is {span!r}; give [start, end)")
        if not 0 <= span[0] < span[1] <= len(context):
            raise DataError(
                f"{place}: sentence_breaks {index} is {span}, outside the context of {len(context)} characters"
            )
    return context, sentences, [(start, end) for start, end in breaks]


def _answer_start(question: Any, context: str, where: str) -> int:
    answers = _get(question, "answers", list, where)
    if not answers:
        raise DataError(f"{where}: no answer; every question of this format has one")
    start, text = _get(answers[0], "answer_start", int, where), _get(answers[0], "text", str, where)
    if start < 0 or not text or not context.startswith(text, start):
        raise DataError(f"{where}: the answer {text!r} does not stand at character {start} of its context")
    return int(start)


def _get(item: Any, key: str, kind: type, place: str) -> Any:
    """The value of a key that must be there and of a type."""
    if not isinstance(item, dict) or not isinstance(item.get(key), kind):
        raise DataError(
            f"{place}: {key!r} is missing or not a {kind.__name__}; the layout is SQuAD's with sentence_breaks"
        )
    return item[key]

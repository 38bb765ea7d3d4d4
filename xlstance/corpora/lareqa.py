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
from xlstance.corpora.bad_rows import BadRows
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
    folder: Path,
    *,
    languages: Sequence[str] = (),
    passage: Passage = "sentence",
    limit: int = 0,
    bad: BadRows | None = None,
) -> Benchmark:
    """Reads XQuAD-R, MLQA-R, or anything in their layout.

    Args:
        folder: holds ``{lang}.json`` or ``{lang}.json.gz``.
        languages: which of them; empty for all. Only these count as languages that have a question.
        passage: what a candidate is: a sentence, a sentence with its paragraph in the column ``context``, or a
            paragraph.
        limit: keep the first so many question ids in sorted order, 0 for all. Passages stay all.
        bad: told of questions that cannot be used, and of paragraphs whose sentences cannot, with all their questions;
            none: the first is an error.

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
        _read_language(path, lang, passage, rows, BadRows() if bad is None else bad)
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


def _read_language(path: Path, lang: str, passage: Passage, rows: _Rows, bad: BadRows) -> None:
    """Appends the passages and questions of one file."""
    seen = set()
    for place, title, article, number, paragraph in _paragraphs(path, bad):
        try:
            context, sentences, breaks = _sentences(paragraph)
            questions = _get(paragraph, "qas", list)
        except ValueError as error:
            bad.add(path, place, str(error), json.dumps(paragraph, ensure_ascii=False))
            continue
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
        for index, question in enumerate(questions):
            where = f"{place}, question {index}"
            try:
                identity, text = _asked(question)
                if identity in seen:
                    raise ValueError(f"the id {identity!r} stands twice in this file; ids are unique")
                where += f" ({identity})"
                start = _answer_start(question, context)
                holders = [i for i, (first, last) in enumerate(breaks) if first <= start < last]
                if len(holders) != 1:
                    raise ValueError(f"answer_start {start} lies in {len(holders)} sentences, not in 1")
            except ValueError as error:
                bad.add(path, where, str(error), json.dumps(question, ensure_ascii=False))
                continue
            seen.add(identity)
            rows.questions.append((identity, lang, text))
            rows.answers[identity].append(ids[holders[0]])


def _paragraphs(path: Path, bad: BadRows) -> Iterator[tuple[str, str, int, int, Any]]:
    """Every paragraph of a file with its place for messages, article title, article number and own number."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: line {error.lineno}, column {error.colno}: this is not JSON ({error.msg}); fetch the file again"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or lists as deep
        raise DataError(f"{path}: this is not JSON ({error}); fetch the file again") from error
    try:
        articles = _get(content, "data", list)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    for article, item in enumerate(articles):
        try:
            title, paragraphs = _text(item, "title"), _get(item, "paragraphs", list)
        except ValueError as error:
            bad.add(path, f"article {article}", str(error), json.dumps(item, ensure_ascii=False))
            continue
        for number, paragraph in enumerate(paragraphs):
            yield f"article {article}, paragraph {number}", title, article, number, paragraph


def _sentences(paragraph: Any) -> tuple[str, list[str], list[tuple[int, int]]]:
    """The context, its sentences and their breaks.

    A byte-order mark at the start of a context belongs to the offsets and stays. The text is the published sentence,
    which differs from the context's slice where the publishers mended an encoding error (two sentences of XQuAD-R).

    Raises:
        ValueError: if they are not as the layout says.
    """
    context = _text(paragraph, "context")
    sentences = _get(paragraph, "sentences", list)
    breaks = _get(paragraph, "sentence_breaks", list)
    if not context.strip():
        raise ValueError("empty context")
    if len(sentences) != len(breaks):
        raise ValueError(f"{len(sentences)} sentences but {len(breaks)} sentence_breaks; give one per sentence")
    for index, (sentence, span) in enumerate(zip(sentences, breaks, strict=True)):
        if not isinstance(sentence, str) or not sentence.strip("\ufeff \t\n"):
            raise ValueError(f"sentence {index} is empty or no text")
        _encoded(sentence)
        if not (isinstance(span, list) and len(span) == 2 and all(isinstance(end, int) for end in span)):
            raise ValueError(f"sentence_breaks {index} is {span!r}; give [start, end)")
        if not 0 <= span[0] < span[1] <= len(context):
            raise ValueError(f"sentence_breaks {index} is {span}, outside the context of {len(context)} characters")
    return context, sentences, [(start, end) for start, end in breaks]


def _asked(question: Any) -> tuple[str, str]:
    """A question's id and text."""
    identity, text = _text(question, "id"), _text(question, "question")
    if not text.strip() or not identity:
        raise ValueError("empty question or id")
    return identity, text


def _answer_start(question: Any, context: str) -> int:
    answers = _get(question, "answers", list)
    if not answers:
        raise ValueError("no answer; every question of this format has one")
    start, text = _get(answers[0], "answer_start", int), _get(answers[0], "text", str)
    if start < 0 or not text or not context.startswith(text, start):
        raise ValueError(f"the answer {text!r} does not stand at character {start} of its context")
    return int(start)


def _text(item: Any, key: str) -> str:
    return _encoded(_get(item, key, str))


def _encoded(text: str) -> str:
    """A text, if it is one: JSON can hold half a surrogate pair."""
    text.encode()
    return text


def _get(item: Any, key: str, kind: type) -> Any:
    """The value of a key that must be there and of a type.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(item, dict) or not isinstance(item.get(key), kind):
        raise ValueError(f"{key!r} is missing or not a {kind.__name__}; the layout is SQuAD's with sentence_breaks")
    return item[key]

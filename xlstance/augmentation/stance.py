"""Stance data without a model: from pairs of a question and a passage, queries for a side and comments that take it.

A passage becomes a comment by what is said around it: "I can only welcome this: ..." in favour, "... That is exactly
the wrong way." against. A question becomes two queries, one for each side. For the one the approving comment is
relevant and the disapproving one, which tells the same, is a hard negative; for the other the reverse. Where the
question can be rewritten as a claim, that is asked for too, and the claim of the other side is one more hard negative.
No text and no template of XL-Stance is used: what a model learns from this leaves that benchmark unseen (level Z0).
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from xlstance.augmentation.claims import Claim, claim_of, rules_of_claims
from xlstance.augmentation.references import rows_of
from xlstance.augmentation.way import Made, Part, Surroundings, Way, Work
from xlstance.disk_folder import on_this_node
from xlstance.errors import SettingsError
from xlstance.files import read_text
from xlstance.stance_templates import SIDES, Templates, Wordings, parse_templates, stance_templates
from xlstance.storage import fingerprint
from xlstance.tables import SCHEMAS, check_language, make_table

_MULTIPLE = "mul"
_OTHER = dict(zip(SIDES, reversed(SIDES), strict=True))
# A stop with what closes the sentence behind it. Not after an initial, an abbreviation like "St." or an ordinal.
_STOP = re.compile(
    r"(?:(?<![\s(.][^\W\d_])(?<![\s(.][A-ZÀ-ÞΆ-ΫЀ-Я]\w)(?<!\s\d)(?<!\s\d\d)\.|[!?…؟।])[\"'”’»)\]]*(?=\s|$)|[。！？][”’」』）]*"
)
_ENDED = re.compile(r"[.!?…؟।。！？][\"'”’»)\]」』）]*(?:\[[^\[\]]+\])*$")  # a note, like "[2]", may follow the stop
_SENTENCE_ENDS = {"hi": "।", "zh": "。", "th": ""}  # elsewhere a full stop

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stance(Way):
    """Settings of stance augmentation.

    Attributes:
        name: stands in ``pairs.augmentation`` and in the new ids, so it is unique among the augmentations of a run.
        templates: path, below the data root, of a YAML file of templates in the form of ``stance_templates.yaml``; its
            languages stand beside the library's, and in place of those with the same code. Empty for the library's;
            ``miniature`` for the built-in world's.
        languages: take texts in these languages alone; empty for all that have templates. Texts in several languages
            (``mul``) take the templates of one of them, drawn for each text.
        wordings: how many differently worded queries and comments to make of each pair and side.
        claims: rewrite yes/no questions as claims, for queries and as hard negatives.
        longest: of a passage, the first sentences are taken up to so many characters; one at least, cut if it is
            longer.
    """

    name: str = "stance"
    templates: str = ""
    languages: list[str] = field(default_factory=list)
    wordings: int = 1
    claims: bool = True
    longest: int = 300

    def __post_init__(self) -> None:
        for lang in self.languages:
            check_language(lang, self.name)
        if self.wordings < 1:
            raise SettingsError(f"{self.name}: wordings is {self.wordings}; give 1 or more")
        if self.longest < 20:
            raise SettingsError(f"{self.name}: longest is {self.longest}; give 20 characters or more, such as 300")
        if not self.templates:  # what a file holds is known with the data root alone
            self.templates_below("")

    def templates_below(self, data: str) -> Templates:
        """The templates of the languages to take.

        Args:
            data: root of the path in the settings.

        Raises:
            DataError: if the file is missing or broken.
            SettingsError: if a language has no templates, or one has fewer than ``wordings``.
        """
        there = stance_templates()
        if self.templates:
            there = {**there, **read_templates(on_this_node(data, self.templates) / self.templates)}
        for lang in self.languages:
            if lang not in there:
                raise SettingsError(
                    f"{self.name}: no stance templates for {lang!r}; there are {', '.join(there)}; others come from a "
                    "file that templates names"
                )
        taken = {lang: there[lang] for lang in self.languages or there}
        for lang, own in taken.items():
            most = min(len(words) for side in own.values() for words in (side.question, side.frame))
            if self.wordings > most:
                raise SettingsError(
                    f"{self.name}: wordings is {self.wordings}; give 1 to {most}, as many as templates are in {lang}"
                )
        return taken

    def inputs(self, around: Surroundings) -> str:
        """The templates and the rules of the claims."""
        # As a list: their order decides what a text in several languages draws.
        return fingerprint(list(self.templates_below(around.data).items()), rules_of_claims())

    def work(self, around: Surroundings) -> Work:
        """Makes the stance pairs of one shard."""
        return partial(stance_pairs, settings=self, templates=self.templates_below(around.data), seed=around.seed)

    def summary(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """The level of what is added, and the share of the questions that have a claim."""
        return {"level": "Z0", "claims_per_question": counts.get("claims", 0) / max(counts.get("questions", 0), 1)}


def read_templates(path: Path) -> Templates:
    """The templates of a file.

    Raises:
        DataError: if it is missing, broken, or names a language that is none.
    """
    templates = parse_templates(read_text(path), str(path))
    for lang in templates:
        check_language(lang, str(path))
    return templates


def stance_pairs(part: Part, settings: Stance, templates: Templates, seed: int) -> Made:
    """Makes the stance pairs of one shard.

    Args:
        part: the shard.
        settings: what to make.
        templates: of the languages to take.
        seed: of the draws of templates and frames.

    Returns:
        For each pair, side and wording a pair of a query for the side with the comment that takes it. Its negatives are
        the same comment of the other side and, where both texts are in one language and there is one, the claim of the
        other side. New ids have their parent's id with ``~{name}-{side}`` at the end, and a number from the second
        wording on. Comments of a side are parallel over the languages of the parent group, as are the queries for it;
        the two sides never have a group in common. Counts: ``pairs`` that were used, ``left_out/{lang}`` for those in
        a language without templates, ``questions``, and ``claims`` that some of them have.

    Raises:
        DataError: if a pair refers to a text that is not there.
    """
    asked = part.queries.take(pa.array(rows_of(part.pairs, "query_id", part.queries))).to_pylist()
    told = part.passages.take(pa.array(rows_of(part.pairs, "passage_id", part.passages))).to_pylist()
    taken = {*templates, _MULTIPLE}
    counts: Counter[str] = Counter()
    queries: dict[str, list[Row]] = {}
    passages: dict[str, list[Row]] = {}
    claims: dict[str, dict[str, Row]] = {}
    pairs: list[Row] = []
    for pair, query, passage in zip(part.pairs.to_pylist(), asked, told, strict=True):
        unknown = [text["lang"] for text in (query, passage) if text["lang"] not in taken]
        counts[f"left_out/{unknown[0]}" if unknown else "pairs"] += 1
        if unknown:
            continue
        query_id, passage_id = query["query_id"], passage["passage_id"]
        if query_id not in queries:
            claim = claim_of(query["text"], query["lang"]) if settings.claims else None
            counts.update(questions=1, claims=claim is not None)
            queries[query_id] = _queries(query, claim, settings, templates, seed)
            claims[query_id] = _claims(query, claim, settings)
        if passage_id not in passages:
            passages[passage_id] = _comments(passage, settings, templates, seed)
        # A negative in another language than the positive would teach the language.
        rivals = claims[query_id] if query["lang"] == passage["lang"] else {}
        for row in rivals.values():
            passages.setdefault(row["passage_id"], [row])
        pairs += _pairs(pair, query_id, passage_id, rivals, settings)
    return Made(
        pairs=_table("pairs", pairs),
        queries=_table("queries", [row for rows in queries.values() for row in rows]),
        passages=_table("passages", [row for rows in passages.values() for row in rows]),
        counts=dict(counts),
    )


def _what(side: str, wording: int) -> str:
    """What a new id ends with: the side, and a number from the second wording on."""
    return f"{side}{wording + 1}" if wording else side


def _each(settings: Stance) -> list[tuple[str, int]]:
    """Every side in every wording."""
    return [(side, wording) for side in SIDES for wording in range(settings.wordings)]


def _draw(seed: int, identity: str, choices: Sequence[str], wording: int = 0) -> str:
    """One of the choices by a hash of the id; another one for each wording."""
    drawn = hashlib.blake2b(f"{seed}:{identity}".encode(), digest_size=8).digest()
    return choices[(int.from_bytes(drawn) + wording) % len(choices)]


def _wordings(templates: Templates, lang: str, identity: str, seed: int) -> Mapping[str, Wordings]:
    """The templates that a text takes, by side."""
    return templates[_draw(seed, identity, list(templates)) if lang == _MULTIPLE else lang]


def _queries(query: Row, claim: Claim | None, settings: Stance, templates: Templates, seed: int) -> list[Row]:
    """The queries that a question becomes."""
    identity, text = query["query_id"], query["text"].strip()
    words = _wordings(templates, query["lang"], identity, seed)
    wordings = {side: words[side].queries(text, claim.text if claim else None) for side in SIDES}
    return [
        {
            "query_id": f"{identity}~{settings.name}-{_what(side, wording)}",
            "lang": query["lang"],
            "text": _draw(seed, f"{identity}~{side}", wordings[side], wording),
            "group_id": f"{query['group_id']}~{settings.name}-{side}",
        }
        for side, wording in _each(settings)
    ]


def _comments(passage: Row, settings: Stance, templates: Templates, seed: int) -> list[Row]:
    """The comments that a passage becomes."""
    identity, text = passage["passage_id"], excerpt(passage["text"], passage["lang"], settings.longest)
    words = _wordings(templates, passage["lang"], identity, seed)
    return [
        {
            "passage_id": f"{identity}~{settings.name}-{_what(side, wording)}",
            "lang": passage["lang"],
            "text": _draw(seed, f"{identity}~{side}", words[side].frame, wording).replace("{text}", text),
            "group_id": f"{passage['group_id']}~{settings.name}-{side}",
        }
        for side, wording in _each(settings)
    ]


def _claims(query: Row, claim: Claim | None, settings: Stance) -> dict[str, Row]:
    """What each side claims, as a comment, by side; as far as there is a claim."""
    texts = {"favour": claim.text, "against": claim.negated} if claim else {}
    return {
        side: {
            "passage_id": f"{query['query_id']}~{settings.name}-claim-{side}",
            "lang": query["lang"],
            "text": text,
            "group_id": f"{query['group_id']}~{settings.name}-claim-{side}",
        }
        for side, text in texts.items()
        if text
    }


def _pairs(pair: Row, query_id: str, passage_id: str, rivals: Mapping[str, Row], settings: Stance) -> list[Row]:
    """The pairs that a pair becomes."""
    made = []
    for side, wording in _each(settings):
        own, other = (f"~{settings.name}-{_what(each, wording)}" for each in (side, _OTHER[side]))
        negatives = [f"{passage_id}{other}"]
        negatives += [rivals[_OTHER[side]]["passage_id"]] if _OTHER[side] in rivals else []
        made.append(
            {
                "pair_id": f"{pair['pair_id']}{own}",
                "query_id": f"{query_id}{own}",
                "passage_id": f"{passage_id}{own}",
                "negatives": [{"passage_id": negative} for negative in negatives],
                "source": pair["source"],
                "augmentation": settings.name,
                "parent_pair_id": pair["pair_id"],
            }
        )
    return made


def _table(name: str, rows: Sequence[Row]) -> pa.Table:
    return make_table(name, {column: [row.get(column) for row in rows] for column in SCHEMAS[name].names})


def excerpt(text: str, lang: str, longest: int) -> str:
    """The first sentences of a text.

    Args:
        text: the text.
        lang: its language.
        longest: take sentences as long as they have so many characters together; the first one in any case, cut
            between words, or in Chinese and Thai between letters, if it is longer.

    Returns:
        The sentences, with a full stop where the last one has none.
    """
    text = " ".join(text.replace("\ufeff", " ").split())
    stops = (match.end() for match in _STOP.finditer(text))
    ends = [*(stop for stop in stops if not text[stop:].lstrip()[:1].islower()), len(text)]
    end = max([ends[0], *(place for place in ends if place <= longest)])
    if end > longest:
        end = longest
        while end < len(text) and unicodedata.category(text[end]).startswith("M"):  # a mark belongs to its letter
            end += 1
        cut = text[:end]
        return (cut.rpartition(" ")[0] if " " in cut[longest // 2 :] else cut).rstrip(" ,;:،、，") + "…"
    taken = text[:end].rstrip(" ,;:،、，") or text
    return taken if _ENDED.search(taken) else taken + _SENTENCE_ENDS.get(lang, ".")

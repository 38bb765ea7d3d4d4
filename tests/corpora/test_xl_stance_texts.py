"""What a program can say of the texts of XL-Stance: that they are whole, parallel, in their language, and no twins."""

import gzip
import json
import unicodedata
from collections import Counter
from functools import cache
from itertools import combinations

import pytest

from xlstance.corpora.xl_stance.build import DATA, build, files
from xlstance.corpora.xl_stance.sources import ARGUMENTS, HERE, LANGUAGES, issues, read_texts, topics
from xlstance.errors import DataError

SCRIPTS = {"ar": "ARABIC", "el": "GREEK", "hi": "DEVANAGARI", "ru": "CYRILLIC", "th": "THAI", "zh": "CJK"}
QUESTION_MARKS = {"ar": "؟", "el": ";", "zh": "？", "th": ""}
texts_of = cache(read_texts)


@cache
def packaged(split):
    lines = gzip.decompress((DATA / f"{split}.jsonl.gz").read_bytes()).decode().splitlines()
    return [json.loads(line) for line in lines]


def script_share(text, script):
    letters = [char for char in text if char.isalpha() or unicodedata.category(char).startswith("M")]
    return sum(unicodedata.name(char).startswith(script) for char in letters) / len(letters)


def test_the_plan_has_its_issues_topics_and_parts():
    parts = Counter(issue.part for issue in issues())
    assert len(topics()) == 13
    assert parts == {"train": 45, "valid": 9, "new_questions": 18, "new_topics": 32}
    for part in parts:
        directions = Counter(issue.direction for issue in issues() if issue.part == part)
        assert abs(directions["introduce"] - directions["abolish"]) <= 1, part
    named = Counter((argument[0], issue.names_its_subject(argument)) for issue in issues() for argument in ARGUMENTS)
    assert set(named.values()) == {104}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_text_is_there_in_its_script_and_length(lang):
    script = SCRIPTS.get(lang, "LATIN")
    for texts in texts_of(lang):
        for name, text in {"question": texts.question, **texts.arguments}.items():
            where = f"{lang} {texts.issue.name}.{name}"
            low, high = (10, 250) if name == "question" else (30, 400)
            assert low <= len(text) <= high, where
            assert text == " ".join(text.split()), where
            assert script_share(text, script) >= 0.85, where
            assert unicodedata.is_normalized("NFC", text), where
        assert texts.question.endswith(QUESTION_MARKS.get(lang, "?")), f"{lang} {texts.issue.name}"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_half_of_the_arguments_name_their_subject(lang):
    for texts in texts_of(lang):
        assert any(stem.casefold() in texts.question.casefold() for stem in texts.subject), texts.issue.name
        for argument, text in texts.arguments.items():
            named = any(stem.casefold() in text.casefold() for stem in texts.subject)
            assert named == texts.issue.names_its_subject(argument), f"{lang} {texts.issue.name}.{argument}"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_two_texts_are_twins(lang):
    """No text twice; no opening, and no frame of beginning and length, more than a few times."""
    arguments = [text for texts in texts_of(lang) for text in texts.arguments.values()]
    every = arguments + [texts.question for texts in texts_of(lang)]
    assert len(set(every)) == len(every)
    size = {"zh": 5, "th": 10}.get(lang)
    openings = Counter(text[:size] if size else " ".join(text.casefold().split()[:2]) for text in arguments)
    assert max(openings.values()) <= 6, openings.most_common(3)
    grams = Counter(
        gram for text in set(arguments) for gram in {tuple(text.casefold().split()[i : i + 6]) for i in range(400)}
        if len(gram) == 6
    )  # fmt: skip
    assert max(grams.values(), default=0) <= 2, grams.most_common(3)


def test_no_text_stands_in_two_languages():
    seen = Counter(text for lang in LANGUAGES for texts in texts_of(lang) for text in texts.arguments.values())
    assert max(seen.values()) == 1


def test_no_text_is_left_untranslated():
    """Of the words of four letters and more few stand in the same argument of another language of Latin script."""
    latin = [lang for lang in LANGUAGES if lang not in SCRIPTS]
    for one, other in combinations(latin, 2):
        for first, second in zip(texts_of(one), texts_of(other), strict=True):
            for argument in ARGUMENTS:
                words = [
                    {
                        word.strip(".,;:!?¿¡«»“”").casefold()
                        for word in texts.arguments[argument].split()
                        if len(word) > 3
                    }
                    for texts in (first, second)
                ]
                shared = words[0] & words[1]
                assert len(shared) < max(0.5 * min(map(len, words)), 4), (one, other, first.issue.name, shared)


def test_every_text_reads_like_its_language():
    """A classifier by character n-grams, trained on every other topic, knows the language of the rest."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    for parity in (0, 1):
        model = make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)), LogisticRegression(C=100))
        rows = {"train": [], "test": []}
        for lang in LANGUAGES:
            for texts in texts_of(lang):
                part = "train" if topics().index(texts.issue.topic) % 2 == parity else "test"
                rows[part] += [(text, lang) for text in (*texts.arguments.values(), texts.question)]
        model.fit(*zip(*rows["train"], strict=True))
        told = model.predict([text for text, _ in rows["test"]])
        wrong = [(text, lang, got) for (text, lang), got in zip(rows["test"], told, strict=True) if lang != got]
        assert len(wrong) <= len(rows["test"]) / 500, wrong  # short Romance questions look alike


def test_the_packaged_files_are_what_the_sources_make():
    made = dict(files())
    assert {path.name for path in DATA.iterdir()} == set(made)
    for name, data in made.items():
        packed = (DATA / name).read_bytes()
        unpack = gzip.decompress if name.endswith(".gz") else bytes  # zlib's bytes may differ, its content not
        same = unpack(packed) == unpack(data)
        assert same, f"{name}: run python -m xlstance.corpora.xl_stance.build"


def test_the_splits_are_apart():
    train, valid, test = (packaged(split) for split in ("train", "valid", "test"))
    assert len(train) + len(valid) + len(test) == 104 * 4 * len(LANGUAGES)
    asked = [{row["question_id"] for row in rows} for rows in (train, valid)]
    unseen = {row["question_id"] for row in test if row["test_set"] != "new_comments"}
    assert len(unseen) == 50
    assert not asked[0] & asked[1]
    assert not (asked[0] | asked[1]) & unseen
    new_topics = {row["topic"] for row in test if row["test_set"] == "new_topics"}
    assert not new_topics & {row["topic"] for row in [*train, *valid]}
    ids = [row["id"] for rows in (train, valid, test) for row in rows]
    assert len(set(ids)) == len(ids)
    groups = Counter(row["group"] for rows in (train, valid, test) for row in rows)
    assert set(groups.values()) == {len(LANGUAGES)}
    assert len({row["group"] for row in train} & {row["group"] for row in test}) == 0


def test_a_missing_text_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("xlstance.corpora.xl_stance.sources.HERE", tmp_path)
    (tmp_path / "texts" / "en").mkdir(parents=True)
    source = (HERE / "texts" / "en" / "taxes.yaml").read_text()
    (tmp_path / "texts" / "en" / "taxes.yaml").write_text(source.replace("  a2:", "  a3:", 1))
    with pytest.raises(DataError, match=r"taxes\.yaml: taxes-1 has no 'a2'"):
        read_texts("en")
    (tmp_path / "texts" / "en" / "taxes.yaml").write_text("{")
    with pytest.raises(DataError, match=r"taxes\.yaml cannot be read"):
        read_texts("en")


def test_the_build_writes_its_files(tmp_path, capsys):
    build(tmp_path)
    assert f"104 issues in {len(LANGUAGES)} languages" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 3 + len(LANGUAGES)

import itertools
import re

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from xlstance.corpora.miniature import (
    MiniatureSettings,
    benchmark,
    groups,
    lexicon,
    stance_benchmark,
    stance_wordings,
    training_set,
)
from xlstance.corpora.miniature.language import make_language
from xlstance.corpora.miniature.world import RELATIONS, make_languages, make_thing, tell
from xlstance.errors import SettingsError
from xlstance.stance_templates import SIDES, format_templates, parse_templates
from xlstance.tables import check_language, check_table

SMALL = MiniatureSettings(
    languages=4, concepts=60, names=20, train_passages=30, dev_passages=7, test_passages=40, issues=6, seed=3
)


def words(text):
    return re.findall(r"\w+", text)


def column(table, name):
    return table.column(name).to_pylist()


@pytest.mark.parametrize("split", ["train", "dev"])
def test_ranges_made_apart_are_the_whole(split):
    whole = training_set(SMALL, split)
    size = {"train": 30, "dev": 7}[split]
    parts = [groups(SMALL, split, start, min(start + 4, size)) for start in range(0, size, 4)]
    for name in ("passages", "queries", "pairs"):
        check_table(getattr(whole, name), name)
        assert pa.concat_tables([getattr(part, name) for part in parts]).equals(getattr(whole, name))
    assert whole.passages.num_rows == size * 4
    assert whole.pairs.num_rows == whole.queries.num_rows == size * 4 * SMALL.questions_per_passage
    assert all("synthetic" in note for note in whole.notes)


def test_pairs_are_monolingual_and_parallel():
    made = training_set(SMALL, "train")
    passages = {row["passage_id"]: row for row in made.passages.to_pylist()}
    queries = {row["query_id"]: row for row in made.queries.to_pylist()}
    assert len(passages) == made.passages.num_rows
    assert len(queries) == made.queries.num_rows
    by_group = {}
    for pair in made.pairs.to_pylist():
        query, passage = queries[pair["query_id"]], passages[pair["passage_id"]]
        assert query["lang"] == passage["lang"] == check_language(query["lang"])
        by_group.setdefault(query["group_id"], set()).add((query["lang"], passage["group_id"]))
    for members in by_group.values():
        assert sorted(lang for lang, _ in members) == ["qaa", "qab", "qac", "qad"]
        assert len({group for _, group in members}) == 1


def test_the_seed_decides_everything():
    again = training_set(MiniatureSettings(**{**vars(SMALL)}), "dev")
    assert again.queries.equals(training_set(SMALL, "dev").queries)
    other = training_set(MiniatureSettings(**{**vars(SMALL), "seed": 4}), "dev")
    assert not set(column(other.passages, "text")) & set(column(again.passages, "text"))


def test_splits_share_vocabulary_and_no_text():
    settings = MiniatureSettings(train_passages=1500, issues=1)
    test = benchmark(settings)
    known = set()
    seen = {"queries": set(), "passages": set()}
    for split in ("train", "dev"):
        made = training_set(settings, split)
        for name in seen:
            seen[name] |= set(column(getattr(made, name), "text"))
    for text in itertools.chain(*seen.values()):
        known |= set(words(text))
    for name, texts in seen.items():
        assert not texts & set(column(getattr(test, name), "text"))
    content = [w for text in column(test.queries, "text") for w in words(text) if not w.isdigit()]
    assert np.mean([word in known for word in content]) > 0.95


def test_benchmark_lists_every_language():
    made = benchmark(SMALL)
    for name in ("passages", "queries", "qrels"):
        check_table(getattr(made, name), name)
    passages = {row["passage_id"]: row for row in made.passages.to_pylist()}
    relevant = {}
    for row in made.qrels.to_pylist():
        assert row["gain"] == 1
        relevant.setdefault(row["query_id"], []).append(passages[row["passage_id"]])
    assert set(relevant) == set(column(made.queries, "query_id"))
    for query in made.queries.to_pylist():
        found = relevant[query["query_id"]]
        assert sorted(row["lang"] for row in found) == ["qaa", "qab", "qac", "qad"]
        assert {row["group_id"] for row in found} == {query["group_id"].rsplit("-", 1)[0]}
    assert len(set(column(made.passages, "text"))) == made.passages.num_rows


def test_questions_are_answered_by_one_passage():
    """Reads the facts rather than the code that wrote the qrels: no other thing of the pool fits a question."""
    settings = MiniatureSettings(issues=1)
    things = [make_thing(settings, "test", number) for number in range(settings.test_passages)]
    ambiguous = 0
    total = 0
    for thing, questions in things:
        for question in questions:
            one, two = question.facts
            fits = 0
            for other, _ in things:
                ok = two in other.facts
                if question.form == "name":
                    ok = ok and other.names[1] == thing.names[1] and one.relation in [f.relation for f in other.facts]
                else:
                    ok = one in other.facts and other.kind == thing.kind
                    ok = ok and (other.year == thing.year if question.form == "year" else two in other.facts)
                fits += ok
            assert fits >= 1
            ambiguous += fits > 1
            total += 1
    assert ambiguous <= 0.005 * total


def test_questions_paraphrase():
    """Few words of a question stand in its passage, and hardly any in the passage in another language."""
    made = training_set(MiniatureSettings(train_passages=200, name_share=0, year_share=0), "train")
    passage = dict(zip(column(made.passages, "passage_id"), column(made.passages, "text"), strict=True))
    query = dict(zip(column(made.queries, "query_id"), column(made.queries, "text"), strict=True))
    shared = [
        len(set(words(query[pair["query_id"]])) & set(words(passage[pair["passage_id"]])))
        / len(words(query[pair["query_id"]]))
        for pair in made.pairs.to_pylist()
    ]
    assert np.mean(shared) < 0.1


def test_names_and_years_are_the_bridge():
    thing, _ = make_thing(SMALL, "train", 0)
    texts = [set(words(tell(language, thing))) for language in make_languages(SMALL)]
    for one, two in itertools.combinations(texts, 2):
        assert one & two == {*thing.names, str(thing.year)}


def test_languages_differ_in_script_words_and_order():
    made = [make_language(0, index, 40, RELATIONS) for index in range(9)]
    letters = [{letter for stems in language.nouns for stem in stems for letter in stem} for language in made]
    for one, two in itertools.combinations(range(7), 2):
        assert not letters[one] & letters[two]
    assert letters[7] <= set("bdfgklmnprstvzaeiou")
    assert not set(made[0].nouns) & set(made[7].nouns)
    assert len({language.order for language in made}) > 2
    assert all(letter.isalpha() for own in letters for letter in own)
    for language in made:
        stems = [stem for stems in language.nouns + language.verbs for stem in stems]
        assert len(set(stems)) == len(stems)
        assert language.noun(0, 0, "object") != language.noun(0, 0, "subject") == language.nouns[0][0]


def test_a_large_vocabulary_has_distinct_words():
    language = make_language(0, 6, 20_000, RELATIONS)  # Arabic letters: the fewest syllables
    assert len({stem for stems in language.nouns for stem in stems}) == 40_000


def test_lexicon_translates_passages():
    """Passages and their lexicon translations agree as sets of words, but for what is spelled alike."""
    found = lexicon(SMALL, "qab", "qaa")
    source, target = make_languages(SMALL)[1], make_languages(SMALL)[0]
    for number in range(30):
        thing, _ = make_thing(SMALL, "train", number)
        have = set(words(tell(target, thing)))
        translated = [found.get(word, (word,)) for word in words(tell(source, thing))]
        assert all(any(word in have for word in options) for options in translated)
        first = [options[0] in have for options in translated]
        # The endings of a target noun depend on its own last letter, which the lexicon knows; homonyms are rare.
        assert np.mean(first) > 0.9
    assert all(options and len(set(options)) == len(options) for options in found.values())


def test_lexicon_refuses_an_unknown_language():
    with pytest.raises(SettingsError, match="no language 'en'; it has qaa, qab, qac, qad"):
        lexicon(SMALL, "qaa", "en")


def test_stance_benchmark():
    made = stance_benchmark(SMALL)
    for name in ("passages", "queries", "qrels"):
        check_table(getattr(made, name), name)
    assert made.queries.num_rows == 6 * 2 * 4
    assert made.passages.num_rows == 6 * 2 * 4 * SMALL.arguments
    passages = {row["passage_id"]: row for row in made.passages.to_pylist()}
    queries = {row["query_id"]: row for row in made.queries.to_pylist()}
    gains = {(row["query_id"], row["passage_id"]): row["gain"] for row in made.qrels.to_pylist()}
    assert len(gains) == made.qrels.num_rows
    for query in queries.values():
        issue, side = query["group_id"].rsplit("-", 1)
        for passage in passages.values():
            other_issue, other_side, _ = passage["group_id"].rsplit("-", 2)
            expected = None if issue != other_issue else int(side == other_side)
            assert gains.get((query["query_id"], passage["passage_id"])) == expected
    assert len({row["text"] for row in queries.values()}) == len(queries)


def test_stance_is_no_text_of_training():
    settings = MiniatureSettings(train_passages=500)
    train = training_set(settings, "train")
    made = stance_benchmark(settings)
    trained = {*column(train.queries, "text"), *column(train.passages, "text")}
    tested = {*column(made.queries, "text"), *column(made.passages, "text")}
    assert not trained & tested
    known = {word for text in trained for word in words(text)}
    judging = {
        language.verb(relation, synonym, "question")
        for language in make_languages(settings)
        for relation in (0, 1)
        for synonym in (0, 1)
    }
    assert judging <= known  # zero-shot, but not with unknown words


def said(templates):
    """The words of templates, without what stands in their braces."""
    return {word for template in templates for word in words(re.sub(r"\{.*?\}", " ", template))}


@pytest.mark.parametrize("seed", range(8))
def test_stance_wordings_of_every_language_are_their_own(seed):
    settings = MiniatureSettings(**{**vars(SMALL), "languages": 7, "seed": seed})
    made = stance_wordings(settings)
    assert list(made) == settings.codes == [language.code for language in make_languages(settings)]
    assert parse_templates(format_templates(made), "f.yaml") == made  # no template twice, each with its braces
    asked = stance_benchmark(settings).queries.to_pylist()
    for language in make_languages(settings):
        theirs = {word for row in asked if row["lang"] == language.code for word in words(row["text"])}
        queries, frames = {}, {}
        for side, own in made[language.code].items():
            assert (len(own.question), len(own.claim), len(own.frame)) == (4, 2, 8)
            assert sum(text.endswith("{text}") for text in own.frame) == 4
            assert sum(text.startswith("{text}") for text in own.frame) == 4
            queries[side], frames[side] = said([*own.question, *own.claim]), said(own.frame)
            assert not (queries[side] | frames[side]) & theirs
            assert not queries[side] & frames[side]
        # The sides have the word for "because" alone in common.
        assert set.intersection(*queries.values()) == {language.particles["because"]}
        assert not set.intersection(*frames.values())


def test_stance_wordings_judge_as_the_arguments_do():
    """A side's word for judging is the one by which arguments of this side, and none of the other, say their side."""
    settings = MiniatureSettings(**{**vars(SMALL), "arguments": 30})
    told = stance_benchmark(settings).passages.to_pylist()
    for language in make_languages(settings):
        own = stance_wordings(settings)[language.code]
        for side, word in {"favour": "for", "against": "against"}.items():
            (judging,) = set.intersection(*(said([frame]) for frame in own[side].frame))
            holding = [
                row["group_id"].rsplit("-", 2)[1]
                for row in told
                if row["lang"] == language.code and judging in words(row["text"])
            ]
            assert set(holding) == {word}


def test_stance_wordings_follow_from_the_seed():
    assert stance_wordings(SMALL) == stance_wordings(MiniatureSettings(**vars(SMALL)))
    other = stance_wordings(MiniatureSettings(**{**vars(SMALL), "seed": 4}))
    assert all(other[lang][side] != own[side] for lang, own in stance_wordings(SMALL).items() for side in SIDES)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("languages", 1, "miniature.languages is 1; give a whole number from 2 to 520"),
        ("concepts", 100, "miniature.concepts is 100; give a multiple of 30"),
        ("issues", 601, "miniature.issues is 601; give a whole number from 1 to 600"),
        ("name_share", 1.5, "miniature.name_share is 1.5; give a share from 0 to 1"),
        ("year_share", 0.8, r"add up to 1\.1; give at most 1 together"),
    ],
)
def test_settings_are_checked(setting, value, message):
    with pytest.raises(SettingsError, match=message):
        MiniatureSettings(**{setting: value})


def test_a_range_outside_the_split_is_refused():
    with pytest.raises(SettingsError, match="has the groups 0 to 7"):
        groups(SMALL, "dev", 3, 8)


def test_samplers_show_their_trade_off():
    """A word-vector encoder, trained alike but for the sampler: the reason for hybrid batches shows in this world."""
    settings = MiniatureSettings(languages=3, concepts=90, train_passages=1000, test_passages=100, issues=1, seed=11)
    figures = {alpha: _trained_figures(settings, alpha) for alpha in (1.0, 0.5, 0.0)}
    mono, cross, distance = ({alpha: f[index] for alpha, f in figures.items()} for index in range(3))
    assert mono[1.0] > mono[0.0] + 0.05
    assert mono[1.0] > 0.75
    assert cross[0.0] > cross[1.0] + 0.2
    assert cross[0.0] > 0.5
    assert distance[0.0] < distance[1.0] / 2
    assert distance[0.5] < distance[1.0] / 2
    assert mono[0.5] > mono[0.0]
    assert cross[0.5] > cross[1.0] + 0.2


def _trained_figures(settings, alpha, *, steps=120, batch=128):
    """Mono mAP, cross mAP and rank distance after training with X-X-mono batches at the rate alpha, else X-Y."""
    train, test = training_set(settings, "train"), benchmark(settings)
    count = settings.languages
    texts = [*column(train.passages, "text"), *column(train.queries, "text")]
    vocabulary = {word: number for number, word in enumerate(sorted({w for text in texts for w in words(text)}))}

    def encode(model, ids):
        offsets = np.cumsum([0, *map(len, ids)])[:-1]
        return normalize(model(torch.tensor(list(itertools.chain(*ids))), torch.from_numpy(offsets)), dim=-1)

    def by_group(table):
        """Word numbers of the texts, ``[groups][languages]``."""
        rows = sorted(table.to_pylist(), key=lambda row: (row["group_id"], row["lang"]))
        ids = [[vocabulary[word] for word in words(row["text"]) if word in vocabulary] for row in rows]
        return [ids[start : start + count] for start in range(0, len(ids), count)]

    def with_passages(made):
        passage_groups = sorted(set(column(made.passages, "group_id")))
        place = {group: index for index, group in enumerate(passage_groups)}
        asked = [place[group.rsplit("-", 1)[0]] for group in sorted(set(column(made.queries, "group_id")))]
        return by_group(made.passages), by_group(made.queries), np.array(asked)

    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.EmbeddingBag(len(vocabulary), 64, mode="mean")
    torch.nn.init.normal_(model.weight, std=0.1, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    passages, queries, asked = with_passages(train)
    for _ in range(steps):
        rows = rng.choice(len(queries), batch, replace=False)
        query_lang = rng.integers(count, size=batch)
        passage_lang = (query_lang + rng.integers(1, count, size=batch)) % count
        if rng.random() < alpha:
            query_lang[:] = passage_lang[:] = rng.integers(count)
        query = encode(model, [queries[row][lang] for row, lang in zip(rows, query_lang, strict=True)])
        passage = encode(model, [passages[asked[row]][lang] for row, lang in zip(rows, passage_lang, strict=True)])
        same = torch.from_numpy((asked[rows][:, None] == asked[rows][None]) & ~np.eye(batch, dtype=bool))
        scores = (query @ passage.T / 0.05).masked_fill(same, -torch.inf)
        optimizer.zero_grad()
        cross_entropy(scores, torch.arange(batch)).backward()
        optimizer.step()

    passages, queries, asked = with_passages(test)
    with torch.no_grad():
        pool = torch.stack([encode(model, [group[lang] for group in passages]) for lang in range(count)])
        vectors = torch.stack([encode(model, [group[lang] for group in queries]) for lang in range(count)])
    scores = torch.einsum("aqd,bpd->abqp", vectors, pool)
    relevant = scores[:, :, torch.arange(len(asked)), asked]
    # One relevant passage in a language's pool: average precision is 1 / rank.
    precision = (1 / (1 + (scores > relevant[..., None]).sum(-1))).mean(-1).numpy()
    diagonal = np.eye(count, dtype=bool)
    distances = []
    for lang in range(count):
        everything = scores[lang].transpose(0, 1).flatten(1)  # [questions, languages x passages]
        ranks = torch.stack([(everything > own[:, None]).sum(1) for own in relevant[lang]])
        distances.append((ranks.max(0).values - ranks.min(0).values).float().mean().item())
    return precision[diagonal].mean(), precision[~diagonal].mean(), np.mean(distances)

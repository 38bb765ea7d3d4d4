import re
from collections import Counter

import pytest
import tiny_models
import yaml

from xlstance.augmentation.text_generation.generation import Generation, first_line, generate_part, prompts, worded
from xlstance.augmentation.text_generation.quality import Filter, Quality
from xlstance.augmentation.text_generation.text_models import Decoding, ModelSettings
from xlstance.augmentation.way import Part, Surroundings
from xlstance.corpora.xl_stance.collection import EMBEDDED
from xlstance.errors import DataError, SettingsError
from xlstance.storage import Folder
from xlstance.tables import make_table

ANY = Quality(probability=0)
JUDGE = Filter(ANY)
BENCHMARK = EMBEDDED.with_name("templates.yaml")
FUNCTION_WORDS = {"es": {"que"}, "fr": {"de"}}
LANGUAGES = {"ar", "de", "el", "en", "es", "fi", "fr", "hi", "it", "ru", "th", "tr", "vi", "zh"}


def settings(**changes):
    return Generation(**{"name": "qg", "quality": ANY, "model": ModelSettings(name="none"), **changes})


def around(tmp_path, seed=0):
    return Surroundings(parents=(), folder=Folder(tmp_path), seed=seed)


@pytest.fixture
def part():
    passages = {
        "passage_id": ["p1", "p2", "p3", "unused"],
        "lang": ["en", "de", "kk", "en"],
        "text": ["bana toki", "mire", "kepa duno sulo", "toki"],
        "group_id": ["h1", "h1", "h3", "h9"],
    }
    pairs = {
        "pair_id": ["d", "b", "a", "c"],
        "query_id": ["q1", "q2", "q1", "q2"],
        "passage_id": ["p1", "p1", "p2", "p3"],
        "source": ["s", "t", "s", "s"],
    }
    queries = {"query_id": ["q1", "q2"], "lang": ["en"] * 2, "text": ["x", "y"], "group_id": ["g1", "g2"]}
    return Part(
        pairs=make_table("pairs", pairs),
        queries=make_table("queries", queries),
        passages=make_table("passages", passages),
    )


class Parrot:
    """A model whose answers are known: it gives each prompt's answers by ``answer(prompt, id)``."""

    def __init__(self, answer, room=99):
        self.answer, self.tokens, self.asked = answer, room, []

    def room(self):
        return self.tokens

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def cut(self, text, tokens):
        return " ".join(text.split()[:tokens])

    def generate(self, sources, ids, decoding, *, seed, one_line):
        assert one_line
        self.asked += zip(ids, sources, strict=True)
        return [self.answer(source, key) for source, key in zip(sources, ids, strict=True)]


def echo(source, key):
    return [f"Why {key}?"]


def test_a_passage_is_asked_once_in_its_language(part):
    model = Parrot(echo)
    made = generate_part(part, settings(), model, JUDGE, 0)
    assert dict(model.asked) == {
        "p1~qg-question-en": "Text: bana toki\n\nA question that this text answers:",
        "p2~qg-question-de": "Text: mire\n\nEine Frage, die dieser Text beantwortet:",
    }
    assert made.queries.to_pylist() == [
        {"query_id": f"{key}-0", "lang": lang, "text": f"Why {key}?", "group_id": f"{key}-0"}
        for key, lang in (("p1~qg-question-en", "en"), ("p2~qg-question-de", "de"))
    ]
    assert made.pairs.to_pylist()[0] == {
        "pair_id": "b~qg-question-en-0", "query_id": "p1~qg-question-en-0", "passage_id": "p1", "negatives": None,
        "teacher_score": None, "source": "t", "augmentation": "qg", "parent_pair_id": "b",
    }  # fmt: skip
    assert made.pairs["parent_pair_id"].to_pylist() == ["b", "a"]  # the pair of lowest id
    assert made.passages.num_rows == 0
    assert made.counts == {"written": 2, "kept/en": 1, "kept/de": 1, "left_out/kk": 1}


def test_the_queries_may_be_in_another_language(part):
    model = Parrot(echo)
    made = generate_part(part, settings(language="fi"), model, JUDGE, 0)
    assert [source for _, source in model.asked][2] == "Teksti: kepa duno sulo\n\nKysymys, johon tämä teksti vastaa:"
    assert set(made.queries["lang"].to_pylist()) == {"fi"}
    assert made.counts == {"written": 3, "kept/fi": 3}


def test_a_prompt_of_ones_own_stands_for_all_languages(part):
    model = Parrot(echo)
    made = generate_part(part, settings(prompt="{passage}"), model, JUDGE, 0)
    assert [source for _, source in model.asked] == ["bana toki", "mire", "kepa duno sulo"]
    assert made.queries["lang"].to_pylist() == ["en", "de", "kk"]


def test_a_stance_is_asked_for_in_three_ways_and_worded(part):
    def answer(source, key):
        return [f"Should we {key}?"]

    model = Parrot(answer)
    made = generate_part(part, settings(task="stance"), model, JUDGE, 3)
    assert len(model.asked) == 6
    queries = {row["query_id"]: row["text"] for row in made.queries.to_pylist()}
    assert queries["p1~qg-issue-en-0"] == "Should we p1~qg-issue-en?"
    for side in ("favour", "against"):
        key = f"p1~qg-{side}-en"
        assert prompts()["stance"]["en"][side].replace("{passage}", "bana toki") == dict(model.asked)[key]
        assert queries[f"{key}-0"] != f"Should we {key}?"
        assert f"Should we {key}?" in queries[f"{key}-0"]
        assert queries[f"{key}-0"] == worded(f"Should we {key}?", side, "en", f"{key}-0", 3)
    assert made.counts["kept/en"] == 3


def test_wordings_are_drawn_by_seed_and_id():
    drawn = [worded("X?", "favour", "en", f"q{i}", 0) for i in range(60)]
    assert len(set(drawn)) >= 4
    assert min(Counter(drawn).values()) >= 5
    assert drawn != [worded("X?", "favour", "en", f"q{i}", 1) for i in range(60)]
    assert drawn == [worded("X?", "favour", "en", f"q{i}", 0) for i in range(60)]


def test_empty_double_and_bad_texts_are_dropped_and_counted(part):
    answers = ["Why this?", "WHY this?", "", " \n", "a b c a b c a b c a b c", "Why that?\nAnd more."]
    made = generate_part(part, settings(prompt="{passage}"), Parrot(lambda source, key: answers), JUDGE, 0)
    assert made.queries["query_id"].to_pylist()[:2] == ["p1~qg-question-en-0", "p1~qg-question-en-5"]
    assert made.queries["text"].to_pylist()[:2] == ["Why this?", "Why that?"]
    assert made.pairs["pair_id"].to_pylist()[:2] == ["b~qg-question-en-0", "b~qg-question-en-5"]
    assert {key: count for key, count in made.counts.items() if key[:4] != "kept"} == {
        "written": 18, "dropped/duplicate": 6, "dropped/empty": 3, "dropped/repeats": 3,
    }  # fmt: skip
    assert settings().summary(made.counts)["dropped_share/duplicate"] == pytest.approx(1 / 3)


def test_the_filter_is_asked_about_the_language(part):
    pytest.importorskip("py3langid", reason="py3langid identifies languages: pip install 'xlstance[generation]'")
    judge = Filter(Quality())
    made = generate_part(
        part, settings(language="de"), Parrot(lambda source, key: ["What is the capital of France?"]), judge, 0
    )
    assert made.counts == {"written": 3, "dropped/language": 3}
    odd = part.passages.set_column(1, part.passages.schema.field("lang"), [["tlh"] * 4])
    made = generate_part(
        Part(pairs=part.pairs, queries=part.queries, passages=odd), settings(prompt="{passage}"), Parrot(echo), judge, 0
    )
    assert made.counts == {"left_out/tlh": 3}


def test_a_long_passage_is_cut_and_the_prompt_is_whole(part):
    long = " ".join(f"w{i}" for i in range(100))
    passages = part.passages.set_column(2, part.passages.schema.field("text"), [[long] * 4])
    model = Parrot(echo, room=30)
    generate_part(Part(pairs=part.pairs, queries=part.queries, passages=passages), settings(), model, JUDGE, 0)
    source = dict(model.asked)["p1~qg-question-en"]
    assert source.startswith("Text: w0 w1 ")
    assert source.endswith(" w22\n\nA question that this text answers:")
    with pytest.raises(SettingsError, match="leaves 13 tokens for the passage; raise"):
        generate_part(part, settings(), Parrot(echo, room=20), JUDGE, 0)


def test_the_first_line_that_holds_something_is_the_answer():
    assert first_line("\n  Why? \nBecause.") == "Why?"
    assert first_line(" \n") == first_line("") == ""


def test_shards_give_what_the_whole_gives(part, tmp_path):
    way = settings(
        prompt=tiny_models.PROMPT,
        model=ModelSettings(name=str(tiny_models.llama()), max_source_tokens=64, batch_size=2),
        decoding=Decoding(method="sample", number=3, max_tokens=40),
    )
    way.before(around(tmp_path))
    work = way.work(around(tmp_path, seed=5))
    whole = work(part)
    rows = {"p1": [0, 1], "p2": [2], "p3": [3]}
    parts = [
        work(Part(pairs=part.pairs.take(own), queries=part.queries, passages=part.passages)) for own in rows.values()
    ]
    for name in ("queries", "pairs"):
        assert [row for made in parts for row in getattr(made, name).to_pylist()] == getattr(whole, name).to_pylist()
    again = way.work(around(tmp_path, seed=5))(part)
    assert again.queries.equals(whole.queries)
    assert not way.work(around(tmp_path, seed=6))(part).queries.equals(whole.queries)


def test_a_causal_model_writes_the_questions(part, tmp_path):
    way = settings(
        prompt=tiny_models.PROMPT,
        model=ModelSettings(name=str(tiny_models.llama()), max_source_tokens=64),
        decoding=Decoding(method="sample", number=4, max_tokens=40),
    )
    assert len(way.inputs(around(tmp_path))) == 2
    made = way.work(around(tmp_path))(part)
    asked = dict(zip(part.passages["passage_id"].to_pylist(), part.passages["text"].to_pylist(), strict=True))
    for row in made.queries.to_pylist():
        opening, _, rest = row["text"].partition(" ")
        assert opening in tiny_models.OPENINGS
        assert rest == tiny_models.translate(asked[row["query_id"].partition("~")[0]], "en", "de") + "?"
    assert made.counts["written"] == 12
    assert made.counts["dropped/duplicate"] == 12 - len(made.queries) > 0


def test_an_encoder_decoder_writes_them_too(part, tmp_path):
    way = settings(
        prompt="translate English to German: {passage}",
        model=ModelSettings(name=str(tiny_models.t5()), max_source_tokens=64),
        decoding=Decoding(max_tokens=8),
    )
    made = way.work(around(tmp_path))(Part(pairs=part.pairs.slice(2, 1), queries=part.queries, passages=part.passages))
    assert made.queries["text"].to_pylist() == ["geld"]


def test_an_empty_shard_gives_empty_tables(part, tmp_path):
    way = settings(model=ModelSettings(name=str(tiny_models.llama()), max_source_tokens=64))
    made = way.work(around(tmp_path))(Part(pairs=part.pairs.slice(0, 0), queries=part.queries, passages=part.passages))
    assert (made.pairs.num_rows, made.queries.num_rows, dict(made.counts)) == (0, 0, {})


def test_what_does_not_fit_is_refused(part):
    for changes, message in [
        ({"language": "kk"}, "there is no prompt in kk, only in ar, de"),
        ({"prompt": "Ask:"}, "it needs {passage}"),
        ({"prompt": "{passage}", "task": "stance"}, "and task question"),
    ]:
        with pytest.raises(SettingsError, match=re.escape(message)):
            settings(**changes)
    with pytest.raises(DataError, match="'German' is no language code"):
        settings(language="German")
    missing = Part(pairs=part.pairs, queries=part.queries, passages=part.passages.slice(1))
    with pytest.raises(DataError, match="refers to passage_id 'p1'"):
        generate_part(missing, settings(), Parrot(echo), JUDGE, 0)


# The prompts


def test_prompts_are_complete_and_end_where_the_answer_begins():
    ready = prompts()
    assert set(ready) == {"question", "stance"}
    assert set(ready["question"]) == set(ready["stance"]) == LANGUAGES
    texts = [*ready["question"].values(), *(text for own in ready["stance"].values() for text in own.values())]
    assert all(set(own) == {"issue", "favour", "against"} for own in ready["stance"].values())
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text.count("{passage}") == 1
        assert text.count("{") == 1
        assert text[-1] in ":："
        assert text.index("{passage}\n\n") < len(text) / 2


def test_prompts_are_in_their_languages():
    pytest.importorskip("py3langid", reason="py3langid identifies languages: pip install 'xlstance[generation]'")
    judge = Filter(Quality(probability=0.5))
    for lang, text in prompts()["question"].items():
        assert judge.fault(text.replace("{passage}", ""), lang) is None
    for lang, own in prompts()["stance"].items():
        assert [text for text in own.values() if judge.fault(text.replace("{passage}", ""), lang)] == []


def grams(text, lang):
    """What wordings share if they share a content word: its words; in Thai and Chinese its pairs of characters."""
    text = text.casefold().replace("{question}", " ")
    if lang in ("th", "zh"):
        joined = re.sub(r"[\W\d_]", "", text) if lang == "zh" else re.sub(r"[\s:{}?]", "", text)
        size = 2 if lang == "zh" else 4
        return {joined[i : i + size] for i in range(len(joined) - size + 1)}
    return {word.strip("?.,:;«»“”!¿") for word in text.split()} - {""}


def test_no_stance_query_shares_a_word_with_the_benchmark():
    ready = yaml.safe_load(BENCHMARK.read_text(encoding="utf-8"))
    for lang, own in ready.items():
        theirs = set().union(*(grams(text, lang) for text in own.values()))
        ours = {worded("{question}", side, lang, f"q{i}", 0) for side in ("favour", "against") for i in range(60)}
        shared = set().union(*(grams(text, lang) for text in ours)) & theirs
        assert shared <= FUNCTION_WORDS.get(lang, set()), lang

import shutil
import tempfile
import types
from pathlib import Path

import pyarrow as pa
import pytest
import tiny_models

from xlstance.augmentation.text_generation.conventions import find_convention, frame_of, language_codes
from xlstance.augmentation.text_generation.quality import Filter, Quality
from xlstance.augmentation.text_generation.text_models import Decoding, Frame, ModelSettings
from xlstance.augmentation.text_generation.transformers_model import TransformersModel
from xlstance.augmentation.text_generation.translation import Translation, translate_part, translator
from xlstance.augmentation.way import Part, Surroundings
from xlstance.errors import DataError, SettingsError
from xlstance.storage import Folder
from xlstance.tables import is_language, make_table

ANY = Quality(probability=0, longest=9.0)
SENTENCEPIECE = "the tokenizers of M2M-100 and OPUS-MT need sentencepiece: pip install 'xlstance[generation]'"


def model(folder, **changes):
    return ModelSettings(name=str(folder), **{"max_source_tokens": 64, **changes})


def settings(folder="none", **changes):
    return Translation(**{"languages": ["de", "tr"], "name": "mt", "quality": ANY, "model": model(folder), **changes})


def around(tmp_path, seed=0):
    return Surroundings(parents=(), folder=Folder(tmp_path), seed=seed)


@pytest.fixture
def part():
    queries = {
        "query_id": ["q1", "q2", "q3", "other"],
        "lang": ["en", "en", "fi", "en"],
        "text": ["bana toki", "sulo", "bana toki", "kepa"],
        "group_id": ["g1", "g2", "g1", "g9"],
    }
    passages = {
        "passage_id": ["p1", "p2", "unused"],
        "lang": ["en", "fi", "en"],
        "text": ["mire kepa duno", "bana", "toki"],
        "title": ["toki sulo", None, None],
        "context": ["mire", None, None],
        "group_id": ["h1", "h1", "h9"],
    }
    pairs = {
        "pair_id": ["a", "b", "c", "d"],
        "query_id": ["q1", "q2", "q3", "q1"],
        "passage_id": ["p1", "p1", "p1", "p2"],
        "negatives": [[{"passage_id": "unused"}], None, None, None],
        "source": ["s"] * 4,
    }
    return Part(
        pairs=make_table("pairs", pairs),
        queries=make_table("queries", queries),
        passages=make_table("passages", passages),
    )


def upper(texts, ids):
    return [text.upper() for text in texts]


def fake(**changes):
    return {"de": upper, "tr": lambda texts, ids: [f"{text}#{key}" for text, key in zip(texts, ids, strict=True)]}


JUDGE = Filter(ANY)
EXPECTED = ("ar", "de", "el", "en", "es", "fi", "fr", "hi", "it", "ja", "ko", "ru", "th", "tr", "vi", "zh")


# What the models are told


def test_codes_are_those_of_the_models():
    codes = language_codes()
    assert len(codes) >= 60
    assert all(is_language(lang) for lang in codes)
    assert (codes["de"].flores, codes["zh"].flores, codes["zh-Hant"].flores) == ("deu_Latn", "zho_Hans", "zho_Hant")
    assert (codes["no"].m2m, codes["nb"].m2m, codes["zh-Hant"].m2m, codes["te"].m2m) == ("no", "no", "zh", None)
    assert codes["zh"].opus[0] == "cmn_Hans"
    assert codes["no"].name == "Norwegian"  # no language code is read as false
    assert set(EXPECTED) <= set(codes)


def test_codes_of_nllb_and_m2m100_are_in_their_tokenizers():
    pytest.importorskip("sentencepiece", reason=SENTENCEPIECE)
    from transformers.models.m2m_100 import tokenization_m2m_100
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert {codes.flores for codes in language_codes().values()} <= set(FAIRSEQ_LANGUAGE_CODES)
    known = set(tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"])
    assert {codes.m2m for codes in language_codes().values() if codes.m2m} <= known


def test_nllb_is_told_both_languages_and_writes_the_right_one():
    made = TransformersModel(model(tiny_models.nllb()))
    assert find_convention(made.tokenizer, "x") == "nllb"
    texts, ids = tiny_models.sentences(30, seed=11), [f"t{i}" for i in range(30)]
    for source, target in tiny_models.DICTIONARY:
        frame = frame_of("nllb", made.tokenizer, source=source, target=target)
        right = [tiny_models.translate(text, source, target) for text in texts]
        assert translator(made, frame, Decoding(max_ratio=3), target, 0)(texts, ids) == right


def test_opus_is_told_the_target_by_a_mark():
    pytest.importorskip("sentencepiece", reason=SENTENCEPIECE)
    made = TransformersModel(model(tiny_models.opus()))
    assert find_convention(made.tokenizer, "x") == "opus"
    texts = tiny_models.sentences(30, seed=11)
    for target in ("de", "tr"):
        frame = frame_of("opus", made.tokenizer, source="en", target=target)
        right = [tiny_models.translate(text, "en", target) for text in texts]
        assert translator(made, frame, Decoding(max_ratio=3), target, 0)(texts, texts) == right
    with pytest.raises(SettingsError, match="the model does not know the language ar: its vocabulary lacks >>ara<<"):
        frame_of("opus", made.tokenizer, source="en", target="ar")


def test_opus_of_two_languages_is_told_nothing():
    pytest.importorskip("sentencepiece", reason=SENTENCEPIECE)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tiny_models.marian_tokenizer(Path(folder), [])
        assert frame_of("opus", tokenizer, source="en", target="de") == Frame()
        chinese = tiny_models.marian_tokenizer(Path(folder), [">>cmn_Hans<<", ">>cmn_Hant<<", ">>fr<<"])
        marks = {"zh": ">>cmn_Hans<< ", "zh-Hant": ">>cmn_Hant<< ", "fr": ">>fr<< "}
        for target, mark in marks.items():
            assert frame_of("opus", chinese, source="en", target=target) == Frame(prefix=mark)


def test_m2m100_is_told_both_languages_and_writes_the_right_one():
    pytest.importorskip("sentencepiece", reason=SENTENCEPIECE)
    made = TransformersModel(model(tiny_models.m2m100()))
    assert find_convention(made.tokenizer, "x") == "m2m100"
    texts = tiny_models.sentences(30, seed=11)
    for target in ("de", "tr"):
        frame = frame_of("m2m100", made.tokenizer, source="en", target=target)
        right = [tiny_models.translate(text, "en", target) for text in texts]
        assert translator(made, frame, Decoding(max_ratio=3), target, 0)(texts, texts) == right
    frame = frame_of("m2m100", made.tokenizer, source="nb", target="zh-Hant")
    assert frame == Frame(source_code="no", first_token=made.tokenizer.get_lang_id("zh"))
    made.tokenizer.src_lang = frame.source_code
    assert made.tokenizer("bana")["input_ids"][0] == made.tokenizer.get_lang_id("no")
    with pytest.raises(SettingsError, match="does not know the language te"):
        frame_of("m2m100", made.tokenizer, source="en", target="te")


def test_t5_is_told_the_languages_in_words(part, tmp_path):
    way = settings(
        tiny_models.t5(), convention="prefix", prefix="translate {source_name} to {target_name}: ", side="query"
    )
    way.before(around(tmp_path))
    made = TransformersModel(way.model)
    for target in ("de", "tr"):
        frame = way.frame(made.tokenizer, target)
        right = [tiny_models.translate(word, "en", target) for word in tiny_models.WORDS]
        assert translator(made, frame, Decoding(), target, 0)(tiny_models.WORDS, tiny_models.WORDS) == right
    assert frame_of("prefix", made.tokenizer, source="en", target="de", prefix="<2{target}> ").prefix == "<2de> "
    with pytest.raises(SettingsError, match=r"may have \{source\}, \{target\}"):
        frame_of("prefix", made.tokenizer, source="en", target="de", prefix="{to} ")


def test_a_tokenizer_that_says_nothing_needs_the_setting(tmp_path):
    with pytest.raises(SettingsError, match=r"its tokenizer \(T5Tokenizer\) does not say .* set convention to nllb"):
        settings(tiny_models.t5()).before(around(tmp_path))


def test_a_language_that_the_model_lacks_is_refused_before_any_work(tmp_path):
    with pytest.raises(SettingsError, match="does not know the language el: its vocabulary lacks ell_Grek"):
        settings(tiny_models.nllb(), languages=["de", "el"]).before(around(tmp_path))
    with pytest.raises(SettingsError, match="does not know the language ru: its vocabulary lacks rus_Cyrl"):
        settings(tiny_models.nllb(), source_language="ru").before(around(tmp_path))
    with pytest.raises(SettingsError, match="tlh has no code here"):
        settings(tiny_models.nllb(), languages=["tlh"]).before(around(tmp_path))
    with pytest.raises(SettingsError, match="is no sequence-to-sequence model"):
        settings(tiny_models.llama()).before(around(tmp_path))


# What becomes of the texts


def test_a_long_text_is_translated_in_pieces_and_joined():
    texts = ["bana toki. sulo mire. kepa.", "bana", "duno " * 9]
    asked = []

    def generate(sources, ids, decoding, *, seed, frame):
        asked.extend(zip(sources, ids, strict=True))
        return [[source.upper()] for source in sources]

    made = types.SimpleNamespace(
        generate=generate, room=lambda frame: 4, count_tokens=lambda texts: [len(text.split()) for text in texts]
    )
    assert translator(made, Frame(), Decoding(), "de", 0)(texts, ["x", "y", "z"]) == [
        "BANA TOKI. SULO MIRE. KEPA.", "BANA", " ".join(["DUNO"] * 9)
    ]  # fmt: skip
    assert asked[:3] == [("bana toki. sulo mire.", "x#0"), ("kepa.", "x#1"), ("bana", "y#0")]
    assert [len(source.split()) for source, key in asked if key.startswith("z")] == [4, 4, 1]
    assert translator(made, Frame(), Decoding(), "th", 0)(texts[:1], ["x"]) == ["BANA TOKI. SULO MIRE.KEPA."]


def test_pieces_fit_a_real_model():
    made = TransformersModel(model(tiny_models.nllb(), max_source_tokens=7))  # room for three words
    texts = [" ".join(tiny_models.WORDS), "bana toki sulo", "bana"]
    frame = frame_of("nllb", made.tokenizer, source="en", target="tr")
    right = [tiny_models.translate(text, "en", "tr") for text in texts]
    assert translator(made, frame, Decoding(), "tr", 0)(texts, ["x", "y", "z"]) == right


def test_pairs_in_the_source_language_are_translated_into_each_language(part):
    made = translate_part(part, settings(), fake(), JUDGE)
    queries = {row["query_id"]: row for row in made.queries.to_pylist()}
    passages = {row["passage_id"]: row for row in made.passages.to_pylist()}
    assert list(queries) == ["q1~mt-de", "q2~mt-de", "q1~mt-tr", "q2~mt-tr"]
    assert list(passages) == ["p1~mt-de", "p1~mt-tr"]  # shared by two pairs, translated once
    assert queries["q1~mt-de"] == {"query_id": "q1~mt-de", "lang": "de", "text": "BANA TOKI", "group_id": "g1"}
    assert passages["p1~mt-de"] == {
        "passage_id": "p1~mt-de", "lang": "de", "text": "MIRE KEPA DUNO", "title": "TOKI SULO", "context": "MIRE",
        "group_id": "h1",
    }  # fmt: skip
    assert passages["p1~mt-tr"]["text"] == "mire kepa duno#p1~mt-tr"
    assert passages["p1~mt-tr"]["title"] == "toki sulo#p1~mt-tr#title"
    assert made.pairs.to_pylist()[0] == {
        "pair_id": "a~mt-de", "query_id": "q1~mt-de", "passage_id": "p1~mt-de", "negatives": None,
        "teacher_score": None, "source": "s", "augmentation": "mt", "parent_pair_id": "a",
    }  # fmt: skip
    assert made.pairs["pair_id"].to_pylist() == ["a~mt-de", "b~mt-de", "a~mt-tr", "b~mt-tr"]
    assert made.counts == {"translated/de": 3, "translated/tr": 3}


@pytest.mark.parametrize(
    ("side", "query", "passage", "negatives", "rows"),
    [
        ("query", "q1~mt-de", "p1", [{"passage_id": "unused", "teacher_score": None}], (4, 0)),
        ("passage", "q1", "p1~mt-de", None, (0, 2)),
    ],
)
def test_one_side_makes_the_pair_cross_lingual(part, side, query, passage, negatives, rows):
    made = translate_part(part, settings(side=side), fake(), JUDGE)
    first = made.pairs.to_pylist()[0]
    assert (first["query_id"], first["passage_id"], first["negatives"]) == (query, passage, negatives)
    assert (made.queries.num_rows, made.passages.num_rows) == rows


def test_a_pair_is_made_only_of_texts_that_are_kept(part):
    def partly(texts, ids):
        return ["" if key == "q2~mt-de" else text.upper() for text, key in zip(texts, ids, strict=True)]

    way = settings(languages=["de"])
    made = translate_part(part, way, {"de": partly}, JUDGE)
    assert made.pairs["pair_id"].to_pylist() == ["a~mt-de"]
    assert made.queries["query_id"].to_pylist() == ["q1~mt-de"]
    assert made.counts == {"translated/de": 3, "filtered/empty": 1, "pairs_without_text": 1}
    assert way.summary(made.counts) == {"filtered_share/empty": pytest.approx(1 / 3)}

    def no_passage(texts, ids):
        return ["x" if key.startswith("p1") else text for text, key in zip(texts, ids, strict=True)]

    made = translate_part(part, way, {"de": no_passage}, JUDGE)
    assert (made.pairs.num_rows, made.queries.num_rows, made.passages.num_rows) == (0, 0, 0)
    assert made.counts == {"translated/de": 3, "filtered/length": 1, "pairs_without_text": 2}


def test_shards_give_what_the_whole_gives(part, tmp_path):
    way = settings(tiny_models.nllb(), decoding=Decoding(method="sample", max_tokens=12))
    work = way.work(around(tmp_path, seed=3))
    whole = work(part)
    parts = [work(Part(pairs=part.pairs.slice(i, 1), queries=part.queries, passages=part.passages)) for i in range(4)]
    for name in ("queries", "passages", "pairs"):
        together = {str(row) for made in parts for row in getattr(made, name).to_pylist()}
        assert together == {str(row) for row in getattr(whole, name).to_pylist()}
        assert pa.concat_tables([getattr(made, name) for made in parts]).num_rows >= len(together) > 0


def test_a_model_translates_the_pairs_of_a_shard(part, tmp_path):
    way = settings(tiny_models.nllb(), side="query")
    way.before(around(tmp_path))
    assert list(way.inputs(around(tmp_path))) == [str(tiny_models.nllb())]
    made = way.work(around(tmp_path))(part)
    texts = dict(zip(made.queries["query_id"].to_pylist(), made.queries["text"].to_pylist(), strict=True))
    assert texts == {"q1~mt-de": "haus baum", "q2~mt-de": "wein", "q1~mt-tr": "evde agac", "q2~mt-tr": "suda"}


def test_finnish_pairs_are_translated_by_the_finnish_code(part, tmp_path):
    way = settings(tiny_models.nllb(), source_language="fi", languages=["de"])
    made = way.work(around(tmp_path))(
        Part(pairs=part.pairs.slice(2, 1), queries=part.queries, passages=_finnish(part.passages))
    )
    assert made.queries["text"].to_pylist() == [tiny_models.translate("bana toki", "fi", "de")] == ["wein geld"]


def _finnish(passages):
    return passages.set_column(1, passages.schema.field("lang"), pa.array(["fi"] * len(passages)))


def test_a_model_for_each_pair_of_languages(part, tmp_path):
    for target in ("de", "tr"):
        shutil.copytree(tiny_models.nllb(), tmp_path / f"models-en-{target}")
    way = settings(tmp_path / "models-{source}-{target}", side="query")
    way.before(around(tmp_path))
    assert len(way.inputs(around(tmp_path))) == 2
    made = way.work(around(tmp_path))(part)
    assert made.queries["text"].to_pylist() == ["haus baum", "wein", "evde agac", "suda"]


def test_a_shard_without_pairs_to_translate_gives_empty_tables(part, tmp_path):
    empty = Part(pairs=part.pairs.slice(2, 2), queries=part.queries, passages=part.passages)
    for made in (
        translate_part(empty, settings(), fake(), JUDGE),
        settings(tiny_models.nllb()).work(around(tmp_path))(empty),
    ):
        assert (made.pairs.num_rows, made.queries.num_rows, made.passages.num_rows) == (0, 0, 0)
        assert made.counts == {}


def test_what_does_not_fit_is_refused(part):
    missing = Part(pairs=part.pairs, queries=part.queries.slice(1), passages=part.passages)
    with pytest.raises(DataError, match="pair 'a' refers to query_id 'q1'"):
        translate_part(missing, settings(), fake(), JUDGE)
    for changes, message in [
        ({"languages": []}, "languages is empty"),
        ({"languages": ["en"]}, "en is the source language"),
        ({"decoding": Decoding(method="sample", number=2)}, "a text has one translation"),
        ({"convention": "prefix"}, "needs a prefix"),
    ]:
        with pytest.raises(SettingsError, match=message):
            settings(**changes)
    with pytest.raises(DataError, match="'German' is no language code"):
        settings(languages=["German"])

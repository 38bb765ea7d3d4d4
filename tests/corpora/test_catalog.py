import gzip
import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import get_args, get_type_hints

import pytest
import yaml

from xlstance.corpora.catalog import (
    FORMATS,
    KINDS,
    describe,
    find_entry,
    format_catalog,
    load_catalog,
    read_catalog,
)
from xlstance.corpora.columns import Columns
from xlstance.corpora.registry import BenchmarkSource, Source
from xlstance.corpora.trec import PRESETS
from xlstance.errors import DataError
from xlstance.tables import check_language

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "eval"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/eval (XQuAD-R, MLQA-R)")

ENTRIES = list(load_catalog().values())
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def settings_of(entry):
    """(class, mapping) of every source and benchmark that an entry proposes."""
    for kind, settings in (("sources", Source), ("benchmarks", BenchmarkSource)):
        yield from ((settings, values) for values in entry.settings.get(kind, ()))


def paths_of(values):
    """Every path that a source's settings name, as a pattern in which ``*`` stands for what is not a slash."""
    own = [values.get("path", ""), *values.get("files", {}).values()]
    if "layout" in values:
        files = PRESETS[values["layout"]]
        own = [f"{values['path']}/{path}" for path in (files.corpus, files.topics, files.qrels, files.triples) if path]
    return [re.sub(r"\{\w+\}", "*", path.replace("{split}", values.get("split", ""))) for path in own if path]


def test_the_sources_of_the_field_are_there():
    expected = (
        "xquad-r mlqa-r miracl mmarco mr-tydi mkqa duorc newsqa natural-questions wikiqa entity-questions yahoo-qa "
        "x-stance afriqa xquad mlqa squad squad-es squad-it squad-fi tydiqa-goldp tatoeba muse beir-scifact"
    )
    assert set(expected.split()) <= set(load_catalog())


@each_entry
def test_an_entry_says_what_it_is(entry):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)
    assert entry.what in KINDS
    assert entry.format in FORMATS
    assert all(text.strip() for text in (entry.title, entry.licence, entry.citation, entry.homepage))
    assert len(set(entry.languages)) == len(entry.languages) > 0
    assert [check_language(lang) for lang in entry.languages] == list(entry.languages)
    assert entry.homepage.startswith("https://")
    assert entry.files or entry.manual
    assert "{" not in entry.title + entry.name


@each_entry
def test_addresses_are_https_and_paths_stay_in_the_folder(entry):
    files = entry.remote_files()
    paths = [file.path for file in files]
    assert len(set(paths)) == len(paths)
    for file in files:
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]+/[\w./%-]+", file.url), file.url
        assert not re.search(r"[{}]|//", file.url.removeprefix("https://") + file.path), file
        assert not PurePosixPath(file.path).is_absolute()
        assert ".." not in PurePosixPath(file.path).parts
        assert re.fullmatch(r"[0-9a-f]{64}|", file.sha256)
    folders = [file.path + "/" for file in files if file.unpack != "none"]
    assert not [path for path in paths if path.startswith(tuple(folders))]


def test_no_two_entries_write_to_one_path():
    paths = [file.path for entry in ENTRIES for file in entry.remote_files()]
    assert len(set(paths)) == len(paths)


@each_entry
def test_settings_name_what_is_fetched(entry):
    files = entry.remote_files()
    archives = tuple(file.path + "/" for file in files if file.unpack != "none")
    for _, values in settings_of(entry):
        assert values["format"] == entry.format
        assert set(values.get("languages", ())) <= set(entry.languages)
        assert set(values.get("files", ())) <= set(entry.languages)
        for path in paths_of(values):
            assert ".." not in path
            pattern = re.compile(re.escape(path).replace(r"\*", "[^/]*") + "(/.*)?")
            there = any(pattern.fullmatch(file.path) for file in files) or f"{path}/".startswith(archives)
            assert there or entry.manual, path


@each_entry
def test_settings_are_such_that_the_registry_takes_them(entry):
    for kind, values in settings_of(entry):
        assert values["format"] in get_args(get_type_hints(kind)["format"])
        kind(**{**values, "columns": Columns(**values.get("columns", {}))})


@each_entry
def test_a_description_has_settings_that_can_be_pasted(entry):
    text = describe(entry)
    assert all(part in text for part in (entry.title, entry.licence, entry.citation, entry.homepage))
    pasted = text.partition("\n# ")[2].partition("\n")[2]
    assert (yaml.safe_load(pasted) or {}) == entry.settings
    assert "&" not in pasted


@needs_data
@pytest.mark.parametrize(("name", "folder"), [("xquad-r", "xquad_r"), ("mlqa-r", "mlqa_r")])
def test_pinned_hashes_are_those_of_the_originals(name, folder):
    files = find_entry(name).remote_files()
    assert len(files) == len(list((DATA / folder).glob("*.json.gz")))
    for file in files:
        content = gzip.decompress((DATA / folder / f"{PurePosixPath(file.path).stem}.json.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.path


def test_non_commercial_licences_are_called_that():
    for name in ("mlqa-r", "x-stance", "muse", "yahoo-qa"):
        assert "non-commercial" in find_entry(name).licence
    assert "2020-04-28" in find_entry("mlqa-r").note


def test_miracl_has_the_published_shards_and_splits():
    files = [file.path for file in find_entry("miracl").remote_files(["de", "sw"])]
    assert sum("docs-" in path for path in files) == 33
    assert [path for path in files if "topics" in path] == [
        "miracl/miracl-v1.0-de/topics/topics.miracl-v1.0-de-dev.tsv",
        "miracl/miracl-v1.0-sw/topics/topics.miracl-v1.0-sw-train.tsv",
        "miracl/miracl-v1.0-sw/topics/topics.miracl-v1.0-sw-dev.tsv",
    ]
    assert files[-1] == "miracl/miracl-corpus-v1.0-sw/docs-0.jsonl.gz"


def test_languages_pick_the_files_that_depend_on_them_and_leave_the_others():
    files = [file.path for file in find_entry("mmarco").remote_files(["de"])]
    assert files == [
        "mmarco/google/collections/german_collection.tsv",
        "mmarco/google/queries/train/german_queries.train.tsv",
        "mmarco/google/queries/dev/german_queries.dev.small.tsv",
        "mmarco/qrels.dev.small.tsv",
        "mmarco/triples.train.ids.small.tsv",
    ]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(DataError, match=r"'xquadr'.*did you mean xquad-r"):
        find_entry("xquadr")
    with pytest.raises(DataError, match="known are xquad-r, mlqa-r"):
        find_entry("%%%")
    with pytest.raises(DataError, match="did you mean miracl"):
        find_entry("MIRACL")


def test_the_table_has_a_line_for_each_entry():
    lines = format_catalog(ENTRIES).split("\n")
    assert len(lines) == len(ENTRIES) + 2
    assert lines[2].split() == ["xquad-r", "benchmark", "lareqa", "11", "languages", "CC", "BY-SA", "4.0"]
    assert any(line.startswith("x-stance ") and " de en fr it " in line for line in lines)


GOOD = """
- name: one
  title: One
  what: both
  format: squad
  languages: [en]
  licence: CC0
  citation: nobody
  homepage: https://example.org
  files:
    - {url: "https://example.org/{lang}.json", into: "one/{lang}.json"}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("what: both", "what: all", "what is 'all'; it is one of benchmark"),
        ("format: squad", "format: sqaud", "format is 'sqaud'"),
        ("[en]", "[english]", "'english' is no language code"),
        ("[en]", "[no]", "False is no language code"),
        ("licence: CC0", "license: CC0", "unknown key 'license'"),
        ("  licence: CC0\n", "", "lacks the key 'licence'"),
        ("https://example.org/{", "http://example.org/{", "no https address"),
        ('into: "one', 'into: "../one', "does not stay below"),
        ('into: "one', 'into: "/one', "does not stay below"),
        ('{lang}.json"}', '{lnag}.json"}', "{lnag} stands for nothing"),
        ('one/{lang}.json"}', 'one/{lang}.json", sha256: abc}', "not 64 hex digits"),
        ('one/{lang}.json"}', 'one/{lang}.json", unpack: rar}', "unpack is 'rar'"),
        ('one/{lang}.json"}', 'one/{lang}.json", hash: abc}', "files: unknown key 'hash'"),
        (GOOD[GOOD.index("  files:") :], "", "neither files nor manual"),
    ],
)
def test_a_wrong_entry_is_refused(old, new, message):
    assert old in GOOD
    changed = new.join(GOOD.rsplit(old, 1))
    with pytest.raises(DataError, match=re.escape(message)):
        read_catalog(changed)


def test_a_name_stands_once_and_variants_are_entries():
    with pytest.raises(DataError, match="'one' stands twice"):
        read_catalog(GOOD + GOOD)
    text = GOOD.replace("name: one", "name: 'one-{variant}'\n  variants: [a, b]").replace("one/", "one/{variant}/")
    assert [file.path for entry in read_catalog(text).values() for file in entry.remote_files()] == [
        "one/a/en.json",
        "one/b/en.json",
    ]

"""Results, the console table and the HTML report, on made-up figures."""

import json
import subprocess
from html.parser import HTMLParser

import pytest

import xlstance
from xlstance.errors import DataError, StorageError
from xlstance.evaluation import results as results_module
from xlstance.evaluation.console import format_table
from xlstance.evaluation.report import render_report
from xlstance.evaluation.results import (
    COLUMNS,
    ArmResult,
    best_arms,
    code_version,
    machine,
    make_results,
    mean_figure,
    read_results,
    write_results,
)
from xlstance.storage import Folder

HOSTILE = "<script>alert('&')</script>"


def figures(mono=0.8, cross=0.6, multi=0.5, distance=300.0, notes=()):
    one = {"map": mono, "map_micro": mono, "recall@1": mono, "recall@10": mono, "queries": 20}
    return {
        "mono": one,
        "cross": {**one, "map": cross, "recall@1": cross},
        "multi": {
            **{**one, "map": multi, "recall@10": multi, "rank_distance": distance},
            **{"rank_distance_chance": 1000.0, "rank_distance_share": distance / 1000, "diagonal_gap": mono - cross},
            **{"same_language_first": 0.7, "same_language_first_chance": 0.5},
        },
        "per_pair": {
            f"{a}->{b}": {"map": mono if a == b else cross, "recall@1": 0.1, "queries": 10}
            for a in ("de", "en")
            for b in ("de", "en")
        },
        "notes": list(notes),
    }


def arm(name, seed=0, **values):
    return ArmResult(name=name, seed=seed, benchmarks={"xquad-r": figures(**values)})


@pytest.fixture
def results():
    return make_results([arm("X-Y", cross=0.61), arm("hybrid", mono=0.9)], {"alpha": 0.5})


class Reader(HTMLParser):
    """Checks nesting, and collects tags, attributes and text."""

    void = frozenset(["meta", "br"])

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_results_survive_writing_and_equal_ones_give_equal_bytes(tmp_path, results):
    for name in ("a", "b"):
        write_results(Folder(tmp_path / name), results)
    assert read_results(Folder(tmp_path / "a")) == json.loads(json.dumps(results))
    assert (tmp_path / "a/results.json").read_bytes() == (tmp_path / "b/results.json").read_bytes()
    assert results["schema"] == 1
    assert [entry["name"] for entry in results["arms"]] == ["X-Y", "hybrid"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "no results file"),
        ('{"schema": 1}', "no results file"),
        ('{"schema": 9, "arms": []}', "newer version"),
    ],
)
def test_what_is_no_results_file_is_refused(tmp_path, content, message):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_results(Folder(tmp_path))


def test_a_missing_results_file_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        read_results(Folder(tmp_path / "nowhere"))


def test_machine_names_no_host_user_or_path():
    import getpass
    import platform

    found = machine()
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert found["torch"]
    text = json.dumps(found)
    assert platform.node() not in text
    assert "/" not in text.replace(found["cpu"], "")
    assert getpass.getuser() not in text.split()


def test_code_version_names_the_commit_and_changes(tmp_path, monkeypatch):
    def git(*arguments):
        person = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", tmp_path, *person, *arguments], check=True, capture_output=True)

    code = tmp_path / "__init__.py"
    code.write_text("")
    assert code_version(tmp_path) == xlstance.__version__
    git("init")
    monkeypatch.setattr(xlstance, "__file__", str(code))
    assert code_version(tmp_path) == xlstance.__version__  # a checkout, but not of this code
    git("add", ".")
    git("commit", "-m", "first")
    clean = code_version(tmp_path)
    assert clean.startswith(f"{xlstance.__version__}+g")
    code.write_text("changed")
    assert code_version(tmp_path) == f"{clean}.dirty"
    monkeypatch.setattr(results_module.shutil, "which", lambda _: None)
    assert code_version(tmp_path) == xlstance.__version__


def test_mean_over_seeds_needs_every_seed():
    found = make_results([arm("a", 0, mono=0.5), arm("a", 1, mono=0.7), arm("b")], {})
    assert mean_figure(found, "a", "xquad-r", "mono", "map") == pytest.approx(0.6)
    found["arms"][1]["benchmarks"]["xquad-r"]["mono"]["map"] = None
    assert mean_figure(found, "a", "xquad-r", "mono", "map") is None
    assert mean_figure(found, "a", "elsewhere", "mono", "map") is None


def test_best_is_judged_as_shown():
    mono, distance = COLUMNS[0], COLUMNS[-1]
    assert best_arms({"a": 0.12341, "b": 0.12342, "c": 0.1}, mono) == {"a", "b"}
    assert best_arms({"a": 10.0, "b": 9.0, "c": None}, distance) == {"b"}
    assert best_arms({"a": 0.5, "b": None}, mono) == set()


def with_tests(found, *certain):
    """Results with the tests of a benchmark, in which these (arm, setting, figure) lead for certain."""
    leaders = [
        {"arm": arm, "setting": setting, "figure": figure, "p": 0.001, "p_holm": 0.008, "certain": True}
        for arm, setting, figure in certain
    ]
    leaders.append({"arm": "hybrid", "setting": "multi", "figure": "map", "p": 0.2, "p_holm": 0.4, "certain": False})
    interval = {"arm": "hybrid", "setting": "mono", "figure": "map", "value": 0.9, "low": 0.88, "high": 0.92}
    tests = {"units": 48, "seeds": [0], "resamples": 10_000, "confidence": 0.95, "comparisons": []}
    return {**found, "significance": {"xquad-r": {**tests, "leaders": leaders, "intervals": [interval]}}}


def test_console_table(results):
    lines = format_table(results).splitlines()
    assert lines[0] == "xquad-r"
    assert len({len(line) for line in lines[1:3]}) == 1
    first, second = lines[3].split(), lines[4].split()
    assert first[:4] == ["X-Y", "0.8000", "0.6100", "0.5000"]
    assert second[:4] == ["hybrid", "0.9000", "0.6000", "0.5000"]
    assert [line.index(".") for line in lines[3:5]] == [lines[3].index(".")] * 2
    assert "One seed per arm and no significance test" in lines[-1]
    seeds = make_results([arm("a", 0), arm("a", 1)], {})
    assert "Means over 2 seeds" in format_table(seeds)


def test_a_star_marks_what_is_certain_alone_and_says_what_that_means(results):
    text = format_table(with_tests(results, ("hybrid", "mono", "map"), ("X-Y", "multi", "rank_distance")))
    first, second = (line.split() for line in text.splitlines()[3:5])
    assert (first[1:4], first[-1]) == (["0.8000", "0.6100", "0.5000"], "300.0*")
    assert second[1:4] == ["0.9000*", "0.6000", "0.5000"]
    assert text.count("*") == 3
    note = " ".join(text.split("* certainly")[1].split())
    assert "p below 0.05 against every other arm" in note
    assert "corrected (Holm) over 3 figures; 48 units of queries" in note
    assert "1 seed." in note
    none = " ".join(format_table(with_tests(results)).split())
    assert "No star: every lead may be chance. A star takes p below 0.05" in none
    assert "*" not in none
    assert "*" not in format_table(results)


def test_the_console_counts_the_verdicts(results):
    claims = [{"verdict": verdict} for verdict in ("supported", "inconclusive", "supported", "not supported")]
    text = format_table({**results, "claims": claims})
    assert "Claims: 2 supported, 1 not supported, 1 inconclusive; see the report." in text
    assert "Claims" not in format_table(results)


def test_console_table_shows_what_is_missing(results):
    results["arms"][0]["benchmarks"]["xquad-r"]["cross"]["map"] = None
    assert format_table(results).splitlines()[3].split()[:3] == ["X-Y", "0.8000", "-"]


def test_report_is_one_valid_file_without_links_and_scripts(results):
    rows = [{"arm": "hybrid", "seed": 0, "step": step, "kind": "mono", "loss": 3 - step / 500} for step in range(999)]
    rows.append({"arm": "hybrid", "seed": 0, "step": 999, "kind": "cross", "loss": 2.0, "validation_loss": 1.5})
    rows.append({"arm": "X-Y", "seed": 0, "step": 5, "kind": "cross", "loss": float("nan")})
    page = render_report(results, rows)
    reader = Reader(page)
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert not {"src", "href", "onclick", "onload"} & {name for name, _ in reader.attributes}
    assert "http" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "nan" not in page.lower().split()
    labels = {value for name, value in reader.attributes if name == "aria-label"}
    assert {
        "mono mAP on xquad-r",
        "rank distance on xquad-r",
        "training loss, mono batches",
        "validation loss",
    } <= labels
    assert page == render_report(results, rows)
    long_curve = max((value for name, value in reader.attributes if name == "points"), key=len)
    assert len(long_curve.split()) <= 120


def test_report_prints_the_figures(results):
    text = " ".join(" ".join(Reader(render_report(results, [])).text).split())
    assert "Highest mAP: on xquad-r, hybrid in mono, X-Y in cross, X-Y and hybrid in multi." in text
    assert "a lead may be chance" in text
    assert "en → de: 0.6100" in text
    assert "chance 1,000.0" in text
    assert results["code_version"] in text
    assert "Training" not in text


def test_report_says_what_is_certain(results):
    page = render_report(with_tests(results, ("hybrid", "mono", "map")), [])
    text = " ".join(" ".join(Reader(page).text).split())
    assert "hybrid in mono (certain), X-Y in cross (not certain), X-Y and hybrid in multi (not certain)." in text
    assert page.count('class="best"') == page.count('class="interval"') == 1
    assert 'class="best">0.9000<span class="star">*</span><span class="interval">0.8800 to 0.9200</span></td>' in page
    assert "* certainly the best: p below 0.05" in text
    assert "95% interval, from 10,000 draws of units." in text
    untested = render_report(results, []).split("</style>")[1]
    assert not [said for said in ('class="best"', "certain)", "certainly", "interval") if said in untested]


CLAIM = {
    "name": HOSTILE,
    "text": f"hybrid is best {HOSTILE}",
    "verdict": "inconclusive",
    "why": "multi map: lead over X-Y +0.0100, 98.8% interval -0.0100 to +0.0300, p = 0.2",
    "benchmark": "xquad-r",
    "role": "test",
    "arm": "hybrid",
}


def test_report_shows_claims_and_looks(results):
    everywhere = {**CLAIM, "benchmark": "", "verdict": "supported", "why": "the audit found none"}
    looks = {"xquad-r": {"role": "test", "models": 7}}
    page = render_report({**results, "claims": [CLAIM, everywhere], "looks": looks}, [])
    reader = Reader(page)
    text = " ".join(" ".join(reader.text).split())
    assert "inconclusive multi map: lead over X-Y +0.0100, 98.8% interval -0.0100 to +0.0300, p = 0.2" in text
    assert "xquad-r (test)" in text
    assert "all supported the audit found none" in text
    assert "7 on xquad-r (test set)" in text
    assert "script" not in reader.tags
    assert "Claims" not in render_report(results, [])


def test_report_escapes_everything():
    bad = ArmResult(
        name=HOSTILE,
        seed=0,
        sampler={HOSTILE: HOSTILE},
        augmentation=[HOSTILE],
        train={HOSTILE: HOSTILE},
        benchmarks={HOSTILE: figures(notes=[HOSTILE])},
    )
    found = make_results([bad, arm("b")], {HOSTILE: HOSTILE})
    found["machine"][HOSTILE] = HOSTILE
    found["code_version"] = HOSTILE
    found["arms"][0]["benchmarks"][HOSTILE]["per_pair"] = {f"{HOSTILE[:8]}->{HOSTILE[:8]}": {"map": 0.5}}
    rows = [{"arm": HOSTILE, "seed": HOSTILE, "step": 1, "kind": HOSTILE, "loss": 1.0}]
    page = render_report(found, rows)
    assert "script" not in Reader(page).tags
    assert "<script" not in page


def test_synthetic_data_carry_a_badge():
    plain = render_report(make_results([arm("a"), arm("b")], {}), [])
    marked = render_report(make_results([arm("a", notes=["Synthetic: an invented world"]), arm("b")], {}), [])
    assert "synthetic data" not in plain
    assert marked.count("synthetic data") == 2


@pytest.mark.parametrize("arms", [[], [ArmResult(name="a", seed=0)], [arm("a")]])
def test_report_of_little(arms):
    page = render_report(make_results(arms, {}), [])
    assert "Nothing to compare" in page
    Reader(page)


def test_report_without_figures_off_the_diagonal():
    one = figures()
    one["cross"] = dict.fromkeys(one["cross"])
    one["multi"] = {**one["multi"], "rank_distance": None, "rank_distance_chance": None, "diagonal_gap": -0.1}
    one["per_pair"] = {"en->en": {"map": 0.0}}
    arms = [ArmResult(name=name, seed=0, benchmarks={"b": one}) for name in ("a", "c")]
    reader = Reader(render_report(make_results(arms, {}), []))
    assert "rank distance on b" not in {value for name, value in reader.attributes if name == "aria-label"}


def audited(on_leakage, leaking, warned=0):
    part = {"leaking": leaking, "warned": warned}
    return {
        "on_leakage": on_leakage,
        "rows": 2000,
        **part,
        "by_source": {HOSTILE: {"rows": 2000, **part}},
        "by_benchmark": {"xquad-r": part} if leaking or warned else {},
        "by_rule": {"ngrams": part} if leaking or warned else {},
    }


@pytest.mark.parametrize(
    ("leakage", "said", "alarm", "tables"),
    [
        ({}, "", False, False),
        (audited("stop", 0), "pairs holds what a benchmark holds.", False, False),
        (audited("stop", 0, 7), "holds what a benchmark holds; 7 share less than makes a leak.", False, True),
        (audited("drop", 31, 7), "31 of 2,000 training and development pairs held",
         False, True),
        (audited("allow", 31), "hold what a benchmark holds, and were allowed.",
         True, True),
        (audited("allow", 0), "none of 2,000", False, False),
    ],
)  # fmt: skip
def test_the_leakage_audit_is_told_and_in_red_where_leaks_were_allowed(leakage, said, alarm, tables):
    results = make_results([arm("hybrid")], {}, leakage=leakage)
    page = render_report(results, [])
    reader = Reader(page)
    text = " ".join(" ".join(reader.text).split())
    for shown in (text, format_table(results)):
        assert said in shown
        assert ("Leakage" in shown) == bool(said)
    assert ('<p class="alarm">' in page) == alarm
    assert ("By benchmark" in text) == tables
    assert "<script>" not in page

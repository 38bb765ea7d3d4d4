"""The page in a real browser: no errors, no overflow on a phone, and maps that follow the choice of arms."""

import re

import pytest
from headless_browser import BROWSER, Browser
from planted_results import METRICS, everything, trained, two_arms

from xlstance.evaluation.results import make_results
from xlstance.report.charts.heat import difference_map
from xlstance.report.figures import pair_maps
from xlstance.report.heat_maps import difference_of
from xlstance.report.page import render_report

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs the browser chromium (Debian: apt install chromium)")
OVERFLOW = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    long = "an-arm-with-a-name-that-nobody-would-call-short-" * 3
    many = [trained(f"{long}{number}", "hybrid", number / 20, number / 100) for number in range(9)]
    crowded = {**make_results(many, {}), "machine": {"cpu": "x" * 300}}
    for name, results in (("rich", everything()), ("poor", two_arms()), ("crowded", crowded)):
        (folder / f"{name}.html").write_text(render_report(results, METRICS if name == "rich" else []))
    return folder


@pytest.mark.parametrize("name", ["rich", "poor", "crowded"])
@pytest.mark.parametrize("width", [360, 1360])
def test_the_page_has_no_errors_and_fits_its_window(browser, pages, name, width):
    browser.open(pages / f"{name}.html", width)
    assert browser.errors == []
    assert browser.run(OVERFLOW) <= width
    assert browser.run("document.documentElement.classList.contains('scripted')")  # the policy lets the script run


def test_errors_and_overflow_would_be_found(browser, pages):
    page = (pages / "rich.html").read_text()
    (pages / "wrong.html").write_text(page.replace('"use strict";', '"use strict"; throw Error();'))
    browser.open(pages / "wrong.html")
    assert browser.errors != []  # not the script that the policy names
    (pages / "wide.html").write_text(page.replace("</main>", '<p style="width:999px">wide</p></main>'))
    browser.open(pages / "wide.html", 360)
    assert browser.run(OVERFLOW) > 360


def test_every_section_stands_in_the_page(browser, pages):
    browser.open(pages / "rich.html")
    found = browser.run("[...document.querySelectorAll('main > section > h2')].map((h) => h.textContent.trim())")
    assert found == [
        *("What was run", "Compared runs", "Sweep", "xquad-r", "Claims"),
        *("Augmentation by example", "Training", "Leakage audit", "Source and settings"),
    ]
    assert browser.run("[...document.querySelectorAll('.toc a')].every((a) => document.querySelector(a.hash))")


CELLS = """[...document.querySelectorAll('.difference-view .cell')].map((cell) => [
    cell.getAttribute('class'), cell.style.getPropertyValue('--share'), cell.dataset.pair,
    cell.querySelector('title').textContent, cell.querySelector('text').textContent])"""


def choose(browser, side, arm):
    browser.run(
        f"(() => {{ const s = document.querySelector('select[name={side}]'); s.value = '{arm}';"
        "s.dispatchEvent(new Event('change')); })()"
    )


def cells_of(one, other):
    """The cells that Python draws for two arms."""
    maps = pair_maps(everything(), "xquad-r")
    values, maximum = difference_of(maps[one], maps[other])
    drawn = difference_map("", ["ar", "de", "en"], ["ar", "de", "en"], values, maximum)
    pattern = (
        r'<g class="([^"]*)" style="--share:([^"]*)" data-pair="([^"]*)"><title>([^<]*)</title>.*?>([^<>]*)</text></g>'
    )
    return [[part.replace("&gt;", ">") for part in cell] for cell in re.findall(pattern, drawn)], maximum


def test_the_difference_map_follows_the_choice_and_equals_what_python_draws(browser, pages):
    browser.open(pages / "rich.html")
    first = browser.run(CELLS)
    assert first == cells_of("hybrid-75", "bm25")[0]
    for one, other in (("x-y", "bm25"), ("bm25", "x-x-mono"), ("x-y", "x-y"), ("hybrid-25", "hybrid-75")):
        choose(browser, "one", one)
        choose(browser, "other", other)
        wanted, maximum = cells_of(one, other)
        assert browser.run(CELLS) == wanted != first
        assert browser.run("document.querySelector('.difference-view .high').textContent") == f"+{maximum}"
        assert browser.run("document.querySelector('.chosen').textContent") == f"{one} minus {other}"
        label = browser.run("document.querySelector('svg.difference').getAttribute('aria-label')")
        assert label == f"mAP points on xquad-r, {one} minus {other}"
    assert browser.errors == []


def shown(browser, selector):
    return browser.run(f"getComputedStyle(document.querySelector('{selector}')).display") != "none"


def test_without_scripts_the_map_is_named_and_nothing_can_be_chosen(browser, pages):
    browser.open(pages / "rich.html", scripts=False)
    assert shown(browser, ".chosen")
    assert not shown(browser, ".choice")
    browser.open(pages / "rich.html")
    assert not shown(browser, ".chosen")
    assert shown(browser, ".choice")


def test_the_contents_are_folded_on_a_phone_and_beside_a_wide_page(browser, pages):
    browser.open(pages / "rich.html", 360)
    assert not browser.run("document.querySelector('.toc details').open")
    browser.open(pages / "rich.html", 1360)
    assert browser.run("document.querySelector('.toc details').open")
    assert browser.run("getComputedStyle(document.querySelector('.toc')).position") == "sticky"


def test_arabic_runs_from_right_to_left(browser, pages):
    browser.open(pages / "rich.html")
    direction = "getComputedStyle(document.querySelector('.examples span[lang={}]')).direction"
    assert browser.run(direction.format("ar")) == "rtl"
    assert browser.run(direction.format("en")) == "ltr"


def test_colours_follow_the_readers_scheme(browser, pages):
    back = "getComputedStyle(document.body).backgroundColor"
    browser.open(pages / "rich.html")
    light = browser.run(back)
    browser.open(pages / "rich.html", dark=True)
    assert browser.run(back) != light


OPEN = "[...document.querySelectorAll('main details')].map((part) => part.open)"
HEIGHT = "document.documentElement.scrollHeight"


def test_a_narrow_window_folds_what_few_read_and_a_wide_one_some_of_it(browser, pages):
    browser.open(pages / "rich.html", 360)
    narrow = browser.run(OPEN)
    assert not any(narrow)
    assert browser.run(HEIGHT) < 10_000
    first = "document.querySelector('.verdicts .sure').getBoundingClientRect().bottom"
    assert browser.run(first) < 900  # the first screen says who won and whether that is certain
    browser.open(pages / "rich.html", 1360)
    wide = browser.run(OPEN)
    assert any(wide)
    assert not all(wide)
    titles = browser.run(
        "[...document.querySelectorAll('main details[open] > summary')].map((line) => line.textContent.trim())"
    )
    assert titles == ["By query language", "Language bias", "Query language by passage language", "Curves"]


def test_all_that_is_folded_stands_in_print_without_scripts_too(browser, pages):
    browser.open(pages / "rich.html", 360, scripts=False)
    on_screen = browser.run(HEIGHT)
    browser.call("Emulation.setEmulatedMedia", media="print")
    on_paper = browser.run(HEIGHT)
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    unfolded = browser.run(HEIGHT)
    browser.call("Emulation.setEmulatedMedia", media="")
    assert on_paper == unfolded > 1.5 * on_screen


def test_what_print_unfolds_is_folded_again(browser, pages):
    browser.open(pages / "rich.html", 1360)
    before = browser.run(OPEN)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert all(browser.run(OPEN))
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(OPEN) == before


def test_whoever_goes_to_a_folded_part_finds_it_open(browser, pages):
    browser.open(pages / "rich.html", 360)
    browser.run("void (location.hash = 'benchmark-1-bias')")
    for _ in range(100):
        if browser.run("document.getElementById('benchmark-1-bias').open"):
            break
    assert browser.run("document.getElementById('benchmark-1-bias').open")
    assert not browser.run("document.getElementById('benchmark-1-heat').open")

"""Fetching, against a server on loopback that misbehaves on request."""

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from archive_files import PACKERS, names, zipped

from xlstance.corpora.catalog import CatalogEntry, CatalogFile
from xlstance.corpora.download import TransferSettings, check_address
from xlstance.corpora.fetch import FETCHED, fetch
from xlstance.errors import DataError, StorageError

ROOT = Path(__file__).resolve().parents[2]
BODY = bytes(itertools.islice(itertools.cycle(range(251)), 1_000_000))
SHA = hashlib.sha256(BODY).hexdigest()
PATIENCE = TransferSettings(tries=3, wait=0.01, timeout=5.0, unannounced=2_000_000)


@dataclass
class Site:
    """What the server serves and how; and what it did.

    ``cuts``: connections to cut half-way (-1: every one); ``failures``: statuses to answer first; ``lie``: added to
    the announced length; ``mode``: other ways to misbehave.
    """

    body: bytes = BODY
    etag: str = '"v1"'
    modified: str = ""
    cuts: int = 0
    failures: list[int] = field(default_factory=list)
    lie: int = 0
    mode: str = ""
    redirect: str = ""
    pause: float = 0.0
    url: str = ""
    served: int = 0
    ranges: list[str | None] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        site = self.server.site
        self.close_connection = True
        site.requests[self.path] += 1
        wanted = self.headers.get("Range")
        site.ranges.append(wanted)
        assert self.headers.get("Accept-Encoding") == "identity"
        if site.failures:
            return self.answer(site.failures.pop(0), {"Content-Length": "0"})
        if site.redirect and self.path != "/moved":
            return self.answer(302, {"Location": site.redirect, "Content-Length": "0"})
        if site.mode == "endless":
            self.answer(200, {})
            return self.endless(site)
        versions = {"ETag": site.etag} if site.etag else {}
        versions |= {"Last-Modified": site.modified} if site.modified else {}
        body, status, extra = site.body, 200, {}
        current = self.headers.get("If-Range") in (site.etag, site.modified)
        if wanted and (site.mode in ("wrong range", "any range") or (current and site.mode != "no ranges")):
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            start -= 1000 if site.mode == "wrong range" else 0
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            body, status = body[start:], 206
        if site.mode == "packed":
            extra["Content-Encoding"] = "gzip"
        if site.mode == "no length":
            extra["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            extra["Content-Length"] = str(len(body) + site.lie)
        self.answer(status, versions | extra)
        if site.cuts:
            site.cuts -= 1
            body = body[: len(body) // 2]
        self.send(body, site)

    def answer(self, status, headers):
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, body, site):
        for start in range(0, len(body), 50_000):
            part = body[start : start + 50_000]
            site.served += len(part)  # before: the client may be done before this thread goes on
            try:
                self.wfile.write(part)
                self.wfile.flush()
            except OSError:
                return
            time.sleep(site.pause)

    def endless(self, site):
        try:
            while True:
                self.wfile.write(b"x" * 65536)
                site.served += 65536
        except OSError:
            pass


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.site = Site()
    server.site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.site
    server.shutdown()
    thread.join()
    server.server_close()


def entry(*files, name="one", languages=("en",), **values):
    return CatalogEntry(
        name=name,
        title="The one set",
        what="both",
        format="squad",
        languages=list(languages),
        licence="CC0",
        citation="Nobody (2020)",
        homepage="https://example.org",
        files=files,
        **values,
    )


def bring(site, into, *, sha256="", size=0, unpack="none", transfer=PATIENCE, **options):
    """Fetches one file; returns what was said."""
    file = CatalogFile(url=f"{site.url}/a", into="set/a", sha256=sha256, bytes=size, unpack=unpack)
    said = []
    fetch(["one"], into, catalog={"one": entry(file)}, transfer=transfer, say=said.append, **options)
    return "\n".join(said)


def test_a_file_comes_whole_with_its_licence_first_and_once(site, tmp_path):
    said = bring(site, tmp_path, sha256=SHA, size=len(BODY))
    assert (tmp_path / "set/a").read_bytes() == BODY
    assert names(tmp_path) == [FETCHED, "set/a"]
    assert json.loads((tmp_path / FETCHED).read_text())["files"]["set/a"] == {
        "url": f"{site.url}/a",
        "sha256": SHA,
        "bytes": len(BODY),
    }
    assert "licence: CC0" in said
    assert "citation: Nobody (2020)" in said
    assert said.index("CC0") < said.index("1 of 1 files fetched")
    assert "0 of 1 files fetched, 1 were there" in bring(site, tmp_path, sha256=SHA)
    assert site.requests.total() == 1


def test_the_licence_is_said_before_the_first_byte(site, tmp_path):
    file = CatalogFile(url=f"{site.url}/a", into="a")
    before = []
    fetch(["one"], tmp_path, catalog={"one": entry(file)}, say=lambda text: before.append((site.served, text)))
    assert before[0][0] == 0
    assert "CC0" in before[0][1]


@pytest.mark.parametrize("cuts", [1, 2])
def test_a_cut_connection_is_gone_on_with_and_nothing_is_served_twice(site, tmp_path, cuts):
    site.cuts = cuts
    bring(site, tmp_path, sha256=SHA)
    assert (tmp_path / "set/a").read_bytes() == BODY
    assert site.served == len(BODY)
    assert site.ranges == [None, "bytes=500000-", "bytes=750000-"][: cuts + 1]


def test_a_connection_that_is_always_cut_is_given_up_with_the_amount_and_taken_up_by_the_next_run(site, tmp_path):
    site.cuts = -1
    with pytest.raises(DataError, match=r"/a could not be fetched in 3 tries.*; 875000 bytes came and are kept in"):
        bring(site, tmp_path)
    assert names(tmp_path) == ["set/a.part", "set/a.part.json"]
    site.cuts = 0
    bring(site, tmp_path)
    assert site.served == len(BODY)
    assert (tmp_path / "set/a").read_bytes() == BODY


def test_a_killed_fetch_leaves_the_part_and_the_next_one_asks_for_the_rest(site, tmp_path):
    site.pause = 0.05
    code = f"""
from pathlib import Path
from xlstance.corpora.catalog import CatalogEntry, CatalogFile
from xlstance.corpora.fetch import fetch
file = CatalogFile(url="{site.url}/a", into="set/a")
one = CatalogEntry(name="one", title="", what="both", format="squad", languages=["en"], licence="", citation="",
                   homepage="", files=[file])
fetch(["one"], Path({str(tmp_path)!r}), catalog={{"one": one}})
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    part = tmp_path / "set/a.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 300_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    have = part.stat().st_size
    assert 0 < have < len(BODY)
    assert names(tmp_path) == ["set/a.part", "set/a.part.json"]
    time.sleep(0.2)  # until the server has noticed
    site.pause, site.served = 0.0, 0
    bring(site, tmp_path)
    assert site.ranges[-1] == f"bytes={have}-"
    assert site.served == len(BODY) - have
    assert (tmp_path / "set/a").read_bytes() == BODY
    assert names(tmp_path) == [FETCHED, "set/a"]


def stopped_half_way(site, tmp_path, **changes):
    """Leaves the first half of the body as a part, then changes the site."""
    site.cuts = 1
    with pytest.raises(DataError, match="500000 bytes came"):
        bring(site, tmp_path, transfer=TransferSettings(tries=1))
    for name, value in changes.items():
        setattr(site, name, value)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "no ranges"},  # a server that takes no notice of Range
        {"body": BODY[::-1], "etag": '"v2"'},  # the file changed, and the server says so
        {"body": BODY[::-1], "etag": '"v2"', "mode": "wrong range"},  # another part, and of another file
        {"body": BODY[::-1], "etag": '"v2"', "mode": "any range"},  # the right part, but of another file
        {"mode": "wrong range"},  # a part that overlaps
        {"body": BODY[:400_000], "failures": [416]},  # the file is now shorter than what came
    ],
)
def test_bytes_of_another_file_or_place_are_never_appended(site, tmp_path, changes):
    stopped_half_way(site, tmp_path, **changes)
    bring(site, tmp_path)
    assert (tmp_path / "set/a").read_bytes() == site.body


@pytest.mark.parametrize(
    ("etag", "modified", "resumed"),
    [
        ('"v1"', "", True),
        ('W/"v1"', "", False),  # a weak tag does not tell bytes apart
        ('W/"v1"', "Wed, 01 Jan 2020 00:00:00 GMT", True),
        ("", "Wed, 01 Jan 2020 00:00:00 GMT", True),
        ("", "", False),
    ],
)
def test_only_what_is_known_to_be_the_same_file_is_gone_on_with(site, tmp_path, etag, modified, resumed):
    site.etag, site.modified = etag, modified
    stopped_half_way(site, tmp_path)
    bring(site, tmp_path)
    assert site.ranges[-1] == ("bytes=500000-" if resumed else None)
    assert (tmp_path / "set/a").read_bytes() == BODY


def test_a_part_that_is_whole_needs_no_request(site, tmp_path):
    stopped_half_way(site, tmp_path)
    (tmp_path / "set/a.part").write_bytes(BODY)
    bring(site, tmp_path, sha256=SHA)
    assert site.requests.total() == 1
    assert (tmp_path / "set/a").read_bytes() == BODY


def test_a_part_of_another_address_starts_again(site, tmp_path):
    stopped_half_way(site, tmp_path)
    fetch(["one"], tmp_path, catalog={"one": entry(CatalogFile(url=f"{site.url}/b", into="set/a"))}, say=str)
    assert site.ranges == [None, None]


def test_a_part_with_a_note_that_cannot_be_read_starts_again(site, tmp_path):
    stopped_half_way(site, tmp_path)
    (tmp_path / "set/a.part.json").write_text('{"url": ')
    bring(site, tmp_path)
    assert site.ranges == [None, None]
    assert (tmp_path / "set/a").read_bytes() == BODY


def test_an_announced_length_that_does_not_come_is_an_error(site, tmp_path):
    site.lie = 1000
    with pytest.raises(DataError, match="1000000 of 1001000 bytes"):
        bring(site, tmp_path)
    assert "set/a" not in names(tmp_path)


@pytest.mark.parametrize("pin", [{"sha256": SHA}, {"size": len(BODY)}])
def test_an_announced_length_that_is_too_short_is_an_error(site, tmp_path, pin):
    site.lie = -1000
    with pytest.raises(DataError, match=r"SHA-256 of what came|announces 999000 bytes, the catalog says 1000000"):
        bring(site, tmp_path, **pin)
    assert names(tmp_path) == []


def test_wrong_bytes_never_get_the_final_name(site, tmp_path):
    site.body = BODY[:-1] + b"!"
    found = hashlib.sha256(site.body).hexdigest()
    with pytest.raises(DataError, match=f"{found}, expected {SHA} .the catalog pins another file"):
        bring(site, tmp_path, sha256=SHA)
    assert names(tmp_path) == []


def test_without_a_pin_the_first_hash_is_kept_to(site, tmp_path):
    bring(site, tmp_path)
    (tmp_path / "set/a").unlink()
    site.body = BODY[::-1]
    with pytest.raises(DataError, match=rf"expected {SHA} \(an earlier fetch got another file; .*remove 'set/a'"):
        bring(site, tmp_path)
    assert names(tmp_path) == [FETCHED]
    site.body = BODY
    bring(site, tmp_path)
    assert (tmp_path / "set/a").read_bytes() == BODY


def test_a_file_that_was_changed_or_put_there_is_neither_used_nor_overwritten(site, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"was not fetched from .*; move it away"):
        bring(site, tmp_path)
    with pytest.raises(DataError, match=f"expected {SHA}; move it away"):
        bring(site, tmp_path, sha256=SHA)
    assert (tmp_path / "set/a").read_bytes() == b"mine"
    assert site.requests.total() == 0
    (tmp_path / "set/a").write_bytes(BODY)  # the right file, however it came there
    bring(site, tmp_path, sha256=SHA)
    assert site.requests.total() == 0


def test_a_file_of_another_address_is_not_taken_for_this_one(site, tmp_path):
    bring(site, tmp_path)
    other = entry(CatalogFile(url=f"{site.url}/b", into="set/a"))
    with pytest.raises(DataError, match=r"was not fetched from .*/b"):
        fetch(["one"], tmp_path, catalog={"one": other}, transfer=PATIENCE, say=str)


def test_a_passing_failure_is_tried_again(site, tmp_path):
    site.failures = [503, 429]
    bring(site, tmp_path, sha256=SHA)
    assert site.requests.total() == 3


def test_a_lasting_failure_is_given_up(site, tmp_path):
    site.failures = [500] * 9
    with pytest.raises(DataError, match=r"in 3 tries \(the server answers 500 Internal Server Error\)$"):
        bring(site, tmp_path)
    assert site.requests.total() == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(site, tmp_path, status):
    site.failures = [status] * 9
    with pytest.raises(DataError, match=rf"/a: the server answers {status} .*moved the file"):
        bring(site, tmp_path)
    assert site.requests.total() == 1


def test_a_server_that_is_not_there(site, tmp_path):
    site.url = "http://127.0.0.1:9"  # discard: nobody listens
    with pytest.raises(DataError, match=r"127.0.0.1:9/a could not be fetched in 3 tries \(no connection"):
        bring(site, tmp_path)


@pytest.mark.parametrize(
    "target", ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "//example.org/"]
)
def test_a_redirect_leads_to_https_or_stays_on_loopback(site, tmp_path, target):
    site.redirect = target
    with pytest.raises(DataError, match=r"leads to another address; .* is refused: only https"):
        bring(site, tmp_path)
    assert names(tmp_path) == []


def test_a_redirect_on_loopback_is_followed(site, tmp_path):
    site.redirect = "/moved"
    bring(site, tmp_path, sha256=SHA)
    assert site.requests == {"/a": 1, "/moved": 1}


def test_redirects_in_a_circle_end(site, tmp_path):
    site.redirect = "/a"
    with pytest.raises(DataError, match="more than 10 redirects"):
        bring(site, tmp_path)


def test_only_https_is_fetched_from_but_for_loopback():
    check_address("https://example.org/a")
    check_address("http://127.0.0.1:80/a", local=True)
    check_address("http://[::1]/a", local=True)
    for url in (
        "http://example.org/a",
        "http://127.0.0.1.example.org/a",
        "ftp://example.org/a",
        "/etc/passwd",
        "https:///a",
    ):
        with pytest.raises(DataError, match="only https"):
            check_address(url, local=True)
    with pytest.raises(DataError, match="only https"):
        check_address("http://127.0.0.1/a")


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_an_endless_body_is_stopped_at_a_limit_and_not_kept(site, tmp_path, size):
    site.mode = "endless"
    limit = size or PATIENCE.unannounced
    with pytest.raises(DataError, match=f"more than {limit} bytes come; nothing of it is kept"):
        bring(site, tmp_path, size=size)
    assert names(tmp_path) == []
    assert site.served < limit + 20_000_000  # what fits into the sockets' buffers


def test_a_length_beyond_the_disk_is_refused_before_a_byte_is_taken(site, tmp_path):
    site.lie = 1 << 60
    with pytest.raises(StorageError, match=r"bytes are to come and the disk has \d+ left"):
        bring(site, tmp_path)


def test_a_body_without_a_length_is_taken(site, tmp_path):
    site.mode = "no length"
    bring(site, tmp_path, sha256=SHA)
    assert (tmp_path / "set/a").read_bytes() == BODY


def test_a_body_packed_against_the_request_is_refused(site, tmp_path):
    site.mode = "packed"
    with pytest.raises(DataError, match="packs the file on its way"):
        bring(site, tmp_path)


def test_a_stalled_connection_counts_as_cut(site, tmp_path):
    site.pause = 1.0
    with pytest.raises(
        DataError, match=r"could not be fetched in 1 tries \(the connection was cut after \d+ of 1000000"
    ):
        bring(site, tmp_path, transfer=TransferSettings(tries=1, timeout=0.2))


def test_languages_pick_files_and_unknown_ones_are_refused(site, tmp_path):
    file = CatalogFile(url=f"{site.url}/{{lang}}-{{part}}", into="{lang}/{part}", parts={"de": 2, "en": ["x"]})
    catalog = {"one": entry(file, languages=("de", "en")), "two": entry(file, name="two", languages=("fr",))}
    paths = fetch(["one", "one"], tmp_path, languages=["de"], catalog=catalog, transfer=PATIENCE, say=str)
    assert paths == [tmp_path / "de/0", tmp_path / "de/1"]
    assert dict(site.requests) == {"/de-0": 1, "/de-1": 1}
    with pytest.raises(DataError, match="language 'fi': one has de, en"):
        fetch(["one"], tmp_path, languages=["fi"], catalog=catalog, say=str)
    with pytest.raises(DataError, match="two has none of de; it has fr"):
        fetch(["one", "two"], tmp_path, languages=["de"], catalog=catalog, say=str)
    assert site.requests.total() == 2


def test_nothing_is_fetched_where_one_name_is_wrong_or_cannot_be(site, tmp_path):
    file = CatalogFile(url=f"{site.url}/a", into="a")
    catalog = {"one": entry(file), "two": entry(name="two", manual="Write a letter.")}
    with pytest.raises(DataError, match="two has no address to be fetched from; Write a letter"):
        fetch(["one", "two"], tmp_path, catalog=catalog)
    with pytest.raises(DataError, match="no source is called 'onee'; did you mean one"):
        fetch(["one", "onee"], tmp_path, catalog=catalog)
    assert site.requests.total() == 0


def test_what_is_left_to_do_by_hand_is_said(site, tmp_path):
    file = CatalogFile(url=f"{site.url}/a", into="a")
    said = []
    fetch(["one"], tmp_path, catalog={"one": entry(file, manual="Join\n the files.")}, say=said.append)
    assert said[-1] == "  left to do: Join the files."


def test_two_fetches_do_not_work_in_one_folder(site, tmp_path):
    site.pause = 0.02
    thread = threading.Thread(target=bring, args=(site, tmp_path))
    thread.start()
    try:
        while not site.served:
            time.sleep(0.01)
        with pytest.raises(StorageError, match="another fetch is at work"):
            bring(site, tmp_path)
    finally:
        thread.join()
    assert (tmp_path / "set/a").read_bytes() == BODY


@pytest.mark.parametrize("text", ["{", "[]", '{"files": {"set/a": {}}}', '{"files": []}', '{"files": {"set/a": 3}}'])
def test_a_broken_record_is_one_clear_error(site, tmp_path, text):
    (tmp_path / FETCHED).write_text(text)
    with pytest.raises(StorageError, match=r"fetched\.json cannot be read"):
        bring(site, tmp_path)


def test_a_folder_that_cannot_be_made_is_one_clear_error(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made or opened"):
        bring(site, tmp_path / "file" / "below")
    (tmp_path / "set").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot be written"):
        bring(site, tmp_path)


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_is_unpacked_once(site, tmp_path, kind):
    site.body = PACKERS[kind](("./top/x.txt", b"one"), ("top/deep/er/y.txt", b"two"), ("top/empty", b""))
    sha256 = hashlib.sha256(site.body).hexdigest()
    said = bring(site, tmp_path, unpack=kind, sha256=sha256)
    assert "1 of 1 files fetched" in said
    assert names(tmp_path) == [FETCHED, "set/a/top/deep/er/y.txt", "set/a/top/empty", "set/a/top/x.txt"]
    assert (tmp_path / "set/a/top/deep/er/y.txt").read_bytes() == b"two"
    before = (tmp_path / "set/a/top/x.txt").stat().st_mtime_ns
    assert "0 of 1 files fetched" in bring(site, tmp_path, unpack=kind, sha256=sha256)
    assert (tmp_path / "set/a/top/x.txt").stat().st_mtime_ns == before
    assert site.requests.total() == 1
    with pytest.raises(DataError, match="move it away"):  # the catalog has gone on to another archive
        bring(site, tmp_path, unpack=kind, sha256="0" * 64)


def test_an_unpacking_that_was_killed_is_done_again_without_a_download(site, tmp_path):
    site.body = zipped(("x", b"one"))
    bring(site, tmp_path, unpack="zip")
    (tmp_path / "set/a/x").unlink()
    (tmp_path / "set/a").rename(tmp_path / "set/a.unpacking")
    (tmp_path / "set/a.zip").write_bytes(site.body)
    assert "0 of 1 files fetched" in bring(site, tmp_path, unpack="zip")
    assert names(tmp_path) == [FETCHED, "set/a/x"]
    assert site.requests.total() == 1


OUT = [f"..{os.sep}x", "a/../../x", "/x", "C:/x", "C:x", "..\\x", "a\\..\\..\\x", "\\\\host\\x", ".."]


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("kind", PACKERS)
def test_names_that_lead_out_are_refused_before_anything_is_written(site, tmp_path, kind, name):
    site.body = PACKERS[kind](("good", b"1"), (name, b"2"))
    with pytest.raises(DataError, match="would lead out of the folder"):
        bring(site, tmp_path / "into", unpack=kind)
    assert names(tmp_path) == ["into/fetched.json", f"into/set/a.{kind}"]

"""The audit of the locks: a vulnerability fails it, a service out of reach is said and does not."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

AUDIT = Path(__file__).resolve().parents[1] / "requirements" / "audit.py"
FLAW = {
    "id": "PYSEC-0000-1",
    "summary": "made up",
    "affected": [{"package": {"name": "jinja2", "ecosystem": "PyPI"}, "versions": ["2.4.1"]}],
}


class Answers(BaseHTTPRequestHandler):
    """Answers as OSV does, from one vulnerability."""

    knows = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = self.knows and (asked["package"]["name"], asked["version"]) == ("jinja2", "2.4.1")
        body = json.dumps({"vulns": [FLAW]} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def service(monkeypatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(url: str, lock: Path, *pins: str) -> "subprocess.CompletedProcess[str]":
    lock.write_text("".join(f"{pin}\n" for pin in pins))
    command = [sys.executable, AUDIT, "--url", url, lock]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_known_vulnerability_fails_it_and_is_named(service, tmp_path):
    pytest.importorskip("pip_audit", reason="pip-audit comes with requirements/dev.txt")
    done = audit(service, tmp_path / "lock.txt", "idna==3.7", "jinja2==2.4.1")
    assert done.returncode != 0
    assert "PYSEC-0000-1" in done.stdout


def test_without_one_it_passes(service, tmp_path):
    pytest.importorskip("pip_audit", reason="pip-audit comes with requirements/dev.txt")
    done = audit(service, tmp_path / "lock.txt", "idna==3.7")
    assert done.returncode == 0, done.stderr
    assert "No known vulnerabilities found" in done.stdout + done.stderr


def test_what_is_not_pinned_fails_it(service, tmp_path):
    pytest.importorskip("pip_audit", reason="pip-audit comes with requirements/dev.txt")
    assert audit(service, tmp_path / "lock.txt", "idna").returncode != 0


def test_a_service_out_of_reach_is_said_in_one_line(tmp_path):
    done = audit("http://127.0.0.1:1/v1/query", tmp_path / "lock.txt", "jinja2==2.4.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("audit skipped: http://127.0.0.1:1/v1/query cannot be asked for vulnerabilities")
    assert done.stdout.count("\n") == 1


def test_one_that_knows_nothing_is_no_service(service, tmp_path, monkeypatch):
    monkeypatch.setattr(Answers, "knows", False)
    done = audit(service, tmp_path / "lock.txt", "jinja2==2.4.1")
    assert done.returncode == 0
    assert "audit skipped: " in done.stdout

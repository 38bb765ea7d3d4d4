"""Finding a job service and its token, against a small server on loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import ray

from xlstance.cluster.address import JobService, find_service, find_token, in_the_clear
from xlstance.cluster.folder import ClusterFolder
from xlstance.cluster.lock import LABEL, check_locks, lock_hash
from xlstance.errors import UserError

SECRET = "s3cr3t-t0ken"


class _Head(BaseHTTPRequestHandler):
    version = ray.__version__

    def do_GET(self):
        given = self.headers.get("Authorization", "")
        code = 200 if given == f"Bearer {SECRET}" else (403 if given else 401)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps({"ray_version": self.version}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def head():
    server = HTTPServer(("127.0.0.1", 0), _Head)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> ClusterFolder:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return ClusterFolder(tmp_path / "none")


def test_the_token_comes_from_the_environment_a_named_file_or_ray_s_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_token({}) == ""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("own\n")
    assert find_token({}) == "own"
    (tmp_path / "named").write_text("named")
    assert find_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "named")}) == "named"
    assert find_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "named"), "RAY_AUTH_TOKEN": "given"}) == "given"


def test_a_named_file_that_is_missing_is_said(tmp_path):
    with pytest.raises(UserError, match=r"RAY_AUTH_TOKEN_PATH names .*missing"):
        find_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "missing")})


@pytest.mark.parametrize("where", ["option", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"])
def test_a_service_is_found(head, nowhere, where):
    environment = {"RAY_AUTH_TOKEN": SECRET} | ({where: head} if where != "option" else {})
    service = find_service(head if where == "option" else "", environment, nowhere)
    assert (service.url, service.local) == (head, False)


@pytest.mark.parametrize(
    ("environment", "message"),
    [({}, "asks for a token, and none was found"), ({"RAY_AUTH_TOKEN": "x" * 40}, "another token than the one found")],
)
def test_what_is_wrong_with_the_token_is_explained(head, nowhere, environment, message):
    with pytest.raises(UserError, match=message) as refused:
        find_service(head, environment, nowhere)
    assert "RAY_AUTH_TOKEN_PATH" in str(refused.value)
    assert "x" * 40 not in str(refused.value)


def test_another_ray_is_refused(head, nowhere, monkeypatch):
    monkeypatch.setattr(_Head, "version", "2.40.0")
    with pytest.raises(UserError, match=r"runs Ray 2\.40\.0"):
        find_service(head, {"RAY_AUTH_TOKEN": SECRET}, nowhere)


def test_where_nobody_answers_is_said(nowhere):
    with pytest.raises(UserError, match=r"no Ray cluster answers at http://127\.0\.0\.1:9"):
        find_service("http://127.0.0.1:9", {}, nowhere)
    with pytest.raises(UserError, match="there is no cluster to submit to"):
        find_service("", {}, nowhere)
    with pytest.raises(UserError, match="is no address of a job service"):
        find_service("ray://host:10001", {}, nowhere)


def test_the_token_is_never_shown():
    service = JobService("http://head.example:8265", SECRET, False)
    assert SECRET not in repr(service)
    assert SECRET not in str(service)


@pytest.mark.parametrize(
    ("url", "token", "clear"),
    [
        ("http://head.example:8265", SECRET, True),
        ("http://127.0.0.1:8265", SECRET, False),
        ("https://head.example", SECRET, False),
        ("http://head.example:8265", "", False),
    ],
)
def test_a_token_over_plain_http_is_noticed(url, token, clear):
    assert in_the_clear(JobService(url, token, False)) is clear


@pytest.fixture
def requirements(tmp_path):
    (tmp_path / "cpu.txt").write_text("numpy==2.0\n")
    (tmp_path / "gpu.txt").write_text("numpy==2.1\n")
    return tmp_path


def node(digits: str | None, state: str = "ALIVE") -> dict:
    return {"node_id": "0123456789", "state": state, "labels": {LABEL: digits} if digits else {}}


def test_nodes_of_either_lock_fit(requirements):
    nodes = [node(lock_hash(requirements / "cpu.txt")), node(lock_hash(requirements / "gpu.txt"))]
    assert check_locks(nodes, requirements) == ""


def test_a_node_of_another_lock_is_refused_unless_it_is_gone(requirements):
    with pytest.raises(UserError, match=r"node 01234567 was installed from lock feedbeef.*--pip"):
        check_locks([node("feedbeef")], requirements)
    assert check_locks([node("feedbeef", "DEAD")], requirements) == ""


def test_silent_nodes_are_counted(requirements):
    assert check_locks([node(None), node(None)], requirements).startswith("2 nodes do not say")

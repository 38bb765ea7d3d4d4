"""The local cluster: on loopback, behind a token, with jobs submitted, joined, left and returned to."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from local_cluster import Local

from xlstance.cluster.local import RAY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_it_listens_on_loopback_alone(local):
    own = {f"pid={pid}," for pid in local.processes()}
    listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    addresses = {line.split()[3].rpartition(":")[0] for line in listening if any(pid in line for pid in own)}
    assert addresses
    assert addresses <= {"127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"}


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_without_its_token_it_answers_nobody(local, token):
    url = f"{local.folder.read().dashboard}/api/jobs/"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10)
    assert refused.value.code in (401, 403)


def test_the_token_stands_in_one_file_of_the_owner(local):
    folder, token = local.folder, local.folder.token.read_text()
    assert folder.token.stat().st_mode & 0o077 == 0
    assert folder.path.stat().st_mode & 0o077 == 0
    logs = [path for top in (folder.path, Path(folder.read().sockets)) for path in top.rglob("*") if path.is_file()]
    assert len(logs) > 5
    assert [str(path) for path in logs if path != folder.token and token.encode() in path.read_bytes()] == []
    for pid in local.processes():
        assert token not in Path(f"/proc/{pid}/cmdline").read_text()
    shown = local.run("cluster", "status")
    assert shown.returncode == 0
    assert token not in shown.stdout + shown.stderr


def test_up_again_is_the_same_cluster(local):
    before = local.folder.read()
    again = local.run("cluster", "up", "--local")
    assert again.returncode == 0, again.stderr
    assert local.folder.read() == before


def test_status_names_the_dashboard_and_the_nodes(local):
    shown = local.run("cluster", "status").stdout
    assert local.folder.read().dashboard in shown
    assert "Autoscaler status" in shown
    assert re.search(r"1 head", shown)


def submit(local: Local, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return local.run("submit", "augment", "--config", "tiny.yaml", "--cluster.stream_workers", "1", *arguments)


def test_a_job_is_sent_small_and_its_log_and_code_come_back(local):
    done = submit(local, "--output", "first")
    assert done.returncode == 0, done.stdout + done.stderr
    sent = re.search(r"sending (\d+) files, ([\d.]+) MiB", done.stdout)
    assert sent
    assert float(sent[2]) < 20
    assert "pairs in" in done.stdout  # the job's own log
    assert (local.home / "first" / "corpora").is_dir()


def test_the_same_run_is_the_next_attempt_and_does_nothing_twice(local):
    first, second = submit(local, "--output", "twice"), submit(local, "--output", "twice")
    assert (first.returncode, second.returncode) == (0, 0), second.stdout
    ids = [re.search(r"submitted: (\S+),", done.stdout)[1] for done in (first, second)]
    assert ids[0].removesuffix("-1") == ids[1].removesuffix("-2")
    stages = [json.loads(line) for line in (local.home / "twice" / "events.jsonl").read_text().splitlines()]
    assert [stage["state"] for stage in stages] == ["done", "done"]


def test_a_detached_job_is_joined(local):
    left = submit(local, "--output", "joined", "--detach")
    assert left.returncode == 0
    assert "xlstance submit augment" in left.stdout
    assert "ray job stop" in left.stdout
    back = submit(local, "--output", "joined")
    assert back.returncode == 0, back.stdout + back.stderr
    assert re.search(r"joined: \S+ runs already|submitted: \S+-2", back.stdout)
    assert "pairs in" in back.stdout


def test_ctrl_c_leaves_the_job_running(local):
    # A shell's background ignores the signal, and what is started there would too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        job = local.start("submit", "augment", "--config", "tiny.yaml", "--output", "left")
    finally:
        signal.signal(signal.SIGINT, before)
    for line in job.stdout:
        if "submitted:" in line:
            break
    for line in job.stdout:
        if "Running entrypoint" in line:
            break
    os.kill(job.pid, signal.SIGINT)
    text = job.stdout.read()
    assert job.wait() == 130, text
    assert "the job goes on: " in text
    assert "Traceback" not in text
    back = local.run("submit", "augment", "--config", "tiny.yaml", "--output", "left")
    assert back.returncode == 0, back.stdout + back.stderr


def test_the_job_s_exit_code_is_returned(local):
    done = submit(local, "--output", "first", "--seeds", "[1]", "--sources.0.split", "nowhere")
    assert done.returncode == 2
    (local.home / "broken.yaml").write_text("sources: [{name: own, path: missing.jsonl, format: pairs}]\n")
    done = local.run("submit", "augment", "--config", "broken.yaml", "--output", "broken")
    assert done.returncode == 2
    assert done.stdout.count("error: ") >= 1 or "error: " in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_mistake_in_the_settings_is_met_before_anything_is_sent(local):
    done = submit(local, "--output", "first", "--training.stepz", "3")
    assert done.returncode == 2
    assert "did you mean training.steps?" in done.stderr
    assert "sending" not in done.stdout


def test_plain_ray_job_submit_works_beside_it(local):
    cluster = local.folder.read()
    exports = {"RAY_API_SERVER_ADDRESS": cluster.dashboard, "RAY_AUTH_TOKEN_PATH": str(local.folder.token)}
    done = subprocess.run(
        [RAY, "job", "submit", "--", "python", "-c", "print('hel' + 'lo')"],
        env={**local.environment, **exports, "RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello" in done.stdout

"""The Ray that a command starts for itself: on loopback, and behind a token."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What `xlstance experiment` does before its first stage; then it says who listens, and asks Ray for something.
CODE = """
import subprocess, os
from xlstance import cli
cli._set_environment()
cli._keep_private()
import ray
from xlstance.session import ray_session
with ray_session(1):
    assert ray.get(ray.remote(num_cpus=1)(lambda: 3).remote()) == 3
    print("token", os.environ["RAY_AUTH_MODE"])
    children = {str(os.getpid())}
    for _ in range(6):
        found = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True).stdout.split("\\n")
        children |= {line.split()[0] for line in found if line and line.split()[1] in children}
    for line in subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout.splitlines():
        if any(f"pid={pid}," in line for pid in children):
            print("listens", line.split()[3])
"""


def test_a_private_ray_listens_on_loopback_alone_and_asks_for_a_token():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**kept, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "token token" in done.stdout
    places = {line.split()[1].rpartition(":")[0] for line in done.stdout.splitlines() if line.startswith("listens")}
    assert places
    assert places <= {"127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"}

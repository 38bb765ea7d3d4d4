"""The files that start clusters in clouds, held to Ray's own schema and loader; no cloud is asked."""

import copy
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from xlstance.cluster.lock import LABEL, lock_hash

ROOT = Path(__file__).resolve().parents[2]
CLOUDS = {"aws": ROOT / "cluster.yaml", "gcp": ROOT / "cluster" / "gcp.yaml"}


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


@pytest.fixture(params=CLOUDS)
def cloud(request) -> dict:
    return read(CLOUDS[request.param])


def test_ray_s_loader_and_schema_take_it(cloud):
    prepared = prepare_config(copy.deepcopy(cloud))
    validate_config(prepared)
    assert prepared["available_node_types"]["gpu"]["max_workers"] == 4
    assert prepared["head_node_type"] == "head"


@pytest.mark.parametrize(
    ("where", "key"), [((), "idle_timeout"), (("available_node_types", "cpu"), "max_worker"), (("auth",), "user")]
)
def test_a_misspelt_field_would_be_refused(cloud, where, key):
    part = cloud
    for name in where:
        part = part[name]
    part[key] = 1
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        validate_config(prepare_config(cloud))


def test_workers_come_and_go_and_the_head_works_for_nobody(cloud):
    types = cloud["available_node_types"]
    assert set(types) == {"head", "cpu", "gpu"}
    assert types["head"]["resources"] == {"CPU": 0}
    assert types["head"]["max_workers"] == 0
    for name in ("cpu", "gpu"):
        assert types[name]["min_workers"] == 0
        assert 0 < types[name]["max_workers"] <= cloud["max_workers"]
        assert types[name]["labels"] == {"xlstance-pool": name}
    assert types["gpu"]["resources"]["GPU"] == 1
    assert "GPU" not in types["cpu"]["resources"]
    assert 0 < cloud["idle_timeout_minutes"] <= 15


def test_the_cpu_group_alone_is_spot():
    aws, gcp = (read(path)["available_node_types"] for path in CLOUDS.values())
    spot = {name for name, node in aws.items() if node["node_config"].get("InstanceMarketOptions")}
    assert spot == {"cpu"}
    preemptible = {
        name
        for name, node in gcp.items()
        if any(part.get("preemptible") for part in node["node_config"].get("scheduling", []))
    }
    assert preemptible == {"cpu"}


def test_a_token_is_asked_for_and_the_dashboard_is_on_loopback(cloud):
    for commands in (cloud["head_start_ray_commands"], cloud["worker_start_ray_commands"]):
        start = next(command for command in commands if "ray start" in command)
        assert ". ~/xlstance-setup/environment" in start  # which says RAY_AUTH_MODE=token
    head = " ".join(cloud["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in yaml.safe_dump(cloud)
    assert cloud["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "RAY_AUTH_MODE=token" in (ROOT / "cluster" / "install.sh").read_text()


def test_no_port_is_opened_and_rights_are_two_profiles():
    aws = read(CLOUDS["aws"])
    assert aws["provider"]["security_group"] == {"GroupName": "xlstance"}  # Ray opens SSH, and no rule of ours more
    profiles = {
        name: node["node_config"]["IamInstanceProfile"]["Arn"] for name, node in aws["available_node_types"].items()
    }
    assert profiles["cpu"] == profiles["gpu"] != profiles["head"]
    for node in aws["available_node_types"].values():
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in node["node_config"]["BlockDeviceMappings"])
    gcp = read(CLOUDS["gcp"])["available_node_types"]
    assert gcp["cpu"]["node_config"]["serviceAccounts"] == gcp["gpu"]["node_config"]["serviceAccounts"]
    assert gcp["cpu"]["node_config"]["serviceAccounts"] != gcp["head"]["node_config"]["serviceAccounts"]
    assert "cloud-platform" not in str(gcp["cpu"]["node_config"]["serviceAccounts"])


def test_every_group_installs_its_own_lock(cloud):
    mounted = set(cloud["file_mounts"].values()) - {"~/.ray/auth_token"}
    assert {path for path in mounted if not (ROOT / path).is_file()} == set()
    assert "LOCK=cpu" in " ".join(cloud["head_setup_commands"])
    assert "LOCK=cpu" in " ".join(cloud["worker_setup_commands"])
    assert "LOCK=gpu" in " ".join(cloud["available_node_types"]["gpu"]["worker_setup_commands"])


def test_every_field_to_change_stands_at_the_top_and_in_readme():
    """What is made up in the rest of the file comes from there: no account, image or region elsewhere."""
    readme = (ROOT / "docs" / "cluster.md").read_text()
    for path in CLOUDS.values():
        text = path.read_text()
        top, rest = text[: text.index("\nmax_workers:")], text[text.index("\nmax_workers:") :]
        for name in read(path)["metadata"]:
            assert re.search(rf"^  {name}: &", top, re.MULTILINE), name
            assert f"`{name}`" in readme, f"{name} of {path.name} is not explained"
        assert not re.search(r"ami-|arn:|your-project|eu-central|europe-west", rest)


def test_the_installer_is_a_plain_shell_script(tmp_path):
    done = subprocess.run(["sh", "-n", ROOT / "cluster" / "install.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_the_installer_says_of_a_lock_is_what_submit_compares(tmp_path):
    """The script itself, with the environment already there: it only writes what the node says of itself."""
    setup, home = tmp_path / "setup", tmp_path / "home"
    setup.mkdir()
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("secret")
    (home / "xlstance-env").mkdir()
    for name in ("install.sh", "cpu.txt"):
        source = ROOT / ("cluster" if name.endswith(".sh") else "requirements") / name
        (setup / name).write_bytes(source.read_bytes())
    (home / "xlstance-env" / "lock").write_text(lock_hash(setup / "cpu.txt") + "\n")
    done = subprocess.run(
        ["sh", setup / "install.sh"],
        env={"HOME": str(home), "LOCK": "cpu", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((setup / "labels.yaml").read_text()) == {LABEL: lock_hash(setup / "cpu.txt")}
    assert "RAY_AUTH_MODE=token" in (setup / "environment").read_text()
    assert (home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0

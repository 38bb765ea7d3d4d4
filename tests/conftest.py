"""What all tests share: one thread per process, and one Ray for the whole session."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Before torch and Ray are imported, and for every process that a test starts: worker processes import this library
# and the test modules.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
_HERE = Path(__file__).resolve().parent
_PATHS = [str(_HERE.parent), str(_HERE), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(path for path in _PATHS if path)

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A private Ray with two processors."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def own_token() -> Iterator[None]:
    """Undoes what the command line sets for a private cluster: the tests' own could not start with it."""
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    before = {name: os.environ[name] for name in names if name in os.environ}
    yield
    for name in names:
        os.environ.pop(name, None)
    os.environ.update(before)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    from s3_server import s3_server

    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(server: str, request: pytest.FixtureRequest) -> str:
    """The address of a folder in a new bucket."""
    import boto3

    name = request.node.originalname.replace("_", "-")[:63].strip("-")
    boto3.client("s3", endpoint_url=server).create_bucket(Bucket=name)
    return f"s3://{name}/work"


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Makes this process another node: one with a cache of its own."""
    from xlstance.disk_folder import CACHE

    def become(name: str) -> Path:
        monkeypatch.setenv(CACHE, str(tmp_path / name))
        return tmp_path / name

    become("first")
    return become

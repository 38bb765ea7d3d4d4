"""Where a cluster's job service answers, and the token that it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import ray
import requests

from xlstance.cluster.folder import ClusterFolder
from xlstance.cluster.local import running
from xlstance.errors import UserError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class JobService:
    """A cluster's job service.

    Attributes:
        url: ``http://HOST:PORT``.
        token: what it asks for, never shown; empty for none.
        local: whether it is the local cluster's.
    """

    url: str
    token: str = field(repr=False)
    local: bool

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def get(self, path: str) -> requests.Response:
        """Asks for a path.

        Raises:
            UserError: if nobody answers, or the token is missing or not the right one.
        """
        try:
            answer = requests.get(self.url + path, headers=self.headers, timeout=30)
        except requests.RequestException as error:
            raise UserError(
                f"no Ray cluster answers at {self.url}; `xlstance cluster up --local` starts one here, and "
                "`ray dashboard cluster.yaml` forwards a remote one's port"
            ) from error
        if answer.status_code in (401, 403):
            what = "another token than the one found here" if self.token else "a token, and none was found here"
            raise UserError(
                f"the cluster at {self.url} asks for {what}; bring its file (`ray get-auth-token` on the head prints "
                "its content) and name it in RAY_AUTH_TOKEN_PATH"
            )
        return answer


def find_service(address: str, environment: Mapping[str, str], folder: ClusterFolder) -> JobService:
    """The job service that is meant, once it answers and is of this Ray's version.

    Args:
        address: ``http://HOST:PORT``, or ``local`` for the local cluster; empty: what ``RAY_API_SERVER_ADDRESS`` or
            ``RAY_ADDRESS`` says, else the local cluster.
        environment: where those and the token's variables are looked up.
        folder: of the local cluster.

    Raises:
        UserError: if there is none, the token does not fit, or its Ray is of another version.
    """
    cluster = running(folder)
    given = address or environment.get("RAY_API_SERVER_ADDRESS") or environment.get("RAY_ADDRESS", "")
    if cluster and given in ("", "local", cluster.dashboard, cluster.address):
        service = JobService(cluster.dashboard, folder.token.read_text(), True)
    elif given in ("", "local"):
        raise UserError(
            "there is no cluster to submit to: start one with `xlstance cluster up --local`, or give --address "
            "http://HOST:8265"
        )
    elif urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).hostname:
        raise UserError(f"--address {given} is no address of a job service; give http://HOST:8265")
    else:
        service = JobService(given.rstrip("/"), find_token(environment), False)
    theirs = service.get("/api/version").json().get("ray_version")
    if theirs != ray.__version__:
        raise UserError(f"the cluster at {service.url} runs Ray {theirs}, this is {ray.__version__}; install the same")
    return service


def find_token(environment: Mapping[str, str]) -> str:
    """The user's token, from where Ray too looks for it; empty if there is none."""
    if environment.get("RAY_AUTH_TOKEN"):
        return environment["RAY_AUTH_TOKEN"].strip()
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    if path.is_file():
        return path.read_text().strip()
    if named:
        raise UserError(f"RAY_AUTH_TOKEN_PATH names {named}, and there is no such file")
    return ""


def in_the_clear(service: JobService) -> bool:
    """Whether the token would travel over a network unencrypted."""
    parts = urlsplit(service.url)
    return bool(service.token) and parts.scheme == "http" and parts.hostname not in _LOOPBACK

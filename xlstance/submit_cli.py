"""``xlstance submit JOB``: one of the jobs on a Ray cluster, with its settings checked before anything is sent."""

import argparse
import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from xlstance.cluster.address import JobService, find_service, in_the_clear
from xlstance.cluster.folder import ClusterFolder
from xlstance.cluster.lock import check_locks
from xlstance.cluster.packing import pack
from xlstance.cluster.submission import DETACHED, Submission, connect, follow, how_to_come_back, running_job, submit
from xlstance.errors import SettingsError, UserError
from xlstance.experiment.settings import ExperimentSettings
from xlstance.experiment_cli import with_recipe
from xlstance.settings import make_parser, parse_with_options
from xlstance.storage import fingerprint

JOBS = ("experiment", "augment", "prepare", "train", "sweep")
_FILES = ("--config", "--space", "--recipe")
_SETTINGS = "submitted-settings"  # folder of the files of settings, below the job's working directory
_ROOT = Path(__file__).resolve().parents[1]


def run_submit(arguments: Sequence[str]) -> int:
    """Submits a job and follows it.

    Args:
        arguments: the command line behind ``submit``.

    Returns:
        The job's exit code; 130 if the user turned away from it.

    Raises:
        UserError: if the settings, the cluster or its environment do not fit.
    """
    parser = _parser()
    given, rest = parser.parse_known_args(list(arguments))
    if given.job not in JOBS:
        raise UserError(f"there is no job {given.job!r} to submit; the jobs are {', '.join(JOBS)}")
    settings, options = _read(given.job, rest)
    folder = ClusterFolder()
    service = find_service(given.address, os.environ, folder)
    if in_the_clear(service):
        print(f"note: the token goes to {service.url} unencrypted; `ray dashboard` or `ssh -L` carries it through SSH")
    client = connect(service)
    run = f"{given.job}-{fingerprint(given.job, settings, options)}"
    submission_id = running_job(client, run)
    if submission_id:
        print(f"joined: {submission_id} runs already")
    else:
        submission_id = _submit(client, service, run, given, _for_cluster(service, settings, rest))
        print(f"submitted: {submission_id}, {service.url}/#/jobs/{submission_id}", flush=True)
    back = how_to_come_back(
        submission_id, shlex.join(["xlstance", "submit", *arguments]), _environment(service, folder)
    )
    if given.detach:
        print(back)
        return 0
    try:
        return follow(client, submission_id)
    except KeyboardInterrupt:
        print(back)
        return DETACHED


class _Parser(argparse.ArgumentParser):
    """Of the options of ``submit`` itself; a mistake in them is one line, as everywhere."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"xlstance submit: {message}")


def _parser() -> _Parser:
    parser = _Parser(
        prog="xlstance submit",
        allow_abbrev=False,  # what is meant for the job stays the job's
        description="Submits a job to a Ray cluster and follows it; a second submit of the same run joins the first or "
        "goes on where it stood. What is not named here goes to the job: see `xlstance JOB --help`.",
    )
    parser.add_argument("job", metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--address", default="", metavar="URL", help="http://HOST:8265; default: the local cluster")
    parser.add_argument(
        "--include", action="append", default=[], metavar="PATH", help="a further file or folder that goes along"
    )
    parser.add_argument("--pip", default="", metavar="LOCK", help="install this lock file on every node for this job")
    parser.add_argument("--driver_cpus", type=float, default=0, metavar="N", help="0: the driver runs on the head")
    parser.add_argument("--detach", action="store_true", help="do not follow the job")
    return parser


def _read(job: str, arguments: Sequence[str]) -> tuple[ExperimentSettings, dict[str, Any]]:
    """The job's settings, read here so that a mistake in them costs no upload."""
    parser = make_parser(ExperimentSettings, "", f"xlstance submit {job}")
    parser.add_argument("--recipe", type=str)
    if job == "sweep":
        parser.add_argument("--space", type=str)
    if not arguments:
        raise UserError(f"xlstance submit {job} needs the job's settings: give --config FILE")
    settings, options = parse_with_options(ExperimentSettings, parser, with_recipe(arguments))
    space = options.get("space")
    if space:
        from xlstance.sweep_cli import read_space

        return settings, {"space": read_space(Path(space))}
    return settings, {}


def _for_cluster(service: JobService, settings: ExperimentSettings, arguments: Sequence[str]) -> list[str]:
    """The job's command line, with the output where the job's nodes find it.

    Raises:
        SettingsError: if that is a path relative to nothing that a node knows.
    """
    if "://" in settings.output or Path(settings.output).is_absolute():
        return list(arguments)
    if not service.local:
        raise SettingsError(
            f"output is {settings.output}, a relative path: on a cluster it would lie in the job's temporary folder; "
            "give --output a bucket (s3://, gs://) or an absolute path that every node sees"
        )
    data = [] if "://" in settings.data else ["--data", str(Path(settings.data).absolute())]
    return [*arguments, "--output", str(Path(settings.output).absolute()), *data]


def _submit(client: Any, service: JobService, run: str, given: Any, arguments: Sequence[str]) -> str:
    nodes = service.get("/api/v0/nodes?detail=true").json()["data"]["result"]["result"]
    if not (given.pip or service.local):  # the local cluster runs in this very environment
        remark = check_locks(nodes, _ROOT / "requirements")
        if remark:
            print(f"note: {remark}")
    with tempfile.TemporaryDirectory() as made:
        package = pack(_ROOT, Path(made), given.include)
        command = ["python", f"jobs/{given.job}.py", *_with_files(arguments, Path(made))]
        print(f"sending {package} to {service.url}", flush=True)
        return submit(
            client,
            Submission(
                run=run,
                command=command,
                working_dir=Path(made),
                requirements=Path(given.pip) if given.pip else None,
                driver_cpus=given.driver_cpus,
            ),
        )


def _with_files(arguments: Sequence[str], folder: Path) -> list[str]:
    """The command line with its files of settings in the folder that goes along, wherever they lie here."""
    made, rest, number = list[str](), iter(arguments), 0
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if flag in _FILES and not equals:
            value = next(rest, "")
        if flag in _FILES and Path(value).is_file():
            target = folder / _SETTINGS / str(number) / Path(value).name
            target.parent.mkdir(parents=True)
            target.write_bytes(Path(value).read_bytes())
            value, number = f"{_SETTINGS}/{number}/{target.name}", number + 1
        made += [flag, value] if flag in _FILES else [argument]
    return made


def _environment(service: JobService, folder: ClusterFolder) -> dict[str, str]:
    """What Ray's own commands need to reach the service; the token itself is never shown."""
    token = {"RAY_AUTH_MODE": "token"} if service.token else {}
    path = {"RAY_AUTH_TOKEN_PATH": str(folder.token)} if service.local else {}
    return {"RAY_API_SERVER_ADDRESS": service.url, **token, **path}

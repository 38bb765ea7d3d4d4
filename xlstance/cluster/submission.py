"""Jobs on a cluster: one submission per run and attempt, followed until it ends or the user turns away."""

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from xlstance.cluster.address import JobService
from xlstance.errors import UserError

DETACHED = 130  # as a shell says of a command that was interrupted
_LIVE = (JobStatus.PENDING, JobStatus.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What is submitted.

    Attributes:
        run: names the run, the same for the same settings: a job of it that goes on is joined, another is begun anew
            and goes on where the former stood.
        command: what the driver runs.
        working_dir: folder that goes along.
        requirements: lock file that is installed on every node for this job; None for none.
        driver_cpus: processors for the driver, on a node that has them; 0: it runs on the head.
    """

    run: str
    command: Sequence[str]
    working_dir: Path
    requirements: Path | None = None
    driver_cpus: float = 0

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The environment that Ray makes for the job."""
        pip = {"pip": str(self.requirements)} if self.requirements else {}
        return {"working_dir": str(self.working_dir), **pip}


def connect(service: JobService) -> JobSubmissionClient:
    """A client of the job service; what the environment says of other clusters no longer counts."""
    os.environ["RAY_API_SERVER_ADDRESS"] = service.url
    return JobSubmissionClient(service.url, headers=service.headers)


def running_job(client: JobSubmissionClient, run: str) -> str:
    """The submission id of a job of this run that waits or runs; empty for none."""
    return next((job.submission_id for job in attempts(client, run) if job.status in _LIVE), "")


def attempts(client: JobSubmissionClient, run: str) -> list[JobDetails]:
    """The jobs of a run that the cluster remembers, first to last."""
    jobs = [job for job in client.list_jobs() if _number(job.submission_id, run)]
    return sorted(jobs, key=lambda job: _number(job.submission_id, run))


def _number(submission_id: str | None, run: str) -> int:
    """Which attempt of a run this is, from 1; 0 if it is another run's."""
    head, _, number = (submission_id or "").rpartition("-")
    return int(number) if head == run and number.isdigit() else 0


def submit(client: JobSubmissionClient, submission: Submission) -> str:
    """Begins the next attempt of a run.

    Returns:
        Its submission id.

    Raises:
        UserError: if the cluster refuses it.
    """
    former = attempts(client, submission.run)
    number = _number(former[-1].submission_id, submission.run) + 1 if former else 1
    try:
        submitted: str = client.submit_job(
            entrypoint=shlex.join(submission.command),
            submission_id=f"{submission.run}-{number}",
            runtime_env=submission.runtime_env,
            entrypoint_num_cpus=submission.driver_cpus,
        )
    except RuntimeError as error:
        joined = running_job(client, submission.run)  # another submit was faster
        if joined:
            return joined
        raise UserError(f"the cluster refused the job: {str(error).strip().splitlines()[-1]}") from error
    return submitted


def follow(client: JobSubmissionClient, submission_id: str) -> int:
    """Shows a job's log until it ends.

    Returns:
        The exit code of its driver.

    Raises:
        KeyboardInterrupt: if the user turns away; the job goes on.
        UserError: if it ended without one: it was stopped, or its node is lost.
    """
    shown = 0
    while True:
        with suppress(RuntimeError, aiohttp.ClientError):  # the connection broke: look whether the job goes on
            shown = asyncio.run(_tail(client, submission_id, shown))
        job = client.get_job_info(submission_id)
        if job.status not in _LIVE:
            break
    text = client.get_job_logs(submission_id)
    sys.stdout.write(text[shown:])
    sys.stdout.flush()
    if job.status == JobStatus.SUCCEEDED:
        return 0
    if job.driver_exit_code and job.driver_exit_code > 0:
        return int(job.driver_exit_code)
    said = (job.message or "").strip().splitlines()
    raise UserError(f"job {submission_id} ended as {job.status.value}: {said[-1] if said else 'it said nothing'}")


async def _tail(client: JobSubmissionClient, submission_id: str, shown: int) -> int:
    """Shows the log from a character on, and returns the character after the last one shown."""
    at = 0
    async for text in client.tail_job_logs(submission_id):
        new = text[max(shown - at, 0) :]
        at += len(text)
        sys.stdout.write(new)
        sys.stdout.flush()
        shown = max(shown, at)
    return shown


def how_to_come_back(submission_id: str, again: str, environment: Mapping[str, str]) -> str:
    """What to do with a job that goes on by itself."""
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    return (
        f"\nthe job goes on: {submission_id}\n"
        f"  see it again:  {again}\n"
        f"  stop it:       {exports} ray job stop {submission_id}"
    )

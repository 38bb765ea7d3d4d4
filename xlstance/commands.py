"""The subcommands: what each is for and where it lives. Whoever lists them, or runs one, need not import the others."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand.

    Attributes:
        summary: its line of help.
        module: of the package.
        function: in it; takes the arguments behind the command's name.
        first: what the function takes before these.
    """

    summary: str
    module: str
    function: str
    first: tuple[str, ...] = ()


def _job(name: str, summary: str) -> Command:
    return Command(summary=summary, module="experiment_cli", function="run_job", first=(name,))


COMMANDS = {
    "experiment": _job("experiment", "run everything: corpora, augmentation, training, retrieval, evaluation, report"),
    "augment": _job("augment", "read the corpora and publish the augmented pairs, or show some beforehand"),
    "prepare": _job("prepare", "make all that `torchrun jobs/train.py` reads"),
    "train": _job("train", "train every arm, without evaluating it"),
    "sweep": Command(
        summary="search for settings such as the mixing ratio, with early stopping, and show the whole curve",
        module="sweep_cli",
        function="run_sweep_job",
    ),
    "evaluate": Command(
        summary="measure encoders as they are, vectors or TREC runs on any benchmark",
        module="evaluate_cli",
        function="run_evaluate",
    ),
    "compare": Command(
        summary="put earlier runs into one report, tested against each other",
        module="compare_cli",
        function="run_compare",
    ),
    "export": Command(
        summary="write stance retrieval as BEIR folders and TREC judgements",
        module="evaluate_cli",
        function="run_export",
    ),
    "corpora": Command(
        summary="list the known sources, or describe those that are named", module="data_cli", function="run_corpora"
    ),
    "fetch": Command(summary="download sources from their publishers", module="data_cli", function="run_fetch"),
    "cluster": Command(
        summary="an autoscaling cluster on this machine: up --local, status, down",
        module="cluster_cli",
        function="run_cluster",
    ),
    "submit": Command(
        summary="run a job on a Ray cluster: `xlstance submit experiment --config FILE --address URL`",
        module="submit_cli",
        function="run_submit",
    ),
    "leakage": Command(
        summary="find the training rows that hold what an evaluation set holds",
        module="data_cli",
        function="run_leakage",
    ),
}

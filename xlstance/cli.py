"""The command line: one subcommand per job, the settings of each as options, 2 as the exit code of a user's mistake.

xlstance experiment --config jobs/configs/quickstart.yaml --training.sampler.alpha 0.25
xlstance fetch xquad-r --into data
"""

import difflib
import os
import secrets
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from xlstance import __version__
from xlstance.commands import COMMANDS
from xlstance.errors import UserError
from xlstance.progress import close_bars

_QUIET = {
    # Ray, tokenizers and oneDNN speak of things that no user of this command can act on.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "TRANSFORMERS_VERBOSITY": "error",
}
_OF_A_CLUSTER = {"cluster", "submit"}  # they speak to a cluster with its own token


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand.

    Args:
        arguments: the command line without the program's name.

    Returns:
        The exit code: 0, or 2 for a user's mistake, which stands in one line on standard error; of ``submit`` the
        submitted job's.
    """
    _set_environment()
    if not set(arguments[:1]) & _OF_A_CLUSTER:
        _keep_private()
    warnings.filterwarnings("ignore")
    try:
        return _run(arguments)
    except UserError as error:
        close_bars()
        print(f"error: {error}", file=sys.stderr)
        return 2


def _set_environment() -> None:
    """Sets what Ray reads when it is imported; what the user has set stays."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def _keep_private() -> None:
    """Has a Ray that this process starts answer to nobody else, where no other cluster is named."""
    if "RAY_ADDRESS" not in os.environ and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        # Else Ray's servers listen on every interface. So they listen on loopback, as on Windows and macOS.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        print(__version__)
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        near = difflib.get_close_matches(arguments[0], list(COMMANDS), n=1)
        raise UserError(
            f"there is no command {arguments[0]!r}; the commands are {', '.join(COMMANDS)}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    # Only what this command needs: torch and DeepSpeed take seconds to import.
    run = getattr(import_module(f"xlstance.{command.module}"), command.function)
    done = run(*command.first, arguments[1:])
    return done if isinstance(done, int) else 0


def _usage() -> str:
    lines = [f"  {name:<12}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: xlstance COMMAND --config FILE [--SETTING VALUE ...]",
            "       xlstance corpora [NAME ...] | fetch NAME ... --into DIR | leakage --train PATH ... --eval PATH ...",
            "",
            "Trains and proves multilingual retrievers with little language bias.",
            "",
            "commands:",
            *lines,
            "",
            "`xlstance COMMAND --help` lists every setting, `--print_config` prints a job's as YAML.",
        ]
    )


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))

"""``xlstance sweep``: an experiment's settings, a space's file, and the search over it."""

from collections.abc import Sequence
from pathlib import Path

from xlstance.commands import COMMANDS
from xlstance.errors import SettingsError, UserError
from xlstance.experiment.settings import ExperimentSettings
from xlstance.experiment_cli import with_recipe
from xlstance.settings import make_parser, parse, parse_with_options
from xlstance.sweep.run import run_sweep
from xlstance.sweep.settings import SweepSettings


def run_sweep_job(arguments: Sequence[str]) -> None:
    """Reads the settings of an experiment and of a sweep over it, and does it.

    Args:
        arguments: the command line behind ``sweep``.

    Raises:
        UserError: for settings or data that do not fit.
    """
    parser = make_parser(ExperimentSettings, COMMANDS["sweep"].summary, "xlstance sweep")
    parser.add_argument("--space", type=str, metavar="FILE", help="what is varied, a YAML file as in tune_spaces")
    parser.add_argument("--recipe", type=str, metavar="NAME", help="add augmentations, as `xlstance experiment` does")
    if not arguments:
        raise UserError(
            "xlstance sweep needs settings and a space: give --config FILE --space FILE (ready ones stand in "
            "jobs/configs and tune_spaces), or --help"
        )
    settings, options = parse_with_options(ExperimentSettings, parser, with_recipe(arguments))
    if not options.get("space"):
        raise SettingsError("--space is missing: give a file that says what is varied; ready ones stand in tune_spaces")
    path = Path(options["space"])
    run_sweep(settings, read_space(path), path.stem)


def read_space(path: Path) -> SweepSettings:
    """The settings of a sweep from a file.

    Raises:
        SettingsError: if there is no such file, or it does not fit.
    """
    if not path.is_file():
        raise SettingsError(f"--space {path}: there is no such file")
    try:
        return parse(SweepSettings, make_parser(SweepSettings, "", "space"), ["--config", str(path)])
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error

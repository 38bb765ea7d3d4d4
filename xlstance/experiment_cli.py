"""The commands that take an experiment's settings: the whole of it, or one of its parts."""

from collections.abc import Callable, Sequence
from typing import Any

from xlstance.commands import COMMANDS
from xlstance.errors import UserError
from xlstance.experiment import run
from xlstance.experiment.augmentations import recipe_path
from xlstance.experiment.preview import run_preview
from xlstance.experiment.settings import ExperimentSettings
from xlstance.settings import make_parser, parse_with_options

_WORK: dict[str, Callable[[ExperimentSettings], Any]] = {
    "experiment": run.run_experiment,
    "augment": run.run_augmentation,
    "prepare": run.run_preparation,
    "train": run.run_training,
}


def run_job(name: str, arguments: Sequence[str]) -> None:
    """Reads an experiment's settings and does the job.

    Args:
        name: of the job.
        arguments: the command line behind it.

    Raises:
        UserError: for settings or data that do not fit.
    """
    parser = make_parser(ExperimentSettings, COMMANDS[name].summary, f"xlstance {name}")
    parser.add_argument(
        "--recipe", type=str, metavar="NAME", help="add augmentations: none, mono, cross, both, generic, or a YAML file"
    )
    if name == "augment":
        parser.add_argument("--preview", type=int, default=0, metavar="N", help="only show N pairs of each kind")
    if not arguments:
        raise UserError(
            f"xlstance {name} needs settings: give --config FILE (ready ones stand in jobs/configs), or --help"
        )
    settings, options = parse_with_options(ExperimentSettings, parser, with_recipe(arguments))
    if options.get("preview"):
        run_preview(settings, options["preview"])
    else:
        _WORK[name](settings)


def with_recipe(arguments: Sequence[str]) -> list[str]:
    """The command line with a recipe's file as one more file of settings, which wins over those before it.

    Raises:
        SettingsError: if there is no such recipe.
    """
    made, rest = list[str](), iter(arguments)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if flag == "--recipe" and (name := value if equals else next(rest, "")):
            made += ["--config", str(recipe_path(name))]
        else:
            made.append(argument)
    return made

"""Settings from YAML and the command line into frozen dataclasses, with one clear line for what is wrong."""

import dataclasses
import difflib
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from jsonargparse import ArgumentParser, set_dumper, set_loader, set_parsing_settings

from xlstance.errors import SettingsError

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML in which ``no`` is a language and not false: YAML 1.2's booleans, and its numbers."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float", ":timestamp"))]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


class _Dumper(yaml.SafeDumper):
    """Quotes every string that the loader, or a reader of YAML 1.1, would take for something else."""


_Dumper.yaml_implicit_resolvers = {
    letter: yaml.SafeLoader.yaml_implicit_resolvers.get(letter, []) + _Loader.yaml_implicit_resolvers.get(letter, [])
    for letter in {**yaml.SafeLoader.yaml_implicit_resolvers, **_Loader.yaml_implicit_resolvers}
}


def _dump(content: Any) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class LineParser(ArgumentParser):  # type: ignore[misc]
    """Says an error in one line, with the nearest name that is known, and exits with 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises what is wrong as a SettingsError; called by the parser."""
        raise SettingsError(_one_line(message, self))


def make_parser(settings: type, description: str, program: str) -> ArgumentParser:
    """A command-line parser of one settings class: ``--config FILE``, ``--a.b.c VALUE``, ``--print_config``.

    Args:
        settings: a dataclass; its ``Attributes`` are the help.
        description: what the command does.
        program: how it is called.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    set_loader("yaml", _load, exceptions=(yaml.YAMLError,))
    set_dumper("yaml", _dump)
    parser = LineParser(prog=program, description=description, default_env=False)
    parser.add_argument("--config", action="config", help="YAML file of settings; what the command line says wins")
    parser.add_class_arguments(settings, None)
    return parser


def parse(settings: type[T], parser: ArgumentParser, arguments: Sequence[str]) -> T:
    """Reads settings.

    Args:
        settings: the dataclass that the parser was made for.
        parser: from ``make_parser``.
        arguments: the command line after the subcommand.

    Returns:
        An instance; nested dataclasses are instances too.

    Raises:
        SettingsError: as of ``parse_with_options``.
    """
    return parse_with_options(settings, parser, arguments)[0]


def parse_with_options(settings: type[T], parser: ArgumentParser, arguments: Sequence[str]) -> tuple[T, dict[str, Any]]:
    """Reads settings, and the values of what else the parser takes.

    Args:
        settings: the dataclass that the parser was made for.
        parser: from ``make_parser``, perhaps with more arguments.
        arguments: the command line after the subcommand.

    Returns:
        An instance as of ``parse``, and the values of the parser's other arguments by their names.

    Raises:
        SettingsError: for an unknown key, a wrong type, a value out of range, or a file that is not there.
    """
    for flag, value in pairwise(arguments):
        if flag == "--config" and not Path(value).is_file():
            raise SettingsError(f"--config {value}: there is no such file")
    try:
        parsed = parser.instantiate_classes(parser.parse_args(list(arguments)))
    except UnicodeDecodeError as error:
        raise SettingsError(f"a file of settings is not UTF-8 ({error}); convert it") from error
    except ValueError as error:  # what the settings of a way refuse comes out wrapped
        raise _innermost(error) or SettingsError(_one_line(str(error), parser)) from error
    names = {field.name for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    values = vars(parsed)
    own = {name: value for name, value in values.items() if name in names}
    return settings(**own), {name: value for name, value in values.items() if name not in names}


def from_plain(settings: type[T], content: Any) -> T:
    """Settings from plain values, such as ``dataclasses.asdict`` gives and JSON keeps.

    Raises:
        SettingsError: if they are no such settings.
    """
    if not isinstance(content, dict):
        raise SettingsError(f"{content!r:.80} is no mapping of settings to values")
    parser = make_parser(settings, "", "settings")
    try:
        parsed = vars(parser.instantiate_classes(parser.parse_object(content)))
    except (ValueError, TypeError) as error:
        raise _innermost(error) or SettingsError(_one_line(str(error), parser)) from error
    return settings(**{field.name: parsed[field.name] for field in dataclasses.fields(settings)})  # type: ignore[arg-type]


def _innermost(error: BaseException | None) -> SettingsError | None:
    """The refusal of a settings class behind an error of the parser."""
    while error is not None and not isinstance(error, SettingsError):
        error = error.__cause__
    return error


def _one_line(message: str, parser: ArgumentParser) -> str:
    """The parser's message on one line, with plain type names and the nearest known name for an unknown one."""
    text = " ".join(message.split())
    # Of what may be left out: why it is no such settings, and not that it isn't nothing either.
    text = re.sub(r"Does not validate against any of the Union subtypes.*?Errors: - (.*?) - Expected a .*", r"\1", text)
    text = re.sub(r"<class '(\w+)'>", r"\1", text)
    text = re.sub(r"typing\.Literal\[([^]]*)\]", r"one of \1", text)
    text = re.sub(r"\bExpected an? ", "expected ", text)
    unknown = re.search(
        r"(?:Group '(?P<group>[\w.]+)' does not accept option|Option|arguments:) '?-*(?P<name>[\w.]+)", text
    )
    if unknown:
        group, name = unknown.group("group"), unknown.group("name")
        known = {option.removeprefix("--") for action in parser._actions for option in action.option_strings}
        near = difflib.get_close_matches(f"{group}.{name}" if group else name, sorted(known), n=1, cutoff=0.5)
        if near and near[0] != name:
            text += f"; did you mean {near[0]}?"
    return text

"""The commands about data: what sources there are, fetching them, and looking for leakage between them."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from xlstance.corpora.catalog import describe, find_entry, format_catalog, load_catalog
from xlstance.corpora.fetch import fetch
from xlstance.experiment.audit import LEAKAGE
from xlstance.experiment.audit_paths import audit_paths, format_summary
from xlstance.session import ray_session
from xlstance.settings import LineParser
from xlstance.storage import Folder


def run_corpora(arguments: Sequence[str]) -> None:
    """``xlstance corpora``: the table of sources, or all that is known of some."""
    parser = LineParser(prog="xlstance corpora", description="Lists the known sources, or describes those named.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a source")
    names = parser.parse_args(list(arguments)).names
    if names:
        print("\n\n".join(describe(find_entry(name)) for name in names))
    else:
        print(format_catalog(load_catalog().values()))


def run_fetch(arguments: Sequence[str]) -> None:
    """``xlstance fetch``: downloads sources; goes on where an earlier run was stopped."""
    parser = LineParser(prog="xlstance fetch", description="Downloads sources from their publishers' addresses.")
    parser.add_argument("names", nargs="+", metavar="NAME", help="a source; `xlstance corpora` lists them")
    parser.add_argument("--into", type=str, required=True, metavar="DIR", help="folder to put them below")
    parser.add_argument("--languages", type=str, default="", help="only these, such as de,en; default: all")
    given = parser.parse_args(list(arguments))
    fetch(given.names, Path(given.into), languages=[lang for lang in given.languages.split(",") if lang])


def run_leakage(arguments: Sequence[str]) -> None:
    """``xlstance leakage``: the audit of training data against evaluation sets, outside of an experiment."""
    parser = LineParser(
        prog="xlstance leakage",
        description="Finds the training rows that hold what an evaluation set holds. A path is a file (SQuAD's "
        "columns, Tevatron's or FlagEmbedding's JSON lines, columns query and passage, English TAB other), a folder "
        "(XQuAD-R, BEIR), or what an experiment published.",
    )
    parser.add_argument("--train", nargs="+", required=True, metavar="PATH", help="training data")
    parser.add_argument("--eval", nargs="+", required=True, metavar="PATH", help="what must not stand in them")
    parser.add_argument("--into", type=str, default="runs/leakage", metavar="DIR", help="folder for what comes out")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="size of the worker pool; 0: this process")
    parser.add_argument("--shards", type=int, default=4, metavar="N", help="parts that the training data are cut into")
    given = parser.parse_args(list(arguments))
    with ray_session(given.workers) if given.workers else nullcontext():
        summary = audit_paths(
            _named(given.train), _named(given.eval), Folder(given.into), workers=given.workers, shards=given.shards
        )
    tables = "\n".join(f"rows of {name}: {folder}" for name, folder in summary["tables"].items())
    print(f"{format_summary(summary)}\n\n{tables}\ncounts: {given.into}/{LEAKAGE}")


def _named(paths: Sequence[str]) -> dict[str, Path]:
    """Paths by a name for each: the file's, with the folder's before it where two have the same."""
    names = [_stem(Path(path)) for path in paths]
    return {
        name if names.count(name) == 1 else f"{_stem(Path(path).absolute().parent)}-{name}": Path(path)
        for name, path in zip(names, paths, strict=True)
    }


def _stem(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.name.partition(".")[0]).strip("-") or "data"

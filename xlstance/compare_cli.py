"""``xlstance compare``: earlier runs in one report."""

from collections.abc import Sequence

from xlstance.compare.compare import compare_runs
from xlstance.settings import LineParser


def run_compare(arguments: Sequence[str]) -> None:
    """Compares finished runs.

    Args:
        arguments: the command line behind ``compare``.

    Raises:
        UserError: if the runs cannot be compared.
    """
    parser = LineParser(
        prog="xlstance compare",
        description="Puts the arms of finished experiments and evaluations into one report, tests them against each "
        "other, and says what differs in the runs' settings. The runs must have scored the same benchmarks.",
    )
    parser.add_argument("runs", type=str, nargs="+", metavar="RUN", help="output folders of two runs or more")
    parser.add_argument("--output", type=str, default="", metavar="DIR", help="default: runs/compare-NAMES")
    parser.add_argument("--names", type=str, nargs="+", default=[], metavar="NAME", help="of the runs, in their order")
    parser.add_argument(
        "--only-common", action="store_true", help="leave out benchmarks that differ between runs, and go on"
    )
    parser.add_argument(
        "--resamples", type=int, default=None, metavar="N", help="of the tests; default: the first run's"
    )
    given = parser.parse_args(list(arguments))
    compare_runs(given.runs, given.output, given.names, only_common=given.only_common, resamples=given.resamples)

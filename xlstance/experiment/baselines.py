"""The baselines that nothing is trained for: BM25, dictionary translate-test, merged lists of an encoder."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow.compute as pc

from xlstance.errors import DataError
from xlstance.evaluation.results import ArmResult
from xlstance.experiment.contenders import Contender, vectors_of
from xlstance.experiment.rankers import ByMergedLists, ByTranslatedWords, ByWords, Ranker
from xlstance.experiment.settings import BUILT_IN, MERGED, UNTOUCHED, Arm, Baseline, ExperimentSettings
from xlstance.experiment.translate_test import Dictionary, find_dictionaries, write_miniature_dictionaries
from xlstance.files import what_is_there
from xlstance.storage import Folder, read_table


def baseline_contenders(
    settings: ExperimentSettings, root: Folder, benchmarks: Mapping[str, Folder]
) -> list[Contender]:
    """The baselines of the settings, but for the untouched encoder, which is an arm; each is measured once.

    Args:
        settings: of the experiment.
        root: its folder; merged lists need the vectors of the untouched encoder there.
        benchmarks: folders of their tables, by name.

    Raises:
        DataError: if there is no dictionary for any pair of languages of a benchmark.
    """
    return [
        Contender(
            arm=ArmResult(name=baseline, seed=settings.seeds[0]),
            rankers={name: _ranker(baseline, settings, root, name, folder) for name, folder in benchmarks.items()},
        )
        for baseline in settings.baselines
        if baseline != UNTOUCHED
    ]


def _ranker(baseline: Baseline, settings: ExperimentSettings, root: Folder, benchmark: str, folder: Folder) -> Ranker:
    if baseline in MERGED:
        encoder = settings.untouched
        assert isinstance(encoder, Arm)  # noqa: S101 - the settings were checked
        vectors = vectors_of(root, f"{encoder.name}-{settings.seeds[0]}", benchmark)
        return ByMergedLists(vectors=vectors, merge=MERGED[baseline], name=baseline, encoder=encoder.name)
    if baseline == "translate-test":
        return ByTranslatedWords(dictionaries=_dictionaries(settings, root, benchmark, folder))
    return ByWords()


def _dictionaries(settings: ExperimentSettings, root: Folder, benchmark: str, folder: Folder) -> tuple[Dictionary, ...]:
    """The dictionaries of the settings for the pairs of languages of a benchmark."""
    lexicons = settings.lexicons
    if lexicons in ([], [BUILT_IN]):
        lexicons = write_miniature_dictionaries(settings.miniature, root / "lexicons")
    asked, answered = (
        sorted(pc.unique(read_table(folder / table, table, ["lang"])["lang"]).to_pylist())
        for table in ("queries", "passages")
    )
    found = find_dictionaries(lexicons, settings.local_data, asked, answered)
    if not found and len({*asked, *answered}) > 1:
        there = what_is_there((Path(settings.local_data) / lexicons[0]).parent)
        raise DataError(
            f"baseline translate-test: none of {lexicons} is a file below {settings.data} for two of the languages of "
            f"{benchmark} ({', '.join(dict.fromkeys([*asked, *answered]))}); {there}"
        )
    return found

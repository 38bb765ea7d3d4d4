"""XL-Stance as retrieval tasks of mteb, from the embedded collection: nothing is downloaded.

    import mteb
    from xlstance.corpora.xl_stance.mteb_tasks import XLStanceStance, XLStanceTopical
    mteb.evaluate(mteb.get_model("intfloat/multilingual-e5-small"), [XLStanceTopical(), XLStanceStance()])

Needs ``pip install xlstance[mteb]``. Subsets: a language's questions over its own comments, and ``multilingual``, the
questions of all languages over all comments.
"""

from typing import Any

import pyarrow.compute as pc
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata

from xlstance.collection import Benchmark
from xlstance.corpora.bad_rows import BadRows
from xlstance.corpora.xl_stance.benchmark import SAME_SIDE, Part, StanceTask, Task, stance_benchmark
from xlstance.corpora.xl_stance.collection import EMBEDDED, read_collection

MULTILINGUAL = "multilingual"
LANGUAGES = {
    "ar": "ara-Arab", "de": "deu-Latn", "el": "ell-Grek", "en": "eng-Latn", "es": "spa-Latn", "fr": "fra-Latn",
    "hi": "hin-Deva", "it": "ita-Latn", "ru": "rus-Cyrl", "th": "tha-Thai", "tr": "tur-Latn", "vi": "vie-Latn",
    "zh": "zho-Hans",
}  # fmt: skip

_COLLECTION = read_collection(EMBEDDED, BadRows())


def _metadata(name: str, what: str, main_score: str) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description=f"{what} XL-Stance: 104 political issues, four comments each, parallel in 13 languages.",
        dataset={"path": "xlstance", "revision": _COLLECTION.fingerprint},
        reference="https://arxiv.org/abs/2003.08385",  # X-Stance, whose format and tasks it follows
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs={lang: [code] for lang, code in LANGUAGES.items()} | {MULTILINGUAL: list(LANGUAGES.values())},
        main_score=main_score,
        date=("2026-11-01", "2026-11-30"),
        domains=["Social", "Written"],
        task_subtypes=["Political classification"],
        license="cc-by-4.0",
        annotations_creators="LM-generated",
        sample_creation="LM-generated and verified",
        dialect=[],
        bibtex_citation="",
    )


class _Embedded(AbsTaskRetrieval):  # type: ignore[misc] # mteb is optional: mypy does not look into it
    """What both tasks share: the data are read from the package."""

    task: Task
    dataset: dict[str, dict[str, RetrievalSplitData]]
    data_loaded: bool

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        """Fills ``dataset``, by subset and split."""
        if self.data_loaded:
            return
        parts: dict[str, Part] = {"test": "test", "validation": "valid"}
        self.dataset = {subset: {} for subset in self.hf_subsets}
        for split in self.eval_splits:
            benchmark = stance_benchmark(_COLLECTION, StanceTask(task=self.task, part=parts[split]))
            for subset in self.hf_subsets:
                self.dataset[subset][split] = _split_data(benchmark, subset, self.task)
        self.data_loaded = True


def _split_data(benchmark: Benchmark, subset: str, task: Task) -> RetrievalSplitData:
    """A subset as mteb holds it; of the stance task those comments are relevant that take the side asked for."""
    passages, queries = benchmark.passages, benchmark.queries
    if subset != MULTILINGUAL:
        passages, queries = (table.filter(pc.equal(table["lang"], subset)) for table in (passages, queries))
    ids = set(passages["passage_id"].to_pylist())
    relevant: dict[str, dict[str, int]] = {query: {} for query in queries["query_id"].to_pylist()}
    for row in benchmark.qrels.to_pylist():
        wanted = task == "topical" or row["gain"] == SAME_SIDE
        if wanted and row["query_id"] in relevant and row["passage_id"] in ids:
            relevant[row["query_id"]][row["passage_id"]] = 1
    return RetrievalSplitData(
        corpus=Dataset.from_dict({"id": passages["passage_id"].to_pylist(), "text": passages["text"].to_pylist()}),
        queries=Dataset.from_dict({"id": queries["query_id"].to_pylist(), "text": queries["text"].to_pylist()}),
        relevant_docs=relevant,
        top_ranked=None,
    )


class XLStanceTopical(_Embedded):
    """Find the comments on a question."""

    task = "topical"
    metadata = _metadata("XLStanceTopical", "Find the comments on a political question.", "map_at_1000")


class XLStanceStance(_Embedded):
    """Find the comments that take the side asked for."""

    task = "stance"
    metadata = _metadata("XLStanceStance", "Find the comments that take one side of a question.", "map_at_1000")

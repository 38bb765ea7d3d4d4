"""Cross-lingual pairs from parallel texts: a question in one language with the passage in another.

The corpora list monolingual pairs over groups of texts that say the same in several languages. A pair links its query
group with its passage group, and so any query of the one with any passage of the other. No text is written: pairs are
references.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from xlstance.augmentation.references import rows_of
from xlstance.augmentation.way import Made, Part, Surroundings, Way, Work
from xlstance.errors import SettingsError
from xlstance.tables import check_language, hash_ids, make_table


@dataclass(frozen=True, kw_only=True)
class Pairing(Way):
    """Settings of pairing across languages.

    Attributes:
        name: stands in ``pairs.augmentation``.
        languages: take these languages alone, on either side; empty for all.
        per_language_pair: pairs to keep for each ordered pair of languages (query language, passage language), a
            sample drawn by hashes; 0 for all.
    """

    name: str = "pairing"
    languages: list[str] = field(default_factory=list)
    per_language_pair: int = 0

    writes_texts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for lang in self.languages:
            check_language(lang, "pairing")
        if self.per_language_pair < 0:
            raise SettingsError(f"pairing: per_language_pair is {self.per_language_pair}; give 0 for all, or more")

    def work(self, around: Surroundings) -> Work:
        """See ``pair_across_languages``."""

        def pair(part: Part) -> Made:
            wanted = self.per_language_pair
            # The sample's size is dealt out over the shards; 0 asks for all, so a share of 0 is no work at all.
            limit = wanted * (part.index + 1) // part.count - wanted * part.index // part.count
            if wanted and not limit:
                return Made(pairs=part.pairs.slice(0, 0))
            return Made(pairs=pair_across_languages(part, self, around.seed, limit))

        return pair


def pair_across_languages(part: Part, settings: Pairing, seed: int, limit: int) -> pa.Table:
    """Pairs the queries and passages of one shard across languages.

    Shards are cut by passage group: a shard holds the passages of its groups in all languages, and the pairs that
    lead to them.

    Args:
        part: the shard, with the query and passage groups of its pairs in all languages.
        settings: which languages.
        seed: of the hashes by which a variant is chosen and the sample drawn.
        limit: this shard's share of ``per_language_pair``: pairs to keep for each ordered language pair, those of the
            lowest hashes; 0 for all.

    Returns:
        Table ``pairs``: one row for each (query group, passage group) that a pair links and each ordered pair of
        languages, the two different, in which the groups have texts; where a group has several texts of one language,
        the hash chooses. Rows come in the order of their hashes. A pair that is already listed is not made again. The
        parent is one of the linking pairs, and the source is the parent's.

    Raises:
        DataError: if a pair refers to a text that is not there.
    """
    pairs, queries, passages = part.pairs, part.queries, part.passages
    query_rows, passage_rows = rows_of(pairs, "query_id", queries), rows_of(pairs, "passage_id", passages)
    asked, answers = _codes(queries, settings.languages), _codes(passages, settings.languages)
    links = pd.DataFrame(
        {
            "parent": np.arange(pairs.num_rows),
            "order": hash_ids(pairs.column("pair_id")),
            "query_group": asked["group"].to_numpy()[query_rows],
            "passage_group": answers["group"].to_numpy()[passage_rows],
        }
    )
    # Of several pairs with the same link, the lowest hash is the parent: their order does not matter.
    links = links.sort_values("order").drop_duplicates(["query_group", "passage_group"]).drop(columns="order")
    listed = _mix(asked["hash"].to_numpy()[query_rows], answers["hash"].to_numpy()[passage_rows], seed)
    made = links.merge(asked[asked["taken"]].add_prefix("query_"), on="query_group")
    made = made.merge(answers[answers["taken"]].add_prefix("passage_"), on="passage_group")
    made = made[made["query_lang"] != made["passage_lang"]]
    made = made.assign(hash=_mix(made["query_hash"].to_numpy(), made["passage_hash"].to_numpy(), seed))
    # One order serves both choices: the first variant of a link and language pair, the first links of a language pair.
    made = made[~made["hash"].isin(listed)].sort_values("hash")
    made = made.drop_duplicates(["query_group", "passage_group", "query_lang", "passage_lang"])
    if limit:
        made = made.groupby(["query_lang", "passage_lang"], sort=False).head(limit)
    parents = pairs.take(made["parent"].to_numpy())
    query_ids = queries.column("query_id").take(made["query_row"].to_numpy())
    passage_ids = passages.column("passage_id").take(made["passage_row"].to_numpy())
    return make_table(
        "pairs",
        {
            "pair_id": pc.binary_join_element_wise(query_ids, passage_ids, ">"),
            "query_id": query_ids,
            "passage_id": passage_ids,
            "source": parents.column("source"),
            "augmentation": [settings.name] * len(made),
            "parent_pair_id": parents.column("pair_id"),
        },
    )


def _codes(texts: pa.Table, languages: list[str]) -> pd.DataFrame:
    """Numbers for a table of texts, so that joins move no strings.

    Returns:
        Columns ``row``, ``group`` (a code within this table), ``lang`` (its hash, equal in every table), ``hash`` (of
        the id), ``taken`` (whether the language is wanted).
    """
    langs = texts.column("lang")
    return pd.DataFrame(
        {
            "row": np.arange(texts.num_rows),
            "group": pd.factorize(texts.column("group_id").to_numpy())[0],
            "lang": hash_ids(langs),
            "hash": hash_ids(texts.column(0)),
            "taken": pc.is_in(langs, pa.array(languages)).to_numpy() if languages else True,
        }
    )


def _mix(first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """A hash of two hashes and a seed, ``[rows] uint64``: splitmix64's finalizer (Steele et al. 2014) of a sum."""
    state: npt.NDArray[np.uint64] = first * np.uint64(0x9E3779B97F4A7C15) + second * np.uint64(0xD1342543DE82EF95)
    state = state + np.uint64(seed * 0xDA942042E4DD58B5 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))

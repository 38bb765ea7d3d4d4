"""How often each pool is drawn: shares of languages, language pairs and sources."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from xlstance.errors import SettingsError
from xlstance.training.plan.pools import Partition, Pool
from xlstance.training.plan.sampler import SamplerSettings

K = TypeVar("K", bound=Hashable)


def weighted_sources(partitions: Sequence[Partition], sampler: SamplerSettings) -> set[str]:
    """The sources that have weights.

    Raises:
        SettingsError: if a source is named that there is not, or one that needs a weight is not named.
    """
    named, known = set(sampler.source_weights), {p.source for p in partitions}
    if not named:
        return named
    retrieval, bitext = ({p.source for p in partitions if p.rows and p.bitext is of} for of in (False, True))
    missing = retrieval - named | (bitext - named if bitext & named else set())
    if named - known:
        raise SettingsError(
            f"sampler.source_weights names {', '.join(sorted(named - known))}, which is no source of this training; "
            f"its sources are {', '.join(sorted(known)) or 'none'}"
        )
    if missing:
        raise SettingsError(
            f"sampler.source_weights gives no weight to {', '.join(sorted(missing))}; name all retrieval sources, and "
            "all bitext sources or none"
        )
    return named


def language_shares(rows: Mapping[K, int], sampler: SamplerSettings) -> dict[K, float]:
    """Shares, adding up to 1, of languages or language pairs of so many rows."""
    weights = sampler.language_weights(list(rows.values()))
    return {key: weight / sum(weights) for key, weight in zip(rows, weights, strict=True)}


def pool_shares(pools: Sequence[Pool], sampler: SamplerSettings, *, nested: bool) -> list[float]:
    """Shares, adding up to 1, of pools that are drawn together.

    Args:
        pools: by language pair, and by source where sources have weights.
        sampler: how languages and sources are weighed.
        nested: whether a passage language is drawn, then a pair of it, instead of a pair among all.

    Returns:
        One for each pool.
    """
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # by passage, then query language
    weights: dict[tuple[str, str], float] = defaultdict(float)
    for pool in pools:
        rows[pool.passage_lang][pool.query_lang] += pool.rows
        weights[pool.passage_lang, pool.query_lang] += sampler.source_weights.get(pool.source, 1.0)
    if nested:
        by_passage = language_shares({passage: sum(own.values()) for passage, own in rows.items()}, sampler)
        shares = {
            (passage, query): by_passage[passage] * share
            for passage, own in rows.items()
            for query, share in language_shares(own, sampler).items()
        }
    else:
        shares = language_shares({(p, q): count for p, own in rows.items() for q, count in own.items()}, sampler)
    found = []
    for pool in pools:
        pair = pool.passage_lang, pool.query_lang
        found.append(shares[pair] * (sampler.source_weights.get(pool.source, 1.0) / weights[pair]))
    return found

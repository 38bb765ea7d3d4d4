"""What a test draws again: queries that share their content, in all languages, are one unit and not many."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]


def units_of(
    queries: pa.Table, passages: pa.Table, qrels: pa.Table, given: Mapping[str, str] | None = None
) -> list[str]:
    """The unit of every query: an article in LAReQA, an issue in stance retrieval, a question by itself in others.

    Queries of one group (translations of each other) are one unit. So are groups that share a relevant passage, its
    translations, or the article that it is from (``title``): an encoder that knows the article answers all of them, and
    a test that counts them as independent finds too much. The links go over any number of steps.

    Args:
        queries: table ``queries`` (Q rows).
        passages: table ``passages``.
        qrels: table ``qrels``; gains above 0 link.
        given: units by query group, from a benchmark that knows better; a group not in it is a unit by itself.

    Returns:
        ``[Q]`` units: as given, else each named by the smallest query group in it.
    """
    groups = queries["group_id"].to_pylist()
    if given is not None:
        return [given.get(group, group) for group in groups]
    names, code = np.unique(np.array(groups, dtype=str), return_inverse=True)
    relevant = qrels.filter(pc.greater(qrels["gain"], 0))
    asking = pc.index_in(relevant["query_id"], queries["query_id"]).to_numpy()
    answering = passages.take(pc.index_in(relevant["passage_id"], passages["passage_id"]))
    frame = answering.select(["lang", "title", "group_id"]).to_pandas().assign(code=code[asking])
    titled = frame[frame["title"].notna() & (frame["title"] != "")]
    links = pd.concat(
        [
            pd.DataFrame({"code": frame["code"], "key": frame["group_id"]}),
            pd.DataFrame({"code": titled["code"], "key": titled["lang"] + "\n" + titled["title"]}),
        ]
    ).drop_duplicates()
    unit = _connected(links["code"].to_numpy(), pd.factorize(links["key"])[0], len(names))
    return [str(name) for name in names[unit[code]]]


def _connected(node: Integers, key: Integers, nodes: int) -> Integers:
    """``[nodes]`` the smallest node that each is linked with over shared keys, or itself."""
    label = np.arange(nodes)
    smallest = np.empty(key.max(initial=-1) + 1, np.int64)
    while True:  # labels only fall; each round carries them over one more key
        smallest.fill(nodes)
        np.minimum.at(smallest, key, label[node])
        spread = label.copy()
        np.minimum.at(spread, node, smallest[key])
        if np.array_equal(spread, label):
            return label
        label = spread

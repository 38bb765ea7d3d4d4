"""Distributed encoding: every (model, table) goes shard by shard through one pool of workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import torch

from xlstance.encoders import Encoder, EncoderSettings, load_encoder
from xlstance.storage import Folder, fingerprint, read_manifest, read_shard
from xlstance.streams import Output, Shard, run_stream
from xlstance.tables import make_table

Kind = Literal["query", "passage"]
TABLE_OF: dict[Kind, str] = {"query": "queries", "passage": "passages"}
_ID: dict[Kind, str] = {"query": "query_id", "passage": "passage_id"}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """One table to be encoded by one model.

    Attributes:
        model: folder of the encoder.
        model_stamp: fingerprint of its weights.
        kind: whether the texts are queries or passages.
        texts: folder of the published table.
        output: folder for the table ``vectors``.
    """

    model: str
    model_stamp: str
    kind: Kind
    texts: Folder
    output: Folder


def encode_all(
    encodings: Sequence[Encoding],
    *,
    batch_tokens: int | None,
    workers: int,
    cpus_per_worker: float,
    gpus_per_worker: float,
) -> None:
    """Encodes tables; models change least often when the encodings come model by model.

    Args:
        encodings: what to encode.
        batch_tokens: tokens of a batch, padding included; None for what suits the processor.
        workers: size of the worker pool; 0 works in this process.
        cpus_per_worker: processors, and threads, of a worker.
        gpus_per_worker: GPUs of a worker.
    """
    shards, stamps = [], {}
    for number, encoding in enumerate(encodings):
        manifest = read_manifest(encoding.texts)
        stamps[encoding.output.uri] = fingerprint(encoding.model_stamp, encoding.kind, manifest.fingerprint)
        for index, file in enumerate(manifest.files):
            shards.append(
                Shard(
                    stamp=fingerprint(encoding.model_stamp, encoding.kind, file.sha256, index),
                    payload={"encoding": number, "file": index},
                    outputs={"vectors": Output(folder=encoding.output, table="vectors")},
                )
            )
    run_stream(
        partial(_Encode, tuple(encodings), batch_tokens, max(1, int(cpus_per_worker))),
        shards,
        stamps,
        label="encoding",
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
    )


class _Encode:
    def __init__(self, encodings: tuple[Encoding, ...], batch_tokens: int | None, threads: int) -> None:
        self._encodings, self._batch_tokens = encodings, batch_tokens
        self._loaded: tuple[str, Encoder] | None = None
        torch.set_num_threads(threads)

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        encoding = self._encodings[payload["encoding"]]
        file = read_manifest(encoding.texts).files[payload["file"]]
        texts = read_shard(encoding.texts, file, TABLE_OF[encoding.kind])
        encoder = self._encoder(encoding.model)
        vectors = encoder.encode(texts["text"].to_pylist(), encoding.kind, self._batch_tokens)
        flat = pa.array(vectors.ravel())
        lists = pa.ListArray.from_arrays(pa.array(range(0, flat.__len__() + 1, vectors.shape[1]), pa.int32()), flat)
        return {
            "vectors": make_table("vectors", {"id": texts[_ID[encoding.kind]], "lang": texts["lang"], "vector": lists})
        }

    def _encoder(self, model: str) -> Encoder:
        if self._loaded is None or self._loaded[0] != model:
            encoder = load_encoder(EncoderSettings(model=str(Path(model))))
            self._loaded = model, encoder.to("cuda" if torch.cuda.is_available() else "cpu")
        return self._loaded[1]

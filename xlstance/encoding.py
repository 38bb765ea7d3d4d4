"""Distributed encoding: every (model, table) goes shard by shard through one pool of workers."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import torch

from xlstance.encoders import Encoder, EncoderSettings, load_encoder
from xlstance.files import sha256_of
from xlstance.storage import Folder, fingerprint, read_manifest, read_shard
from xlstance.streams import Output, Shard, run_stream
from xlstance.tables import make_table

Kind = Literal["query", "passage"]
TABLE_OF: dict[Kind, str] = {"query": "queries", "passage": "passages"}
_ID: dict[Kind, str] = {"query": "query_id", "passage": "passage_id"}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """One table to be encoded by one encoder.

    Attributes:
        encoder: the encoder, with its prefixes and lengths.
        stamp: fingerprint of the encoder: of what decides its vectors.
        kind: whether the texts are queries or passages.
        texts: folder of the published table.
        output: folder for the table ``vectors``.
    """

    encoder: EncoderSettings
    stamp: str
    kind: Kind
    texts: Folder
    output: Folder


def encoder_stamp(settings: EncoderSettings) -> str:
    """The fingerprint of an encoder by what decides its vectors: content of its files, settings that override it.

    That is the network, weights, tokenizer, pooling, prefixes, lengths, and the precision of the arithmetic. The same
    model in another folder has the same one. The model is loaded, and written once to a temporary folder.

    Raises:
        UserError: what ``load_encoder`` finds wrong.
    """
    encoder = load_encoder(settings)
    with tempfile.TemporaryDirectory() as made:
        encoder.save(Path(made))
        files = (path for path in Path(made).rglob("*") if path.is_file())
        return fingerprint({str(path.relative_to(made)): sha256_of(path) for path in files}, settings.precision)


def encode_all(
    encodings: Sequence[Encoding],
    *,
    batch_tokens: int | None,
    workers: int,
    cpus_per_worker: float,
    gpus_per_worker: float,
) -> None:
    """Encodes tables; encoders change least often when the encodings come encoder by encoder.

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
        stamps[encoding.output.uri] = fingerprint(encoding.stamp, encoding.kind, manifest.fingerprint)
        for index, file in enumerate(manifest.files):
            shards.append(
                Shard(
                    stamp=fingerprint(encoding.stamp, encoding.kind, file.sha256, index),
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
        self._loaded: tuple[EncoderSettings, Encoder] | None = None
        torch.set_num_threads(threads)

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, pa.Table]:
        encoding = self._encodings[payload["encoding"]]
        file = read_manifest(encoding.texts).files[payload["file"]]
        texts = read_shard(encoding.texts, file, TABLE_OF[encoding.kind])
        encoder = self._encoder(encoding.encoder)
        vectors = encoder.encode(texts["text"].to_pylist(), encoding.kind, self._batch_tokens)
        flat = pa.array(vectors.ravel())
        lists = pa.ListArray.from_arrays(pa.array(range(0, flat.__len__() + 1, vectors.shape[1]), pa.int32()), flat)
        return {
            "vectors": make_table("vectors", {"id": texts[_ID[encoding.kind]], "lang": texts["lang"], "vector": lists})
        }

    def _encoder(self, settings: EncoderSettings) -> Encoder:
        if self._loaded is None or self._loaded[0] != settings:
            self._loaded = settings, load_encoder(settings).to("cuda" if torch.cuda.is_available() else "cpu")
        return self._loaded[1]

"""Opens an encoder from a folder or a hub name, or builds one from scratch; no remote code, no pickles."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils.tqdm import disable_progress_bars
from safetensors import SafetensorError
from tokenizers import Tokenizer, normalizers

from xlstance.disk_folder import on_this_node
from xlstance.encoders.attention import set_attention
from xlstance.encoders.base import Encoder
from xlstance.encoders.folder import Description, check_safetensors, read_description, read_weights
from xlstance.encoders.settings import EncoderSettings, TextKind
from xlstance.encoders.static import StaticEncoder
from xlstance.encoders.transformer import Projection, TransformerEncoder, first_position
from xlstance.errors import DataError, SettingsError, StorageError

_DEFAULT_LENGTH: dict[TextKind, int] = {"query": 64, "passage": 256}
_FETCHED = ["*.json", "*.txt", "*.model", "model*.safetensors", "[0-9]_*/model.safetensors"]


def load_encoder(settings: EncoderSettings, *, tokenizer: Path | str | None = None, seed: int = 0) -> Encoder:
    """Opens an encoder, or builds an untrained one.

    Args:
        settings: which one.
        tokenizer: from scratch: the ``tokenizer.json`` of a trained vocabulary, on a disk or in a bucket.
        seed: from scratch: what the weights are drawn from.

    Returns:
        The encoder on the CPU, float32, in evaluation mode.

    Raises:
        StorageError: if the model is no folder and cannot be fetched, or has no safetensors.
        DataError: if the folder is broken or of a kind that is not supported.
        SettingsError: if settings do not fit one another or the model.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    disable_progress_bars()
    if not torch.cuda.is_available():
        # Where peft's accelerate is installed, transformers imports DeepSpeed, which would report the lack of a GPU.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    encoder: Encoder
    if settings.model:
        described = read_description(_find(settings.model))
        encoder = _open_static(settings, described) if described.kind == "static" else _open(settings, described)
    elif tokenizer is None:
        raise SettingsError("an encoder from scratch needs a vocabulary; give its tokenizer.json, or name a model")
    else:
        folder, name = os.path.split(tokenizer)
        encoder = _build(settings, _read_tokenizer(on_this_node(folder, name) / name), seed)
    if isinstance(encoder, TransformerEncoder):
        set_attention(encoder, settings.attention)
    encoder.precision = settings.precision
    return encoder.eval()


def _find(model: str) -> Path:
    if "://" in model:
        return on_this_node(model)
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(huggingface_hub.snapshot_download(model, allow_patterns=_FETCHED))
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = str(error).splitlines()[0]
        raise StorageError(
            f"model {model!r} is no folder here and could not be fetched as a hub name: {reason}"
        ) from error


def _read_tokenizer(path: Path) -> Tokenizer:
    if not path.is_file():
        raise StorageError(f"{path} does not exist: no vocabulary has been trained, or the folder is not whole")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path} is no tokenizer.json: {error}") from error


def _prefixes(settings: EncoderSettings, known: dict[TextKind, str]) -> dict[TextKind, str]:
    given: dict[TextKind, str | None] = {"query": settings.query_prefix, "passage": settings.passage_prefix}
    return {kind: known.get(kind, "") if value is None else value for kind, value in given.items()}


def _lengths(
    settings: EncoderSettings,
    known: dict[TextKind, int],
    usual: Mapping[TextKind, int] = _DEFAULT_LENGTH,
    positions: int | None = None,
) -> dict[TextKind, int]:
    # A setting may exceed what is usual, but not the positions that the network has.
    given: dict[TextKind, int | None] = {"query": settings.max_query_length, "passage": settings.max_passage_length}
    lengths: dict[TextKind, int] = {}
    for kind, value in given.items():
        default = known.get(kind, min(usual[kind], positions or usual[kind]))
        lengths[kind] = default if value is None else value
        if positions and lengths[kind] > positions:
            raise SettingsError(
                f"max_{kind}_length is {lengths[kind]}, but this model has positions for at most {positions} tokens"
            )
    return lengths


def _open_static(settings: EncoderSettings, described: Description) -> StaticEncoder:
    weights = read_weights(described.weights)
    if "embedding.weight" not in weights:
        raise DataError(f"{described.weights}/model.safetensors holds no 'embedding.weight'; is it a StaticEmbedding?")
    return StaticEncoder(
        _read_tokenizer(described.weights / "tokenizer.json"),
        weights["embedding.weight"].float(),
        prefix=_prefixes(settings, described.prefix),
        max_length=_lengths(settings, described.max_length),
    )


def _open(settings: EncoderSettings, described: Description) -> TransformerEncoder:
    folder = described.weights
    check_safetensors(folder)
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise DataError(f"{folder} is no model that transformers can open: {str(error).splitlines()[0]}") from error
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise DataError(f"{folder} lacks {len(missing)} weights of its network, first {missing[0]}: it is not whole")
    if model.config.is_encoder_decoder or not getattr(tokenizer, "is_fast", False):
        raise DataError(f"{folder}: encoder-decoder networks and slow tokenizers are not supported")
    # The pooler is unused here: it takes no part in training, and is saved as it came, if it came.
    if getattr(model, "pooler", None) is not None:
        model.pooler.requires_grad_(False)
        if len(report["missing_keys"]) > len(missing):
            model.pooler = None
    if described.lower_case:
        backend = tokenizer.backend_tokenizer
        rest = [backend.normalizer] if backend.normalizer else []
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])
    most = tokenizer.model_max_length
    # A folder of sentence-transformers knows one limit, for queries and passages alike.
    usual = {kind: min(described.limit or length, most) for kind, length in _DEFAULT_LENGTH.items()}
    return TransformerEncoder(
        model,
        tokenizer,
        pooling=settings.pooling or described.pooling or "mean",
        projections=[Projection.load(path) for path in described.projections],
        prefix=_prefixes(settings, described.prefix),
        max_length=_lengths(settings, described.max_length, usual, _positions(model)),
    )


def _positions(model: Any) -> int | None:
    positions: int | None = getattr(model.config, "max_position_embeddings", None)
    return None if positions is None else positions - first_position(model)


def _build(settings: EncoderSettings, tokenizer: Tokenizer, seed: int) -> Encoder:
    prefix, lengths = _prefixes(settings, {}), _lengths(settings, {})
    if settings.kind == "static":
        return StaticEncoder.from_scratch(tokenizer, settings.dimension, seed, prefix=prefix, max_length=lengths)
    if settings.dimension % settings.heads:
        raise SettingsError(f"dimension {settings.dimension} is no multiple of heads {settings.heads}")
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    absent = [token for token in names.values() if tokenizer.token_to_id(token) is None]
    if absent:
        raise DataError(f"the vocabulary lacks the token {absent[0]}, which a transformer from scratch needs")
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=max(lengths.values()), **names
    )
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=settings.dimension,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.feed_forward,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        max_position_embeddings=max(lengths.values()),
        type_vocab_size=1,
        pad_token_id=wrapped.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):  # the library draws from torch's global state
        torch.default_generator.manual_seed(seed)
        model = transformers.BertModel(config, add_pooling_layer=False)
    return TransformerEncoder(model, wrapped, pooling=settings.pooling or "mean", prefix=prefix, max_length=lengths)

"""The sentence-transformers folder: what its files say of a model, read and written.

Module paths and keys are those of version 3, which every later version reads.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from xlstance.encoders.settings import Kind, Pooling, TextKind
from xlstance.errors import DataError, StorageError

_TYPES = "sentence_transformers."
_POOLING_KEYS: dict[Pooling, tuple[str, str]] = {
    "mean": ("pooling_mode_mean_tokens", "mean"),
    "cls": ("pooling_mode_cls_token", "cls"),
    "last": ("pooling_mode_lasttoken", "lasttoken"),
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a model folder says of itself.

    Attributes:
        kind: which encoder.
        weights: the folder of the first module: network and tokenizer.
        pooling: how token vectors become one, if it says so.
        projections: folders of ``Dense`` modules after the pooling.
        lower_case: whether texts are lower-cased before the tokenizer.
        prefix: by kind of text, where there is one.
        limit: tokens of the longest text, if it says so.
        max_length: tokens by kind of text, if this project wrote the folder.
    """

    kind: Kind
    weights: Path
    pooling: Pooling | None
    projections: tuple[Path, ...]
    lower_case: bool
    prefix: dict[TextKind, str]
    limit: int | None
    max_length: dict[TextKind, int]


def read_description(folder: Path) -> Description:
    """Reads a model folder of sentence-transformers, or a plain one of transformers.

    Raises:
        DataError: if a file is broken, or the model has a module that is not supported.
    """
    modules = _read_json(folder / "modules.json", default=[{"type": f"{_TYPES}models.Transformer", "path": ""}])
    try:
        types = [str(module["type"]) for module in modules]
        paths = [folder / module["path"] for module in modules]
    except (TypeError, KeyError) as error:
        raise DataError(f"{folder}/modules.json is no list of modules with type and path") from error
    names = [name.rpartition(".")[2] if name.startswith(_TYPES) else name for name in types] or ["nothing"]
    allowed = {"Transformer": ("Pooling", "Dense", "Normalize"), "StaticEmbedding": ("Normalize",)}
    for index, name in enumerate(names):
        if name not in (allowed if index == 0 else allowed[names[0]]):
            raise DataError(
                f"{folder}/modules.json: module {index} is a {name}, which is not supported; "
                "supported are Transformer with Pooling, Dense and Normalize, and StaticEmbedding with Normalize"
            )
    config = _read_json(folder / "config_sentence_transformers.json", default={})
    transformer = _read_json(paths[0] / "sentence_bert_config.json", default={})
    prompts = config.get("prompts") or {}
    fallback = prompts.get(config.get("default_prompt_name")) or ""
    return Description(
        kind="static" if names[0] == "StaticEmbedding" else "transformer",
        weights=paths[0],
        pooling=_read_pooling(paths[names.index("Pooling")] / "config.json") if "Pooling" in names else None,
        projections=tuple(path for path, name in zip(paths, names, strict=True) if name == "Dense"),
        lower_case=bool(transformer.get("do_lower_case")),
        prefix={
            "query": prompts.get("query") or fallback,
            "passage": prompts.get("passage") or prompts.get("document") or fallback,
        },
        limit=transformer.get("max_seq_length") or _limit_of_tokenizer(folder, paths[0]),
        max_length=config.get("max_length") or {},
    )


def _limit_of_tokenizer(folder: Path, weights: Path) -> int | None:
    """Where newer versions of sentence-transformers keep their limit; a plain folder's says what is possible only."""
    if not (folder / "modules.json").exists():
        return None
    limit: int | None = _read_json(weights / "tokenizer_config.json", default={}).get("model_max_length")
    return limit


def _read_pooling(path: Path) -> Pooling:
    config = _read_json(path)
    # One key per mode up to version 5, later a name or a list of names.
    mode = config.get("pooling_mode") or [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
    modes = [mode] if isinstance(mode, str) else mode
    known = [name for name, spellings in _POOLING_KEYS.items() if len(modes) == 1 and modes[0] in spellings]
    if not known or config.get("include_prompt") is False:
        raise DataError(f"{path}: pooling {mode} is not supported; supported are mean, cls, lasttoken, prompt included")
    return known[0]


def write_description(
    folder: Path,
    modules: Sequence[str],
    prefix: dict[TextKind, str],
    max_length: dict[TextKind, int],
    pooling: Pooling | None = None,
    dimension: int | None = None,
) -> None:
    """Writes the JSON files that say what a model is; the modules' weights are written by the encoder.

    Args:
        folder: the model folder, which exists.
        modules: class names in order; the first one of a transformer lies in the folder itself, the others in
            ``<place>_<name>``.
        prefix: by kind of text.
        max_length: tokens by kind of text.
        pooling: of a transformer.
        dimension: entries of a token vector, for the pooling.
    """
    paths = ["" if name == "Transformer" else f"{place}_{name}" for place, name in enumerate(modules)]
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": f"{_TYPES}models.{name}"}
        for place, (path, name) in enumerate(zip(paths, modules, strict=True))
    ]
    _write_json(folder / "modules.json", listed)
    prompts = {"query": prefix["query"], "passage": prefix["passage"], "document": prefix["passage"]}
    config = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine", "max_length": max_length}
    _write_json(folder / "config_sentence_transformers.json", config)
    if pooling is not None:
        limit = {"max_seq_length": max(max_length.values()), "do_lower_case": False}
        _write_json(folder / "sentence_bert_config.json", limit)
        modes = {key: name == pooling for name, (key, _) in _POOLING_KEYS.items()}
        pooling_config = {"word_embedding_dimension": dimension, **modes, "include_prompt": True}
        _write_json(folder / paths[modules.index("Pooling")] / "config.json", pooling_config)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a module that consists of one ``model.safetensors``.

    Raises:
        StorageError: if there is none; pickled weights can run code and are not read.
        DataError: if it is broken.
    """
    check_safetensors(folder)
    try:
        weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise DataError(f"{folder}/model.safetensors cannot be read ({error}): the model folder is broken") from error
    return weights


def check_safetensors(folder: Path) -> None:
    """Raises a StorageError if a folder holds no safetensors."""
    if not any(folder.glob("*.safetensors")):
        raise StorageError(f"{folder} holds no *.safetensors; other weight files are not read (they can run code)")


def _read_json(path: Path, default: Any = None) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if default is not None:
            return default
        raise DataError(f"{path} is missing: the model folder is not whole") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}): the model folder is broken") from error


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

"""Models of the transformers library that write texts: encoder-decoders and causal ones, from a folder or the hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError

from xlstance.augmentation.text_generation.decoding import LineEnd, RowLimits, Sampler, draws
from xlstance.augmentation.text_generation.text_models import Decoding, Frame, ModelSettings, TextModel, batches
from xlstance.encoders.folder import check_safetensors
from xlstance.errors import DataError, SettingsError, StorageError
from xlstance.files import sha256_of

_FETCHED = ["*.json", "*.txt", "*.model", "*.spm", "*.jinja", "model*.safetensors"]
_OPTIONS = {"local_files_only": True, "trust_remote_code": False}
_SEAM = 2  # tokens that a text may have more when it stands behind another
_SLACK = 8  # tokens that a limit by ratio leaves to the shortest sources


def find_model(model: str) -> Path:
    """The folder of a model; one that is no folder is fetched from the hub, or found in its cache.

    Args:
        model: a folder, or a name on the hub, perhaps with ``@`` and a revision.

    Raises:
        StorageError: if it cannot be fetched, or has no safetensors.
    """
    folder = Path(model)
    if not folder.is_dir():
        name, _, revision = model.partition("@")
        try:
            folder = Path(huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=_FETCHED))
        except (OSError, ValueError, HfHubHTTPError) as error:
            reason = str(error).splitlines()[0]
            raise StorageError(
                f"model {model!r} is no folder here and could not be fetched as a hub name: {reason}"
            ) from error
    check_safetensors(folder)
    return folder


def model_files(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a model's folder that takes part in what it writes, by name."""
    found = sorted({path for pattern in _FETCHED for path in folder.glob(pattern)})
    return {path.name: sha256_of(path) for path in found}


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model's folder.

    Raises:
        DataError: if transformers cannot open it.
    """
    _hush()
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, **_OPTIONS)
    except ImportError as error:
        raise DataError(f"{folder}: its tokenizer needs sentencepiece: pip install 'xlstance[generation]'") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder} holds no tokenizer that transformers can open: {_first_line(error)}") from error


def read_config(folder: Path) -> Any:
    """The configuration of a model's folder.

    Raises:
        DataError: if there is none, or it is of a model that does not write texts.
    """
    _hush()
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **_OPTIONS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder} is no model that transformers can open: {_first_line(error)}") from error
    encoder_decoders, causal = (
        transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        transformers.MODEL_FOR_CAUSAL_LM_MAPPING,
    )
    if type(config) not in (encoder_decoders if config.is_encoder_decoder else causal):
        raise DataError(f"{folder}: a model of the type {config.model_type} writes no texts; give one that does")
    return config


def check_length(settings: ModelSettings, config: Any) -> None:
    """Refuses a source length for which the model has no positions.

    Raises:
        SettingsError: saying how many it has.
    """
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if positions and config.model_type != "t5" and settings.max_source_tokens > positions:
        raise SettingsError(
            f"max_source_tokens is {settings.max_source_tokens}, but {settings.name} has positions for {positions} "
            f"tokens; give {positions} or less"
        )


class TransformersModel(TextModel):
    """A model of the transformers library, on the GPU if this process has one.

    Args:
        settings: which model.

    Raises:
        StorageError: if it cannot be found, or has no safetensors.
        DataError: if its folder is broken or of a kind that writes no texts.
        SettingsError: if it has no positions for the sources.
    """

    def __init__(self, settings: ModelSettings) -> None:
        folder = find_model(settings.name)
        config = read_config(folder)
        check_length(settings, config)
        self.tokenizer = load_tokenizer(folder)
        self._settings = settings
        self._writes_after_source = not config.is_encoder_decoder
        auto = transformers.AutoModelForCausalLM if self._writes_after_source else transformers.AutoModelForSeq2SeqLM
        try:
            model, report = auto.from_pretrained(
                folder,
                use_safetensors=True,
                dtype=getattr(torch, settings.precision),
                output_loading_info=True,
                **_OPTIONS,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise DataError(f"{folder} is no model that transformers can open: {_first_line(error)}") from error
        if missing := sorted(report["missing_keys"]):
            raise DataError(
                f"{folder} lacks {len(missing)} weights of its network, first {missing[0]}: it is not whole"
            )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.eval().to(self._device)
        ends = model.generation_config.eos_token_id
        self._end: int = ends[0] if isinstance(ends, list) else self.tokenizer.eos_token_id if ends is None else ends
        padding = self.tokenizer.pad_token_id
        self._padding: int = self._end if padding is None else padding
        self._lines: tuple[torch.Tensor, torch.Tensor] | None = None

    def room(self, frame: Frame | None = None) -> int:
        """Tokens that a source may have beside its frame and the special tokens."""
        (framing,) = self._encode([(frame or Frame()).prefix], special=True)
        return self._settings.max_source_tokens - len(framing) - _SEAM

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""
        return [len(ids) for ids in self._encode(texts, special=False)]

    def cut(self, text: str, tokens: int) -> str:
        """The beginning of a text that has so many tokens at most, special tokens left out; the text if it has."""
        (ids,) = self._encode([text], special=False)
        return text if len(ids) <= tokens else self._decode([ids[:tokens]])[0]

    def generate(
        self,
        sources: Sequence[str],
        ids: Sequence[str],
        decoding: Decoding,
        *,
        seed: int = 0,
        frame: Frame | None = None,
        one_line: bool = False,
    ) -> list[list[str]]:
        """See ``TextModel.generate``.

        Raises:
            DataError: if a source is longer than ``max_source_tokens`` with its special tokens and prefix.
        """
        frame = frame or Frame()
        if frame.source_code:
            self.tokenizer.src_lang = frame.source_code
        rows = self._encode([frame.prefix + source for source in sources], special=True)
        lengths = [len(row) for row in rows]
        if long := [i for i, length in enumerate(lengths) if length > self._settings.max_source_tokens]:
            raise DataError(
                f"{ids[long[0]]} has {lengths[long[0]]} tokens, but max_source_tokens is "
                f"{self._settings.max_source_tokens}; shorten it"
            )
        texts: list[list[str]] = [[] for _ in rows]
        for part in batches(
            lengths,
            batch_size=self._settings.batch_size,
            batch_tokens=self._settings.batch_tokens,
            copies=decoding.copies,
        ):
            written = self._write([rows[i] for i in part], [ids[i] for i in part], decoding, seed, frame, one_line)
            for place, row in enumerate(part):
                texts[row] = written[place * decoding.number : (place + 1) * decoding.number]
        return texts

    def _write(
        self,
        rows: Sequence[list[int]],
        ids: Sequence[str],
        decoding: Decoding,
        seed: int,
        frame: Frame,
        one_line: bool,
    ) -> list[str]:
        """The texts of one batch, those of a row together."""
        batch = self._pad(rows)
        most, processors = decoding.max_tokens, []
        if decoding.max_ratio:
            limits = [min(most, int(decoding.max_ratio * len(row)) + _SLACK) for row in rows]
            most = max(limits)
            each = torch.tensor(limits).repeat_interleave(decoding.copies).to(self._device)
            processors.append(RowLimits(each, self._end))
        if decoding.method == "sample":
            processors.append(Sampler(draws(ids, decoding, seed).to(self._device), decoding))
        stops = [LineEnd(*self._line_tokens())] if one_line else []
        choice = {} if frame.first_token is None else {"forced_bos_token_id": frame.first_token}
        # The library draws among the one token that the sampler leaves, from torch's global state; so whatever the
        # model's own settings say of sampling changes nothing.
        with torch.inference_mode(), torch.random.fork_rng(devices=[self._device] if self._device.index else []):
            written = self._model.generate(
                **batch,
                do_sample=decoding.method == "sample",
                num_beams=decoding.beams if decoding.method == "beam" else 1,
                num_return_sequences=decoding.number,
                top_k=0,
                max_new_tokens=most,
                pad_token_id=self._padding,
                logits_processor=transformers.LogitsProcessorList(processors),
                stopping_criteria=transformers.StoppingCriteriaList(stops),
                **choice,
            )
        if self._writes_after_source:
            written = written[:, batch["input_ids"].shape[1] :]
        # Not every tokenizer counts the codes of languages among its special tokens.
        return self._decode([[token for token in row if token != frame.first_token] for row in written.tolist()])

    def _encode(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(
            list(texts), add_special_tokens=special, padding=False, truncation=False, return_attention_mask=False
        )
        return [list(ids) for ids in encoded["input_ids"]]

    def _decode(self, rows: Sequence[list[int]]) -> list[str]:
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [text.strip() for text in texts]

    def _pad(self, rows: Sequence[list[int]]) -> dict[str, torch.Tensor]:
        """Ids and mask, ``[rows, tokens] int64``; padded at the left for a causal model, which writes at the right."""
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), self._padding)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            where = slice(longest - len(row), longest) if self._writes_after_source else slice(0, len(row))
            ids[place, where] = torch.tensor(row, dtype=torch.int64)
            mask[place, where] = 1
        return {"input_ids": ids.to(self._device), "attention_mask": mask.to(self._device)}

    def _line_tokens(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Which tokens hold a line break, and which nothing but white space."""
        if self._lines is None:
            count = max(self._model.config.vocab_size, len(self.tokenizer))
            texts = self.tokenizer.batch_decode([[token] for token in range(len(self.tokenizer))])
            breaks, blank = torch.zeros(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
            breaks[: len(texts)] = torch.tensor(["\n" in text for text in texts])
            blank[: len(texts)] = torch.tensor([not text.strip() for text in texts])
            self._lines = breaks.to(self._device), blank.to(self._device)
        return self._lines


def _hush() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

"""How translation models want to be told the languages: the conventions of NLLB, M2M-100, OPUS-MT and prefixed models.

- NLLB (NLLB Team 2022): FLORES-200 codes such as ``deu_Latn``; the source's is set in the tokenizer, the target's is
  the first token that the model has to write.
- M2M-100 (Fan et al. 2021): the same with codes such as ``de``.
- OPUS-MT (Tiedemann and Thottingal 2020): a model of two languages needs nothing; one of several target languages
  needs the target before the text, as in ``>>deu<<``.
- Prefix: an instruction before the text, as for T5 (``translate English to German: ``) and MADLAD-400 (``<2de> ``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from xlstance.augmentation.text_generation.text_models import Frame
from xlstance.errors import SettingsError

Convention = Literal["nllb", "m2m100", "opus", "prefix"]

_CODES = Path(__file__).with_name("language_codes.yaml")
_TOKENIZERS: dict[str, Convention] = {"Nllb": "nllb", "M2M100": "m2m100", "Marian": "opus"}


@dataclass(frozen=True, kw_only=True)
class LanguageCodes:
    """What models call a language.

    Attributes:
        name: in English.
        flores: code of FLORES-200 and NLLB.
        m2m: code of M2M-100; None if it lacks the language.
        opus: codes that OPUS-MT models have for it, the usual one first.
    """

    name: str
    flores: str
    m2m: str | None
    opus: tuple[str, ...]


@cache
def language_codes() -> dict[str, LanguageCodes]:
    """The codes of each language that is known here, by its BCP 47 code."""
    rows = yaml.safe_load(_CODES.read_text(encoding="utf-8"))
    return {
        lang: LanguageCodes(
            name=row["name"],
            flores=row["flores"],
            m2m=row.get("m2m", lang.partition("-")[0]) or None,
            # Older models have codes of two letters.
            opus=(*row.get("opus", [row["flores"][:3]]), lang.partition("-")[0]),
        )
        for lang, row in rows.items()
    }


def find_convention(tokenizer: Any, model: str) -> Convention:
    """The convention that a tokenizer belongs to, by its class.

    Raises:
        SettingsError: if its class does not say.
    """
    name = type(tokenizer).__name__
    for beginning, convention in _TOKENIZERS.items():
        if name.startswith(beginning):
            return convention
    raise SettingsError(
        f"{model}: its tokenizer ({name}) does not say how it is told the languages; set convention to nllb, m2m100, "
        "opus or prefix"
    )


def frame_of(
    convention: Convention, tokenizer: Any, *, source: str, target: str, prefix: str = "", model: str = "the model"
) -> Frame:
    """What a model is told to translate from one language into another.

    Args:
        convention: the model's.
        tokenizer: the model's.
        source: BCP 47 code of the language to translate from.
        target: of the one to translate into.
        prefix: for the convention ``prefix``: a text with ``{source}`` and ``{target}`` for the codes,
            ``{source_name}`` and ``{target_name}`` for the names in English.
        model: its name, for the message.

    Raises:
        SettingsError: if the model, or the table of codes, lacks one of the languages.
    """
    known, vocabulary = language_codes(), tokenizer.get_vocab()
    if convention == "opus" and not any(token.startswith(">>") for token in vocabulary):
        return Frame()  # a model of two languages
    for lang in (source, target):
        if lang not in known:
            raise SettingsError(f"{lang} has no code here for translation models; there are {', '.join(known)}")
    codes = known[source], known[target]
    if convention == "prefix":
        names = {"source": source, "target": target, "source_name": codes[0].name, "target_name": codes[1].name}
        return Frame(prefix=_filled(prefix, names))
    if convention == "opus":
        marks = [f">>{code}<<" for code in codes[1].opus]
        found = next((mark for mark in marks if mark in vocabulary), None)
        if found is None:
            raise _lacking(model, target, marks)
        return Frame(prefix=f"{found} ")
    if convention == "nllb":
        own = [code.flores for code in codes]
        ids = {name: vocabulary[name] for name in own if name in vocabulary}
    else:
        own = [code.m2m or lang for code, lang in zip(codes, (source, target), strict=True)]
        ids = getattr(tokenizer, "lang_code_to_id", {})
    for lang, name in zip((source, target), own, strict=True):
        if name not in ids:
            raise _lacking(model, lang, [name])
    return Frame(source_code=own[0], first_token=ids[own[1]])


def _filled(prefix: str, names: dict[str, str]) -> str:
    try:
        return prefix.format(**names)
    except (KeyError, IndexError, ValueError) as error:
        raise SettingsError(
            f"prefix {prefix!r} may have {', '.join(f'{{{name}}}' for name in names)} and nothing else in braces"
        ) from error


def _lacking(model: str, lang: str, tokens: Sequence[str]) -> SettingsError:
    return SettingsError(f"{model} does not know the language {lang}: its vocabulary lacks {' and '.join(tokens)}")

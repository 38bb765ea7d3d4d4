"""Small models with the real architectures and tokenizers, taught a toy world whose every right answer is known.

The words of the toy languages are Latin nonsense; the meaning of a source word depends on its language, so that a wrong
source code gives a wrong text as surely as a wrong target code does.
"""

import atexit
import functools
import io
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

WORDS = ("bana", "toki", "sulo", "mire", "kepa", "duno")
DICTIONARY = {
    ("en", "de"): ("haus", "baum", "wein", "geld", "zahn", "kopf"),
    ("en", "tr"): ("evde", "agac", "suda", "para", "disi", "basi"),
    ("fi", "de"): ("wein", "geld", "haus", "kopf", "baum", "zahn"),
    ("fi", "tr"): ("suda", "para", "evde", "basi", "agac", "disi"),
}
LONGEST = 3  # words in a sentence


def translate(text: str, source: str, target: str) -> str:
    """The right translation: word by word."""
    words = dict(zip(WORDS, DICTIONARY[source, target], strict=True))
    return " ".join(words[word] for word in text.split())


def sentences(count: int, seed: int) -> list[str]:
    """Sentences of the toy world, of one to three words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, LONGEST + 1))) for _ in range(count)]


ALL_WORDS = sorted({*WORDS, *itertools.chain(*DICTIONARY.values())})
Rows = list[tuple[list[int], list[int]]]
"""Sources and right answers as token ids, with the special tokens that the model is trained with."""


def teach(
    model: Any, rows: Callable[[list[str]], Rows], steps: int, causal: bool = False, longest: int = LONGEST
) -> None:
    """Trains a model; each batch holds sentences of one length, each in all that can be asked of it."""
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(0)
    model.train()
    for step in range(steps):
        made = rows([" ".join(words) for words in rng.choice(WORDS, (16, 1 + step % longest))])
        if causal:
            ids = torch.tensor([source + right for source, right in made])
            labels = torch.tensor([[-100] * len(source) + right for source, right in made])
        else:
            ids, labels = (torch.tensor(side) for side in zip(*made, strict=True))
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()


def saved(model: Any, tokenizer: Any) -> Path:
    """A folder of its own that holds both."""
    path = Path(tempfile.mkdtemp(prefix="tiny-model-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    transformers.logging.disable_progress_bar()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


SMALL: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "init_std": 0.1,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "dropout": 0.0,
    "attention_dropout": 0.0, "activation_dropout": 0.0, "max_position_embeddings": 64,
}  # fmt: skip


@functools.cache
def nllb() -> Path:
    """M2M100ForConditionalGeneration with an NllbTokenizer, from en and fi into de and tr."""
    codes = {"en": "eng_Latn", "fi": "fin_Latn", "de": "deu_Latn", "tr": "tur_Latn"}
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=[*".,?"], show_progress=False)
    trained.train_from_iterator(ALL_WORDS, trainer)
    state = json.loads(trained.to_str())["model"]
    tokenizer = transformers.NllbTokenizer(
        vocab=state["vocab"],
        merges=[tuple(merge) for merge in state["merges"]],
        extra_special_tokens=[*codes.values(), "jpn_Jpan"],
        src_lang="eng_Latn",
    )
    torch.manual_seed(0)
    config = transformers.M2M100Config(vocab_size=len(tokenizer), **SMALL, decoder_start_token_id=2)
    model = transformers.M2M100ForConditionalGeneration(config)

    def rows(texts: list[str]) -> Rows:
        made: Rows = []
        for source, target in DICTIONARY:
            tokenizer.src_lang, tokenizer.tgt_lang = codes[source], codes[target]
            both = tokenizer(texts, text_target=[translate(text, source, target) for text in texts])
            made += zip(both["input_ids"], both["labels"], strict=True)
        return made

    teach(model, rows, 500)
    tokenizer.src_lang = "eng_Latn"
    return saved(model, tokenizer)


def sentencepiece_model(texts: list[str]) -> bytes:
    """A sentencepiece model that has each word as a piece."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=written, vocab_size=400, hard_vocab_limit=False,
        model_type="bpe", minloglevel=2, bos_id=-1,
    )  # fmt: skip
    return written.getvalue()


@functools.cache
def m2m100() -> Path:
    """M2M100ForConditionalGeneration with an M2M100Tokenizer, from en into de and tr."""
    import sentencepiece

    spm = sentencepiece_model(ALL_WORDS)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=spm)
    own = [pieces.id_to_piece(i) for i in range(len(pieces))]
    names = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in own if piece[0] != "<")]
    with tempfile.TemporaryDirectory() as folder:
        model_file, vocabulary = Path(folder, "spm.model"), Path(folder, "vocab.json")
        model_file.write_bytes(spm)
        vocabulary.write_text(json.dumps({piece: i for i, piece in enumerate(names)}), encoding="utf-8")
        tokenizer = transformers.M2M100Tokenizer(str(vocabulary), str(model_file))
        torch.manual_seed(0)
        size = tokenizer.vocab_size + len(tokenizer.lang_code_to_id)
        model = transformers.M2M100ForConditionalGeneration(
            transformers.M2M100Config(vocab_size=size, **SMALL, decoder_start_token_id=2)
        )

        def rows(texts: list[str]) -> Rows:
            made: Rows = []
            for target in ("de", "tr"):
                tokenizer.src_lang, tokenizer.tgt_lang = "en", target
                both = tokenizer(texts, text_target=[translate(text, "en", target) for text in texts])
                made += zip(both["input_ids"], both["labels"], strict=True)
            return made

        teach(model, rows, 300)
        return saved(model, tokenizer)


def marian_tokenizer(folder: Path, marks: Sequence[str]) -> Any:
    """A MarianTokenizer of the toy words, whose vocabulary has these marks of target languages."""
    import sentencepiece

    spm = sentencepiece_model(ALL_WORDS)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=spm)
    own = [pieces.id_to_piece(i) for i in range(len(pieces))]
    names = ["</s>", "<unk>", *marks, *(piece for piece in own if piece not in ("</s>", "<unk>")), "<pad>"]
    (folder / "source.spm").write_bytes(spm)
    (folder / "target.spm").write_bytes(spm)
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(names)}), encoding="utf-8")
    return transformers.MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")
    )


@functools.cache
def opus() -> Path:
    """MarianMTModel of several target languages with a MarianTokenizer, from en into de and tr."""
    marks = {"de": ">>deu<<", "tr": ">>tur<<"}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = marian_tokenizer(Path(folder), [*marks.values()])
        torch.manual_seed(0)
        size = len(tokenizer.encoder)
        config = transformers.MarianConfig(
            vocab_size=size, decoder_vocab_size=size, **SMALL, pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=tokenizer.pad_token_id, eos_token_id=0, forced_eos_token_id=0,
        )  # fmt: skip
        model = transformers.MarianMTModel(config)

        def rows(texts: list[str]) -> Rows:
            made: Rows = []
            for target, mark in marks.items():
                sources = tokenizer([f"{mark} {text}" for text in texts])["input_ids"]
                right = tokenizer(text_target=[translate(text, "en", target) for text in texts])["input_ids"]
                made += zip(sources, right, strict=True)
            return made

        teach(model, rows, 300)
        return saved(model, tokenizer)


@functools.cache
def t5() -> Path:
    """T5ForConditionalGeneration with a T5Tokenizer, told the languages by a prefix; it translates single words."""
    names = {"de": "German", "tr": "Turkish"}
    pieces = [f"▁{word}" for word in (*ALL_WORDS, "translate", "English", "to", "German:", "Turkish:")]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, -5.0) for piece in pieces)]
    tokenizer = transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0)
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2, dropout_rate=0.0,
        decoder_start_token_id=0,
    )  # fmt: skip
    model = transformers.T5ForConditionalGeneration(config)

    def rows(texts: list[str]) -> Rows:
        made: Rows = []
        for target, name in names.items():
            sources = tokenizer([f"translate English to {name}: {text}" for text in texts])["input_ids"]
            right = tokenizer([translate(text, "en", target) for text in texts])["input_ids"]
            made += zip(sources, right, strict=True)
        return made

    teach(model, rows, 100, longest=1)
    return saved(model, tokenizer)


OPENINGS = ("was", "wer", "wie", "wo")
PROMPT = "text: {passage}\nask:"
AFTER = "\nodd lines"  # what the model writes on, once the question is done


@functools.cache
def llama() -> Path:
    """LlamaForCausalLM with a byte-level GPT2Tokenizer.

    For ``PROMPT`` it writes one of four openings, all equally likely, the translation of the passage from en into de
    with a question mark, and then another line.
    """
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    lines = [f"text: {word}\nask: {word}?{AFTER}" for word in (*ALL_WORDS, *OPENINGS)] * 3
    trainer = trainers.BpeTrainer(
        special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    trained.train_from_iterator([*lines, *(f" {word}" for word in (*ALL_WORDS, *OPENINGS))], trainer)
    state = json.loads(trained.to_str())["model"]
    tokenizer = transformers.GPT2Tokenizer(vocab=state["vocab"], merges=[tuple(merge) for merge in state["merges"]])
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.1, bos_token_id=0, eos_token_id=0,
        pad_token_id=None,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    turn = itertools.count()

    def rows(texts: list[str]) -> Rows:
        sources = tokenizer([PROMPT.replace("{passage}", text) for text in texts])["input_ids"]
        right = [
            f" {OPENINGS[next(turn) % len(OPENINGS)]} {translate(text, 'en', 'de')}?{AFTER}<|endoftext|>"
            for text in texts
        ]
        return list(zip(sources, tokenizer(right)["input_ids"], strict=True))

    teach(model, rows, 500, causal=True)
    return saved(model, tokenizer)

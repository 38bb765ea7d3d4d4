"""How fast texts are translated and queries written, against the loop that a user would write instead.

    python benchmarks/generation.py --data ../shared/data

SQuAD's questions and paragraphs in mixed order go through networks of the shape of M2M-100 and of Llama with about 20
million random weights, greedily. Translation: against a loop of tokenizer, ``generate`` and ``batch_decode`` (what the
pipelines of transformers 4 did; version 5 has none for translation). Query generation: against the pipeline
``text-generation``. Random weights never end a text, so a rule ends it where a translation of its source would end:
after 0.8 to 1.3 times its tokens, by the row. Batch size, model and threads are the same, runs alternate, and the texts
are compared. The figures go to ``benchmarks/results/generation.json``.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from xlstance.augmentation.text_generation.text_models import Decoding, Frame, ModelSettings
from xlstance.augmentation.text_generation.transformers_model import TransformersModel

VOCABULARY = 8000
QUERY_TOKENS = 24


def trained_bpe(texts: Sequence[str], pre: Any, special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE(unk_token=special[-1]))
    tokenizer.pre_tokenizer = pre
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
    )
    state = json.loads(tokenizer.to_str())["model"]
    return state["vocab"], [tuple(merge) for merge in state["merges"]]


def write_models(folder: Path, texts: Sequence[str]) -> tuple[Path, Path]:
    """Folders of a translation model and a causal one, with random weights."""
    torch.manual_seed(0)
    pre = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    vocab, merges = trained_bpe(texts, pre, ["<s>", "<pad>", "</s>", "<unk>"])
    nllb = transformers.NllbTokenizer(vocab=vocab, merges=merges, extra_special_tokens=["eng_Latn", "deu_Latn"])
    config = transformers.M2M100Config(
        vocab_size=len(nllb), d_model=384, encoder_layers=4, decoder_layers=4, encoder_ffn_dim=1536,
        decoder_ffn_dim=1536, encoder_attention_heads=6, decoder_attention_heads=6, decoder_start_token_id=2,
        init_std=0.05,
    )  # fmt: skip
    for part in (transformers.M2M100ForConditionalGeneration(config), nllb):
        part.save_pretrained(folder / "m2m100")
    vocab, merges = trained_bpe(texts, pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])
    gpt2 = transformers.GPT2Tokenizer(vocab=vocab, merges=merges, pad_token="<|endoftext|>")
    llama = transformers.LlamaConfig(
        vocab_size=len(gpt2), hidden_size=384, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=6,
        num_key_value_heads=6, bos_token_id=0, eos_token_id=0, initializer_range=0.05,
    )  # fmt: skip
    for part in (transformers.LlamaForCausalLM(llama), gpt2):
        part.save_pretrained(folder / "llama")
    return folder / "m2m100", folder / "llama"


def ends_like_a_translation(model: Any, end: int) -> None:
    """Makes a network end each text after 0.8 to 1.3 times the tokens of its source, by what the source is."""

    def hook(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        states, mask = kwargs["encoder_outputs"][0], kwargs["attention_mask"]
        written = output.past_key_values.get_seq_length()
        ratio = 0.8 + 0.5 * (states[:, 0, 0].abs() * 10).frac()
        output.logits[written >= ratio * mask.sum(1), -1, end] = 1e4
        return output

    model.register_forward_hook(hook, with_kwargs=True)


def seconds_of(work: Callable[[], list[str]]) -> tuple[float, float, list[str]]:
    """Seconds on the wall, of the processors, and the texts."""
    start, busy = time.perf_counter(), time.process_time()
    texts = work()
    return time.perf_counter() - start, time.process_time() - busy, texts


def compare(ours: Callable[[], list[str]], theirs: Callable[[], list[str]], tokens: int, runs: int) -> dict[str, Any]:
    """Both in turn, over ``tokens`` source tokens; the ratios are of each turn, the rates of the fastest."""
    times: dict[str, list[tuple[float, float]]] = {"xlstance": [], "loop": []}
    texts = {}
    for _ in range(runs):
        for name, work in (("xlstance", ours), ("loop", theirs)):
            wall, busy, texts[name] = seconds_of(work)
            times[name].append((wall, busy))
    same = float(np.mean([a == b for a, b in zip(texts["xlstance"], texts["loop"], strict=True)]))
    # Sums of floats depend on the shape of a batch, and a random network has nearly equal logits.
    assert same >= 0.99, f"only {same:.1%} of the texts are the same"
    ratios = np.array(times["loop"]) / np.array(times["xlstance"])
    return {
        "source_tokens": tokens,
        **{f"{name}_source_tokens_per_second": round(tokens / min(own)[0]) for name, own in times.items()},
        "ratio": round(float(np.median(ratios[:, 0])), 2),
        "ratios": ratios[:, 0].round(2).tolist(),
        "processor_time_ratios": ratios[:, 1].round(2).tolist(),
        "same_texts": round(same, 4),
    }


def translation(folder: Path, texts: list[str], batch_size: int, budget: int, runs: int) -> dict[str, Any]:
    settings = ModelSettings(name=str(folder), batch_size=batch_size, batch_tokens=budget, max_source_tokens=1024)
    model = TransformersModel(settings)
    network, tokenizer = model._model, model.tokenizer
    ends_like_a_translation(network, tokenizer.eos_token_id)
    target = tokenizer.convert_tokens_to_ids("deu_Latn")
    frame, longest = Frame(source_code="eng_Latn", first_token=target), 512

    def loop() -> list[str]:
        made: list[str] = []
        for start in range(0, len(texts), batch_size):
            batch = tokenizer(texts[start : start + batch_size], padding=True, return_tensors="pt")
            with torch.inference_mode():
                ids = network.generate(**batch, forced_bos_token_id=target, max_new_tokens=longest, num_beams=1)
            made += [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
        return made

    ids = [str(i) for i in range(len(texts))]

    def ours() -> list[str]:
        return [row[0] for row in model.generate(texts, ids, Decoding(max_tokens=longest), frame=frame)]

    return compare(ours, loop, sum(model.count_tokens(texts)), runs)


def generation(folder: Path, texts: list[str], batch_size: int, budget: int, runs: int) -> dict[str, Any]:
    settings = ModelSettings(name=str(folder), batch_size=batch_size, batch_tokens=budget, max_source_tokens=1024)
    model = TransformersModel(settings)
    pipe = transformers.pipeline(
        "text-generation", model=model._model, tokenizer=model.tokenizer, batch_size=batch_size, device="cpu"
    )
    model.tokenizer.padding_side = "left"

    def loop() -> list[str]:
        made = pipe(texts, max_new_tokens=QUERY_TOKENS, do_sample=False, return_full_text=False)
        return [row[0]["generated_text"].strip() for row in made]

    ids = [str(i) for i in range(len(texts))]

    def ours() -> list[str]:
        return [row[0] for row in model.generate(texts, ids, Decoding(max_tokens=QUERY_TOKENS))]

    return compare(ours, loop, sum(model.count_tokens(texts)), runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/squad/en.parquet")
    parser.add_argument("--texts", type=int, default=384)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "generation.json")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    rows = pq.read_table(settings.data / "train" / "squad" / "en.parquet", columns=["question", "context"])
    rng = np.random.default_rng(settings.seed)
    half = settings.texts // 2
    paragraphs = rng.choice(sorted(set(rows["context"].to_pylist())), half, replace=False).tolist()
    questions = rng.choice(sorted(set(rows["question"].to_pylist())), half, replace=False).tolist()
    texts = rng.permutation([*paragraphs, *questions]).tolist()
    with tempfile.TemporaryDirectory() as work:
        seq2seq, causal = write_models(Path(work), rows["question"].to_pylist()[:5000])
        options = (texts, settings.batch_size, settings.batch_tokens, settings.runs)
        runs = {}
        for name, run, folder in (("translation", translation, seq2seq), ("generation", generation, causal)):
            runs[name] = run(folder, *options)
            print(name, json.dumps(runs[name]), flush=True)
    result = {
        "what": "SQuAD's questions and paragraphs through random networks, greedily, against a loop in given order",
        "settings": {key: value for key, value in vars(settings).items() if key not in ("data", "out")},
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "runs": runs,
    }
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    settings.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

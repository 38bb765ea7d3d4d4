"""How fast XLM-R base trains on a GPU in bf16, beside sentence-transformers' trainer, and how much of the GPU it uses.

    python benchmarks/gpu_training.py

Needs a CUDA device, but neither Ray nor data: the network has XLM-R base's shape and random weights, the texts are
random words, about 16 tokens a query and 128 a passage. Model FLOPs utilisation is counted from the tokens in the
texts, padding aside: 6 per weight and token outside the embeddings, and 12 x layers x width x length^2 for attention,
over the dense bf16 peak of the device. The figures go to ``benchmarks/results/gpu_training.json``.
"""

import argparse
import json
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from training import Task, in_child, make_world, side_by_side

RESULTS = Path(__file__).parent / "results" / "gpu_training.json"
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40": 181e12, "L4": 121e12}  # dense bf16, flop/s
WORDS, QUERY_TOKENS, PASSAGE_TOKENS = 20_000, 32, 128
LAYERS, WIDTH, INNER = 12, 768, 3072


def write_model(folder: Path) -> Path:
    """A network of XLM-R base's shape with a tokenizer whose every word is a token."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {word: row for row, word in enumerate([*special, *(f"w{n}" for n in range(WORDS))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    config = transformers.XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=12,
        intermediate_size=INNER,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    for part in (transformers.XLMRobertaModel(config, add_pooling_layer=False), fast):
        part.save_pretrained(folder / "model")
    return folder / "model"


def random_texts(count: int, words: int, spread: float, seed: int) -> list[str]:
    """Texts of random words; their numbers of words vary by ``spread`` of the mean."""
    draw = random.Random(seed)
    sizes = [max(1, round(draw.gauss(words, spread * words))) for _ in range(count)]
    return [" ".join(f"w{draw.randrange(WORDS)}" for _ in range(size)) for size in sizes]


def flops_per_pair(queries: list[str], passages: list[str]) -> float:
    """Of a training step, forward and back, without the second forward pass of gradient caching."""
    weights = LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
    lengths = [min(PASSAGE_TOKENS, len(text.split()) + 2) for text in (*queries, *passages)]
    return sum(6 * weights * n + 12 * LAYERS * WIDTH * n * n for n in lengths) / len(queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=2048, help="pairs of a batch")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--peak", type=float, help="dense bf16 flop/s of the device, where it is not known here")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: this needs a CUDA device")
    name = torch.cuda.get_device_name()
    peak = given.peak or next((flops for part, flops in PEAKS.items() if part in name), None)
    if peak is None:
        sys.exit(f"error: the peak of {name} is not known here; give --peak")
    count = given.batch_size * given.steps
    queries, passages = random_texts(count, 14, 0.3, 1), random_texts(count, PASSAGE_TOKENS, 0.2, 2)
    with tempfile.TemporaryDirectory() as place:
        make_world(Path(place), queries, passages)
        model = str(write_model(Path(place)))
        task = Task(
            "prepare",
            "transformer",
            place,
            model,
            given.batch_size,
            given.steps,
            threads=8,
            query_tokens=QUERY_TOKENS,
            passage_tokens=PASSAGE_TOKENS,
        )
        in_child(task)
        figures = side_by_side(task, (8192, 16384, 65536), given.repeats)
        # For utilisation the graphs of a batch must fit: a batch that does, without gradient caching.
        utilisation = in_child(replace(task, program="ours", batch_size=min(512, given.batch_size)))["rate"]
    flops = flops_per_pair(queries, passages)
    results = {"device": name, "peak": peak, "flops_per_pair": flops, "utilisation": utilisation * flops / peak}
    results |= {"pairs_per_second": utilisation, "side_by_side": figures, "torch": torch.__version__}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

"""Trains the subword vocabulary of an encoder from scratch: byte-pair encoding over text of many languages and scripts.

Balance between languages is the caller's: texts are counted as they come. Byte-pair encoding (Sennrich et al. 2016,
arXiv 1508.07909) is used rather than a unigram model because it trains several times faster at equal size.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # their ids are their places

# A word is a run of letters (with their marks) of one script, or of digits; every other visible sign stands alone.
# Scripts are cut apart because Chinese, Japanese and Thai write no spaces: "在2008年" shares its "2008" with every
# other language only if the number is a word of its own, without a mark that tells whether a space came before.
_SCRIPTS = ("Han", "Hiragana", "Katakana", "Thai", "Latin")
_WORD = "|".join(
    [rf"\p{{{script}}}[\p{{{script}}}\p{{M}}ー]*" for script in _SCRIPTS]
    + [r"[\p{L}\p{M}&&[^\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Latin}]]+", r"\p{N}+", r"[^\s\p{L}\p{M}\p{N}\p{C}]"]
)


def train_vocabulary(
    texts: Iterable[str], size: int, *, lowercase: bool = True, alphabet: int = 8000, longest: int = 16
) -> Tokenizer:
    """Trains a vocabulary; the same texts in the same order give the same one.

    Args:
        texts: lines in all languages, sampled as the caller wants them weighted.
        size: number of tokens, special tokens included. Fewer come out if the texts hold fewer.
        lowercase: whether case is folded, after Unicode normal form NFKC.
        alphabet: number of characters kept, the most frequent ones; every other becomes ``[UNK]``, so no
            visible text becomes empty.
        longest: characters in the longest token; it keeps whole phrases of unspaced scripts out.

    Returns:
        A tokenizer that adds ``[CLS]`` and ``[SEP]`` where special tokens are asked for (transformers), and nothing
        where they are not (static encoders).
    """
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL_TOKENS[1], fuse_unk=True))
    # Lower-casing the Turkish "İ" leaves a dot above behind, which would cut its word in two.
    folding = [normalizers.Lowercase(), normalizers.Replace("\u0307", "")] if lowercase else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *folding])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)
    lines = list(texts)
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(tokenizer.normalizer.normalize_str(line))
    visible = [character for character in counts if character.isprintable() and character != " "]
    # The trainer's own limit breaks ties by the order of a hash map; what stands in its initial alphabet goes first.
    kept = sorted(visible, key=lambda character: (-counts[character], character))[:alphabet]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=kept,
        limit_alphabet=len(kept),
        max_token_length=longest + 1,  # it stops one short of this
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer, len(lines))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, SPECIAL_TOKENS.index(name)) for name in ("[CLS]", "[SEP]")]
    )
    return tokenizer

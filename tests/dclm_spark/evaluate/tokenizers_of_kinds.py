"""Small tokenizers of the three kinds that models come with, made on the spot."""

from functools import cache

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

_TEXT = [
    "a question and an answer, a text about a thing: what is the capital of a country?\n" * 3,
    "Answer: yes\nAnswer: no\n\nQ: how many a day? A: Let's think step by step. 12 + 7 = 19\n",
]
BEGIN, END = "<|begin|>", "<|end|>"


@cache
def neox() -> Tokenizer:
    """Byte-level BPE as GPT-NeoX: no special tokens around a text."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    return _trained(made, [END], pre_tokenizers.ByteLevel.alphabet())


@cache
def llama3() -> Tokenizer:
    """Byte-level BPE with its own split, and a beginning-of-text token."""
    made = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(r" ?\w+|\s+|[^\s\w]+"), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    made.decoder = decoders.ByteLevel()
    _trained(made, [BEGIN, END], pre_tokenizers.ByteLevel.alphabet())
    made.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, made.token_to_id(BEGIN))]
    )
    return made


@cache
def llama() -> Tokenizer:
    """SentencePiece's form in `tokenizers`: words marked by a leading bar, and a beginning."""
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)])
    _trained(made, ["<unk>", BEGIN, END], [chr(n) for n in range(32, 127)] + ["▁", "\n"])
    made.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, made.token_to_id(BEGIN))]
    )
    return made


@cache
def with_end() -> Tokenizer:
    """As `llama3`, but the template also puts end of text behind every text."""
    made = Tokenizer.from_str(llama3().to_str())
    ids = [(name, made.token_to_id(name)) for name in (BEGIN, END)]
    made.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=ids
    )
    return made


KINDS = {"neox": neox, "llama": llama, "llama3": llama3, "with end": with_end}


def _trained(made: Tokenizer, special: list[str], alphabet: list[str]) -> Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False,
        max_token_length=8,
    )  # fmt: skip
    made.train_from_iterator(_TEXT, trainer)
    return made

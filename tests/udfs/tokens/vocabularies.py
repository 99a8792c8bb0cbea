"""Tokenizers with as many ids as published ones, made without training."""

import json
from itertools import islice, product
from string import ascii_lowercase
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

PAIRS = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]


def byte_level(size: int, special: tuple[str, ...] = ("<|endoftext|>",)) -> str:
    """Return the JSON of byte-level BPE: bytes, then pairs and fours of letters; specials last."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(pair[0], pair[1]) for pair in PAIRS]
    fours = product(PAIRS, PAIRS)
    merges += islice(fours, size - len(alphabet) - len(merges) - len(special))
    words = [*alphabet, *("".join(merge) for merge in merges)]
    model = models.BPE({word: id for id, word in enumerate(words)}, merges)
    tokenizer: Any = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return str(tokenizer.to_str())


def unigram(size: int) -> str:
    """Return the JSON of a SentencePiece Unigram model with byte fallback, as Gemma's begins."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", *ascii_lowercase, *PAIRS]
    pieces += islice(map("".join, product(PAIRS, PAIRS)), size - len(pieces))
    scores = [
        (piece, -0.5 * place / size - 8 / (1 + len(piece))) for place, piece in enumerate(pieces)
    ]
    tokenizer: Any = Tokenizer(models.Unigram(scores, unk_id=3, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in pieces[:4]])
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)

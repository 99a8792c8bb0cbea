"""The ids between documents and at the end of a sequence, from the tokenizer's own file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from udfs.tokens.tokenizer import Encoder

# As tokenizer files in use call them.
END_OF_TEXT = (
    "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "<EOS_TOKEN>",
    "<｜end▁of▁sentence｜>",
)  # fmt: skip
PADDING = (
    "<|padding|>", "<|pad|>", "<pad>", "<PAD>", "[PAD]", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>",
)  # fmt: skip
# The reference pads with the id that stands so far above the size of the vocabulary without added
# tokens (spec 5.1): in GPT-NeoX's the token for 22 spaces [Q].
_REFERENCE_PADDING = 2


@dataclass(frozen=True, kw_only=True)
class SpecialIds:
    """Ids of a tokenizer and the tokens that they stand for."""

    end_of_text_id: int
    end_of_text: str
    padding_id: int
    padding: str


def special_ids(
    encoder: Encoder, *, end_of_text_id: int | None, padding_id: int | None, like_reference: bool
) -> SpecialIds:
    """Return the ids to use: those given, or those that the tokenizer's tokens are named for.

    Without a padding token the end of text pads. `like_reference` pads GPT-NeoX's vocabulary as
    the reference does, with the token for 22 spaces. Raises ValueError, which begins with the name
    of the setting, for an id that is no special token, and where names decide nothing.
    """
    tokens = {token: id for id, token in encoder.special_ids.items()}
    odd = encoder.base_vocabulary_size + _REFERENCE_PADDING if like_reference else None
    odd = odd if odd in encoder.space_run_ids else None
    if end_of_text_id is None:
        end_of_text_id = named_end_of_text(tokens)
        if end_of_text_id is None:
            raise ValueError(
                f"end_of_text_id is not set, and the tokenizer has none of {', '.join(END_OF_TEXT)}"
                f" as a special token; {_candidates(encoder.special_ids)}"
            )
    if padding_id is None:
        named = odd if odd is not None else _named("padding_id", PADDING, tokens)
        padding_id = end_of_text_id if named is None else named
    return SpecialIds(
        end_of_text_id=end_of_text_id,
        end_of_text=_token("end_of_text_id", end_of_text_id, encoder, None),
        padding_id=padding_id,
        padding=_token("padding_id", padding_id, encoder, odd),
    )


def named_end_of_text(tokens: Mapping[str, int]) -> int | None:
    """Return the id of the end of text among a tokenizer's special tokens; None without one.

    Raises ValueError where several tokens are called so.
    """
    return _named("end_of_text_id", END_OF_TEXT, tokens)


def _named(setting: str, names: Sequence[str], tokens: Mapping[str, int]) -> int | None:
    found = {name: tokens[name] for name in names if name in tokens}
    if len(found) > 1:
        named = ", ".join(f"{token} ({id})" for token, id in found.items())
        raise ValueError(f"{setting} is not set, and the tokenizer has {named}; choose one of them")
    return next(iter(found.values()), None)


def _token(setting: str, id: int, encoder: Encoder, allowed: int | None) -> str:
    if id in encoder.special_ids:
        return encoder.special_ids[id]
    token = encoder.token_of(id)
    if token is not None and id == allowed:
        return token
    reason = (
        f"stands for {token!r}, which texts have too"
        if token is not None
        else f"lies outside of the tokenizer's {encoder.vocabulary_size} ids"
    )
    raise ValueError(
        f"{setting} = {id}: it {reason}; expected a special token: "
        f"{_candidates(encoder.special_ids)}, or leave it out to take it by name"
    )


def _candidates(special: Mapping[int, str]) -> str:
    if not special:
        return "the tokenizer has no special tokens: add one, such as <|endoftext|>, to its file"
    some = ", ".join(f"{token} ({id})" for id, token in list(special.items())[:10])
    return f"give the id of one of {some}"

import pyarrow as pa
import pytest

from udfs.dedup.exact_keys import STEPS, keys_by_step


def first_common(key, one, other, steps):  # type: ignore[no-untyped-def]
    """Return the step that makes two values the same: "" for equal ones, None for no step."""
    left, right = keys_by_step(key, pa.array([one, other]), steps).to_pylist()
    names = ["", *(name for name in STEPS[key] if name in steps)]
    common = [name for name, a, b in zip(names, left, right, strict=True) if a == b]
    return common[0] if left[-1] == right[-1] else None


@pytest.mark.parametrize(
    ("one", "other", "step"),
    [
        ("a b", "a b", ""),
        ("caf\u00e9", "cafe\u0301", "nfc"),
        ("Two Words", "two words", "case"),
        ("\u201cyes,\u201d he said", "yes he said", "punctuation"),
        ("page 3 of 17", "page 12 of 4", "digits"),
        ("a  b\n", "a\u00a0b", "white_space"),
        ("a b", "a c", None),
    ],
)
def test_a_text_key_says_which_step_made_two_texts_the_same(one, other, step) -> None:  # type: ignore[no-untyped-def]
    assert first_common("text", one, other, list(STEPS["text"])) == step
    if step:
        without = [name for name in STEPS["text"] if name != step]
        assert first_common("text", one, other, without) is None


@pytest.mark.parametrize(
    ("one", "other", "step"),
    [
        ("http://a.example/x", "https://a.example/x", "scheme"),
        ("http://www.a.example/x", "http://a.example/x", "www"),
        ("http://A.example/x", "http://a.example/x", "host_case"),
        ("http://a.example/x#top", "http://a.example/x", "fragment"),
        ("http://a.example/x?id=3&utm_source=z&fbclid=1", "http://a.example/x?id=3", "tracking"),
        ("http://a.example/x?b=2&a=1", "http://a.example/x?a=1&b=2", "sort"),
        ("http://a.example/x/", "http://a.example/x", "slash"),
        ("http://a.example/x?id=3", "http://a.example/x?id=4", None),
        ("http://a.example/X", "http://a.example/x", None),
        ("http://[broken/x/", "http://[broken/x", "slash"),
    ],
)
def test_a_url_key_says_which_rule_made_two_addresses_the_same(one, other, step) -> None:  # type: ignore[no-untyped-def]
    assert first_common("url", one, other, list(STEPS["url"])) == step


def test_what_is_not_there_has_no_key() -> None:
    assert keys_by_step("url", pa.array([None, "http://a.example"]), ["scheme"])[0].as_py() is None

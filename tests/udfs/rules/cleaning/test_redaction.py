"""Replaced addresses and numbers, against the expressions of datatrove's PIIFormatter."""

import ipaddress
import re
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.rules.cleaning.redaction import RedactionSettings, redact

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
EMAIL = (
    rf"\b{ATOM}(?:\.{ATOM})*@(?:(?:{LABEL}\.)+{LABEL}"
    rf"|\[(?:{OCTET}\.){{3}}(?:{OCTET}|[A-Za-z0-9-]*[A-Za-z0-9]:)])"
)
ALL = RedactionSettings(emails=True, public_ips=True, phones=True)
LIKE_FINEWEB = RedactionSettings(emails=True, public_ips=True)
PIECES = st.sampled_from(
    ["joe", "A.B", "@", "@", ".", "..", "example.com", "x-y.org", "-", "+1", " ", "\n", "\u00e9",
     "(", ")", "[", "]", "8.8.8.8", "192.168.0.1", "999.1.1.1", "256", "3.14", "1", "::", "%", "'"]
)  # fmt: skip


def slow(text: str) -> str:
    """Return the text after the expressions ran over all of it."""
    emails = iter(("email@example.com", "firstname.lastname@example.org") * len(text))
    addresses = iter(
        ("22.214.171.124", "126.96.36.199", "188.8.131.52", "184.108.40.206", "220.127.116.11",
         "18.104.22.168") * len(text)
    )  # fmt: skip

    def public(match: "re.Match[str]") -> str:
        try:
            found = ipaddress.ip_address(match[0]).is_global
        except ValueError:
            found = False
        return next(addresses) if found else match[0]

    text = re.sub(EMAIL, lambda match: next(emails), text)
    return re.sub(rf"(?:{OCTET}\.){{3}}{OCTET}", public, text)


def redacted(text: str, chosen: RedactionSettings = ALL) -> tuple[str, list[int]]:
    texts, counts = redact(pa.array([text], pa.large_string()), chosen)
    return texts[0].as_py(), [int(column[0]) for column in counts.values()]


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_only_looking_around_signs_changes_nothing(text: str) -> None:
    assert redacted(text, LIKE_FINEWEB)[0] == slow(text)


def test_addresses_are_replaced_in_turn_from_the_first_in_each_text() -> None:
    text = "Write to Joe.Doe@example.net, ann@b.org or x@y.de from 8.8.8.8 or 192.168.0.1."
    expected = (
        "Write to email@example.com, firstname.lastname@example.org or email@example.com from "
        "22.214.171.124 or 192.168.0.1."
    )
    assert redacted(text, LIKE_FINEWEB) == (expected, [3, 1])
    texts, _ = redact(pa.array([text, None, "", text]), LIKE_FINEWEB)
    assert texts.to_pylist() == [expected, None, "", expected]


@pytest.mark.parametrize(
    "number",
    ["+49 30 1234567", "+1-202-456-1111", "(202) 456-1111", "202-456-1111", "202.456.1111"],
)
def test_phone_numbers_are_replaced_by_numbers_kept_for_fiction(number: str) -> None:
    assert redacted(f"Call {number}, now.") == ("Call (555) 555-0100, now.", [0, 0, 1])


@pytest.mark.parametrize(
    "text",
    ["Isbn 978-3-16-148410-0 and 1234567890", "2024-05-06 10:11:12", "123-456-7890 is no area code",
     "+1", "1,234,567", "x202-456-1111", "202-456-11112", "a@b", "@home at 5", "version 1.2.3"],
)  # fmt: skip
def test_other_numbers_and_signs_stay(text: str) -> None:
    assert redacted(text) == (text, [0, 0, 0])


def test_nothing_is_done_or_counted_unless_asked_for() -> None:
    text = "ann@b.org 8.8.8.8 202-456-1111"
    assert redacted(text, RedactionSettings()) == (text, [])
    assert redacted(text, RedactionSettings(phones=True))[1] == [1]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a@" * 200_000 + "a" * 200_000 + "@b.org", 1),
        ("a." * 200_000 + "@b.org", 0),
        ("a." * 200_000 + "a@b", 0),
        ("a." * 200_000 + ".a@b.org", 1),
        ("!" * 200_000 + "@b.org", 0),
        ("a@" + "b-" * 200_000 + ".org", 0),
        ("1.1." * 100_000, 0),
        ("+1 " + "2 " * 200_000, 0),
    ],
)
def test_hostile_texts_take_no_time(text: str, count: int) -> None:
    started = time.process_time()
    assert redacted(text)[1][0] == count
    assert time.process_time() - started < 5

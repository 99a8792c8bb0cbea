import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.html.charset import DECLARED, STRICT_UTF_8, Decoded, codec_of, decode

ACCENTS = "Déjà vu à la fenêtre, où naît l’été"


def text(decoded: Decoded | None) -> str:
    assert decoded is not None
    return decoded.utf8.decode()


def test_a_page_in_latin_1_keeps_its_accents():
    page = decode("café".encode("latin-1"), http_content_type="text/html; charset=ISO-8859-1")
    assert (text(page), page.charset, page.source) == ("café", "cp1252", "http-header")


def test_the_reference_s_policy_refuses_what_is_not_utf_8():
    assert decode("café".encode("latin-1"), policy=STRICT_UTF_8) is None
    assert text(decode(b"\xef\xbb\xbfcaf\xc3\xa9", policy=STRICT_UTF_8)) == "\ufeffcafé"


def test_the_crawler_is_asked_before_the_header_and_the_header_before_the_page():
    body = '<meta charset="windows-1251">Привет'.encode("koi8-r")
    http = "text/html; charset=koi8-r"
    assert decode(body, http_content_type=http, detected_charset="ibm866").source == "warc-metadata"
    assert text(decode(body, http_content_type=http)).endswith("Привет")
    assert decode(body).source == "meta"


def test_a_declaration_that_the_bytes_contradict_is_not_believed():
    wrong = "text/html; charset=iso-8859-1"
    assert text(decode(ACCENTS.encode(), http_content_type=wrong)) == ACCENTS
    sjis = "これは日本語の文章です。漢字も含まれています。".encode("shift_jis")
    page = decode(sjis, http_content_type="text/html; charset=utf-8")
    assert (page.source, text(page)[:3]) == ("detected", "これは")


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_decides(charset):
    page = decode(ACCENTS.encode(charset), http_content_type="text/html; charset=koi8-r")
    assert (text(page), page.source) == (ACCENTS, "byte-order-mark")


def test_a_seven_bit_charset_is_honoured():
    body = "日本語".encode("iso2022_jp")
    assert text(decode(body, http_content_type="text/html; charset=iso-2022-jp")) == "日本語"


def test_labels_mean_what_browsers_take_them_for():
    assert codec_of("ISO-8859-1") == codec_of("latin1") == codec_of("us-ascii") == "cp1252"
    assert codec_of("gb2312") in ("gbk", "gb18030")
    assert codec_of("utf8") == "utf-8"
    assert codec_of("no-such-charset") is None


@given(
    st.binary(max_size=300),
    st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["charset=utf-16", "charset=hz"])),
    st.one_of(st.none(), st.text(max_size=10), st.sampled_from(["gbk", "utf-7", "unicode"])),
)
def test_any_bytes_under_any_claims_become_valid_utf_8(payload, header, detected):
    page = decode(payload, http_content_type=header, detected_charset=detected, policy=DECLARED)
    text(page)

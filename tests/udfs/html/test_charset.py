import pytest
from hypothesis import given
from hypothesis import strategies as st
from webencodings.labels import LABELS

from udfs.html.charset import DECLARED, STRICT_UTF_8, Decoded, decode
from udfs.html.charset_labels import BROWSERS_ERRORS, codec_of

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


SENTENCES = {
    "fr": "L’été dernier, nous sommes allés à la plage. C’était « génial », et ça coûtait 20 €.",
    "de": "Die Straße führt über die Brücke nach Köln, wo schöne Gärten früh aufhören.",
    "pl": "Wczoraj poszliśmy do parku. Zażółć gęślą jaźń, powiedział chłopiec.",
    "tr": "Geçen yıl İstanbul’a gittik; çocuklar ağaçların altında oynuyordu, güneş ışıl ışıldı.",
    "ru": "Сегодня в Москве хорошая погода, и мы идём гулять в парк.",
    "el": "Χθες πήγαμε στο πάρκο και μετά γυρίσαμε στο σπίτι.",
    "he": "היום מזג האוויר יפה מאוד ואנחנו הולכים לטייל בפארק.",
    "ar": "ذهبنا أمس إلى الحديقة ثم عدنا إلى المنزل.",
    "th": "วันนี้อากาศดีมาก เราไปเดินเล่นที่สวนสาธารณะกันเถอะ",
    "zh": "今天的天气非常好，我们去公园散步，看到了很多花。",
    "zh-Hant": "台灣的天氣今天非常好，我們去公園散步，看到了很多花。",
    "ja": "これは日本語の文章です。文字化けしないように正しく復号してください。",
    "ko": "오늘은 날씨가 매우 맑고 바람이 시원하게 분다. 우리는 공원에 갔다.",
    "lv": "Vakar mēs gājām uz parku un pēc tam atgriezāmies mājās.",
}


def encodable(codec: str) -> list[str]:
    """Return pages, of the languages that the charset has, whose letters beyond ASCII it keeps."""
    pages = []
    for sentence in SENTENCES.values():
        try:
            kept = sentence.encode(codec).decode(codec)
        except UnicodeEncodeError:
            continue
        pages += [f"<html><head></head><body><p>{kept}</p>" + f"<p>{kept}</p>" * 5]
    return pages


@pytest.mark.parametrize("label", sorted(LABELS))
def test_every_label_of_browsers_is_read_in_any_case_and_with_one_wrong_byte(label):
    codec = codec_of(label)
    if codec is None:
        # iso-2022-cn and "replacement", which neither browsers nor Python read.
        assert LABELS[label] == "replacement"
        return
    wide = codec.startswith("utf-16")
    # Bytes that are no letters there, and one that is none anywhere but in UTF-8.
    wrong = {"cp949": b"\xff", "gb18030": b"\xff", "cp932": b"\x85\x20"}.get(codec, b"\xff\x20")
    for page in encodable(codec):
        body = page.encode(codec)
        for shown in (label, label.upper(), f" {label}\t", f'"{label}"'):
            found = decode(body, http_content_type=f"text/html; charset={shown}")
            assert text(found) == page
        if wide or "2022" in codec or codec == "hz":
            continue
        damaged = body.replace(b"<head>", b"<head><!-- " + wrong + b" -->")
        found = decode(damaged, http_content_type=f"text/html;charset={label}")
        assert text(found).partition("-->")[2] == page.partition("<head>")[2]
        assert (found.charset, found.num_wrong <= 1) == (codec, True)


@pytest.mark.parametrize("said", ["header", "meta", "crawler", "nobody"])
@pytest.mark.parametrize("language", SENTENCES)
def test_a_few_wrong_bytes_never_turn_utf_8_into_another_charset(language, said):
    meta = '<meta charset="utf-8">' if said == "meta" else ""
    page = f"{meta}<body>" + f"<p>{SENTENCES[language]}</p>" * 6
    claims = {
        "http_content_type": "text/html; charset=UTF8" if said == "header" else None,
        "detected_charset": "UTF-8" if said == "crawler" else None,
    }
    for wrong in (b"caf\xe9", b"\xff", b"\xe2\x80", b"\xa0\xe9", b"\xc0\xaf", b"\xed\xa0\x80"):
        found = decode(page.encode().replace(b"<body>", b"<body><!--" + wrong + b"-->"), **claims)
        assert text(found).partition("-->")[2] == page.partition("<body>")[2]
        assert (found.charset, found.num_wrong > 0) == ("utf-8", True)
    for cut in range(1, 4):
        found = decode(page.encode()[:-cut].rstrip(b"</p>")[:-1], **claims)
        assert (found.charset, page.startswith(text(found).rstrip("\ufffd"))) == ("utf-8", True)


@pytest.mark.parametrize(
    ("label", "coded", "meant"),
    [
        ("iso-8859-1", b"\x93caf\xe9\x94 \x80 \x81", "“café” € \x81"),
        ("iso-8859-9", b"\x93\xfd\x94", "“ı”"),
        ("tis-620", b"\x93\xa1\x94", "“ก”"),
        ("gb2312", "朱镕基".encode("gbk") + b"\x80", "朱镕基€"),
        ("gbk", "𠀀㐀".encode("gb18030"), "𠀀㐀"),
        ("ks_c_5601-1987", "똠방각하".encode("cp949"), "똠방각하"),
        ("shift_jis", "①㈱髙".encode("cp932"), "①㈱髙"),
        ("x-euc-jp", b"\xad\xa1\xad\xea\xc6\xfc\xfc\xe2", "①㈱日髙"),
        ("big5", "粵語啲".encode("big5hkscs"), "粵語啲"),
        ("koi8-u", "Ґанок".encode("koi8-u"), "Ґанок"),
        ("macintosh", "“été”".encode("mac-roman"), "“été”"),
        ("windows-1251", b"\x98\xcf", "\x98П"),
    ],
)
def test_labels_are_read_as_the_supersets_that_browsers_use(label, coded, meant):
    page = b"<p>" + coded + b"</p>"
    assert text(decode(page, http_content_type=f"text/html; charset={label}")) == f"<p>{meant}</p>"


@pytest.mark.parametrize(
    ("head", "source"),
    [
        ("<!-- <meta charset=utf-16> --><META CharSet = 'Windows-1251' >", "meta"),
        ('<meta http-equiv=content-type content="text/html; charset=CP1251">', "meta"),
        ('<?xml version="1.0" encoding="windows-1251"?>', "meta"),
    ],
)
def test_a_page_declares_its_charset_in_any_form(head, source):
    page = head + "<p>Привет, мир</p>"
    found = decode(page.encode("cp1251"))
    assert (text(found), found.source) == (page, source)


@pytest.mark.parametrize(
    ("language", "charset"),
    [
        ("ko", "cp949"), ("ko", "iso2022_kr"), ("ja", "euc_jp"), ("ja", "cp932"),
        ("ja", "iso2022_jp"), ("zh", "gb18030"), ("zh-Hant", "big5"), ("ru", "koi8-r"),
        ("ru", "mac_cyrillic"), ("th", "cp874"), ("he", "cp1255"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("said", [None, "text/html; charset=utf-8"])
def test_a_page_that_does_not_tell_its_charset_is_read_by_its_bytes(language, charset, said):
    page = "<body>" + f"<p>{SENTENCES[language]}</p>" * 6
    found = decode(page.encode(charset), http_content_type=said)
    assert (text(found), found.num_wrong) == (page, 0)
    assert found.source == "detected"


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("label", [None, "utf-8", "utf-16", "iso-8859-1"])
@pytest.mark.parametrize("begin", ["<p>", " \r\n<!DOCTYPE html><p>", "<?xml version='1.0'?><p>"])
def test_markup_in_utf_16_needs_no_byte_order_mark(charset, label, begin):
    page = begin + ACCENTS + SENTENCES["zh"] + " \ud800"
    said = f"text/html; charset={label}" if label else None
    found = decode(page.encode(charset, "surrogatepass"), http_content_type=said)
    assert text(found) == page.replace("\ud800", "\ufffd")


def test_bytes_that_are_no_utf_8_are_never_called_utf_8_for_want_of_another():
    page = decode(b"<p>" + bytes(range(0xC0, 0x100)) * 20)
    assert (page.charset == "utf-8", page.num_wrong) == (False, 0)


@pytest.mark.parametrize("label", ["utf-16", "unicode", "ucs-2", "utf-16be"])
def test_ascii_markup_is_never_taken_for_utf_16(label):
    page = b"<p>plain text of a page</p>."
    assert text(decode(page, http_content_type=f"text/html; charset={label}")) == page.decode()


@given(st.binary(max_size=60), st.sampled_from(["cp1252", "cp1253", "gb18030", "euc_jp", "cp932"]))
def test_browsers_errors_give_text_for_any_bytes(payload, codec):
    payload.decode(codec, BROWSERS_ERRORS).encode()


@given(
    st.binary(max_size=300),
    st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["charset=utf-16", "charset=hz"])),
    st.one_of(st.none(), st.text(max_size=10), st.sampled_from(["gbk", "utf-7", "unicode"])),
)
def test_any_bytes_under_any_claims_become_valid_utf_8(payload, header, detected):
    page = decode(payload, http_content_type=header, detected_charset=detected, policy=DECLARED)
    text(page)

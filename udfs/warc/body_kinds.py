"""What bytes are by their look: text of some charset, or a medium that is no page."""

# Bytes that no text holds (the MIME Sniffing Standard's binary data bytes).
_BINARY = bytes(byte for byte in range(0x20) if byte not in (0x09, 0x0A, 0x0C, 0x0D, 0x1B))
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_TEXT_SAMPLE_BYTES = 4096
_BEGINNING_BYTES = 64
# Images, documents, archives and fonts begin with these, coded or not.
_MEDIA_MARKS = (
    b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"%PDF", b"PK\x03\x04", b"wOF", b"\0\0\1\0",
    b"\xd0\xcf\x11\xe0", b"BM", b"OggS", b"ID3",
)  # fmt: skip


def looks_like_text(body: bytes) -> bool:
    """Say whether a body reads as text of some charset, and not as coded bytes."""
    sample = body[:_TEXT_SAMPLE_BYTES]
    if sample.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x3c", b"\x3c\x00")):
        return True
    binary = len(sample) - len(sample.translate(None, _BINARY))
    begins = sample[:16].translate(None, _BINARY) == sample[:16]
    return begins and binary * 50 <= len(sample)


def is_binary(body: bytes) -> bool:
    """Say whether a body is no text of any charset but UTF-16 and UTF-32: coded data, or a medium.

    Of such data a tenth are control bytes and half are beyond ASCII, from its beginning on; of
    texts, where a few control bytes may be, one of the two is rare.
    """
    sample = body[:_TEXT_SAMPLE_BYTES]
    if sample[:_BEGINNING_BYTES].isascii():
        return False
    binary = len(sample) - len(sample.translate(None, _BINARY))
    beyond = len(sample) - len(sample.translate(None, _BEYOND_ASCII))
    return binary * 50 > max(len(sample), 200) and beyond * 5 > len(sample)


def is_media(body: bytes) -> bool:
    """Say whether a body begins as an image, a document, an archive, a font or a sound does."""
    return body.startswith(_MEDIA_MARKS)

"""bzip2 and xz as one stream of bytes: damage ends the file, since members cannot be sought."""

import bz2
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_STEP_SIZE_BYTES = 64 * 1024


@dataclass(frozen=True)
class StreamCodec:
    """A codec of the standard library; files begin with `magic`."""

    name: str
    magic: bytes
    decompressor: Callable[[], Any]
    errors: tuple[type[Exception], ...]


STREAM_CODECS = (
    StreamCodec("bzip2", b"BZh", bz2.BZ2Decompressor, (OSError, ValueError)),
    StreamCodec(
        "xz",
        b"\xfd7zXZ\x00",
        # A stream may ask for gigabytes of window; `xz -9` takes 65 MiB.
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * 1024 * 1024),
        (lzma.LZMAError,),
    ),
)


def decoded(
    read: Callable[[int], bytes], codec: StreamCodec, piece_size_bytes: int
) -> Iterator[tuple[bytes, str | None]]:
    """Yield (data, None) of at most `piece_size_bytes`, and (b"", reason) where the data is bad.

    Streams that follow one another in a file are read on; zeros between them are padding.
    """
    decoder, waiting = codec.decompressor(), b""
    begun = False
    while waiting or (waiting := read(_STEP_SIZE_BYTES)):
        if not begun and not (waiting := waiting.lstrip(b"\0")):
            continue
        begun = True
        try:
            data = decoder.decompress(waiting, piece_size_bytes)
            waiting = b""
            while data:
                yield data, None
                at_end = decoder.needs_input or decoder.eof
                data = b"" if at_end else decoder.decompress(b"", piece_size_bytes)
        except codec.errors as error:
            yield b"", f"damaged {codec.name} data: {error}"
            return
        if decoder.eof:
            waiting, decoder, begun = decoder.unused_data, codec.decompressor(), False
    if begun:
        yield b"", f"the {codec.name} data is cut off by the file's end"

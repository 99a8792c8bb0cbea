"""Frames of Zstandard: decoders behind zlib's interface, frames to pass over, dictionaries."""

from collections.abc import Callable
from typing import Any, cast

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
_DICTIONARY_MAGIC = b"\x37\xa4\x30\xec"
_SKIPPABLE = b"\x2a\x4d\x18"
_SKIPPABLE_HEADER_BYTES = 8
_STEP_SIZE_BYTES = 64 * 1024
_SMALL_SIZE_BYTES = 4 * 1024 * 1024


class FrameError(ValueError):
    """A frame that cannot be read under the settings."""


def _errors() -> tuple[type[Exception], ...]:
    import zstandard

    return (zstandard.ZstdError, FrameError)


ZSTD_ERRORS = _errors()


def is_skippable(head: bytes) -> bool:
    """Say whether a frame begins that decoders pass over (pzstd and seekable files have some)."""
    return head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50


def skippable_size_bytes(head: bytes) -> int:
    """Return the size of a skippable frame, its header included; 0 for any other."""
    if not is_skippable(head) or len(head) < _SKIPPABLE_HEADER_BYTES:
        return 0
    return _SKIPPABLE_HEADER_BYTES + int.from_bytes(head[4:8], "little")


def read_dictionary(frame: bytes) -> Any:
    """Return the dictionary in the skippable frame that a .warc.zst begins with, None for none.

    A damaged one is none: what needs it is damaged then.
    """
    import zstandard

    content = frame[_SKIPPABLE_HEADER_BYTES:]
    if not frame.startswith(_DICTIONARY_FRAME):
        return None
    try:
        if content.startswith(ZSTD_MAGIC):
            content = zstandard.ZstdDecompressor().decompress(
                content, max_output_size=_SMALL_SIZE_BYTES
            )
        if not content.startswith(_DICTIONARY_MAGIC):
            return None
        dictionary = zstandard.ZstdCompressionDict(content)
        # Its tables are read with the first frame.
        zstandard.ZstdDecompressor(dict_data=dictionary).decompressobj()
    except zstandard.ZstdError:
        return None
    return dictionary


def zstd_decoder(dictionary: Any, max_window_size_bytes: int) -> Callable[[bytes], "ZstdDecoder"]:
    """Return what makes a decoder of a frame, given the first bytes of it."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor(
        dict_data=dictionary, max_window_size=max_window_size_bytes
    )
    return lambda head: ZstdDecoder(decompressor, head, max_window_size_bytes)


class ZstdDecoder:
    """A frame behind the interface of zlib's decompression objects."""

    unconsumed_tail = b""

    def __init__(self, decompressor: Any, head: bytes, max_window_size_bytes: int) -> None:
        import zstandard

        self._object = decompressor.decompressobj()
        self._limit = max_window_size_bytes
        try:
            frame = zstandard.get_frame_parameters(head)
            size, self._window_size_bytes = frame.content_size, frame.window_size
        except zstandard.ZstdError:
            size = self._window_size_bytes = 0
        # A few bytes may stand for a megabyte where the frame does not tell its size.
        self._step = _STEP_SIZE_BYTES if 0 < size <= _SMALL_SIZE_BYTES else 256
        self.eof, self.unused_data = False, b""

    def decompress(self, data: Any, _: int) -> bytes:
        """Return what some of `data` decodes to; `unconsumed_tail` is the rest of it."""
        if self._window_size_bytes > self._limit:
            raise FrameError(
                f"it needs a window of {self._window_size_bytes} bytes; set "
                "extraction.warc.max_window_size_bytes"
            )
        taken = bytes(data[: self._step])
        result = cast(bytes, self._object.decompress(taken))
        self.eof = self._object.eof
        rest = bytes(data[len(taken) :])
        self.unconsumed_tail = rest
        self.unused_data = self._object.unused_data + rest
        return result

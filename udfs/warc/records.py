"""Records of WARC and ARC files as they stand there, and the limits that reading them has."""

from dataclasses import dataclass

from udfs.checks import at_least, check
from udfs.warc.compression import MAX_WINDOW_SIZE_BYTES


@dataclass(frozen=True, kw_only=True)
class WarcSettings:
    """Limits that bound the memory one record may take."""

    # Larger records are not read. Common Crawl cuts payloads at 5 MiB (1 MiB before 2025).
    max_record_size_bytes: int = 64 * 1024 * 1024
    # Records with longer headers are not read.
    max_header_size_bytes: int = 256 * 1024
    # What a Zstandard frame may ask for to be decoded; `zstd --long=31` asks for 2 GiB.
    max_window_size_bytes: int = MAX_WINDOW_SIZE_BYTES

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, max_record_size_bytes=at_least(1), max_header_size_bytes=at_least(1))
        check(self, max_window_size_bytes=at_least(1024))


DEFAULT_SETTINGS = WarcSettings()


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A record (or bytes between records) that cannot be read; `rule` is a short noun."""

    offset: int
    rule: str
    reason: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A whole record of any type; its block is not looked into."""

    offset: int
    record_type: str
    fields: dict[str, str]
    block: bytes

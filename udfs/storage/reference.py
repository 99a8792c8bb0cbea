"""A file that settings name: its URI, and the checksum that makes it the same file everywhere."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FileReference:
    """A model or list by URI (local, s3://, gs://, https://, hf://, package://) and checksum.

    A new URI in settings drops the checksum, which was that of another file.
    """

    # Where the file is.
    uri: str
    # Checksum of the file in hex digits; None: it is not checked.
    sha256: str | None = None

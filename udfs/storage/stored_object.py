"""What is known of a stored file without reading it."""

from typing import NamedTuple


class StoredObject(NamedTuple):
    """What is known of a file without reading it.

    `version` is another once it was written again, whatever with: an ETag, a generation, the time
    of its change; "" where nobody has told it.
    """

    size_bytes: int
    version: str

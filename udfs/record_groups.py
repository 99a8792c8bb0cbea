"""Records that are read and parsed at a time."""

from collections.abc import Iterator

from udfs.warc import BrokenRecord, WarcRecord

Record = WarcRecord | BrokenRecord


def groups(
    records: Iterator[Record], max_size_bytes: int, max_records: int
) -> Iterator[list[Record]]:
    """Cut records into groups, which end with the record that reaches a limit.

    Whoever clears a group frees its records: nothing here keeps them.
    """
    group: list[Record] = []
    size = 0
    for record in records:
        group.append(record)
        size += _size_bytes(record)
        del record
        if size >= max_size_bytes or len(group) >= max_records:
            yield group
            group, size = [], 0
    if group:
        yield group


def _size_bytes(record: Record) -> int:
    """Return about what a record takes; an address or media type may be long too."""
    size = len(record.url or "")
    if isinstance(record, WarcRecord):
        size += len(record.payload) + len(record.http_content_type or "")
    return size

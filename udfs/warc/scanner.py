"""WARC records as they stand in a stream: header fields and block, or the reason why not.

Reads WARC 0.17 to 1.1 and ARC: plain, gzip (a member per record, or any other way), Zstandard, LZ4.
Memory is bounded by `WarcSettings`; damage costs the record it hits.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from udfs.warc.compression import WARC_FRAMING, pieces
from udfs.warc.dialects import (
    ARC,
    ARC_LINE_SIZE_BYTES,
    WARC,
    arc_fields,
    begins_record,
    dialect_of,
)
from udfs.warc.http_response import header_fields
from udfs.warc.records import BrokenRecord, RawRecord, WarcSettings
from udfs.warc.window import Piece, Readable

__all__ = [
    "DAMAGE_OFFSET",
    "IN_MEMBER_OFFSET",
    "BrokenRecord",
    "RawRecord",
    "RecordScanner",
    "WarcSettings",
]

# A record that does not begin its gzip member has no file offset of its own: its offset is this
# plus its position in the decoded data.
IN_MEMBER_OFFSET = 1 << 62
# Damage behind the whole records of a member has this plus the member's offset.
DAMAGE_OFFSET = IN_MEMBER_OFFSET + (1 << 61)

_HEADER_END = re.compile(rb"\n\r?\n")
_BLANKS = re.compile(rb"[\r\n]*")
# Some writers of plain files pad with zeros.
_BLANKS_AND_PADDING = re.compile(rb"[\r\n\0]*")
_NO_LENGTH = "the record has no Content-Length"
_NO_HEADER_END = "the WARC header has no end"


class RecordScanner:
    """Cuts decoded pieces into records; `_data[_at:]` is decoded and not yet consumed.

    A barrier is a piece that the record in hand cannot reach into: the start of a member that
    begins a record, or the place of damage.
    """

    def __init__(self, stream: Readable, settings: WarcSettings):
        self._settings = settings
        self._dialect, self._knows_dialect = WARC, False
        limit = settings.max_window_size_bytes
        self._pieces, self._plain = pieces(stream, WARC_FRAMING, limit)
        self._blanks = _BLANKS_AND_PADDING if self._plain else _BLANKS
        self._data, self._at = b"", 0
        # Position of _data[0] in the decoded file.
        self._base = 0
        self._barrier: Piece | None = None
        # Where in the decoded file members begin: (decoded position, file offset).
        self._starts: deque[tuple[int, int]] = deque()
        self._record_end = 0
        # The offset of the last member that gave it to a record.
        self._member_of_record: int | None = None
        # Whether a record has begun that the next member could be part of.
        self._inside = False
        # Bytes of the file that gave no record, for damage.
        self.lost_size_bytes = 0

    def records(self) -> Iterator[RawRecord | BrokenRecord]:
        """Yield every record of the file, and a broken one for each stretch that is none."""
        if not self._skip_blanks() and self._barrier is None:
            yield BrokenRecord(0, "empty_file", "the file is empty")
        while True:
            if self._skip_blanks():
                if not self._knows_dialect:
                    self._need(ARC_LINE_SIZE_BYTES)
                    found = dialect_of(self._data[self._at : self._at + ARC_LINE_SIZE_BYTES])
                    self._dialect, self._knows_dialect = found or WARC, found is not None
                yield self._record()
            elif self._barrier is None:
                return
            elif self._barrier.error is not None:
                offset, error = self._barrier.offset, self._barrier.error
                taken = offset == self._member_of_record
                yield BrokenRecord(offset + DAMAGE_OFFSET * taken, "damaged_file", error)
                self._barrier = None
            else:
                self._cross_barrier()

    def _need(self, size: int) -> bool:
        """Say whether `size` bytes follow before the next barrier; load them."""
        have = len(self._data) - self._at
        if have >= size:
            return True
        parts = [self._data[self._at :]]
        self._base += self._at
        while have < size and (data := self._next_data(have)) is not None:
            parts.append(data)
            have += len(data)
        self._data, self._at = b"".join(parts), 0
        return have >= size

    def _next_data(self, have: int) -> bytes | None:
        """Return the data of the next piece, None at a barrier or the end."""
        if self._barrier is not None:
            return None
        piece = next(self._pieces, None)
        if piece is None:
            return None
        self.lost_size_bytes += piece.lost_size_bytes
        is_next = piece.begins_member and (have or self._inside)
        if piece.error is not None or (is_next and begins_record(piece.data)):
            self._barrier = piece
            return None
        if piece.begins_member:
            self._starts.append((self._base + have, piece.offset))
        return piece.data

    def _cross_barrier(self) -> None:
        assert self._barrier is not None
        piece, self._barrier = self._barrier, None
        self._base += len(self._data)
        self._data, self._at = piece.data, 0
        self._starts.append((self._base, piece.offset))

    def _skip_blanks(self) -> bool:
        """Go to the next byte that is no line end; False at a barrier or the end."""
        self._record_end, self._inside = self._base + self._at, False
        while self._need(1):
            blanks = self._blanks.match(self._data, self._at)
            assert blanks is not None
            self._at = blanks.end()
            if self._at < len(self._data):
                return True
        return False

    def _offset(self) -> int:
        """Return the offset of the record that begins here (see IN_MEMBER_OFFSET)."""
        here, offset = self._base + self._at, None
        if self._plain:
            self._member_of_record = here
            return here
        while self._starts and self._starts[0][0] <= here:
            start, file_offset = self._starts.popleft()
            offset = file_offset if start >= self._record_end else offset
        if offset is None:
            return IN_MEMBER_OFFSET + here
        self._member_of_record = offset
        return offset

    def _record(self) -> RawRecord | BrokenRecord:
        offset, start = self._offset(), self._base + self._at
        self._inside = True
        self._need(32)
        if self._dialect is ARC:
            return self._arc_record(start, offset)
        if WARC.first_line.match(self._data, self._at) is None:
            return self._not_a_record(offset)
        end = self._header_end()
        if end is None:
            limit = self._settings.max_header_size_bytes
            is_long = len(self._data) - self._at >= limit
            reason = f"a WARC header of more than {limit} bytes" if is_long else _NO_HEADER_END
            return self._give_up(start, offset, "header_too_large", reason)
        fields = header_fields(self._data[self._at : end].partition(b"\n")[2])
        self._at = end
        return self._with_fields(start, RawRecord(offset, _type_of(fields), fields, b""))

    def _arc_record(self, start: int, offset: int) -> RawRecord | BrokenRecord:
        self._need(ARC_LINE_SIZE_BYTES)
        line = ARC.first_line.match(self._data, self._at)
        if line is None:
            return self._not_a_record(offset)
        self._at, fields = line.end(), arc_fields(line)
        return self._with_fields(start, RawRecord(offset, _type_of(fields), fields, b""))

    def _with_fields(self, start: int, raw: RawRecord) -> RawRecord | BrokenRecord:
        """Return the record whose header has been read, with its block."""
        url = raw.fields.get("warc-target-uri", "").strip("<>") or None
        length = raw.fields.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or len(length) > 18:
            reason = f"Content-Length is {length!r}, not a number" if length else _NO_LENGTH
            return self._give_up(start, raw.offset, "bad_content_length", reason, url)
        if int(length) > self._settings.max_record_size_bytes:
            return self._too_large(raw.offset, int(length), url)
        return self._with_block(start, raw, int(length), url)

    def _with_block(
        self, start: int, raw: RawRecord, length: int, url: str | None
    ) -> RawRecord | BrokenRecord:
        end = self._base + self._at + length
        if not self._need(length):
            have = len(self._data) - self._at
            reason = f"Content-Length says {length} bytes, but only {have} follow"
            return self._give_up(start, raw.offset, "truncated_record", reason, url)
        lookahead = self._dialect.lookahead_bytes
        self._need(length + lookahead)
        block = self._data[self._at : self._at + length]
        follows = self._data[self._at + length : self._at + length + lookahead].lstrip(b"\r\n")
        if follows and not self._dialect.mark.match(follows) and self._holds_record(length):
            reason = "Content-Length is wrong: another record begins inside this one"
            return self._give_up(start, raw.offset, "bad_content_length", reason, url)
        self._at = end - self._base
        if not raw.record_type:
            return BrokenRecord(raw.offset, "no_record_type", "the record has no WARC-Type", url)
        return replace(raw, block=block)

    def _holds_record(self, length: int) -> bool:
        """Say whether another record begins within the next `length` bytes."""
        end = self._at + length
        reach = end + self._dialect.lookahead_bytes
        found = self._dialect.next_record.search(self._data, self._at, reach)
        return found is not None and found.start() + 1 < end

    def _header_end(self) -> int | None:
        """Return where the header in hand ends (an index into _data), None if it does not."""
        limit = self._settings.max_header_size_bytes
        wanted = 4096
        while True:
            complete = self._need(min(wanted, limit))
            found = _HEADER_END.search(self._data, self._at, self._at + limit)
            if found:
                return found.end()
            if not complete or wanted >= limit:
                return None
            wanted *= 4

    def _give_up(
        self, start: int, offset: int, rule: str, reason: str, url: str | None = None
    ) -> BrokenRecord:
        """Report the record that begins at `start` and go to the next one that can be found."""
        self._at = max(self._at, start + 1 - self._base)
        barrier, goes_on = self._barrier, self._dialect.next_record.search(self._data, self._at)
        if barrier is not None and barrier.error is not None and not goes_on:
            rule, reason, self._barrier = "damaged_file", barrier.error, None
        self._seek_record()
        return BrokenRecord(offset, rule, reason, url)

    def _not_a_record(self, offset: int) -> BrokenRecord:
        line = self._data[self._at : self._at + 40].split(b"\n")[0].strip()
        self._at += 1
        start = self._base + self._at
        barrier = self._barrier
        self._seek_record()
        size = self._base + self._at - start + 1
        if barrier is None and self._barrier is not None and self._barrier.error is not None:
            # The bytes of a damaged member are part of the damage, not one more record.
            reason, self._barrier = self._barrier.error, None
            return BrokenRecord(offset, "damaged_file", reason)
        shown = ascii(line.decode("latin-1"))
        return BrokenRecord(
            offset, "not_a_record", f"{size} bytes that are no WARC record begin with {shown}"
        )

    def _too_large(self, offset: int, length: int, url: str | None) -> BrokenRecord:
        limit = self._settings.max_record_size_bytes
        if self._plain:
            # The length may be a lie: look for the next record rather than skip that far.
            self._seek_record()
        else:
            self._skip(length)
        reason = f"Content-Length is {length}, the limit (max_record_size_bytes) {limit}"
        return BrokenRecord(offset, "record_too_large", reason, url)

    def _skip(self, size: int) -> None:
        while size > 0 and self._need(1):
            step = min(size, len(self._data) - self._at)
            self._at += step
            size -= step

    def _seek_record(self) -> None:
        """Go to the next line that begins a record, to the next barrier or to the end."""
        begin = self._base + self._at
        self._go_to_record()
        if self._plain:
            self.lost_size_bytes += self._base + self._at - begin

    def _go_to_record(self) -> None:
        lookahead, is_end = self._dialect.lookahead_bytes, False
        while True:
            found = self._dialect.next_record.search(self._data, max(0, self._at - 1))
            if found:
                self._at = found.start() + 1
                self._record_end = self._base + self._at
                return
            if is_end:
                self._at = len(self._data)
                return
            self._at = max(self._at, len(self._data) - lookahead)
            is_end = not self._need(lookahead + 1)


def _type_of(fields: dict[str, str]) -> str:
    return fields.get("warc-type", "").lower()

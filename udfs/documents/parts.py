"""Parts of a file that are read by themselves: ranges of its bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """The bytes of a file from `start` up to `end`; None: up to its end.

    What begins in these bytes is of the part: a line, or by its middle byte a row group.
    """

    start: int = 0
    end: int | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether this is the whole file."""
        return self.start == 0 and self.end is None

    def holds(self, position: int) -> bool:
        """Say whether what stands at a byte is of the part; all that stands nowhere is of one."""
        return (self.start <= position or self.start == 0) and (
            self.end is None or position < self.end
        )


WHOLE = FilePart()


def parts_of(size_bytes: int, part_size_bytes: int) -> list[FilePart]:
    """Return the parts of a file of `size_bytes`, of about `part_size_bytes` each."""
    count = max(1, size_bytes // part_size_bytes) if part_size_bytes else 1
    if count == 1:
        return [WHOLE]
    starts = range(0, count * part_size_bytes, part_size_bytes)
    return [
        FilePart(start=start, end=None if number == count - 1 else start + part_size_bytes)
        for number, start in enumerate(starts)
    ]

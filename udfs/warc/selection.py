"""Which records of a WARC are to be parsed: what a query of the crawl's index selected."""

import pyarrow as pa
import pyarrow.parquet as pq

from udfs import storage
from udfs.storage.stream import ReadSettings, shown

# One row per WARC: `offsets` are those of the selected records' gzip members, ascending.
OFFSETS = pa.schema([("warc_path", pa.string()), ("offsets", pa.list_(pa.int64()))])


def selected_offsets(location: str, path: str, settings: ReadSettings) -> frozenset[int]:
    """Return the offsets selected in the WARC `path`, none where the table does not name it.

    Reads only the part of the table that can hold the WARC. Raises ValueError for another table.
    """
    with storage.open_seekable(location, settings) as file:
        try:
            table = pq.read_table(file, columns=OFFSETS.names, filters=[("warc_path", "=", path)])
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise ValueError(
                f"extraction.selected_records = {shown(location)}: expected the Parquet file that "
                f"jobs/plan_crawl.py --offsets writes ({error})"
            ) from None
    return frozenset(offset for row in table.column("offsets").to_pylist() for offset in row)

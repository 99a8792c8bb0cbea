"""Committed documents made of texts, as the documents stage leaves them."""

from hashlib import sha256

import pyarrow as pa

from dclm_spark.engine.manifests import StageOutput
from udfs.documents.schema import document_id
from udfs.units.curate import DOCUMENTS
from udfs.units.fates import FateOutputs


def committed(folder, texts, num_files=2):
    """Return a stage whose files hold the texts in turn, one page of its own host each."""
    manifests = []
    for number in range(num_files):
        rows = [(place, text) for place, text in enumerate(texts) if place % num_files == number]
        outputs = FateOutputs(str(folder), f"unit-{number:04d}", DOCUMENTS)
        if rows:
            outputs.write(_batch(f"warc-{number}", rows))
        files, facts = outputs.close()
        entries = [vars(file) for file in files]
        manifests.append(
            {"unit": f"unit-{number:04d}", "key": "k", "files": entries, "facts": facts}
        )
    return StageOutput(stage="documents", directory=str(folder), manifests=tuple(manifests))


def _batch(path, rows):
    columns = {
        "doc_id": [document_id("crawl", path, place) for place, _ in rows],
        "crawl": ["crawl"] * len(rows),
        "warc_path": [path] * len(rows),
        "warc_offset": [place for place, _ in rows],
        "url": [f"http://host{place}.example/" for place, _ in rows],
        "text": [text for _, text in rows],
        "text_hash": [sha256(text.encode()).digest()[:16] for _, text in rows],
        "fate": ["kept"] * len(rows),
    }
    absent = {name: [None] * len(rows) for name in DOCUMENTS.names if name not in columns}
    return pa.RecordBatch.from_pydict(columns | absent, schema=DOCUMENTS)

"""Committed documents made of texts, as the documents stage leaves them."""

import json
from hashlib import sha256

import pyarrow as pa

from dclm_spark.engine.stage_output import stage_output
from udfs import storage
from udfs.documents.schema import document_id
from udfs.units.commit import UnitClock, commit, manifest_uri
from udfs.units.documents import DOCUMENTS
from udfs.units.fates import FateOutputs


def committed(folder, texts, num_files=2):
    """Return a stage whose files hold the texts in turn, one page of its own host each."""
    places = list(enumerate(texts))
    return committed_files(folder, [places[number::num_files] for number in range(num_files)])


def committed_files(folder, files, url_of="http://host{}.example/".format, **columns):
    """Return a stage with a file of each of `files`: (place, text) of its documents.

    `url_of` gives the address of a place; `columns` are values that all documents have, such as
    another fate.
    """
    manifests = []
    schema = DOCUMENTS
    for name in columns.keys() - set(DOCUMENTS.names):
        schema = schema.append(pa.field(name, pa.scalar(columns[name]).type))
    for number, rows in enumerate(files):
        unit = f"unit-{number:04d}"
        outputs = FateOutputs(str(folder), unit, schema)
        if rows:
            urls = {"url": [url_of(place) for place, _ in rows]}
            outputs.write(_batch(schema, f"warc-{number}", rows, urls, **columns))
        files, facts = outputs.close()
        commit(str(folder), unit, "k", files, facts, UnitClock())
        manifests.append(json.loads(storage.read_bytes(manifest_uri(str(folder), unit))))
    return stage_output("documents", str(folder), manifests)


def _batch(schema, path, rows, urls, **given):
    columns = {
        "doc_id": [document_id("crawl", path, place) for place, _ in rows],
        "crawl": ["crawl"] * len(rows),
        "warc_path": [path] * len(rows),
        "warc_offset": [place for place, _ in rows],
        "text": [text for _, text in rows],
        "text_hash": [sha256(text.encode()).digest()[:16] for _, text in rows],
        "fate": ["kept"] * len(rows),
    }
    columns |= urls | {name: [value] * len(rows) for name, value in given.items()}
    absent = {name: [None] * len(rows) for name in schema.names if name not in columns}
    return pa.RecordBatch.from_pydict(columns | absent, schema=schema)

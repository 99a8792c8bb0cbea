"""Peak memory of a worker with models of the largest published sizes, whatever the pages."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.udfs.fasttext.fasttext_training import train

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
MAX_WORKER_MIB = 1.2 * 1000**3 / 1024**2
# What a worker does in the stages that hold a model: documents, then scores. Its parser's process,
# which the limit does not include, may take extraction.max_parser_memory_bytes for a page.
WORKER = """
import json, sys
from pathlib import Path
import pyarrow.compute as pc
from udfs.units.curate import CurationSettings, InputUnit, curated
from udfs.documents.extract import ExtractionSettings, RecordCounts
from udfs.rules.families import HeuristicSettings
from udfs.fasttext.quality import QualityModel

path, language, quality = sys.argv[1:]
settings = CurationSettings(
    extraction=ExtractionSettings(max_html_size_bytes=60 * 1024**2),
    heuristics=HeuristicSettings(annotate="all"),
    language_model=(language, None), url_lists=(),
)
scorer, rows = QualityModel(quality), 0
source = InputUnit(crawl="c", path="a.warc.gz", uri=path, kind="warc")
for batch in curated(source, settings, RecordCounts()):
    rows += batch.num_rows
    assert batch.column("text").null_count == 0
    scorer.score(batch.column("text").filter(pc.is_valid(batch.column("text"))))
status = Path("/proc/self/status").read_text()
print(json.dumps({"rows": rows, "mib": int(status.partition("VmHWM:")[2].split()[0]) / 1024}))
"""


def record(number: int, html: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html
    fields = f"WARC-Type: response\r\nWARC-Target-URI: http://a.example/{number}\r\n"
    head = f"WARC/1.0\r\n{fields}Content-Length: {len(block)}\r\n\r\n".encode()
    return gzip.compress(head + block + b"\r\n\r\n", 1)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A dense language model as large as lid.176.bin, and a classifier of 2.4 GB."""
    language, quality = tmp_path_factory.mktemp("language"), tmp_path_factory.mktemp("quality")
    labels = ["en", *(f"x{number}" for number in range(40))]
    lines = [f"__label__{label} some words of {label} to learn" for label in labels]
    train(language, lines, dim=16, bucket=2_000_000, minn=2, maxn=4, loss="hs", epoch=1)
    lines = ["__label__hq a good text", "__label__cc a bad text"] * 20
    train(quality, lines, dim=300, bucket=2_000_000, wordNgrams=2, epoch=1)
    paths = [language / "model.bin", quality / "model.bin"]
    assert paths[0].stat().st_size > 125e6
    assert paths[1].stat().st_size > 2.39e9
    yield paths
    for path in paths:
        path.unlink()


@pytest.mark.parametrize(
    "kind", ["one page of 50 MB", "pages of 16 MB", "pages of 1 MB", "tiny pages"]
)
def test_a_worker_stays_below_1_2_gigabytes(models, tmp_path, kind):
    sentence = b"<p>The page that we read has words and that is what it has to have with it. "
    pages = {
        "one page of 50 MB": [sentence * (50_000_000 // len(sentence))],
        # The largest that are parsed unless max_html_size_bytes says more, as it does here.
        "pages of 16 MB": [sentence * (16 * 2**20 // len(sentence))] * 3,
        "tiny pages": [b"<p>x"] * 200_000,
        "pages of 1 MB": [sentence * (1_000_000 // len(sentence))] * 60,
    }[kind]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(record(number, page) for number, page in enumerate(pages)))
    command = [sys.executable, "-c", WORKER, str(path), *map(str, models)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["rows"] == len(pages)
    assert found["mib"] < MAX_WORKER_MIB, found

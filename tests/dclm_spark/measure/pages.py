"""A small WARC of English pages."""

import io
from random import Random

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from dclm_spark.sample.prose import sentences

NUM_PAGES = 12


def english_page(number):
    paragraphs = "".join(f"<p>{text}</p>" for text in sentences(Random(number), 20))
    return f"<html><body><main><h1>Walks</h1>{paragraphs}</main></body></html>"


def write_pages(path):
    """Write NUM_PAGES English pages to `path` as a WARC; return the path."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number in range(NUM_PAGES):
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], "HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(
                    f"http://site{number}.example/walks",
                    "response",
                    payload=io.BytesIO(english_page(number).encode()),
                    http_headers=headers,
                )
            )
    return path

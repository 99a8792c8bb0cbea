"""One page again, from its place in a WARC."""

from udfs.documents.extraction_settings import ExtractionSettings
from udfs.html.charset import decode
from udfs.html.extractor import without_counts
from udfs.html.extractors import EXTRACTORS, load_views
from udfs.html.parser import SupervisedParser
from udfs.storage.files import open_stream
from udfs.warc.reader import WarcRecord, read_records
from udfs.warc.scanner import IN_MEMBER_OFFSET


def extract_one(uri: str, offset: int, settings: ExtractionSettings) -> str:
    """Return the text of the page whose record begins at `offset` of a WARC, "" for none.

    It is that of the recipe's extractor, or of the first of its views that gives one.

    A record inside of a gzip member that holds several cannot be sought and gives "".
    """
    if offset >= IN_MEMBER_OFFSET:
        return ""
    with open_stream(uri, offset, settings.reading) as stream:
        record = next(read_records(stream, settings.warc), None)
    if not isinstance(record, WarcRecord):
        return ""
    page = decode(
        record.payload,
        http_content_type=record.http_content_type,
        detected_charset=record.detected_charset,
        policy=settings.effective_charset_policy,
    )
    limit = settings.max_parser_memory_bytes
    views = load_views(settings.extractors)
    with SupervisedParser(settings.timeout_seconds, *views, max_memory_bytes=limit) as parser:
        parsed = [] if page is None else parser.parse_all([page.utf8])
    texts = (
        without_counts(one.text)[0] if EXTRACTORS[name].counts and one.text else one.text
        for name, one in zip(settings.extractors, parsed, strict=False)
    )
    return next((text for text in texts if text), b"").decode()

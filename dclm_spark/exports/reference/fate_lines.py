"""The rules outside of families: what else decides on a document, by stage and fate."""

from udfs.documents.schema import DROPPED, QUARANTINED

# (stage, fate) -> rule -> what it means.
FATE_LINES: dict[tuple[str, str], dict[str, str]] = {
    ("documents", DROPPED): {
        "not_selected": "`extraction.selected_records` does not name the record",
        "http_status": "the status is none of `extraction.http_statuses`",
        "mime_type": "the media type is none of `extraction.mime_types`",
        "not_utf8": "the page is no valid UTF-8, under `charset_policy: strict-utf-8`",
        "language_prescreen": "by a look at its bytes the page is in another language, with "
        "`extraction.prescreen.min_other_language_score`; it was not parsed",
        "robots_noindex": "`extraction.page_policy.drop` has it: robots directive noindex",
        "robots_noai": "the same of directive noai",
        "robots_noimageai": "the same of directive noimageai",
        "tdm_reservation": "the same of a reservation of text and data mining",
    },
    ("documents", QUARANTINED): {
        "unreadable_input": "the input file could not be read; one document stands for it",
        "empty_file": "the input file holds no record, line or row",
        "not_a_record": "what stands where a WARC record should begin is none",
        "no_record_type": "a WARC record without a type",
        "bad_content_length": "a record whose length is no number, or not the length it has",
        "truncated_record": "the file ends within the record",
        "header_too_large": "the header is above `extraction.warc.max_header_size_bytes`",
        "record_too_large": "the record is above `extraction.warc.max_record_size_bytes`",
        "http_too_large": "the HTTP message is, once it is decompressed",
        "damaged_file": "what follows in the file cannot be decompressed or read",
        "could_not_decode": "the body or text cannot be decoded",
        "html_too_large": "the page is above `extraction.max_html_size_bytes`",
        "parser_timeout": "the parser took more than `extraction.timeout_seconds`",
        "parser_memory": "the parser needed more than `extraction.max_parser_memory_bytes`",
        "parser_crash": "the parser's process ended",
        "parser_error": "the parser raised an error",
        "missing_text": "a row of extracted input whose `input.text_column` is absent or no text",
        "bad_json": "a line of JSON Lines that is no JSON object",
        "empty_line": "a line of JSON Lines without anything",
        "line_too_large": "a line of JSON Lines too large to be held in memory",
        "row_too_large": "a row of Parquet too large to be held in memory",
    },
    ("quality", DROPPED): {
        "quality_score": "`quality.before_deduplication`: the classifier's score is below "
        "`quality.threshold`, or not in `top`; copies are not looked for in it",
    },
    ("deduplicate", DROPPED): {
        "duplicate_text": "`deduplication.exact`: the text is that of an earlier document",
        "duplicate_url": "the address is; after a step of `text_key` or `url_key` the rule is "
        "named `duplicate_text_STEP` or `duplicate_url_STEP`",
        "contained_ngrams": "methods `sharded` and `global`: more n-grams than `threshold` were "
        "seen before",
        "empty_text": "nothing but white space is left of the text",
        "near_duplicate": "method `minhash`: another document of the cluster stays",
        "few_sentences": "method `lines`: fewer sentences than `min_sentences` are left",
        "repeated_passages": "method `passages`: no word is left",
    },
    ("languages", DROPPED): {
        "language_without_limits": "`language: all`: no limits are known of the page's language",
        "language_not_listed": "the recipe's `language` does not list the page's",
        "no_language": "the text has nothing but white space and ASCII marks",
    },
    ("decontaminate", DROPPED): {
        "evaluation_ngrams": "`decontamination.rule: ngrams`: n-grams of an evaluation set",
        "evaluation_items": "`decontamination.rule: items`: a question with its answer",
    },
    ("select", DROPPED): {
        "quality_score": "the classifier's score is below `quality.threshold`, or not in `top`",
        "NAME": "a condition of the recipe's `rules`, by its name, does not hold",
        "repeat": "the recipe's `repeat` gives 0",
    },
}

_FETCH_AGAIN = (
    "fetch the file again and compare its checksum; the same command redoes a file that changed. "
    "Where the log does not say so, delete its manifest below `stages/documents/manifests`"
)
_SOURCE = "look at the record in the file; what wrote the file is at fault"
_LONGER = "leave it out, or raise {} if such pages are worth their time and memory"
# What a person does about a quarantined record, by its rule.
WHAT_TO_DO = {
    "unreadable_input": "see whether the file is there and may be read; the next run tries again",
    "empty_file": _FETCH_AGAIN,
    "not_a_record": _FETCH_AGAIN,
    "no_record_type": _SOURCE,
    "bad_content_length": _SOURCE,
    "truncated_record": _FETCH_AGAIN,
    "header_too_large": _LONGER.format("`extraction.warc.max_header_size_bytes`"),
    "record_too_large": _LONGER.format("`extraction.warc.max_record_size_bytes`"),
    "http_too_large": _LONGER.format("`extraction.warc.max_record_size_bytes`"),
    "damaged_file": _FETCH_AGAIN,
    "could_not_decode": "nothing, if they are few: the page or its headers are wrong",
    "html_too_large": _LONGER.format("`extraction.max_html_size_bytes`"),
    "parser_timeout": _LONGER.format("`extraction.timeout_seconds`"),
    "parser_memory": _LONGER.format("`extraction.max_parser_memory_bytes`"),
    "parser_crash": "nothing, if they are few; else report the page: `jobs/explain_page.py` has it",
    "parser_error": "nothing, if they are few; else report the page: `jobs/explain_page.py` has it",
    "missing_text": "where the column is absent, set `input.text_column` to the one that has the "
    "text; where it holds no text, look at what wrote the file",
    "bad_json": _SOURCE,
    "empty_line": "nothing: the line holds no document",
    "line_too_large": _SOURCE,
    "row_too_large": _SOURCE,
}


def section() -> str:
    """Return the tables as Markdown, for the page of rules."""
    tables = []
    for (stage, fate), rules in FATE_LINES.items():
        advised = fate == QUARANTINED
        rows = "\n".join(
            f"| `{rule}` | {meaning} |" + (f" {WHAT_TO_DO[rule]} |" if advised else "")
            for rule, meaning in rules.items()
        )
        titles = ("rule", "when", *(("what to do",) if advised else ()))
        head = f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|"
        tables.append(f"### {stage}: {fate}\n\n{head}\n{rows}\n")
    return "\n## Outside of families\n\n" + "\n".join(tables)

"""The kinds of pages of the sample crawl, each with its expected outcome."""

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from dclm_spark.sample import failures
from dclm_spark.sample.chatter import FACTS_PER_PAGE, chatter
from dclm_spark.sample.chatter import KINDS as CHATTER_KINDS
from dclm_spark.sample.facts import Fact
from dclm_spark.sample.languages import LANGUAGES, LEGACY_CHARSETS, foreign_article
from dclm_spark.sample.pages import html_page, paragraph
from dclm_spark.sample.prose import Article, article, words_of
from dclm_spark.sample.warc_records import DAMAGES, Page, Truth, jaccard

FACTS_PER_ARTICLE = 5
PAGES_PER_RULE = 3
BANNED_DOMAINS = ("spamhouse.example", "trickster-deals.example", "blocked.example")
# Above the default limit of the extraction; almost nothing once compressed.
OVERSIZE_BYTES = 17 * 1024 * 1024
_HOSTS = words_of("kestrel willow harbour lantern copper meadow quill saddle ember thistle anchor")
_SITES = words_of("notes journal almanac review digest letters gazette papers library workshop")
_SIMILARITIES = (0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4)
_FILLERS = words_of("rather indeed perhaps possibly certainly evidently likewise notably")


class PageMaker:
    """Makes pages with addresses of their own; `facts` and `quotations` are strewn in articles."""

    def __init__(self, seed: int, facts: list[Fact], quotations: list[str]) -> None:
        self._seed = seed
        self._facts = facts
        self._quotations = iter(quotations)
        self._number = 0

    def _rng(self, kind: str) -> Random:
        self._number += 1
        return Random(f"{self._seed}:{kind}:{self._number}")

    def _url(self, rng: Random, path: str = "", host: str = "") -> str:
        host = host or f"{rng.choice(_HOSTS)}-{rng.choice(_SITES)}.example"
        path = path or f"/{rng.randint(2004, 2025)}/{rng.choice(_SITES)}-page.html"
        mark = "&" if "?" in path else "?"
        return f"https://{host}{path}{mark}id={self._number}"

    def _written(self, rng: Random) -> Article:
        quotation = next(self._quotations, None)
        return article(
            rng,
            statements=[fact.state(rng) for fact in rng.sample(self._facts, FACTS_PER_ARTICLE)],
            quotations=[] if quotation is None else [quotation],
        )

    def articles(self, count: int) -> Iterator[tuple[Page, Article]]:
        """Yield good pages, which should be kept, with what they say."""
        for _ in range(count):
            rng = self._rng("article")
            yield self._page(rng, "article", written := self._written(rng)), written

    def _page(self, rng: Random, kind: str, written: Article, **truth: object) -> Page:
        url = self._url(rng)
        values = {"kind": kind, "url": url, "fate": "kept"} | truth
        html = html_page(rng, title=written.title, blocks=_blocks(written))
        return Page(truth=Truth(**values), url=url, body=html.encode())  # type: ignore[arg-type]

    def chatter(self, count: int) -> Iterator[Page]:
        """Yield low-quality English that only the classifier can tell."""
        for number in range(count):
            kind = sorted(CHATTER_KINDS)[number % len(CHATTER_KINDS)]
            rng = self._rng(kind)
            written = chatter(rng, kind, rng.sample(self._facts, FACTS_PER_PAGE))
            yield self._page(rng, kind, written, fate="dropped", stage="select")

    def failing(self, per_rule: int) -> Iterator[Page]:
        """Yield `per_rule` pages that fail each heuristic rule, and no rule before it."""
        for rule in failures.FAILURES:
            for number in range(per_rule):
                rng = self._rng(rule)
                draft = failures.failing_page(rng, rule, number)
                host = BANNED_DOMAINS[number % 3] if rule == "url_domain" else ""
                url = self._url(rng, draft.path, host)
                html = html_page(rng, title="Page", blocks=draft.blocks, heading=False)
                truth = Truth(kind="failing", url=url, fate="dropped", stage="documents", rule=rule)
                yield Page(truth=truth, url=url, body=html.encode())

    def foreign(self, count: int) -> Iterator[Page]:
        """Yield pages in other languages, a third of them in an older charset."""
        for number in range(count):
            language = LANGUAGES[number % len(LANGUAGES)]
            rng = self._rng(language)
            charset = LEGACY_CHARSETS[language] if rng.random() < 0.34 else "utf-8"
            written = foreign_article(rng, language)
            if _is_utf_8(written.text.encode(charset)):
                charset = "utf-8"
            page = self._encoded(rng, "foreign", written, charset, language)
            legacy = {"stage": "charset", "strict_fate": "dropped"}
            changes = {"fate": "dropped", "rule": "language", "stage": "documents"}
            changes |= legacy if charset != "utf-8" else {}
            yield replace(page, truth=replace(page.truth, **changes))  # type: ignore[arg-type]

    def accented(self, count: int) -> Iterator[Page]:
        """Yield English articles in windows-1252, or in UTF-8 declared as another charset."""
        for number in range(count):
            rng = self._rng("accented")
            written = self._written(rng)
            note = ("The café asks £5 for a crêpe.", "Its owner, Zoë, calls that “très cher”.")
            written = replace(written, paragraphs=(*written.paragraphs, note))
            page = self._encoded(rng, "accented", written, ("windows-1252", "utf-8")[number % 2])
            if number % 2 == 0:
                legacy = replace(page.truth, stage="charset", strict_fate="dropped")
                page = replace(page, truth=legacy)
            else:
                page = replace(page, content_type="text/html; charset=iso-8859-1")
            yield page

    def _encoded(
        self, rng: Random, kind: str, written: Article, charset: str, language: str = "en"
    ) -> Page:
        """Return a page in `charset`, declared in the header, the page, by the crawler or not."""
        declared = rng.choice(("header", "meta", "metadata", "none"))
        url = self._url(rng)
        html = html_page(
            rng,
            title=written.title,
            blocks=_blocks(written),
            meta_charset=charset if declared == "meta" else None,
            language=language,
        )
        suffix = f"; charset={charset}" if declared == "header" else ""
        return Page(
            truth=Truth(kind=kind, url=url, fate="kept", language=language, charset=charset),
            url=url,
            body=html.encode(charset),
            content_type="text/html" + suffix,
            detected_charset=charset.upper() if declared == "metadata" else None,
        )

    def exact_duplicates(self, originals: list[tuple[Page, Article]]) -> Iterator[Page]:
        """Yield the same texts under another address and design, some at the same address."""
        for number, (page, written) in enumerate(originals):
            rng = self._rng("duplicate")
            twin = self._page(rng, "exact_duplicate", written, duplicate_of=page.url)
            if number % 4 == 0:
                same = replace(twin.truth, url=page.url, kind="same_url")
                twin = replace(twin, truth=same, url=page.url)
            yield twin

    def near_duplicates(self, originals: list[tuple[Page, Article]]) -> Iterator[Page]:
        """Yield edited copies of known similarity; what becomes of them depends on the method."""
        for number, (page, written) in enumerate(originals):
            rng = self._rng("near_duplicate")
            edited = _edited(rng, written, _SIMILARITIES[number % len(_SIMILARITIES)])
            similarity = round(jaccard(written.text, edited.text), 4)
            yield self._page(
                rng,
                "near_duplicate",
                edited,
                stage="deduplicate",
                fate=None,
                duplicate_of=page.url,
                jaccard=similarity,
            )

    def thin(self, count: int) -> Iterator[Page]:
        """Yield pages with little or no text besides menus."""
        for number in range(count):
            rng = self._rng("thin")
            words = [paragraph("Loading page."), paragraph("Sorry, nothing here yet.")][
                : number % 3
            ]
            url = self._url(rng)
            html = html_page(rng, title="Untitled", blocks=words, heading=bool(number % 2))
            truth = Truth(kind="thin", url=url, fate="dropped", stage="policy")
            yield Page(truth=truth, url=url, body=html.encode())

    def not_found(self, count: int) -> Iterator[Page]:
        """Yield short answers with another status than 200."""
        statuses = ("404 Not Found", "301 Moved Permanently", "500 Internal Server Error")
        for number in range(count):
            rng = self._rng("status")
            status = statuses[number % 3]
            url = self._url(rng)
            html = html_page(rng, title=status, blocks=[paragraph("Nothing here.")], chrome=False)
            truth = Truth(kind="status", url=url, fate=None, stage="policy")
            yield Page(truth=truth, url=url, body=html.encode(), status=status)

    def other_media(self, count: int) -> Iterator[Page]:
        """Yield payloads that are no HTML: JSON, plain text, and binary ones."""
        for number in range(count):
            rng = self._rng("media")
            content_type, body = _payload(rng, number)
            url = self._url(rng)
            truth = Truth(kind="media", url=url, fate=None, stage="policy")
            yield Page(truth=truth, url=url, body=body, content_type=content_type)

    def broken(self, count: int) -> Iterator[Page]:
        """Yield records that cannot be read; the last one is cut off by the end of the file."""
        rules = {"wrong_length": "truncated_record", "garbage_member": "not_a_record"}
        for number in range(count):
            damage = DAMAGES[-1] if number == count - 1 else DAMAGES[number % 3]
            page = next(self.articles(1))[0]
            url = page.url if damage in ("wrong_length", "truncated_tail") else None
            rule = rules.get(damage, "damaged_file")
            truth = Truth(kind=damage, url=url, fate="quarantined", stage="documents", rule=rule)
            yield replace(page, truth=truth, damage=damage)

    def oversize(self) -> Page:
        """Return a page too large to read."""
        rng = self._rng("oversize")
        url = self._url(rng)
        truth = Truth(kind="oversize", url=url, fate="quarantined", stage="documents")
        truth = replace(truth, rule="html_too_large")
        return Page(truth=truth, url=url, body=b"<p>" + b" " * OVERSIZE_BYTES)

    def http_garbage(self, count: int) -> Iterator[Page]:
        """Yield response records whose block is no HTTP message, or is empty."""
        for number in range(count):
            rng = self._rng("garbage")
            url = self._url(rng)
            body = b"" if number % 2 else rng.randbytes(400)
            truth = Truth(kind="http_garbage", url=url, fate=None, stage="policy")
            yield Page(truth=truth, url=url, body=body, http=False)


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _blocks(written: Article) -> list[str]:
    return [paragraph(" ".join(sentences)) for sentences in written.paragraphs]


def _edited(rng: Random, written: Article, similarity: float) -> Article:
    """Replace scattered words until the similarity to the original is about `similarity`."""
    unchanged = 2 * similarity / (1 + similarity)
    share = 1 - unchanged ** (1 / 5)
    paragraphs = tuple(
        tuple(
            " ".join(
                rng.choice(_FILLERS) if rng.random() < share else word for word in text.split()
            )
            for text in sentences
        )
        for sentences in written.paragraphs
    )
    return replace(written, paragraphs=paragraphs)


def _payload(rng: Random, number: int) -> tuple[str, bytes]:
    if number % 4 == 0:
        return "application/pdf", b"%PDF-1.4\n" + rng.randbytes(3000)
    if number % 4 == 1:
        rows = [{"id": n, "value": rng.randint(0, 999)} for n in range(60)]
        return "application/json", json.dumps(rows).encode()
    if number % 4 == 2:
        return "image/png", b"\x89PNG\r\n\x1a\n" + rng.randbytes(2000)
    return "text/css", b"".join(b".c%d{margin:%dpx}\n" % (n, n % 7) for n in range(90))

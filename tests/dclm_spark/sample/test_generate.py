"""The sample crawl: what its truth says is what independent readers find in its files."""

import gzip
import hashlib
import json
import re
import zlib
from collections import Counter

import pytest
from resiliparse.extract.html2text import extract_plain_text

from dclm_spark.sample.failures import FAILURES
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.kinds import PAGES_PER_RULE
from dclm_spark.sample.warc_records import jaccard

NUM_PAGES = 500
BROKEN = {"damaged_member", "wrong_length", "garbage_member", "truncated_tail", "oversize"}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=3, num_pages=NUM_PAGES)


@pytest.fixture(scope="module")
def truth(crawl):
    return rows(crawl.truth)


@pytest.fixture(scope="module")
def bodies(crawl):
    """Bodies by (file, address) of all members that are whole and not huge."""
    found = {}
    for name in listed(crawl):
        for member in whole_members((crawl.base / name).read_bytes()):
            header, _, block = member.partition(b"\r\n\r\n")
            if b"WARC-Type: response" in header and block.startswith(b"HTTP/"):
                url = re.search(rb"WARC-Target-URI: (.*?)\r\n", header).group(1).decode()
                found[name, url] = block.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n")
    return found


def whole_members(data, limit=5_000_000):
    """Try to decompress at every place that looks like the start of a gzip member."""
    for match in re.finditer(rb"\x1f\x8b\x08", data):
        decompressor = zlib.decompressobj(31)
        try:
            member = decompressor.decompress(data[match.start() :], limit)
        except zlib.error:
            continue
        if decompressor.eof:
            yield member


def listed(crawl):
    return gzip.decompress(crawl.listing.read_bytes()).decode().split()


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def checksums(base):
    return {
        str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(base.rglob("*"))
        if path.is_file()
    }


def text_of(body, charset="utf-8"):
    return extract_plain_text(body.decode(charset), main_content=True)


def test_the_same_seed_writes_the_same_bytes(crawl, tmp_path):
    again = generate_crawl(tmp_path / "again", seed=3, num_pages=NUM_PAGES)
    assert checksums(again.base) == checksums(crawl.base)


def test_another_seed_writes_other_pages(crawl, tmp_path):
    other = generate_crawl(tmp_path / "other", seed=4, num_pages=NUM_PAGES)
    assert checksums(other.base) != checksums(crawl.base)


def test_a_finished_sample_is_left_alone(crawl):
    before = crawl.truth.stat().st_mtime_ns
    generate_crawl(crawl.base, seed=3, num_pages=NUM_PAGES)
    assert crawl.truth.stat().st_mtime_ns == before


def test_too_few_pages_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs at least"):
        generate_crawl(tmp_path, num_pages=50)


def test_the_listing_names_every_file(crawl, truth):
    names = listed(crawl)
    assert names == sorted({row["warc"] for row in truth})
    assert all(name.startswith("crawl-data/SAMPLE-2026-01/segments/") for name in names)
    assert all((crawl.base / name).is_file() for name in names)


def test_every_whole_page_is_found_with_its_text(truth, bodies):
    checked = 0
    for row in truth:
        if row["kind"] in BROKEN or row["stage"] == "policy":
            continue
        body = bodies.get((row["warc"], row["url"]))
        if body is not None:
            assert len(text_of(body, row["charset"])) > 40 or row["rule"] == "url_removal", row
            checked += 1
    assert checked == sum(row["kind"] not in BROKEN and row["stage"] != "policy" for row in truth)


def test_counts_by_type_add_up(crawl, truth):
    records = json.loads(crawl.counts.read_text())["records"]
    assert records["response"] + records["broken"] == len(truth)
    assert records["request"] == len(truth)
    assert records["warcinfo"] == len({row["warc"] for row in truth})


def test_each_rule_has_its_pages(truth):
    failing = Counter(row["rule"] for row in truth if row["kind"] == "failing")
    assert failing == dict.fromkeys(FAILURES, PAGES_PER_RULE)


def test_about_half_of_the_pages_should_be_kept(truth):
    kept = sum(row["fate"] == "kept" and row["stage"] is None for row in truth)
    assert 0.35 < kept / len(truth) < 0.65


def test_pages_in_older_charsets_are_not_utf_8(truth, bodies):
    seen = 0
    for row in truth:
        body = bodies.get((row["warc"], row["url"]))
        if row["charset"] == "utf-8" or body is None:
            continue
        seen += 1
        with pytest.raises(UnicodeDecodeError):
            body.decode("utf-8")
        assert row["strict_fate"] == "dropped"
    assert seen > 5


def test_exact_duplicates_have_the_same_text_and_one_survivor(truth, bodies):
    by_text, checked = {}, 0
    for row in truth:
        if row["kind"] in ("exact_duplicate", "same_url", "article"):
            group = row["duplicate_of"] or row["url"]
            by_text.setdefault(group, []).append(row)
    for group in by_text.values():
        assert sum(row["stage"] != "deduplicate" for row in group) == 1
        known = {(row["warc"], row["url"]) for row in group} & bodies.keys()
        texts = {text_of(bodies[key]) for key in known}
        assert len(texts) <= 1
        checked += len(known) > 1
    assert checked > 3


def test_near_duplicates_are_as_similar_as_the_truth_says(truth, bodies):
    found = {url: text_of(body) for (_, url), body in bodies.items() if b'charset="utf-8' in body}
    seen = []
    for row in truth:
        if row["jaccard"] is None or not {row["url"], row["duplicate_of"]} <= found.keys():
            continue
        similarity = jaccard(found[row["url"]], found[row["duplicate_of"]])
        assert similarity == pytest.approx(row["jaccard"], abs=1e-4)
        seen.append(similarity)
    assert len(seen) > 5
    assert max(seen) - min(seen) > 0.3


def test_facts_are_stated_on_good_pages_and_wrong_in_chatter(crawl, truth, bodies):
    facts = rows(crawl.facts)
    assert all(fact["answer"] in fact["choices"] for fact in facts)
    kinds = {row["url"]: row["kind"] for row in truth}
    stated, wrong = Counter(), Counter()
    for (_, url), body in bodies.items():
        text = body.decode("utf-8", "replace").lower()
        for fact in facts:
            for choice in fact["choices"]:
                claim = f"{fact['prompt']} {choice}.".lower()
                if claim in text:
                    (stated if choice == fact["answer"] else wrong)[kinds[url]] += 1
    assert set(wrong) <= {"forum", "advertisement", "listing", "spun"}
    assert wrong.total() > 5
    assert stated["article"] > 200
    assert not set(wrong) & set(stated)


def test_long_runs_of_words_hardly_ever_repeat_between_articles(truth, bodies):
    seen, repeated, total = set(), 0, 0
    originals = {row["url"] for row in truth if row["kind"] == "article"}
    for (_, url), body in bodies.items():
        if url in originals:
            words = text_of(body).split()
            runs = {tuple(words[i : i + 13]) for i in range(len(words) - 12)}
            repeated += len(runs & seen)
            total += len(runs)
            seen |= runs
    assert repeated / total < 0.05


def test_positives_and_negatives_are_held_apart_from_the_crawl(crawl, bodies):
    crawled = {text_of(body) for body in bodies.values() if b'charset="utf-8' in body}
    for path in (crawl.positives, crawl.negatives):
        texts = [row["text"] for row in rows(path)]
        assert len(set(texts)) == len(texts) == 500
        assert not crawled & set(texts)

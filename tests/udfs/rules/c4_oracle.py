"""C4's and FineWeb's steps on lines as the specification words them, with `re` and `str` alone."""

import re

CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
ABBREVIATED = re.compile(
    r"(?:^|[^A-Za-z])(?:mr|mrs|ms|dr|prof|sr|jr|st|mt|rev|gen|col|sgt|capt|lt|gov|sen|rep|vs|etc|no"
    r"|inc|ltd|co|corp|dept|est|fig|vol|ed|approx|jan|feb|mar|apr|aug|sept|sep|oct|nov|dec|mon|tue"
    r"|wed|thu|fri|ave|blvd|rd)\.$|(?:^|[\x00-\x40\x5b-\x60\x7b-\x7f])[A-Za-z]\.$",
    re.IGNORECASE | re.ASCII,
)
END = re.compile(r"([.!?…]+)([\"')\]»’”]*)(?=\s|$)")


def slow_sentences(text: str) -> int:
    """Count ends that end something, and what is left behind the last."""
    count, begun = 0, 0
    for end in END.finditer(text):
        marks, quotes = end.groups()
        goes_on = not quotes and end.end() < len(text)
        if goes_on and marks == "." and ABBREVIATED.search(text[begun : end.start() + 1]):
            continue
        follows = text[end.end() :].lstrip()[:1]
        small = "a" <= follows <= "z" if follows else False
        if goes_on and len(marks) > 1 and marks[0] == "." and small:
            continue
        count += 1
        begun = end.end()
    return count + bool(text[begun:].strip())


def c4_lines(text: str) -> tuple[str, str | None]:
    """Return the text after C4's steps on lines, and the rule that drops the page."""
    lines = text.split("\n")
    lines = [line for line in lines if all(len(word) <= 1000 for word in line.split())]
    lines = [CITATION.sub("", line) for line in lines]
    lines = [
        line
        for line in lines
        if line.rstrip().endswith((".", "!", "?", '"')) and not line.rstrip().endswith("...")
    ]
    lines = [line for line in lines if len(line.split()) >= 5]
    rule = None
    if any("{" in line for line in lines):
        rule = "curly_bracket"
    if any("lorem ipsum" in line.lower() for line in lines):
        rule = "lorem_ipsum"
    lines = [line for line in lines if "javascript" not in line.lower()]
    lines = [line for line in lines if not any(one in line.lower() for one in POLICIES)]
    text = "\n".join(lines)
    return text, rule or ("few_sentences" if slow_sentences(text) < 3 else None)


def fineweb_lines(text: str) -> tuple[str, str | None]:
    """Return the same for the lines as FineWeb has them."""
    kept, sentences, found = [], 0, set()
    for line in text.splitlines():
        line = line.strip()
        words = line.split()
        if any(len(word) > 1000 for word in words):
            continue
        line = CITATION.sub("", line)
        if len(words) < 3:
            continue
        lowered = line.lower()
        if "lorem ipsum" in lowered:
            found.add("lorem_ipsum")
        if "javascript" in lowered:
            continue
        if "{" in line:
            found.add("curly_bracket")
        if any(one in lowered for one in POLICIES):
            continue
        sentences += slow_sentences(line)
        kept.append(line)
    text = "\n".join(kept).strip()
    for rule in ("lorem_ipsum", "curly_bracket"):
        if rule in found:
            return text, rule
    return text, "few_sentences" if sentences < 5 else None

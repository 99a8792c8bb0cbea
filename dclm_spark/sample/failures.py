"""Pages made to fail one heuristic rule each, and no rule before it (spec 2.2 and 2.6)."""

from random import Random

from dclm_spark.sample.pages import line, paragraph
from dclm_spark.sample.prose import alternatives, article, sentences, subject_vocabulary, words_of
from dclm_spark.sample.repetition_failures import REPETITION_FAILURES, Builder, Draft

STOP_WORDS = frozenset(words_of("the be to of and that have with"))


def _plain(rng: Random, count: int = 30) -> list[str]:
    return [paragraph(text) for text in sentences(rng, count)]


def _url_strict_word(rng: Random) -> Draft:
    # The rule ignores "-" and "." and looks inside words.
    spelling = rng.choice(("quibblefen", "quib-blefen", "myquibblefens", "snork.waddle"))
    return Draft(blocks=_plain(rng), path=f"/notes/{spelling}/page.html")


def _url_hard_word(rng: Random) -> Draft:
    word = rng.choice(("grumblefish", "blatherskite", "Grumblefish"))
    return Draft(blocks=_plain(rng), path=f"/notes/{word}-{rng.randint(2, 99)}.html")


def _url_soft_words(rng: Random) -> Draft:
    pair = "-".join(rng.sample(("wobbly", "fizzy", "jumbo", "turnip", "doodle"), 2))
    return Draft(blocks=_plain(rng), path=f"/shop/{pair}/")


def _url_removal(rng: Random) -> Draft:
    links = [f"info.example.org/{rng.randint(1, 10**6)}/list?page={n}" for n in range(12)]
    return Draft(blocks=[line(link) for link in [*links, "192.168.12.34", "10.20.30.40/x"]])


def _page_too_short(rng: Random) -> Draft:
    return Draft(blocks=_plain(rng, 2))


def _page_too_long(rng: Random) -> Draft:
    """More than 100,000 words."""
    return Draft(blocks=_plain(rng, 8500))


def _short_words(rng: Random) -> Draft:
    starts = alternatives("we go|I am|he is|do we go|it is|if he is|I go|we do|so I am")
    ends = alternatives(
        "in it to|up to an ox|by me at|on it as|to my ax|as we do|at no go|in an inn"
    )
    text = [
        f"{rng.choice(starts)} {rng.choice(ends)} {rng.choice(starts)} {rng.choice(ends)} us"
        for _ in range(24)
    ]
    return Draft(blocks=[paragraph(t[0].upper() + t[1:] + ".") for t in text])


def _long_words(rng: Random) -> Draft:
    adjectives = "extraordinarily|characteristically|comprehensively|disproportionately|"
    adjectives += "enthusiastically|straightforwardly|unquestionably|philosophically"
    nouns = "responsibilities|administrators|misunderstandings|recommendations|"
    nouns += "representatives|experimentation|qualifications|interpretations|investigations"
    verbs = "accompanied|demonstrated|acknowledged|transformed|overestimated|complemented"
    text = [
        f"{rng.choice(nouns.split('|')).capitalize()} of the {rng.choice(nouns.split('|'))} "
        f"{rng.choice(adjectives.split('|'))} {rng.choice(verbs.split('|'))} "
        f"international {rng.choice(nouns.split('|'))} throughout "
        f"{rng.choice(adjectives.split('|'))} {rng.choice(verbs.split('|'))} neighbourhoods."
        for _ in range(20)
    ]
    return Draft(blocks=[paragraph(t) for t in text])


def _symbol_ratio(rng: Random) -> Draft:
    tagged = [f"{text} #{rng.choice('abcdefgh')}craft #day{n} #more" for n, text in _numbered(rng)]
    return Draft(blocks=[paragraph(text) for text in tagged])


def _numbered(rng: Random, count: int = 24) -> list[tuple[int, str]]:
    return list(enumerate(sentences(rng, count)))


def _bullet_lines(rng: Random) -> Draft:
    mark = rng.choice("•●*-")
    return Draft(blocks=[line(f"{mark} {text}") for text in sentences(rng, 24)])


def _ellipsis_lines(rng: Random) -> Draft:
    end = rng.choice(("...", "…", " . . ."))
    return Draft(
        blocks=[paragraph(text[:-1] + end if n % 2 else text) for n, text in _numbered(rng)]
    )


def _alphabetic_words(rng: Random) -> Draft:
    rows = [
        text + " " + " ".join(str(rng.randint(10, 99_999)) for _ in range(7))
        for text in sentences(rng, 24)
    ]
    return Draft(blocks=[paragraph(row) for row in rows])


def _stop_words(rng: Random) -> Draft:
    words = subject_vocabulary(rng)
    patterns = (
        "Many {agents} still {act} {things} near this {place} every year.",
        "Our {traits} {things} need {stuff} before they become {quality}.",
        "She says {agents} should {act} {traits} {things} by hand.",
        "Without {stuff}, most {agents} never {act} their {things}.",
        "You can see {number} {traits} {things} from here on a clear day.",
    )
    text: list[str] = []
    while len(text) < 24:
        sentence = rng.choice(patterns).format_map(words)
        if not STOP_WORDS & set(sentence.lower().split()):
            text.append(sentence)
    return Draft(blocks=[paragraph(t) for t in text])


def _shouted(rng: Random, count: int = 16) -> list[str]:
    """Return lines just over half of whose characters are capitals, and still plain English."""
    return [line(_shout(text.split())) for text in sentences(rng, count)]


def _shout(words: list[str]) -> str:
    """Capitalise the longest words until more than half of the characters are capitals."""
    length = len(" ".join(words))
    for place in sorted(range(len(words)), key=lambda place: -len(words[place])):
        if sum(c.isupper() for word in words for c in word) > 0.5 * length:
            break
        words[place] = words[place].upper()
    return " ".join(words)


def _numeric_lines(rng: Random) -> Draft:
    return Draft(blocks=[*_shouted(rng), *(line(str(n)) for n in rng.sample(range(9999), 6))])


def _counter_lines(rng: Random) -> Draft:
    things = rng.sample(words_of("likes shares comments views followers downloads"), 4)
    counts = [line(f"{rng.randint(2, 99)}{rng.choice(('', 'k', ',310'))} {t}") for t in things]
    return Draft(blocks=[*_shouted(rng), *counts])


def _line_length(rng: Random) -> Draft:
    words = rng.sample(words_of("Share Print Reply Report Quote Follow Menu"), 5)
    return Draft(blocks=[*_shouted(rng), *map(line, words)])


def _only_phrase(phrase: str) -> Builder:
    return lambda rng: Draft(blocks=[*_shouted(rng), line(phrase)])


def _word_removal(rng: Random) -> Draft:
    return Draft(blocks=[*_plain(rng, 30), *_shouted(rng, rng.randint(4, 9))])


def _ordinary(rng: Random) -> Draft:
    return Draft(blocks=[paragraph(" ".join(p)) for p in article(rng).paragraphs])


# rule -> builders of pages that fail it; the names are those of the heuristics' outcomes.
FAILURES: dict[str, tuple[Builder, ...]] = {
    "url_domain": (_ordinary,),
    "url_strict_word": (_url_strict_word,),
    "url_hard_word": (_url_hard_word,),
    "url_soft_words": (_url_soft_words,),
    "url_removal": (_url_removal,),
    "page_length": (_page_too_short, _page_too_short, _page_too_long, _page_too_short),
    "mean_word_length": (_short_words, _long_words),
    "symbol_ratio": (_symbol_ratio,),
    "bullet_lines": (_bullet_lines,),
    "ellipsis_lines": (_ellipsis_lines,),
    "alphabetic_words": (_alphabetic_words,),
    "stop_words": (_stop_words,),
    **REPETITION_FAILURES,
    "uppercase_lines": (lambda rng: Draft(blocks=_shouted(rng, 24)),),
    "numeric_lines": (_numeric_lines,),
    "counter_lines": (_counter_lines,),
    "line_length": (_line_length,),
    "items_in_cart": (_only_phrase("Items in cart"),),
    "read_more": (_only_phrase("Read more..."),),
    "sign_in": (_only_phrase("Sign-in Read more..."),),
    "word_removal": (_word_removal,),
}


def failing_page(rng: Random, rule: str, number: int) -> Draft:
    """Return the `number`-th page made to fail `rule`, a key of FAILURES."""
    builders = FAILURES[rule]
    return builders[number % len(builders)](rng)

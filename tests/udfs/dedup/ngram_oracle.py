"""`old-both` with exact sets and Python strings (spec 3.1.3)."""

from dataclasses import dataclass, field


def windows_of(text: str) -> list[str]:
    pieces = text.split("\n")
    windows = [pieces[0]] + ["\n" + piece for piece in pieces[1:]]
    return [window for window in windows if window]


def ngrams_of(tokens: list[str], shortest: int, longest: int) -> list[tuple[str, ...]]:
    if len(tokens) >= longest:
        return [tuple(tokens[i : i + longest]) for i in range(len(tokens) - longest + 1)]
    return [tuple(tokens)] if len(tokens) >= shortest else []


@dataclass
class Outcome:
    text: str
    contained: int
    total: int
    removed: list[str]


@dataclass
class ExactShard:
    tokenize: object
    shortest: int = 13
    longest: int = 13
    threshold: float = 0.8
    keeps_ngrams_of_removed_documents: bool = True
    seen: set[tuple[str, ...]] = field(default_factory=set)

    def process(self, text: str) -> Outcome:
        contained = total = 0
        kept: list[str] = []
        removed: list[str] = []
        own: set[tuple[str, ...]] = set()
        for window in windows_of(text):
            ngrams = ngrams_of(self.tokenize(window), self.shortest, self.longest)
            found = sum(ngram in self.seen or ngram in own for ngram in ngrams)
            contained += found
            total += len(ngrams)
            if ngrams and found / len(ngrams) > self.threshold:
                removed.append(window)
            else:
                kept.append(window)
                own.update(ngrams)
        whole = total > 0 and contained / total > self.threshold
        if not whole or self.keeps_ngrams_of_removed_documents:
            self.seen |= own
        return Outcome("" if whole else "".join(kept), contained, total, removed)

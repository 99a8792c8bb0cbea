"""A byte tokenizer, a scorer without a model, and tiny task files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dclm_spark.evaluate.models import LoadedModel
from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.scoring import TokenScores
from dclm_spark.evaluate.speed.token_counts import TokenCount
from dclm_spark.evaluate.tasks import TASK_BY_LABEL


@dataclass
class Encoding:
    ids: list[int]


class Bytes:
    """One token for each byte, numbered from 1."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> Encoding:
        return Encoding([byte + 1 for byte in sequence.encode()])

    def encode_batch(self, input: list[str], *, add_special_tokens: bool = True) -> list[Encoding]:
        return [self.encode(text) for text in input]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        return bytes(token - 1 for token in ids if token).decode()


@dataclass
class LengthScorer:
    """Every token costs its number in nats / 100; generates `answer`; counts its calls."""

    answer: str = ""
    calls: int = 0
    batch_tokens: int = 8192

    def score(self, candidates: Sequence[Candidate]) -> list[TokenScores]:
        self.calls += 1
        found = []
        for one in candidates:
            tokens = np.array(one.tokens[one.start :], dtype=np.float64)
            found.append(TokenScores(tokens / 100, tokens > 50))
        return found

    def padded_tokens(self, count: TokenCount) -> int:
        return count.prompts

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_strings: Sequence[str]
    ) -> list[list[int]]:
        return [Bytes().encode(self.answer).ids[:max_new_tokens] for _ in prompts]


def loaded(scorer: LengthScorer, fingerprint: str = "one") -> LoadedModel:
    return LoadedModel(name="<fake>", scorer=scorer, tokenizer=Bytes(), fingerprint=fingerprint)


def write_rows(root: Path, label: str, rows: Sequence[dict[str, object]]) -> None:
    file = root / TASK_BY_LABEL[label].file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_small_suite(root: Path) -> None:
    """Write copa (8 rows), jeopardy (two categories, 12 rows) and triviaqa (4 rows)."""
    copa = [{"query": f"It is {n}", "choices": ["aa", "zz"], "gold": int(n >= 6)} for n in range(8)]
    jeopardy = [
        {"context": f"q{n}", "continuation": "zz" if n % 3 else "! !", "category": "ab"[n % 2]}
        for n in range(12)
    ]
    trivia = [{"context": f"q{n}", "answer": str(n), "aliases": []} for n in range(4)]
    write_rows(root, "copa", copa)
    write_rows(root, "jeopardy", jeopardy)
    write_rows(root, "triviaqa_sm_sub", trivia)

"""What a model trained on the embedded sample is measured on: unseen articles, planted facts."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from dclm_spark.evaluate.models import LoadedModel
from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.sample.facts import Fact
from dclm_spark.sample.prose import article
from udfs import storage

ANSWERS = "planted_answers"
NUM_ARTICLES = 40
_SEED = "held-out"
_BATCH = 32


def write_articles(path: Path) -> Path:
    """Write articles that no sample crawl holds: their seed is none that a crawl can have."""
    rows = (json.dumps({"text": article(Random(f"{_SEED}:{n}")).text}) for n in range(NUM_ARTICLES))
    storage.write_bytes(str(path), "".join(f"{row}\n" for row in rows).encode())
    return path


def read_facts(path: Path) -> list[Fact]:
    """Read the facts of a sample crawl."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [Fact(**{**row, "choices": tuple(row["choices"])}) for row in rows]


def score_facts(model: LoadedModel, facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """Return a record per fact: nats and bytes of the true answer after its prompt.

    `ok` says whether the true answer has the lowest loss per byte of the choices.
    """
    candidates = [
        _candidate(model, fact, choice)
        for fact in facts
        for choice in (fact.answer, *(c for c in fact.choices if c != fact.answer))
    ]
    nats: list[float] = []
    for first in range(0, len(candidates), _BATCH):
        scores = model.scorer.score(candidates[first : first + _BATCH])
        nats += [float(score.nats.sum()) for score in scores]
    records = []
    place = 0
    for row, fact in enumerate(facts):
        count = len(set(fact.choices))
        own, place = range(place, place + count), place + count
        sizes = [len(candidates[n].text.encode()) for n in own]
        rates = [nats[n] / size for n, size in zip(own, sizes, strict=True)]
        records.append(
            {
                "row": row,
                "nats": nats[own[0]],
                "tokens": len(candidates[own[0]].tokens) - candidates[own[0]].start,
                "bytes": sizes[0],
                "ok": int(rates[0] == min(rates)),
            }
        )
    return records


def _candidate(model: LoadedModel, fact: Fact, choice: str) -> Candidate:
    prompt = model.tokenizer.encode(fact.prompt, add_special_tokens=False).ids
    text = f" {choice}"
    answer = model.tokenizer.encode(text, add_special_tokens=False).ids
    context = (model.end_of_text_id, *prompt)
    return Candidate((*context, *answer), len(context), text, len(context))

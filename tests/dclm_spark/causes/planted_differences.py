"""Two corpora of the embedded sample's texts that differ by two planted causes and two decoys.

What differs is known, and which of it matters: pages of low quality that only B has, or prose that
only A has, against documents of the kind that both have, of which each corpus has some of its own.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from dclm_spark.causes.effects import CAUSE
from dclm_spark.causes.models_of_groups import DocumentGroup
from dclm_spark.ranking.options import ModelSettings
from dclm_spark.sample.chatter import chatter
from dclm_spark.sample.facts import make_facts
from dclm_spark.sample.prose import article, library_paragraphs
from tests.dclm_spark.ranking.toy_corpora import write_corpus_of_documents, write_texts
from udfs.tokens.tokenizer import train_tokenizer

LENGTH = 128
VOCABULARY = 1024
JUNK = ("spun", "forum", "advertisement", "listing")
PROSE = "library prose"
# Documents of each part of a corpus.
NUM_COMMON, NUM_CAUSE, NUM_DECOY = 120, 60, 24
NUM_HELD_OUT = 20
# Less than the smallest corpus of a world has.
NUM_TOKENS = 98_304


@dataclass(frozen=True)
class World:
    """Manifests of A and B, held-out files, tokenizer, all differing groups, and the causes."""

    manifests: tuple[str, str]
    heldout: tuple[str, ...]
    tokenizer: str
    groups: tuple[DocumentGroup, ...]
    causes: frozenset[str]


class _Writer:
    """Writes documents of the sample's kinds, each its own."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.facts = make_facts(rng)
        self.paragraphs = library_paragraphs()
        rng.shuffle(self.paragraphs)

    def text(self, kind: str) -> str:
        if kind in JUNK:
            return chatter(self.rng, kind, self.rng.sample(self.facts, 4)).text
        if kind == PROSE:
            return "\n\n".join(self.paragraphs.pop() for _ in range(4))
        return article(self.rng).text

    def common(self, number: int) -> list[str]:
        """Return articles and prose, a third, which is enough for models to learn some of it."""
        return [self.text(PROSE if place % 3 == 2 else "article") for place in range(number)]


def write_world(folder: Path, seed: int) -> World:
    """Write a world: A is the better corpus by two causes that `seed` chooses."""
    rng = Random(f"world {seed}")
    writer = _Writer(rng)
    causes = rng.sample([*JUNK, PROSE], 2)
    held_out = {
        "articles": [writer.text("article") for _ in range(NUM_HELD_OUT)],
        "prose": [writer.text(PROSE) for _ in range(NUM_HELD_OUT)],
    }
    both = writer.common(NUM_COMMON)
    groups = {f"{kind} pages": [writer.text(kind) for _ in range(NUM_CAUSE)] for kind in causes}
    decoys = {name: writer.common(NUM_DECOY) for name in ("decoy of A", "decoy of B")}
    tokenizer = folder / "tokenizer.json"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.write_text(train_tokenizer(iter(_learned(seed)), VOCABULARY))
    in_first = {name for name in groups if name.startswith(PROSE)} | {"decoy of A"}
    parts = groups | decoys
    documents = {name: _named(name, texts) for name, texts in parts.items()}
    corpora = []
    for corpus in ("A", "B"):
        own = _named("both", both)
        for name in parts:
            if (name in in_first) == (corpus == "A"):
                own |= documents[name]
        shuffled = sorted(own.items(), key=lambda item: item[0])
        corpora.append(
            write_corpus_of_documents(folder / corpus, dict(shuffled), tokenizer, length=LENGTH)
        )
    return World(
        manifests=(str(corpora[0]), str(corpora[1])),
        heldout=tuple(
            str(write_texts(folder / f"{name}.jsonl", texts)) for name, texts in held_out.items()
        ),
        tokenizer=str(tokenizer),
        groups=tuple(
            DocumentGroup(label=name, doc_ids=tuple(of_group))
            for name, of_group in documents.items()
        ),
        causes=frozenset(groups),
    )


def _named(part: str, texts: list[str]) -> dict[bytes, str]:
    rng = Random(part)
    return {rng.randbytes(16): text for text in texts}


def _learned(seed: int) -> list[str]:
    """Return texts of all kinds that no corpus has, for the tokenizer."""
    writer = _Writer(Random(f"tokenizer {seed}"))
    return [writer.text(kind) for kind in ("article", *JUNK, PROSE) for _ in range(20)]


def model_settings(world: World, output: Path, seeds: int = 5) -> ModelSettings:
    """Return small models of some 0.2 M weights in steps of 512 tokens."""
    return ModelSettings(
        output=str(output),
        scales=("test",),
        seeds=seeds,
        tokens=(NUM_TOKENS,),
        tokenizer=world.tokenizer,
        heldout=world.heldout,
        training=(
            "model.width=64", "batch_sequences=16", "micro_batch_sequences=16",
            "checkpoint.interval_steps=10000", "schedule.warmup_steps=10",
            "optimizer.peak_rate=4e-3",
        ),
    )  # fmt: skip


def named_causes(found: dict[str, Any]) -> frozenset[str]:
    """Return the groups that `models_of_groups` names as causes."""
    (one,) = found["effects"]
    return frozenset(part["group"] for part in one["parts"] if part["verdict"] == CAUSE)

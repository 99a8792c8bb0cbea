"""Whether small models name the corpus that wins at a budget: worlds in which it is known.

nice python -m tests.benchmarks.planted_worlds --worlds 20 --output worlds

A strict filter keeps articles of the embedded sample's kinds alone; the loose one keeps pages of
low quality, too, and so several times the articles. At a small budget the strict corpus wins, being
purer; at a large one it is read so often that it loses. In each world both are trained to the
target once, which is the truth; then proxies of a sixteenth of its tokens are ranked, with their
repetition matched to the target's and, beside, each reading its corpus as it is. What is finished
is not done again. No Spark; a world of the small budget takes a minute and a half of a core of its
own, one of the large budget a quarter of an hour.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from dclm_spark.ranking.options import ModelSettings
from dclm_spark.ranking.train_models import rank_models
from dclm_spark.sample.chatter import KINDS, chatter
from dclm_spark.sample.facts import make_facts
from dclm_spark.sample.prose import article
from dclm_spark.shard_format import read_manifest
from tests.dclm_spark.ranking.toy_corpora import write_corpus_of_documents, write_texts
from udfs.tokens.tokenizer import train_tokenizer

LENGTH, VOCABULARY = 128, 512
# Of the tokens of its target a proxy reads one in so many.
PROXY_SHARE = 16
# A leader that was found, by how much it leads, and the verdict.
Told = tuple[str, float, str]
# How often the target reads the strict corpus.
SMALL_BUDGET, LARGE_BUDGET = 4, 48
# Articles of some 450 tokens, so that a sixteenth of the strict corpus is some sixteen of them.
MEAN_SENTENCES = 12
NUM_HELD_OUT = 16
STRICT, LOOSE = "strict", "loose"
TRAINING = (
    "model.width=64", "batch_sequences=16", "micro_batch_sequences=16",
    "checkpoint.interval_steps=100000", "schedule.warmup_steps=5", "optimizer.peak_rate=6e-3",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Two corpora, texts to measure on, and the budget of the run that is to be decided."""

    corpora: tuple[str, ...]
    tokenizer: str
    heldout: tuple[str, ...]
    target_tokens: int


def write_world(folder: Path, seed: int) -> World:
    """Write a world, unless it is there; every other one is of the small budget."""
    rng = Random(f"budget world {seed}")
    facts = make_facts(rng)
    folder.mkdir(parents=True, exist_ok=True)

    def articles(number: int) -> list[str]:
        return [article(rng, mean_sentences=MEAN_SENTENCES).text for _ in range(number)]

    def junk(number: int) -> list[str]:
        kinds = sorted(KINDS)
        return [chatter(rng, rng.choice(kinds), rng.sample(facts, 4)).text for _ in range(number)]

    unseen, learned = articles(NUM_HELD_OUT), [*articles(40), *junk(40)]
    num_strict = rng.randint(270, 320)
    strict = articles(num_strict)
    loose = [*strict, *articles(rng.randint(22, 28) * num_strict // 10)]
    loose += junk(rng.randint(22, 28) * num_strict // 10)
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.exists():
        tokenizer.write_text(train_tokenizer(iter(learned), VOCABULARY))
    corpora = {STRICT: strict, LOOSE: loose}
    manifests = {name: _written(folder / name, texts, tokenizer) for name, texts in corpora.items()}
    passes = SMALL_BUDGET if seed % 2 else LARGE_BUDGET
    size = read_manifest(manifests[STRICT])
    return World(
        corpora=tuple(f"{name}={manifest}" for name, manifest in manifests.items()),
        tokenizer=str(tokenizer),
        heldout=(str(write_texts(folder / "articles.jsonl", unseen)),),
        target_tokens=passes * size.num_sequences * size.sequence_length,
    )


def _written(folder: Path, texts: Sequence[str], tokenizer: Path) -> str:
    """Write a corpus in the order of its documents' names; return its manifest."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        named = {hashlib.sha256(text.encode()).digest()[:16]: text for text in texts}
        write_corpus_of_documents(folder, dict(sorted(named.items())), tokenizer, length=LENGTH)
    return str(manifest)


def ranked(world: World, output: Path, **how: object) -> Told:
    """Return who leads in bits per byte, by how much, and the verdict."""
    settings = ModelSettings(
        output=str(output),
        scales=("test",),
        corpora=world.corpora,
        tokenizer=world.tokenizer,
        heldout=world.heldout,
        training=TRAINING,
        **how,  # type: ignore[arg-type]
    )
    (found,) = rank_models(settings)["comparisons"]
    best, other = found["scores"]
    return best["recipe"], other["mean"] - best["mean"], found["verdicts"][0]["verdict"]


def judged(folder: Path, seed: int, seeds: int, smaller: Sequence[int] = ()) -> dict[str, object]:
    """Return the truth of a world and what both kinds of ranking say.

    `smaller` are further shares of the target's tokens that matched proxies read, one in so many.
    """
    started = time.monotonic()
    world = write_world(folder / "texts", seed)
    proxy = (world.target_tokens // PROXY_SHARE,)
    whole = (world.target_tokens,)
    told = {
        "truth": ranked(world, folder / "truth", tokens=whole, seeds=1, max_passes=1e6),
        "matched": ranked(
            world, folder / "matched", tokens=proxy, seeds=seeds, target_tokens=whole
        ),
        "unmatched": ranked(world, folder / "unmatched", tokens=proxy, seeds=seeds, max_passes=1e6),
    }
    for share in smaller:
        told[f"matched at 1/{share}"] = ranked(
            world,
            folder / f"matched-{share}",
            tokens=(world.target_tokens // share,),
            seeds=seeds,
            target_tokens=whole,
        )
    return {
        "world": seed,
        "target_tokens": world.target_tokens,
        **{
            name: {"best": best, "by": round(by, 4), "verdict": verdict}
            for name, (best, by, verdict) in told.items()
        },
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    """Judge the worlds and print how often each ranking named the winner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--step", type=int, default=1, help="2: worlds of one budget")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smaller", type=int, nargs="*", default=[], help="further shares: 32 64")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    right = {"matched": 0, "unmatched": 0}
    for number in range(given.worlds):
        seed = given.first + number * given.step
        facts = judged(given.output / f"world-{seed}", seed, given.seeds, given.smaller)
        print(json.dumps(facts), flush=True)
        for name in right:
            right[name] += facts[name]["best"] == facts["truth"]["best"]  # type: ignore[index]
    for name, count in right.items():
        print(f"{name}: the winner named in {count} of {given.worlds} worlds")


if __name__ == "__main__":
    main()

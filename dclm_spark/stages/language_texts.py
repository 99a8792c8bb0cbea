"""The texts of all languages: read and labelled once, then one documents stage a language."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.stage import REFUSE, REMOVE
from dclm_spark.stages.documents import key_settings, max_readers, read_by, read_inputs
from udfs.documents.schema import STAGE
from udfs.units.curate import CurationSettings, quarantine_file
from udfs.units.language_texts import (
    BY_LANGUAGE,
    NOT_LISTED,
    ROUTE_STAGE,
    ROUTED,
    WITHOUT_LIMITS,
    LanguageFile,
    judge_language_file,
    label_file,
    labelled_schema,
    route_file,
)


class LanguageTexts(NamedTuple):
    """Labelled texts (`write_language_texts`), and the language (a code) that is wanted of them."""

    texts: StageOutput
    language: str


@dataclass(frozen=True, kw_only=True)
class LanguageCorpus:
    """What a run in several languages found in one of them, and what of it its corpus has.

    `language` is a code, "" for texts without one. Where `has_corpus` is false, no limits are known
    or nobody asked for the language, and its documents were dropped for that.
    """

    language: str
    documents: int
    passed_rules: int = 0
    kept: int = 0
    tokens: int = 0
    has_corpus: bool = False


def write_language_texts(
    spark: SparkSession,
    inputs: Sequence[InputFile],
    settings: CurationSettings,
    directory: str,
    overwrite: bool = False,
) -> StageOutput:
    """Read and extract every document of `inputs`, and label each text with its language.

    One unit per input file, as `write_documents`; no rule is asked. Of `settings` extraction, input
    and language model count, so that other rules or languages need no file again.
    """
    labelling = settings.heuristics.language_quirks
    extraction = key_settings(settings)["extraction"]
    stage = FileStage(
        name=STAGE,
        schema=labelled_schema(settings),
        process=partial(label_file, settings=read_by(inputs, settings)),
        key=(extraction, settings.input, settings.language_model, labelling),
        max_tasks=max_readers(inputs, settings.extraction.reading),
        others=REMOVE if overwrite else REFUSE,
        max_failures=settings.max_failed_inputs,
        stand_in=quarantine_file,
    )
    return read_inputs(spark, stage, inputs, directory, settings.input.part_size_bytes)


def documents_by_language(texts: StageOutput) -> Counter[str]:
    """Return the documents of each language (a code), the most frequent first; "": without one."""
    counts: Counter[str] = Counter()
    for _, facts in texts.facts():
        counts.update(facts.get(BY_LANGUAGE, {}))
    return Counter(dict(sorted(counts.items(), key=lambda one: (-one[1], one[0]))))


def route_languages(
    spark: SparkSession,
    texts: StageOutput,
    languages: Sequence[str],
    directory: str,
    *,
    every: bool,
) -> StageOutput:
    """Give each text in a language without a corpus the fate that says so; the others are kept.

    `every`: languages are missing for want of limits, and not because nobody asked for them.
    """
    rule = WITHOUT_LIMITS if every else NOT_LISTED
    chosen = sorted(languages)
    stage = FileStage(
        name=ROUTE_STAGE,
        schema=ROUTED,
        process=partial(route_file, languages=chosen, rule=rule),
        key=(chosen, rule),
    )
    return stage.run(spark, sources_of(texts), directory)


def judge_language(
    spark: SparkSession,
    given: LanguageTexts,
    settings: CurationSettings,
    directory: str,
    overwrite: bool = False,
) -> StageOutput:
    """Judge the texts of one language: the documents stage of its corpus, in `directory`.

    A unit for each unit of the texts that has some. Raises as `write_documents`.
    """
    stage = FileStage(
        name=STAGE,
        schema=settings.schema,
        process=partial(judge_language_file, settings=settings),
        key=(key_settings(settings), given.language),
        others=REMOVE if overwrite else REFUSE,
    )
    return stage.run(spark, _sources(given), directory)


def _sources(given: LanguageTexts) -> list[UnitSource]:
    files = {file["unit"]: file for file in given.texts.files("kept/")}
    sources = []
    for unit, facts in given.texts.facts():
        documents = facts.get(BY_LANGUAGE, {}).get(given.language, 0)
        if not documents:
            continue
        file = LanguageFile(
            uri=str(files[unit]["uri"]), language=given.language, documents=documents,
            input=facts["input"],
        )  # fmt: skip
        sources.append(
            UnitSource(
                unit=unit, identity=files[unit]["sha256"], source=asdict(file), documents=documents
            )
        )
    return sources

"""What is measured: the first pages of the input as files of their own, and the recipe's models."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dclm_spark.arguments.job_parser import positive
from dclm_spark.crawl.listing import InputFile
from dclm_spark.errors import InputError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import Recipe, UrlListReferences, curation_settings
from dclm_spark.settings import FileReference
from udfs import storage
from udfs.fasttext.language import LanguageIdentifier
from udfs.fasttext.quality import QualityModel
from udfs.rules.url_lists import UrlLists, load_url_lists
from udfs.storage.cache import fetch
from udfs.tokens.tokenizer import Encoder, TokenizerSettings, load_encoder
from udfs.units.curate import CurationSettings
from udfs.warc.reader import WarcRecord, read_records
from udfs.warc.scanner import IN_MEMBER_OFFSET

# As the DCLM repository names them.
LIST_FILES = {
    "domains": "refinedweb_banned_domains_curated.txt",
    "strict_words": "refinedweb_banned_words_strict_reverse_engineered.txt",
    "hard_words": "refinedweb_banned_words_hard_reverse_engineered.txt",
    "soft_words": "refinedweb_banned_words_soft_reverse_engineered.txt",
    "top_level_domains": "iana_tlds.txt",
}


@dataclass(frozen=True, kw_only=True)
class Models:
    """The DCLM-BASELINE recipe with the files at hand; what is None is left out of the chain."""

    recipe: Recipe
    curation: CurationSettings
    lists: UrlLists
    identify: LanguageIdentifier
    language_model: Path
    quality: QualityModel | None
    quality_model: str | None
    encoder: Encoder | None
    tokenizer: str | None


def load_models(
    lists: str | None,
    tokenizer: str | None,
    quality_model: str | None,
    language_model: str | None = None,
) -> Models:
    """Load what the chain needs; `lists` is a folder with the files of LIST_FILES."""
    recipe = load_recipe("dclm_baseline", [])
    if language_model is not None:
        recipe = replace(recipe, language_model=FileReference(uri=language_model))
    if lists is not None:
        recipe = replace(recipe, url_lists=_references(lists))
    if tokenizer is not None:
        # The checksum of the recipe is its own tokenizer's.
        file = TokenizerSettings(uri=tokenizer)
        recipe = replace(recipe, tokens=replace(recipe.tokens, tokenizer=file))
    curation = curation_settings(recipe)
    language = fetch(*curation.language_model)
    return Models(
        recipe=recipe,
        curation=curation,
        lists=load_url_lists(**{name: str(fetch(uri)) for name, uri, _ in curation.url_lists}),
        identify=LanguageIdentifier(language, recipe.quirks),
        language_model=language,
        quality=QualityModel(fetch(quality_model)) if quality_model else None,
        quality_model=quality_model,
        encoder=load_encoder(recipe.tokens.tokenizer) if tokenizer else None,
        tokenizer=tokenizer,
    )


def _references(folder: str) -> UrlListReferences:
    found = {
        name: FileReference(uri=storage.join(folder, file))
        for name, file in LIST_FILES.items()
        if storage.exists(storage.join(folder, file))
    }
    if not found:
        raise InputError(f"--lists {folder}: none of {', '.join(LIST_FILES.values())} is there")
    return UrlListReferences(**found)


def first_pages(files: Sequence[InputFile], limit: int, folder: Path) -> list[InputFile]:
    """Write the first `limit` response records of `files` to WARCs below `folder`.

    Raises InputError for files whose records cannot be cut apart (several in a gzip member).
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen: list[InputFile] = []
    for file in files:
        if limit <= 0:
            break
        end, pages = _end_of_pages(file, limit)
        path = folder / f"{len(chosen):05d}-{Path(file.path).name}"
        path.write_bytes(storage.read_bytes(file.uri)[:end])
        chosen.append(replace(file, uri=str(path)))
        limit -= pages
    return chosen


def _end_of_pages(file: InputFile, limit: int) -> tuple[int | None, int]:
    """Return where the record behind the first `limit` begins (None: all fit), and their number."""
    pages = 0
    with storage.open_stream(file.uri) as stream:
        for record in read_records(stream):
            if pages == limit:
                if record.offset >= IN_MEMBER_OFFSET:
                    raise InputError(f"--limit: {file.uri} has no gzip member per record")
                return record.offset, pages
            pages += isinstance(record, WarcRecord)
    return None, pages


def library(name: str) -> Any:
    """Return an optional module by name, None where it is not installed."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        return None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the input, the models and the Spark master of a measurement."""
    add = parser.add_argument
    add("--input", required=True, help="*.paths.gz listing, or WARCs (comma)")
    add("--base", help="folder that the paths of a listing are below")
    add("--lists", help="folder with the URL lists, named as DCLM names them")
    add("--tokenizer", help="a tokenizer.json")
    add("--quality-model", help="a fastText model with the labels hq and cc")
    add("--language-model", help="such as lid.176.bin; default: lid.176.ftz")
    add("--limit", type=positive, metavar="PAGES", help="take only the first pages")
    add("--spark", metavar="MASTER", help="also measure Spark, such as local[2]")
    add("--output", help="where the report goes (Markdown); default: print it")

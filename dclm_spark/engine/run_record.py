"""What a run is: the resolved recipe, the input, the code and the libraries, written beside it."""

import hashlib
import importlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pkgutil import iter_modules
from typing import Any

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import check_format
from dclm_spark.errors import InputError
from dclm_spark.settings import to_yaml
from dclm_spark.source_commit import source_commit
from udfs import storage
from udfs.storage.stream import shown, without_secrets
from udfs.units.commit import FORMAT_VERSION

RUN_RECORD = "run.json"
# Where a run of several sources has the runs of these.
SOURCES = "sources"
# Where a run in several languages has the run of each.
LANGUAGES = "languages"
# What a run ends with, and what it plans.
_RESULTS = ("report.html", "report.json", "mixture.json", "shards/manifest.json")

# Packages whose version can change the text or the ids of a corpus.
IDENTITY_PACKAGES = (
    "dclm-spark",
    "resiliparse",
    "fastwarc",
    "numpy",
    "pyarrow",
    "pyspark",
    "tokenizers",
    "gigatoken",
    "numba",
)


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """Hashes and versions that name a corpus; equal identities mean equal bytes."""

    recipe_name: str
    recipe_hash: str
    input_hash: str
    code_version: str
    commit: str
    versions: dict[str, str]

    @property
    def key(self) -> tuple[str, str, str]:
        """What the corpus depends on: the hashes of recipe and input, the version of the code."""
        return self.recipe_hash, self.input_hash, self.code_version


def run_identity(recipe_name: str, recipe_hash: str, files: Sequence[InputFile]) -> RunIdentity:
    """Return the identity of running a recipe on `files` with the code and packages at hand."""
    listing = json.dumps([[file.crawl, file.path] for file in files])
    return RunIdentity(
        recipe_name=recipe_name,
        recipe_hash=recipe_hash,
        input_hash=hashlib.sha256(listing.encode()).hexdigest()[:16],
        code_version=code_version(*_stage_modules()),
        commit=source_commit(),
        versions=_versions(),
    )


def write_run_record(
    output: str,
    recipe: Any,
    files: Sequence[InputFile],
    identity: RunIdentity,
    languages: Sequence[str] = (),
) -> None:
    """Write recipe.yaml, inputs.json and run.json below `output`; secrets in URIs stay out.

    `languages` are those that have a run of their own. What another run there ended with, its
    reports and the manifest of its shards, goes first: from now on the stages are of both.
    """
    before = read_run_record(output)
    if before is not None and any(before.get(key) != value for key, value in _named(identity)):
        for name in _RESULTS:
            storage.delete(storage.join(output, name))
    listing = [
        {"crawl": file.crawl, "path": file.path, "uri": without_secrets(file.uri)}
        | ({"signed": True} if without_secrets(file.uri) != file.uri else {})
        for file in files
    ]
    record = {"format_version": FORMAT_VERSION, **vars(identity)}
    if recipe.sources:
        record[SOURCES] = list(recipe.sources)
    if languages:
        record[LANGUAGES] = list(languages)
    contents = {
        "recipe.yaml": to_yaml(recipe),
        "inputs.json": json.dumps(listing, indent=1),
        RUN_RECORD: json.dumps(record, indent=1, sort_keys=True),
    }
    for name, text in contents.items():
        storage.write_bytes(storage.join(output, name), text.encode())


def _named(identity: RunIdentity) -> tuple[tuple[str, str], ...]:
    return ("recipe_hash", identity.recipe_hash), ("input_hash", identity.input_hash)


def read_run_record(output: str) -> dict[str, Any] | None:
    """Return what run.json below `output` says of the run there, None where there is none."""
    try:
        record: dict[str, Any] = json.loads(storage.read_bytes(storage.join(output, RUN_RECORD)))
    except storage.MissingObjectError:
        return None
    return record


def source_runs(output: str) -> dict[str, str]:
    """Return the folders of the runs of a run's sources, by name; {} for a run of one input."""
    names = (read_run_record(output) or {}).get(SOURCES, [])
    return {name: storage.join(output, SOURCES, name) for name in names}


def language_runs(output: str) -> dict[str, str]:
    """Return the folders of the runs of a run's languages, by code; {} for a run of one."""
    names = (read_run_record(output) or {}).get(LANGUAGES, [])
    return {name: storage.join(output, LANGUAGES, name) for name in names}


def run_of_source(output: str) -> tuple[str, str] | None:
    """Return the run of several sources that has the run in `output`, and what it calls it."""
    folder, _, name = output.rstrip("/").rpartition("/")
    whole, _, parent = folder.rpartition("/")
    return (whole, name) if parent == SOURCES and name in source_runs(whole) else None


def check_one_source(output: str) -> None:
    """Raise InputError for a run of several sources or languages, where one has what is asked."""
    for what, runs in ((SOURCES, source_runs(output)), (LANGUAGES, language_runs(output))):
        if runs:
            raise InputError(
                f"{shown(output)}: a run of several {what} ({', '.join(runs)}), each of which has "
                f"a run of its own; give one of these, such as {shown(next(iter(runs.values())))}"
            )


def check_readable(output: str) -> None:
    """Raise SettingError when another version of this package made the run below `output`."""
    record = read_run_record(output)
    if record is not None:
        check_format(record, output)


def report_of_ended(output: str) -> dict[str, Any] | None:
    """Return report.json of a run that ended, else None.

    A run that was killed leaves no report, or that of the recipe before it. Neither has one that
    was compacted, until its command makes it again.
    """
    try:
        report: dict[str, Any] = json.loads(storage.read_bytes(storage.join(output, "report.json")))
    except storage.MissingObjectError:
        return None
    if not report["complete"]:
        return None
    record = read_run_record(output)
    is_own = record is None or report["recipe_hash"] == record.get("recipe_hash")
    return report if is_own else None


def has_report(output: str) -> bool:
    """Say whether report.json is there: of this run, or of the recipe before it."""
    return storage.exists(storage.join(output, "report.json"))


def existing_run(output: str) -> dict[str, Any]:
    """Return the record of a run, ended or not.

    Raises InputError where there is none at all, SettingError for another version's.
    """
    record = read_run_record(output)
    if record is None:
        raise InputError(
            f"{shown(output)}: no run is here (run.json is missing); give the --output of "
            "jobs/build_baseline.py"
        )
    check_format(record, output)
    return record


def finished_run(output: str) -> dict[str, Any]:
    """Return the record of a run of one source that ended; needs no Spark, so a job asks first.

    Raises what `existing_run` does, and InputError for one of several sources or that did not end:
    its stages may be those of two recipes.
    """
    record = existing_run(output)
    check_one_source(output)
    manifest = storage.join(output, "shards", "manifest.json")
    is_compacted = not has_report(output) and storage.exists(manifest)
    if report_of_ended(output) is None and not is_compacted:
        raise InputError(
            f"the run in {shown(output)} did not end: give its own command again, which goes on "
            "from what is committed"
        )
    return record


def _stage_modules() -> list[str]:
    """Return the modules of all stages; with what they import, they are what makes a corpus."""
    package = importlib.import_module("dclm_spark.stages")
    return sorted(f"dclm_spark.stages.{one.name}" for one in iter_modules(package.__path__))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in IDENTITY_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

"""Command line that the submit scripts share: options of the job, upload, dry run, errors."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submission.arguments import JOBS, SUBMITTED, check_arguments
from submission.errors import SubmissionError
from submission.job import Job
from submission.platforms import Platform
from submission.upload import Upload, check_archive
from submission.values import (
    matching,
    pairs,
    placeholders,
    refuse_placeholders,
    spark_settings,
    take_planned_shards,
)

EXIT_USER_ERROR = 2


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request: of which service, which method, with what."""

    service: str
    call: str
    request: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A checked job with the files that it needs in its bucket."""

    job: Job
    uploads: tuple[Upload, ...]


def add_job_arguments(parser: argparse.ArgumentParser, bucket: str) -> None:
    """Add what every platform takes; `bucket` is an example of one."""
    add = parser.add_argument
    add("--job", default="build_baseline", choices=SUBMITTED, help="script of jobs/")
    add("--name", default="dclm-spark", help="name of cluster and job, lower case")
    add("--bucket", required=True, help=f"where code, logs and lists lie, as {bucket}")
    add("--archive", help="packed environment of this machine, to be uploaded first")
    add("--conf", action="append", default=[], metavar="KEY=VALUE", help="Spark setting")
    add("--conf-file", action="append", default=[], metavar="FILE",
        help="Spark settings, as jobs/plan_crawl.py --spark-conf writes them")  # fmt: skip
    add("--tag", action="append", default=[], metavar="KEY=VALUE", help="cost tag or label")
    add("--history", default="", metavar="URI", help="where Spark's event logs go")
    add("--hours", type=float, default=12.0, help="limit of the job's duration, where one exists")
    add("--attempt", type=int, default=1, metavar="N",
        help="of the same command; a platform takes an equal request for a repetition")  # fmt: skip
    add("--dry-run", action="store_true", help="print uploads and requests, send nothing")
    add("arguments", nargs="*", help="arguments of the job, after --")


def prepare(
    options: argparse.Namespace,
    platform: Platform,
    architecture: str,
    *,
    image: bool = False,
    script: str = "",
) -> Submission:
    """Return the job that `options` describe, checked, and its uploads.

    `image`: the environment comes with an image; `script`: the job's script, too, and is there.
    """
    bucket = matching(
        "--bucket",
        options.bucket.rstrip("/"),
        rf"({'|'.join(platform.schemes)})[a-z0-9][a-z0-9._/-]+",
        f"a bucket or a prefix in one, as {platform.schemes[0]}a-bucket",
    )
    code = f"{bucket}/code"
    conf = spark_settings(options.conf, options.conf_file)
    checked = check_arguments(
        options.job,
        options.arguments,
        code=code,
        schemes=platform.schemes,
        planned_shards=take_planned_shards(conf),
    )
    environment = "" if image else f"{code}/environment-{architecture}.tar.gz"
    uploads = [Upload(source=path, uri=uri) for uri, path in checked.recipes.items()]
    if not script:
        script = f"{code}/{options.job}.py"
        uploads.append(Upload(source=JOBS / f"{options.job}.py", uri=script))
    if options.archive and image:
        raise SubmissionError("--archive and --image: an image has its environment; leave one out")
    if options.archive:
        check_archive(Path(options.archive), platform, architecture)
        uploads.append(Upload(source=Path(options.archive), uri=environment))
    job = Job(
        name=options.name,
        script=script,
        arguments=checked.arguments,
        environment=environment,
        conf=conf,
        tags=pairs("--tag", options.tag),
        history=options.history,
        hours=options.hours,
        attempt=options.attempt,
    )
    return Submission(job=job, uploads=tuple(uploads))


def carry_out(
    submission: Submission,
    calls: Sequence[Call],
    *,
    dry_run: bool,
    send: Callable[[Call], str],
) -> None:
    """Print uploads and calls, and unless `dry_run`, upload and `send` them."""
    printed = {
        "upload": [upload.command for upload in submission.uploads],
        "requests": [vars(call) for call in calls],
    }
    print(json.dumps(printed, indent=2))
    requests = {call.call: call.request for call in calls}
    if dry_run:
        for place in placeholders(requests):
            print(f"would be refused: {place} is a placeholder of the examples", file=sys.stderr)
        return
    refuse_placeholders(requests)
    for upload in submission.uploads:
        print(upload.command, file=sys.stderr)
        upload.run()
    _check_environment(submission.job.environment)
    for call in calls:
        print(f"{call.service} {call.call}: {send(call)}", file=sys.stderr)


def _check_environment(environment: str) -> None:
    from udfs import storage

    if environment and not storage.exists(environment):
        raise SubmissionError(
            f"{environment}: there is no such object; give --archive FILE "
            "(infra/pack_in_container.sh packs one)"
        )


def run(main: Callable[[], None]) -> None:
    """Run a submit script: mistakes of the user are one line and exit code 2."""
    try:
        main()
    except ValueError as error:
        # Our own errors are written for users; of another kind would be a defect.
        if type(error).__module__.partition(".")[0] not in ("submission", "dclm_spark", "udfs"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)

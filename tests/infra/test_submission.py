"""Arguments, recipes, settings and archives, looked at before anything is sent."""

import io
import struct
import tarfile

import pytest

from tests.infra.submit_scripts import AWS, GOOGLE, JOB, ROOT, dry_run, refusal
from tests.infra.test_emr import step_arguments

IN, OUT = JOB[2:4], JOB[4:6]


@pytest.mark.parametrize(
    ("job", "parts"),
    [
        ((*JOB, "--treshold", "3"), ["build_baseline.py would refuse", "--treshold"]),
        ((*JOB, "--outp", "s3://corpus/b"), ["--outp"]),
        (JOB[:4], ["(those after --): --output: missing"]),
        ((*JOB, "--master", "yarn"), ["--master yarn", "leave it out"]),
        ((*JOB, "--output", "out"), ["--output out", "s3://"]),
        ((*JOB, "--output", "gs://corpus/a"), ["--output gs://corpus/a", "s3://"]),
        ((*JOB, "--input", "warc.paths"), ["--input warc.paths", "bucket"]),
        (("--recipe", "c4", *OUT), ["--input: must be given", "make baseline"]),
        ((*JOB, "--base", "/data"), ["--base /data"]),
        ((*JOB, "--recipe", "c5"), ["--recipe 'c5'", "known: dclm_baseline"]),
        ((*JOB, "--set", "deduplication.shard=3"), ["deduplication.shard", "did you mean"]),
        ((*JOB, "--set", "url_lists.domains.uri=banned.txt"), ["'banned.txt'", "copy it"]),
    ],
    ids=lambda value: " ".join(value[-2:]) if value and value[-1] != "s3://" else "",
)
def test_arguments_that_the_job_would_refuse_never_start_a_cluster(job, parts):
    message = refusal("emr", *AWS, job=job)
    for part in parts:
        assert part in message


def test_other_jobs_are_checked_by_their_own_parsers():
    job = ("--recipes", "c4", "refinedweb", *IN, *OUT)
    _, requests = dry_run("emr", *AWS, "--job", "annotate", job=job)
    assert "s3://corpus/code/annotate.py" in step_arguments(requests)
    message = refusal("emr", *AWS, "--job", "annotate")
    assert "annotate.py would refuse" in message


def test_a_recipe_file_travels_to_the_bucket_under_a_name_of_its_content(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("base: c4\nname: mine\n")
    uploads, requests = dry_run("emr", *AWS, job=(f"--recipe={recipe}", *IN, *OUT))
    argument = next(part for part in step_arguments(requests) if part.startswith("--recipe="))
    uri = argument.removeprefix("--recipe=")
    assert uri.startswith("s3://corpus/code/recipes/mine-")
    assert f"aws s3 cp {recipe} {uri}" in uploads
    recipe.write_text("base: c4\nname: other\n")
    _, changed = dry_run("emr", *AWS, job=(f"--recipe={recipe}", *IN, *OUT))
    assert argument not in step_arguments(changed)


def test_uploads_are_printed_as_commands_that_a_person_could_type():
    uploads, _ = dry_run("emr", *AWS)
    assert uploads == [
        f"aws s3 cp {ROOT}/jobs/build_baseline.py s3://corpus/code/build_baseline.py"
    ]
    uploads, _ = dry_run("dataproc", *GOOGLE)
    assert uploads == [
        f"gcloud storage cp {ROOT}/jobs/build_baseline.py gs://corpus/code/build_baseline.py"
    ]


def test_settings_of_a_file_reach_the_job_and_conf_wins(tmp_path):
    plan = tmp_path / "plan.conf"
    plan.write_text("# a plan\nspark.executor.cores=8\nspark.driver.memory  6g\n")
    _, requests = dry_run("emr", *AWS, "--conf-file", plan, "--conf", "spark.driver.memory=7g")
    arguments = step_arguments(requests)
    assert "spark.executor.cores=8" in arguments
    assert "spark.driver.memory=7g" in arguments
    plan.write_text("spark.executor.cores\n")
    assert "line 1" in refusal("emr", *AWS, "--conf-file", plan)


def test_fewer_dedup_shards_than_the_plan_needs_are_refused(tmp_path):
    plan = tmp_path / "plan.conf"
    plan.write_text("spark.dclm_spark.deduplication.shards=402\n")
    job = ("--recipe", "dclm_baseline", *IN, *OUT)
    message = refusal("emr", *AWS, "--conf-file", plan, job=job)
    assert "at least 402" in message
    enough = (*job, "--set", "deduplication.shards=402")
    _, requests = dry_run("emr", *AWS, "--conf-file", plan, job=enough)
    assert not any("dclm_spark.deduplication" in part for part in step_arguments(requests))


def packed(path, machine, python="3.11", borrowed=False):
    """Write an archive as infra/pack_environment.sh lays one out, with an ELF header alone."""
    header = b"\x7fELF" + bytes(14) + struct.pack("<H", machine) + bytes(44)
    files = {f"bin/python{python}": header, f"lib/python{python}/site-packages/a.py": b""}
    files |= {} if borrowed else {f"lib/python{python}/os.py": b"# standard library"}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


X86, ARM = 0x3E, 0xB7


def test_an_archive_of_the_cluster_s_processor_is_uploaded_first(tmp_path):
    archive = packed(tmp_path / "environment.tar.gz", ARM)
    uploads, _ = dry_run("emr", *AWS, "--archive", archive)
    assert f"aws s3 cp {archive} s3://corpus/code/environment-arm64.tar.gz" in uploads


@pytest.mark.parametrize(
    ("platform", "machine", "python", "borrowed", "part"),
    [
        ("emr", X86, "3.11", False, "was packed on x86_64, the cluster is arm64"),
        ("emr", ARM, "3.14", False, "works with 3.11, 3.12, 3.13"),
        ("emr", ARM, "3.12", True, "borrows a Python 3.12 of its machine"),
        ("dataproc", ARM, "3.12", False, "take --architecture arm64"),
        ("dataproc", X86, "3.11", True, "Dataproc 3.0 has 3.12"),
    ],
)
def test_an_archive_that_the_workers_cannot_run_is_refused(
    tmp_path, platform, machine, python, borrowed, part
):
    archive = packed(tmp_path / "e.tar.gz", machine, python, borrowed)
    options = AWS if platform == "emr" else GOOGLE
    assert part in refusal(platform, *options, "--archive", archive)


def test_a_file_that_is_no_environment_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    assert "cannot be read" in refusal("emr", *AWS, "--archive", tmp_path / "notes.txt")
    assert "cannot be read" in refusal("emr", *AWS, "--archive", tmp_path / "missing.tar.gz")


def readme_block(start):
    """Return the README's commands that begin with `start`, each one line."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith(start)]


@pytest.mark.parametrize("start", ["spark-submit ", ".venv/bin/python infra/emr/submit.py"])
def test_the_readme_s_command_for_a_whole_crawl_passes_the_checks_of_its_plan(start):
    from submission.arguments import check_arguments

    from dclm_spark.crawl.listing import InputFile
    from dclm_spark.planning.crawl import plan_crawl, workload_of_files
    from dclm_spark.planning.rates import PlanSettings

    warcs = [
        InputFile(crawl="c", path=f"{number}.warc.gz", uri=f"s3://b/{number}", kind="warc")
        for number in range(90_000)
    ]
    settings = PlanSettings()
    plan = plan_crawl(workload_of_files(warcs, settings.throughput), settings)
    (command,) = readme_block(start)
    arguments = command.partition(" -- " if " -- " in command else "build_baseline.py ")[2].split()
    checked = check_arguments(
        "build_baseline", arguments, code="s3://b/code", schemes=("s3://",),
        planned_shards=plan.proposal.deduplication_shards,
    )  # fmt: skip
    assert checked.arguments == tuple(arguments)
    assert plan.proposal.deduplication_shards > 100

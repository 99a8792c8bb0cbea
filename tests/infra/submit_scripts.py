"""The submit scripts as tests load and run them, and the clouds' models of their requests."""

import importlib.util
import io
import itertools
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
sys.path.insert(0, str(INFRA))

AWS = ("--bucket", "s3://corpus", "--subnet", "subnet-0a1b2c3d")
SERVERLESS = (
    "--bucket", "s3://corpus", "--target", "serverless", "--application", "00f1a2b3c4",
    "--role", "arn:aws:iam::111122223333:role/curation",
)  # fmt: skip
GOOGLE = ("--bucket", "gs://corpus", "--project", "corpora-7", "--region", "us-east1")
JOB = (
    "--recipe", "c4", "--input", "s3://commoncrawl/crawl-data/CC-MAIN-2026-04/warc.paths.gz",
    "--output", "s3://corpus/runs/a",
)  # fmt: skip


def script(name):
    """Load infra/<name>.py as a module."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), INFRA / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def submit(name, *options, job=JOB):
    """Run infra/<name>/submit.py in this process with `options`, and `job` after --."""
    module = script(f"{name}/submit")
    out, errors = io.StringIO(), io.StringIO()
    arguments = ["submit.py", *map(str, options), "--", *job]
    code = 0
    with redirect_stdout(out), redirect_stderr(errors), patch.object(sys, "argv", arguments):
        try:
            module.run(module.main)
        except SystemExit as end:
            code = end.code
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=errors.getvalue())


def dry_run(name, *options, job=JOB):
    """Return what a dry run prints: the upload commands, and the requests by call."""
    done = submit(name, *options, "--dry-run", job=job)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    return printed["upload"], {call["call"]: call["request"] for call in printed["requests"]}


def refusal(name, *options, job=JOB):
    """Return the one line that a refused submission prints."""
    done = submit(name, *options, "--dry-run", job=job)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def aws_errors(service, operation, request):
    """Return what botocore's model of the operation finds wrong with `request`."""
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model(service)
    report = ParamValidator().validate(request, model.operation_model(operation).input_shape)
    return report.generate_report()


def confs(arguments):
    """Return the Spark settings in spark-submit's arguments."""
    return dict(
        value.split("=", 1) for option, value in itertools.pairwise(arguments) if option == "--conf"
    )

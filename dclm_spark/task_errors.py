"""What a failed Spark job says in one line: the task's own message, without frames of Java."""

import re

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

SPARK_ERRORS = (PySparkException, Py4JError)

# The last line of a Python traceback: the error's class and message.
_PYTHON_ERROR = re.compile(
    r"^(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]\w*(?:Error|Exception|Interrupt)\b: .+"
)
_JAVA_FRAME = re.compile(r"^\s*(?:at [\w.$/<>]+\(|\.\.\. \d+ more|Driver stacktrace:)")
_JAVA_CLASS = re.compile(
    r"^(?:Caused by: )?(?:java|javax|scala|org\.apache|com|io)\.(?:\w+\.)*"
    r"\w*(?:Exception|Error)\b:?\s*"
)
# What Java and the cluster say of troubles that are not the task's own, and what to do.
_TROUBLES = (
    (
        re.compile(
            r"(?:Total size of serialized results|bigger than spark\.driver\.maxResultSize)"
        ),
        "the tasks' results exceed spark.driver.maxResultSize: raise it",
    ),
    (
        re.compile(r"No space left on device"),
        "no space is left on a disk: give executors larger disks or more of them",
    ),
    (
        re.compile(r"(?:ExecutorLostFailure|Lost executor|ExecutorDeadException)[^\n]*"),
        "executors were lost; if for memory, raise spark.executor.memoryOverheadFactor or use "
        "fewer cores an executor",
    ),
    (
        re.compile(r"(?:Python worker exited unexpectedly|Python worker process terminated)[^\n]*"),
        "a Python worker was killed, most often for memory: raise "
        "spark.executor.memoryOverheadFactor or use fewer cores an executor",
    ),
    (
        re.compile(r"(?:OutOfMemoryError|Java heap space|GC overhead limit)[^\n]*"),
        "the JVM ran out of memory: raise spark.executor.memory or spark.driver.memory",
    ),
)


_TASK = re.compile(r"\bTask (\d+)(?:\.\d+)? in stage [\d.]+ (?:\(TID \d+\) )?failed \d+ times")


def failed_task(error: BaseException) -> int | None:
    """Return the number, within its stage, of the task that made Spark give a job up."""
    found = _TASK.search(str(error))
    return int(found.group(1)) if found else None


def task_error(error: BaseException) -> str:
    """Return the message of the exception that a task raised, or what befell the cluster."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line for line in lines if _PYTHON_ERROR.match(line) and not _JAVA_CLASS.match(line)]
    if own:
        return own[-1]
    for sign, meaning in _TROUBLES:
        found = sign.search(text)
        if found:
            return f"{meaning} ({found.group().strip()})"
    plain = [_JAVA_CLASS.sub("", line) for line in lines if not _JAVA_FRAME.match(line)]
    return next((line for line in plain if line), type(error).__name__)

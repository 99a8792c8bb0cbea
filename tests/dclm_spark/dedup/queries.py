"""Plans and shuffles of what a local session ran, from the stores behind its pages."""

import re
from contextlib import contextmanager, suppress

from py4j.protocol import Py4JJavaError


class Queries:
    """What ran in a block of `watched`: filled when the block ends."""

    def __init__(self):
        self.plans = []
        self.stages = []

    @property
    def shuffled_size_bytes(self):
        return [stage.shuffleWriteBytes() for stage in self.stages if stage.shuffleWriteBytes()]

    def rows_shuffled_to_tasks(self, spark):
        """Return the rows that each task of the stage with most tasks read from a shuffle."""
        stage = max(
            (stage for stage in self.stages if stage.shuffleReadBytes()),
            key=lambda stage: stage.numTasks(),
        )
        tasks = spark._jsc.sc().statusStore().taskList(stage.stageId(), stage.attemptId(), 10_000)
        found = [tasks.apply(index).taskMetrics().get() for index in range(tasks.size())]
        return [metrics.shuffleReadMetrics().recordsRead() for metrics in found]

    def broadcast_columns(self):
        """Return the columns of every table that a plan sends to all tasks."""
        inputs = re.compile(r"\(\d+\) BroadcastExchange\nInput \[\d+\]: \[([^\]]*)\]")
        return {
            tuple(name.partition("#")[0] for name in found.split(", "))
            for plan in self.plans
            for found in inputs.findall(plan)
        }


@contextmanager
def watched(spark):
    queries, first_query, first_stage = Queries(), _next_query(spark), _next_stage(spark)
    yield queries
    stop = _next_stage(spark)
    queries.plans = [
        query.physicalPlanDescription()
        for query in _executions(spark)
        if query.executionId() >= first_query
    ]
    for number in range(first_stage, stop):
        # A stage that was skipped, as its shuffle was there, has no attempt.
        with suppress(Py4JJavaError):
            queries.stages.append(spark._jsc.sc().statusStore().lastStageAttempt(number))


def _executions(spark):
    found = spark._jsparkSession.sharedState().statusStore().executionsList()
    return [found.apply(index) for index in range(found.size())]


def _next_query(spark):
    return max((query.executionId() for query in _executions(spark)), default=-1) + 1


def _next_stage(spark):
    return spark._jsc.sc().dagScheduler().nextStageId()

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.measure.clock import Watch, peak_memory_bytes
from tests.benchmarks import dedup
from tests.benchmarks.dedup_corpus import BLOCK_SIZE, block_rows, block_words, vocabulary
from tests.benchmarks.dedup_scale import ScaleRun


def test_a_block_is_the_same_every_time_and_holds_its_copies() -> None:
    words = block_words(3, 40)
    assert (words == block_words(3, 40)).all()
    assert (words[9] == words[8]).mean() >= 38 / 40
    assert (words[99] == block_words(4, 40)[199]).all()
    rows = block_rows(3, 40, vocabulary())
    assert rows.num_rows == BLOCK_SIZE
    assert len(set(rows.column("doc_id").to_pylist())) == BLOCK_SIZE
    assert len(rows.column("text")[0].as_py().split()) == 40


def test_words_of_the_vocabulary_differ() -> None:
    assert len(set(map(bytes, vocabulary()))) == len(vocabulary())


def test_the_work_of_a_child_process_is_counted() -> None:
    with Watch() as watch:
        began = time.time()
        subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    assert watch.cpu_seconds > 0.05
    assert watch.cpu_until(began) <= watch.cpu_seconds
    assert peak_memory_bytes(os.getpid()) > 10**7


def test_nothing_to_measure_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(SettingError, match="nothing to measure"):
        dedup.main([])
    with pytest.raises(SettingError, match="--documents 1500"):
        dedup.main(["--documents", "1500"])


def test_an_interpreter_without_datatrove_is_refused() -> None:
    with pytest.raises(InputError, match="/no/such/python"):
        dedup.beside_datatrove("/no/such/python")


@pytest.mark.slow
def test_a_run_says_what_it_took(tmp_path: Path) -> None:
    found = dedup.in_own_process(ScaleRun(num_documents=2000, preset="datatrove"))
    assert json.loads(json.dumps(found)) == found
    assert found["cpu_seconds"] > 0.5 * sum(found["cpu_seconds_by_step"].values()) > 0
    assert found["worker_peak_bytes"] > 10**7
    assert 1780 < found["kept"] < 1900
    assert found["shuffle_size_bytes"] > 10**5

"""Starts several ranks of one training run on this machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def start_ranks(
    shards: Path, output: Path, num_ranks: int, *assignments: str, **environment: str
) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = str(Path(__file__).with_name("run_ranks.py"))
    return [
        subprocess.Popen(
            [sys.executable, script, str(shards), str(output), *assignments],
            env=os.environ
            | {
                "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(num_ranks),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
            }
            | environment,
            stderr=subprocess.PIPE,
        )
        for rank in range(num_ranks)
    ]  # fmt: skip


def end(processes: list[subprocess.Popen[bytes]]) -> list[tuple[int, str]]:
    results = []
    for process in processes:
        _, errors = process.communicate(timeout=300)
        results.append((process.returncode, errors.decode()))
    return results

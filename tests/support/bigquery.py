"""The BigQuery emulator alone, for tests and benches that need nothing else."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from infra.local.ports import HOST, Ports
from shared.settings import Settings
from tests.support.streaming import PROJECT

ROOT = Path(__file__).parents[2]


@contextmanager
def bigquery_emulator(log: Path) -> Iterator[Settings]:
    """Settings of a fresh emulator."""
    ports = Ports(usual=False)
    rest, grpc = ports.take(9050), ports.take(9060)
    ports.release()
    command = [sys.executable, "-m", "infra.local.bigquery", "--project", PROJECT]
    command += ["--rest-port", str(rest), "--grpc-port", str(grpc)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        _wait(f"http://{HOST}:{rest}/", process, log)
        yield Settings(
            GOOGLE_CLOUD_PROJECT=PROJECT,
            BIGQUERY_EMULATOR_HOST=f"http://{HOST}:{rest}",
            BIGQUERY_GRPC_HOST=f"{HOST}:{grpc}",
        )
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while process.poll() is None:
        try:
            httpx.get(url, timeout=1, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the emulator ended: {log.read_text()[-2000:]}")

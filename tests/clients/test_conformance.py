"""The conformance suites report exactly the failures listed in `conformance.yaml`."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.clock import utc_now
from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock
from tests.clients.conformance_adapter import DEAD_LETTER
from tests.clients.installer import NODE
from tests.processes import Program
from tests.storage.raw_sql import insert_row

EXPECTED = Path(__file__).with_name("conformance.yaml")
PATIENCE = 120

RUNS: dict[str, tuple[str, list[str]]] = {
    # Without a version a suite runs each scenario, extensions too, in the oldest generation that has it.
    "next suite": ("conformance-next", []),
    "next suite, 2026-07-28": ("conformance-next", ["--spec-version", "2026-07-28"]),
    "released suite": ("@modelcontextprotocol/conformance", []),
}

Findings = dict[str, "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = tmp_path_factory.mktemp("conformance") / "notifications.db"
    asyncio.run(_fill(database))
    settings = {"CERTCTL_DATABASE_URL": f"sqlite:///{database}"}
    process = Program("tests.clients.serve_http", environment=settings, stdout=subprocess.PIPE)
    assert process.stdout
    yield process.stdout.readline().decode().strip()
    process.terminate()
    process.wait()
    process.close()


async def _fill(database: Path) -> None:
    """Notifications to query and to draw a chart of."""
    clock = SettableClock(utc_now())
    async with Database.open(f"sqlite:///{database}", clock=clock) as opened:
        await Queue(NotificationRepository(opened), clock).dead()
    insert_row(database, id=DEAD_LETTER, status="dead")


@pytest.fixture(scope="module")
def findings(node_packages: Path, url: str, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """The findings of each run. They run concurrently, because they mostly wait."""
    # The released suite knows whole scenarios, but not checks.
    scenarios = tmp_path_factory.mktemp("released") / EXPECTED.name
    scenarios.write_text(re.sub(r"(?m)^(  - [^:\s]+):\S+", r"\1", EXPECTED.read_text()))

    def run(name: str) -> "subprocess.CompletedProcess[str]":
        package, options = RUNS[name]
        program = node_packages / "node_modules" / package / "dist" / "index.js"
        expected = scenarios if name == "released suite" else EXPECTED
        command = [NODE, program, "server", "--url", url, "--suite", "all", "--expected-failures", expected]
        return subprocess.run(
            [str(part) for part in [*command, *options]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    with ThreadPoolExecutor() as threads:
        return dict(zip(RUNS, threads.map(run, RUNS), strict=True))


@pytest.mark.parametrize("name", RUNS)
def test_a_suite_finds_no_other_failures(findings: Findings, name: str) -> None:
    _, _, summary = findings[name].stdout.partition("=== SUMMARY ===")
    assert findings[name].returncode == 0, summary
    assert "Baseline check passed" in summary


def test_all_listed_failures_are_found(findings: Findings) -> None:
    named = set(re.findall(r"(?m)^  - (\S+)$", EXPECTED.read_text()))
    found = {entry for run in findings.values() for entry in re.findall(r"(?m)^  ~ (\S+)$", run.stdout)}
    assert named <= found

"""The optional index for text searches breaks nothing."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.builders import Queue
from tests.e2e.program import certctl
from tests.e2e.queue_file import fill
from tests.text_index import create_text_index

pytestmark = pytest.mark.postgresql


def test_commands_work_as_without_the_index(empty_database: str, tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/notifications.db"

    async def with_dead_letters(queue: Queue) -> None:
        await queue.dead("HTTP 410: gone")
        await queue.dead("HTTP 503")

    def run(*arguments: str) -> str:
        environment = {"HOME": str(tmp_path), "CERTCTL_DATABASE_URL": empty_database}
        done = certctl(environment, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    fill(source, with_dead_letters)
    run("migrate")
    without = run("migrate", "--dry-run")
    asyncio.run(create_text_index(empty_database))
    assert run("migrate", "--dry-run") == without
    run("migrate")
    (schema,) = (
        check for check in json.loads(run("doctor", "--json"))["checks"] if check["name"] == "database schema"
    )
    assert schema["verdict"] == "ok"
    run("copy", "--from", source, "--to", empty_database)
    (found,) = json.loads(run("list", "--text", "GONE", "--json"))["data"]
    assert found["last_error"] == "HTTP 410: gone"

"""From a backup of a busy server to a restored one, following docs/backup.md step by step."""

import json
import os
import sqlite3
from datetime import timedelta
from pathlib import Path

import anyio
import httpx2

from storage.clock import utc_now
from tests.e2e.http_receiver import Receiver
from tests.e2e.http_server import serving
from tests.e2e.program import PATIENCE, certctl, working
from tests.e2e.queue_file import statuses
from tests.storage.raw_sql import integrity

ALERTS = "/api/v1/notifications"
NEW = {"type": "ExpirationWarning", "channel": "Webhook", "message": "it expires"}


async def accept(client: httpx2.AsyncClient) -> str:
    answer = await client.post(ALERTS, json=NEW)
    if answer.status_code == 429:
        await anyio.sleep(float(answer.headers["Retry-After"]))
        return await accept(client)
    assert answer.status_code == 201
    return str(answer.json()["id"])


async def accept_until(stopped: anyio.Event, client: httpx2.AsyncClient, accepted: set[str]) -> None:
    while not stopped.is_set():
        accepted.add(await accept(client))


def replace(path: Path, backup: Path) -> None:
    """As docs/backup.md says."""
    for file in path.parent.glob(f"{path.name}*"):
        file.rename(path.with_name(f"old-{file.name}"))
    backup.rename(path)


async def test_a_restored_backup_of_a_busy_server_sends_only_what_was_not_marked_as_read(
    environment: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    undelivered = environment | {"CERTCTL_NOTIFICATION_DELIVER": "false"}
    path, backup = tmp_path / "notifications.db", tmp_path / "backup.db"
    with serving(undelivered) as server:
        async with server.client(None) as client:
            before = {await accept(client) for _ in range(10)}
            accepted, stopped = set(before), anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(accept_until, stopped, client, accepted)
                done = await anyio.to_thread.run_sync(certctl, undelivered, "backup", str(backup), "--json")
                stopped.set()
        server.process.kill()
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert len(before) <= made["notifications"] <= len(accepted)

    replace(path, backup)
    connection = sqlite3.connect(path)
    restored = {id for (id,) in connection.execute("SELECT id FROM notification_events")}
    connection.close()
    assert before <= restored <= accepted

    later = f"{utc_now() + timedelta(minutes=1):%Y-%m-%dT%H:%M}"
    settled = certctl(environment, "read", "--status", "pending,failed", "--until", later, "--yes")
    assert settled.returncode == 0, settled.stderr
    with working(environment) as worker:
        worker.wait_until("delivering from the database")
        assert (
            certctl(environment, "send", "new", "--channel", "Webhook", "--type", "Revocation").returncode
            == 0
        )
        assert receiver.asked.wait(PATIENCE)
        worker.process.terminate()
        _, log = worker.ends()
    assert "1 sent" in log
    assert statuses(environment) == {"read", "sent"}


async def test_a_backup_moved_over_the_database_of_a_running_server_is_used_and_stays_intact(
    environment: dict[str, str], tmp_path: Path
) -> None:
    undelivered = environment | {"CERTCTL_NOTIFICATION_DELIVER": "false"}
    path, backup = tmp_path / "notifications.db", tmp_path / "backup.db"
    with serving(undelivered) as server:
        async with server.client(None) as client:
            kept = await accept(client)
            done = await anyio.to_thread.run_sync(certctl, undelivered, "backup", str(backup))
            assert done.returncode == 0, done.stderr
            lost = await accept(client)
            os.replace(backup, path)
            new = await accept(client)
            listed = (await client.get(ALERTS)).json()["data"]
            assert {row["id"] for row in listed} == {kept, new}
            assert (await client.get(f"{ALERTS}/{lost}")).status_code == 404
    assert integrity(path) == "ok"
    assert certctl(environment, "show", new).returncode == 0


def test_a_worker_with_a_newer_schema_exits_and_is_not_restarted(environment: dict[str, str]) -> None:
    assert certctl(environment, "migrate").returncode == 0
    connection = sqlite3.connect(environment["CERTCTL_DATABASE_URL"].removeprefix("sqlite:///"))
    connection.execute("UPDATE certctl_mcp_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with working(environment) as worker:
        code, log = worker.ends()
    assert code == 4
    assert "upgrade certctl-mcp" in log
    unit = Path("examples/certctl-mcp-worker.service").read_text()
    assert "\nRestartPreventExitStatus=2 3 4\n" in unit

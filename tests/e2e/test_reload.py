"""SIGHUP reloads the settings of a worker and of an HTTP server without interrupting their work."""

import re
import signal
from pathlib import Path

import httpx2

from tests.e2e.http_receiver import Receiver
from tests.e2e.http_server import OPERATOR, serving
from tests.e2e.program import ALERT, PATIENCE, Terminal, certctl, working
from tests.e2e.queue_file import statuses

NEW_KEY = "another-key-of-otto"
TO_OPS = ["send", "it expires", "--channel", "Ops", "--type", "ExpirationWarning"]


def as_file(environment: dict[str, str], path: Path, **lines: str) -> dict[str, str]:
    """The environment with its channel in a settings file, as in a service."""
    url = environment["CERTCTL_WEBHOOK_URL"]
    path.write_text(
        f'{lines.get("top", "")}\n[channels.{lines["channel"]}]\nkind = "webhook"\nurl = "{url}"\n'
    )
    path.chmod(0o600)
    without = {name: value for name, value in environment.items() if name != "CERTCTL_WEBHOOK_URL"}
    return without | {"CERTCTL_CONFIG": str(path)}


def test_a_reloaded_worker_delivers_over_its_new_channels_and_completes_its_attempts(
    environment: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    configured = as_file(environment, settings, channel="Webhook")
    certctl(configured, *ALERT)
    receiver.answers.clear()
    with working(configured) as worker:
        assert receiver.asked.wait(PATIENCE)
        receiver.asked.clear()
        as_file(environment, settings, channel="Ops", top="max_attempts = 3\ndatabase_migrate = false")
        worker.process.send_signal(signal.SIGHUP)
        line = worker.wait_until("the settings were reloaded on request")
        assert line.endswith("changed: max_attempts, channel Ops added, channel Webhook removed\n")
        assert "after a restart: database_migrate" in worker.wait_until("not reloaded")
        assert certctl(configured, *TO_OPS).returncode == 0
        assert receiver.asked.wait(PATIENCE)
        receiver.answers.set()
        settings.write_text('max_attempts = "many"\n')
        worker.process.send_signal(signal.SIGHUP)
        line = worker.wait_until("the settings were not reloaded, and the old ones stay in effect")
        assert "max_attempts='many': must be a whole number" in line
        settings.write_text('deliver = "watch"\n')
        worker.process.send_signal(signal.SIGHUP)
        assert "this process does not deliver" in worker.wait_until("were not reloaded")
        worker.process.terminate()
        code, told = worker.ends()
    assert code == 0
    assert "2 sent, 0 failed" in told
    assert receiver.count == 2
    assert statuses(environment) == {"sent"}


async def test_a_reloaded_server_accepts_only_the_new_key(
    environment: dict[str, str], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"otto:{OPERATOR}\n")
    keys.chmod(0o600)
    with serving(environment | {"CERTCTL_API_KEYS_NAMED_FILE": str(keys)}) as server:

        async def status(key: str) -> int:
            async with server.client(key) as client:
                return (await client.get("/api/v1/notifications")).status_code

        assert (await status(OPERATOR), await status(NEW_KEY)) == (200, 401)
        keys.write_text(f"otto:{NEW_KEY}:admin\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_until("changed: http.api_keys_named")
        assert (await status(OPERATOR), await status(NEW_KEY)) == (401, 200)
        async with server.client(NEW_KEY) as client:
            told = (await client.get("/api/v1/auth/check")).json()
            assert told["admin"] is True
        server.process.terminate()
        code, log = server.ends()
    assert code == 0
    assert NEW_KEY not in log


def test_a_reloaded_workers_metrics_require_the_new_key(environment: dict[str, str], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"prometheus:{OPERATOR}:read-only")
    environment |= {"CERTCTL_API_KEYS_NAMED_FILE": str(keys)}
    with working(environment, "--metrics-port", "0") as worker:
        found = re.search(r"http://\S+/metrics", worker.wait_until("metrics at "))
        assert found
        worker.wait_until("delivering from")
        keys.write_text(f"prometheus:{NEW_KEY}:read-only")
        worker.process.send_signal(signal.SIGHUP)
        worker.wait_until("the settings were reloaded")
        scraped = httpx2.get(found[0], headers={"Authorization": f"Bearer {NEW_KEY}"})
        assert "certctl_database_up 1.0\n" in scraped.text
        assert httpx2.get(found[0], headers={"Authorization": f"Bearer {OPERATOR}"}).status_code == 401
        worker.process.terminate()
        worker.ends()


def test_closing_its_terminal_ends_a_worker(environment: dict[str, str]) -> None:
    terminal = Terminal(environment, "worker")
    terminal.wait_until("delivering from the database")
    assert terminal.hang_up() == 0


def test_ctrl_c_interrupts_a_worker(environment: dict[str, str]) -> None:
    terminal = Terminal(environment, "worker")
    terminal.wait_until("delivering from the database")
    terminal.interrupt()
    assert terminal.ends() == 130

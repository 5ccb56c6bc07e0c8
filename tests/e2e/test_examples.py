"""The examples run unchanged and do what they claim."""

import configparser
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
import uv

from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.config.durations import parse_duration
from certctl_mcp.config.settings import Settings, load_settings
from tests.processes import Program, forked

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
UNIT = EXAMPLES / "certctl-mcp-worker.service"
NOBODY_LISTENS = "http://127.0.0.1:9/"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """The environment variables for the test's own queue and this checkout."""
    return {
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/queue.db",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }


def run(*command: str | Path, env: dict[str, str], cwd: Path = ROOT, code: int = 0) -> str:
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_an_alert_is_accepted_and_delivered_from_python(settings: dict[str, str]) -> None:
    accepted, received, ended = run(
        sys.executable, EXAMPLES / "send_from_python.py", env=settings
    ).splitlines()
    notification = accepted.split()[1].rstrip(":")
    assert received.startswith(f"received {notification}: ")
    assert ended == "sent after 1 attempt"


def test_an_empty_queue_has_no_dead_letters(settings: dict[str, str]) -> None:
    assert run(sys.executable, EXAMPLES / "triage_with_mcp.py", env=settings) == "no dead letters\n"


def test_dead_letters_are_diagnosed_and_those_of_a_channel_requeued(settings: dict[str, str]) -> None:
    settings |= {"CERTCTL_WEBHOOK_URL": NOBODY_LISTENS, "CERTCTL_NOTIFICATION_MAX_ATTEMPTS": "1"}
    alert = ["--type", "RenewalFailure", "--channel", "Webhook", "renewal failed"]
    run(*forked("certctl_mcp"), "send", "--now", *alert, env=settings, code=1)
    run(*forked("examples.triage_with_mcp"), "Fax", env=settings, code=1)
    told = run(*forked("examples.triage_with_mcp"), "Webhook", env=settings)
    assert "1 died on Webhook: no connection" in told
    assert "Connection refused" in told
    assert "requeued: 1" in told


def test_a_notifier_of_another_package_delivers(settings: dict[str, str], tmp_path: Path) -> None:
    package = EXAMPLES / "custom_notifier"
    place = tmp_path / "packages"
    install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    run(uv.find_uv_bin(), *install, "--python", sys.executable, "--target", place, package, env=settings)
    settings["PYTHONPATH"] += f":{place}"
    alert = ["--type", "ExpirationWarning", "--channel", "Audit", "expires in 7 days"]
    config = package / "settings.toml"
    run(*forked("certctl_mcp"), "send", "--now", "--config", config, *alert, env=settings, cwd=tmp_path)
    (line,) = (tmp_path / "alerts.jsonl").read_text().splitlines()
    assert json.loads(line)["message"] == "expires in 7 days"


def test_the_settings_file_can_be_loaded() -> None:
    loaded = load_settings(EXAMPLES / "settings.toml", {})
    assert len(loaded.channels) == 7
    assert len({channel.destination.kind for channel in loaded.channels}) < len(loaded.channels)


def test_the_settings_file_shows_every_setting() -> None:
    assert load_settings(EXAMPLES / "settings.toml", {}).model_fields_set == set(Settings.model_fields)


def test_the_unit_starts_a_worker_that_stops_on_request(settings: dict[str, str], tmp_path: Path) -> None:
    service = unit()["Service"]
    _, *arguments = shlex.split(service["ExecStart"])
    config = tmp_path / "settings.toml"
    config.touch()
    arguments[arguments.index("--config") + 1] = str(config)
    # As in systemd: a copy of the secret, in the directory for %d.
    credential, _ = service["LoadCredential"].split(":")
    (tmp_path / credential).write_text("https://hooks.slack.com/services/T000/B000/secret\n")
    variable, path = service["Environment"].split("=")
    settings[variable] = path.replace("%d", str(tmp_path))
    worker = Program("certctl_mcp", *arguments, environment=settings, stderr=subprocess.PIPE)
    assert worker.stderr
    assert any(b"channel Slack: Slack incoming webhook" in line for line in worker.stderr)
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    worker.send_signal(signal.SIGHUP)
    assert any(b"the settings were reloaded" in line for line in worker.stderr)
    worker.send_signal(signal.SIGTERM)
    worker.stderr.read()
    assert worker.wait() == 0
    worker.close()


def test_the_unit_allows_for_the_grace_time() -> None:
    allowed = parse_duration(unit()["Service"]["TimeoutStopSec"])
    assert allowed > load_settings(EXAMPLES / "settings.toml", {}).shutdown_grace


def test_the_unit_is_not_restarted_after_errors_that_an_operator_must_fix() -> None:
    prevented = set(map(int, unit()["Service"]["RestartPreventExitStatus"].split()))
    assert prevented == {ExitCode.USAGE, ExitCode.DATABASE, ExitCode.OUTDATED}
    assert unit()["Service"]["Restart"] == "always"


@pytest.mark.skipif(which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_the_unit_valid_and_its_exposure_low() -> None:
    # The unit's user and program don't exist on this machine.
    told = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, check=False)
    wrong = [
        line for line in told.stderr.splitlines() if UNIT.name in line and "is not executable" not in line
    ]
    assert wrong == []
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout


def unit() -> configparser.ConfigParser:
    # Of keys that systemd allows several times, only the last is read here.
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.read(UNIT)
    return parsed

"""A worker as a service manager runs it: a process, its log, and signals."""

import re
import signal

import httpx2
import pytest

from tests.e2e.http_receiver import Receiver
from tests.e2e.program import ALERT, PATIENCE, certctl, working
from tests.e2e.queue_file import statuses


def test_a_worker_delivers_alerts_sent_before_and_after_its_start(
    environment: dict[str, str], receiver: Receiver
) -> None:
    certctl(environment, *ALERT)
    with working(environment) as worker:
        worker.wait_until("delivering from the database")
        assert receiver.asked.wait(PATIENCE)
        receiver.asked.clear()
        certctl(environment, *ALERT)
        assert receiver.asked.wait(PATIENCE)
        worker.process.terminate()
        code, told = worker.ends()
    assert code == 0
    assert "2 sent, 0 failed" in told
    assert statuses(environment) == {"sent"}


def test_a_worker_that_runs_once_delivers_due_alerts_and_exits(
    environment: dict[str, str], receiver: Receiver
) -> None:
    for _ in range(2):
        certctl(environment, *ALERT)
    ended = certctl(environment, "worker", "--once")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "2 sent, 0 failed" in ended.stderr
    assert statuses(environment) == {"sent"}
    again = certctl(environment, "worker", "--once")
    assert (again.returncode, "0 sent, 0 failed" in again.stderr) == (0, True)


def test_a_worker_that_runs_once_stops_on_a_signal(environment: dict[str, str], receiver: Receiver) -> None:
    receiver.answers.clear()
    certctl(environment, *ALERT)
    with working(environment, "--once") as worker:
        assert receiver.asked.wait(PATIENCE)
        worker.process.terminate()
        worker.wait_until("SIGTERM: claiming nothing more")
        receiver.answers.set()
        code, told = worker.ends()
    assert code == 0
    assert "1 sent" in told


def test_a_worker_that_runs_once_cannot_serve_metrics(environment: dict[str, str]) -> None:
    ended = certctl(environment, "worker", "--once", "--metrics-port", "0")
    assert (ended.returncode, ended.stderr) == (2, "certctl-mcp: --once exits too soon for --metrics-port\n")


def test_a_worker_logs_its_channels_without_secrets(environment: dict[str, str]) -> None:
    with working(environment) as worker:
        worker.wait_until("channel Webhook: webhook at 127.0.0.1:")
        worker.process.terminate()
        _, told = worker.ends()
    assert "unguessable" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_worker_waits_for_the_attempt_in_flight(
    environment: dict[str, str], receiver: Receiver, number: signal.Signals
) -> None:
    receiver.answers.clear()
    certctl(environment, *ALERT)
    with working(environment) as worker:
        assert receiver.asked.wait(PATIENCE)
        worker.process.send_signal(number)
        worker.wait_until(f"{number.name}: claiming nothing more")
        receiver.answers.set()
        code, told = worker.ends()
    assert code == 0
    assert "1 sent" in told


def test_a_second_signal_ends_a_worker_at_once(environment: dict[str, str], receiver: Receiver) -> None:
    receiver.answers.clear()
    certctl(environment, *ALERT)
    with working(environment) as worker:
        assert receiver.asked.wait(PATIENCE)
        worker.process.terminate()
        worker.wait_until("SIGTERM: claiming nothing more")
        worker.process.terminate()
        code, _ = worker.ends()
    assert code == -signal.SIGTERM


def test_a_worker_reports_an_unusable_database_on_one_line(environment: dict[str, str]) -> None:
    ended = certctl(environment | {"CERTCTL_DATABASE_URL": "sqlite:////dev/null/x.db"}, "worker")
    assert ended.returncode == 3
    _start, problem = ended.stderr.splitlines()
    assert re.fullmatch(r"certctl-mcp: the database /dev/null/x.db can't be opened: .*", problem)


def test_a_worker_that_must_not_deliver_exits_with_a_usage_error(
    environment: dict[str, str],
) -> None:
    ended = certctl(environment | {"CERTCTL_NOTIFICATION_DELIVER": "watch"}, "worker")
    assert ended.returncode == 2
    assert "this process does not deliver" in ended.stderr


def test_a_workers_metrics_require_a_key_until_it_exits(
    environment: dict[str, str], receiver: Receiver
) -> None:
    certctl(environment, *ALERT)
    environment |= {"CERTCTL_API_KEYS_NAMED": "prometheus:key-of-prometheus:read-only"}
    with working(environment, "--metrics-port", "0") as worker:
        told = worker.wait_until("metrics at ")
        url = re.search(r"http://127\.0\.0\.1:\d+/metrics", told)
        assert url is not None
        assert receiver.asked.wait(PATIENCE)
        assert httpx2.get(url[0]).status_code == 401
        scraped = httpx2.get(url[0], headers={"Authorization": "Bearer key-of-prometheus"}).text
        assert 'certctl_notification_attempts_total{channel="Webhook",kind="",outcome="sent"} ' in scraped
        assert "certctl_database_up 1.0\n" in scraped
        worker.process.terminate()
        code, told = worker.ends()
    assert code == 0
    assert "1 sent" in told


def test_a_workers_metrics_are_not_served_beyond_loopback_without_keys(environment: dict[str, str]) -> None:
    ended = certctl(environment, "worker", "--metrics-port", "0", "--metrics-host", "0.0.0.0")
    assert ended.returncode == 2
    assert "set CERTCTL_API_KEYS_NAMED" in ended.stderr
    ended = certctl(environment, "worker", "--metrics-host", "0.0.0.0")
    assert ended.returncode == 2
    assert ended.stderr == "certctl-mcp: --metrics-host needs --metrics-port\n"

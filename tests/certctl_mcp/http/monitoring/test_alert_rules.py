"""The alert rules and the dashboard in `examples` use existing metrics, and alert when they should."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from certctl_mcp.config.settings import load_settings
from certctl_mcp.http.app import http_server
from tests.builders import Queue
from tests.certctl_mcp.http.conftest import Served
from tests.certctl_mcp.http.monitoring.scrape import Scrape, scrape
from tests.context_in_task import ContextInTask
from tests.promtool import promtool

EXAMPLES = Path(__file__).parents[4] / "examples"
PROMETHEUS = EXAMPLES / "prometheus"
RULES = PROMETHEUS / "certctl-alerts.yml"
RULES_TESTED = PROMETHEUS / "certctl-alerts.test.yml"
DASHBOARD = EXAMPLES / "grafana" / "certctl-notifications.json"

OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to scraped series."""

_SERIES = re.compile(r"\b((?:certctl|process)_\w+)(?:\{([^}]*)\})?")
_CONDITION = re.compile(r'(\w+)\s*(?:=~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True)
class Series:
    """A series that an expression uses: its name and label values."""

    name: str
    conditions: tuple[tuple[str, tuple[str, ...]], ...]


def asked_for(path: Path) -> Iterator[Series]:
    for name, conditions in _SERIES.findall(path.read_text().replace('\\"', '"')):
        yield Series(name, tuple((label, tuple(v.split("|"))) for label, v in _CONDITION.findall(conditions)))


def expressions() -> list[str]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.fixture
async def found(database_url: str, queue: Queue) -> AsyncIterator[Scrape]:
    await queue.dead()
    variables = {
        "CERTCTL_DATABASE_URL": database_url,
        "CERTCTL_SLACK_WEBHOOK_URL": "http://127.0.0.1:9/",
        "CERTCTL_NOTIFICATION_RETENTION_SENT": "90d",
    }
    context = ContextInTask(http_server(load_settings(None, variables)))
    served = Served(await context.enter())
    await scrape(served)
    yield await scrape(served)
    await context.exit()


@pytest.mark.parametrize("path", [RULES, RULES_TESTED, DASHBOARD], ids=lambda path: path.name)
async def test_the_series_used_exist(found: Scrape, path: Path) -> None:
    series = list(asked_for(path))
    assert len(series) > 10
    assert {one.name for one in series} - found.names == set()
    for one in series:
        for label, values in one.conditions:
            told = () if label in OF_PROMETHEUS else found.labels(one.name, label)
            if label in ("status", "outcome"):
                assert set(values) <= set(told)


def test_the_rules_are_valid() -> None:
    assert "17 rules found" in promtool("check", "rules", RULES)


def test_the_rules_alert_only_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", RULES_TESTED)


def test_each_rule_is_tested_with_and_without_an_alert() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    tested = RULES_TESTED.read_text()
    for alert in alerts:
        assert re.search(rf"- alertname: {alert}\n\s+eval_time: \w+\n\s+exp_alerts:", tested), alert
        assert re.search(rf"{{alertname: {alert}, eval_time: \w+}}", tested), alert


def test_prometheus_accepts_the_configuration() -> None:
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


def test_prometheus_can_parse_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "panels.yml"
    # This is valid YAML too.
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])

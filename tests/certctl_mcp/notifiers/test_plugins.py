"""Notifiers of other packages are found by entry point; the test installs one."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certctl_mcp.config.destinations import PluginDestination
from certctl_mcp.notifiers.plugins import PluginNotifier, UnusablePluginError, check_installed
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import assert_leaks_no_secret, failure_of

MODULE = """
from datetime import timedelta
from certctl_mcp.notifiers import DeliveryFailedError

class Pager:
    def __init__(self, options):
        self.options, self.sent, self.closed = options, [], False
    async def send(self, notification):
        if "fail" in self.options:
            said = f"{self.options['fail']}: {self.options}"
            raise DeliveryFailedError(said, permanent=True, retry_after=timedelta(seconds=7))
        if "crash" in self.options:
            raise ValueError(f"rejected {self.options}")
        self.sent.append(notification.id)
    async def aclose(self):
        self.closed = True

def refuse(options):
    raise KeyError("room")

def nothing(options):
    return object()
"""

ENTRY_POINTS = """
[certctl_mcp.notifiers]
pager = acme_pager:Pager
refuse = acme_pager:refuse
nothing = acme_pager:nothing
absent = acme_absent:Pager
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package, as an installer would install it."""
    (tmp_path / "acme_pager.py").write_text(MODULE)
    information = tmp_path / "acme_pager-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pager\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("acme_pager", None)


def plugin(name: str, **options: Any) -> PluginNotifier:
    return PluginNotifier(PluginDestination.model_validate({"notifier": name, "options": options}))


async def test_a_plugin_gets_its_options_and_sends() -> None:
    notifier = plugin("pager", room="ops", urgent=True, level=3)
    await notifier.send(notification(id="notif-17"))
    await notifier.aclose()
    inner: Any = notifier._notifier
    assert inner.options == {"room": "ops", "urgent": True, "level": 3}
    assert inner.sent == ["notif-17"]
    assert inner.closed


async def test_a_plugin_failure_keeps_its_fields() -> None:
    failure = await failure_of(plugin("pager", fail="no such room"))
    assert str(failure).startswith("no such room")
    assert failure.permanent
    assert failure.retry_after is not None
    assert failure.retry_after.total_seconds() == 7


async def test_any_exception_of_a_plugin_is_a_failure_without_secrets() -> None:
    failure = await failure_of(plugin("pager", crash=True, api_token="swordfish-17"))
    assert "ValueError: rejected" in str(failure)
    assert "swordfish-17" not in str(failure)
    assert not failure.permanent


async def test_no_secret_of_plugin_options_leaks() -> None:
    options = {"api_token": "correct-horse", "endpoint": "https://a.example/0123456789abcdef?x=staple"}
    notifier = plugin("pager", fail="refused", **options)
    await assert_leaks_no_secret(notifier, ["correct-horse", "0123456789abcdef", "staple"])


def test_an_installed_plugin_is_found_without_importing_it() -> None:
    check_installed("absent")
    assert "acme_absent" not in sys.modules


def test_the_error_for_an_unknown_plugin_lists_those_installed() -> None:
    with pytest.raises(UnusablePluginError) as caught:
        check_installed("pagr")
    assert str(caught.value) == (
        "no installed package has a notifier 'pagr'; installed are: absent, nothing, pager, refuse"
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("refuse", "acme_pager:refuse failed: 'room'"),
        ("nothing", "acme_pager:nothing did not return a notifier: send and aclose are required"),
        ("absent", "acme_absent:Pager failed: No module named 'acme_absent'"),
    ],
)
def test_a_package_without_a_valid_notifier_is_reported(name: str, problem: str) -> None:
    with pytest.raises(UnusablePluginError) as caught:
        plugin(name)
    assert str(caught.value) == problem

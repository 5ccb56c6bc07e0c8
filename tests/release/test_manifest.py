"""The bundle's manifest as read by a host, and the settings that it passes to the server."""

import subprocess
from pathlib import Path

from certctl_mcp.config.environment import CONFIG_VARIABLE, VARIABLES
from certctl_mcp.config.settings import load_settings
from release.manifest import Manifest, manifest
from release.project import Project
from tests.e2e.test_raw_protocol import INITIALIZE, INITIALIZED, RawClient
from tests.processes import Program
from tests.release.homes import HOME

PROJECT = Project.read()
MANIFEST = manifest(PROJECT, None, "icon.png")


def environment(described: Manifest, **chosen: str) -> dict[str, str]:
    """The environment variables from a host whose user has set these options and no others."""
    values = {key: option.default for key, option in described.user_config.items()} | chosen
    shown = {key: str(value).lower() if isinstance(value, bool) else value for key, value in values.items()}
    return {
        variable: shown[reference.removeprefix("${user_config.").removesuffix("}")]
        for variable, reference in described.server.mcp_config.env.items()
    }


def test_every_option_is_optional_and_has_a_default() -> None:
    for option in MANIFEST.user_config.values():
        assert not option.required
        assert option.default in ("", False)


def test_options_that_a_user_leaves_empty_count_as_unset() -> None:
    assert load_settings(None, environment(MANIFEST)) == load_settings(None, {})


def test_options_that_a_user_sets_are_used_and_the_others_are_unset() -> None:
    environ = environment(MANIFEST, pagerduty_routing_key="R0UT1NG", mcp_read_only="true")
    loaded = load_settings(None, environ)
    assert [channel.name for channel in loaded.channels] == ["PagerDuty"]
    assert loaded.read_only


def test_any_empty_variable_counts_as_unset() -> None:
    assert load_settings(None, dict.fromkeys([*VARIABLES, CONFIG_VARIABLE], "")) == load_settings(None, {})


def test_by_default_the_server_offers_the_tools_in_the_manifest(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **environment(MANIFEST)}
    pipe = subprocess.PIPE
    process = Program("certctl_mcp", environment=environ, stdin=pipe, stdout=pipe, stderr=pipe)
    client = RawClient(process)
    client.ask(INITIALIZE)
    client.send(INITIALIZED)
    listed = client.ask({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})
    client.close()
    assert process.wait() == 0
    process.close()
    assert {tool["name"] for tool in listed["result"]["tools"]} == {tool.name for tool in MANIFEST.tools}


def test_each_tool_is_described_in_one_sentence() -> None:
    for tool in MANIFEST.tools:
        assert tool.description.endswith(".")
        assert len(tool.description) < 200


def test_the_manifest_has_no_address_until_the_project_has_one() -> None:
    assert "http" not in MANIFEST.text()
    assert (
        '"homepage": "https://github.com/octo-org/certctl-mcp"' in manifest(PROJECT, HOME, "icon.png").text()
    )

"""Everything the README says of names, settings and files is so."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from certctl_mcp.config.environment import CONFIG_VARIABLE, VARIABLES
from certctl_mcp.config.settings import load_settings
from certctl_mcp.mcp_server.tools.catalog import catalog

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def table_under(heading: str) -> list[list[str]]:
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_tools_table_names_the_tools_of_the_server_in_their_order() -> None:
    named = [cell.strip("`") for cell, _ in table_under("Tools")]
    assert sorted(named) == sorted(tool.name for tool in catalog())


def test_the_settings_table_names_every_variable_and_no_other() -> None:
    named: set[str] = set()
    for cell, *_ in table_under("Settings"):
        full, *endings = re.findall(r"`([A-Z_]+)`", cell)
        named.add(full)
        stem = next((s for s in STEMS if full.startswith(s)), full)
        named.update(ending if ending.startswith("CERTCTL_") else stem + ending for ending in endings)
    assert named == set(VARIABLES)


STEMS = ("CERTCTL_SERVER", "CERTCTL_SMTP", "CERTCTL_SLACK", "CERTCTL_PAGERDUTY", "CERTCTL_OPSGENIE")


def test_the_defaults_in_the_settings_table_are_the_defaults() -> None:
    defaults = {cell.strip("`"): default for cell, default, _ in table_under("Settings")}
    settings = load_settings(None, {})
    for variable, (setting, *rest) in VARIABLES.items():
        default = defaults.get(variable, "")
        if rest or not re.fullmatch(r"\w+", default):
            continue
        spelled_out = load_settings(None, {variable: default})
        assert getattr(settings, setting) == getattr(spelled_out, setting), variable


def test_the_hosts_configurations_launch_the_program_with_settings_it_takes() -> None:
    desktop, vscode = (json.loads(block) for block in blocks("json"))
    server = desktop["mcpServers"]["certctl"]
    assert server["command"] == "certctl-mcp"
    channels = load_settings(None, server["env"]).channels
    assert [channel.name for channel in channels] == ["Slack", "PagerDuty"]
    assert vscode["servers"]["certctl"]["command"] == "certctl-mcp"
    assert vscode["servers"]["certctl"]["args"][0] == "--config"


def test_the_variable_for_the_settings_file_is_the_one_it_names() -> None:
    assert f"`{CONFIG_VARIABLE}`" in README


@pytest.mark.parametrize(
    "target",
    re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(r'\b(?:src|srcset)="([^"]+)"', README),
)
def test_what_it_links_to_is_there(target: str) -> None:
    assert (ROOT / target).exists()


def test_its_commands_for_contributors_are_those_of_continuous_integration() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    (test_command,) = (block.strip() for block in blocks("sh") if "pytest" in block)
    assert test_command.replace("pip install", "pip install -q") in run
    for check in ("ruff check", "ruff format --check", "mypy"):
        assert f"`.venv/bin/{check}`" in README
        assert f"\n.venv/bin/{check}\n" in run


def test_the_extras_it_installs_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"'\.\[(\w+)\]'", README):
        assert extra in project["optional-dependencies"]

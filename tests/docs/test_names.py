"""The settings, tools, files and headings named in the documentation exist."""

import re
import tomllib

import pytest

from certctl_mcp.config.environment import COMMAND_VARIABLES, CONFIG_VARIABLE, VARIABLES
from certctl_mcp.config.secret_files import SECRET_VARIABLES, VARIABLE_SUFFIX
from certctl_mcp.mcp_server.tools.catalog import catalog
from tests.docs.pages import PAGES, blocks
from tests.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def table_under(page: str, heading: str) -> list[list[str]]:
    section = PAGES[page].split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 110


def test_the_tools_table_names_the_tools_of_the_server() -> None:
    named = [cell.strip("`") for cell, _ in table_under("docs/tools.md", "Tools")]
    assert sorted(named) == sorted(tool.name for tool in catalog())
    assert f"[{len(named)} tools](docs/tools.md)" in PAGES["README.md"]


def test_the_documented_variable_for_the_settings_file_exists() -> None:
    assert f"`{CONFIG_VARIABLE}`" in PAGES["docs/settings.md"]


def test_every_variable_named_anywhere_exists() -> None:
    certctls_own = {"CERTCTL_SCHEDULER_NOTIFICATION_PROCESS_INTERVAL"}
    channels = {"_".join(name.split("_")[:2]) for name in VARIABLES}
    files = {name + VARIABLE_SUFFIX for name in SECRET_VARIABLES}
    known = {*VARIABLES, *files, CONFIG_VARIABLE, *COMMAND_VARIABLES, *certctls_own, *channels}
    for page, text in PAGES.items():
        assert set(re.findall(r"\bCERTCTL_[A-Z_]+[A-Z]\b", text)) <= known, page


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_links_to_exist(page: str) -> None:
    text = PAGES[page]
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    pictures = re.findall(r'\b(?:src|srcset)="([^"]+)"', text)
    for target in (*links, *pictures):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_files_that_pages_name_exist() -> None:
    for page, text in PAGES.items():
        for path in re.findall(r"`((?:certctl_mcp|storage|release|tests|docs|examples)/[\w/.-]+)`", text):
            if "NAME" not in path:
                assert (ROOT / path).exists(), f"{page}: {path}"


def test_every_page_is_linked_from_the_readme() -> None:
    for page in PAGES.keys() - {"README.md"}:
        assert f"({page})" in PAGES["README.md"]


def test_the_headings_that_are_linked_to_exist() -> None:
    for page, text in PAGES.items():
        for path, heading in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text):
            target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
            words = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in words}
            assert heading in anchors, f"{page}: {path}#{heading}"


def test_the_table_of_extras_has_those_for_users() -> None:
    named = {cell.strip("`") for cell, _ in table_under("docs/install.md", "As a program")}
    assert named == PROJECT["optional-dependencies"].keys() - {"dev", "bench"}


def test_contributors_run_the_same_commands_as_continuous_integration() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    page = PAGES["docs/development.md"]
    (setup,) = (block.text for block in blocks("README.md", "sh") if "pytest" in block.text)
    assert setup.strip().replace("pip install", "pip install -q") in run
    for check in ("ruff check", "ruff format --check", "mypy", "uv lock --check"):
        assert f"`.venv/bin/{check}`" in page
        assert f"\n.venv/bin/{check}\n" in run

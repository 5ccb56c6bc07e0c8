"""What README.md and docs/ say of names, settings, files and commands is true."""

import json
import re
import shlex
import tomllib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
import typer.core

from certctl_mcp.cli.commands.app import app
from certctl_mcp.config.environment import COMMAND_VARIABLES, CONFIG_VARIABLE, VARIABLES
from certctl_mcp.config.secret_files import SECRET_VARIABLES, VARIABLE_SUFFIX
from certctl_mcp.config.settings import load_settings
from certctl_mcp.mcp_server.tools.catalog import catalog

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
OTHERS = (ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (README, *OTHERS, *DOCS)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def table_under(page: str, heading: str) -> list[list[str]]:
    section = PAGES[page].split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def commands(text: str) -> list[list[str]]:
    """The words of each command in the shell blocks, without variables that are set for it."""
    found = []
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split(" && "):
                words = shlex.split(command, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words = words[1:]
                found.append(words)
    return [words for words in found if words]


COMMANDS = [(page, words) for page, text in PAGES.items() for words in commands(text)]


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 110


def test_the_tools_table_names_the_tools_of_the_server() -> None:
    named = [cell.strip("`") for cell, _ in table_under("docs/tools.md", "Tools")]
    assert sorted(named) == sorted(tool.name for tool in catalog())
    assert f"[{len(named)} tools](docs/tools.md)" in PAGES["README.md"]


def test_the_hosts_configuration_launches_the_program_with_settings_it_takes() -> None:
    (desktop,) = (json.loads(block) for block in blocks(PAGES["docs/hosts.md"], "json"))
    server = desktop["mcpServers"]["certctl-notifications"]
    assert server["command"] == "certctl-mcp"
    program = typer.main.get_command(app)
    assert program.make_context("certctl-mcp", server["args"]).params["config"] is not None


def test_the_variable_for_the_settings_file_is_the_one_it_names() -> None:
    assert f"`{CONFIG_VARIABLE}`" in PAGES["docs/settings.md"]


def test_the_keys_shown_for_files_of_secrets_are_taken(tmp_path: Path) -> None:
    (shown,) = (block for block in blocks(PAGES["docs/operating.md"], "toml") if "_file" in block)
    for name, secret in {
        "database-url": "sqlite:////srv/queue.db",
        "api-keys": "ada:key-of-ada-0123456789",
        "cmdb-signing": "new\nold\n",
        "cmdb-authorization": "Bearer abc",
    }.items():
        (tmp_path / name).write_text(secret)
    config = tmp_path / "settings.toml"
    config.write_text(shown.replace("/run/secrets/", f"{tmp_path}/"))
    assert len(load_settings(config, {}).secret_files) == 4


def test_every_variable_named_anywhere_exists() -> None:
    certctls_own = {"CERTCTL_SCHEDULER_NOTIFICATION_PROCESS_INTERVAL"}
    channels = {"_".join(name.split("_")[:2]) for name in VARIABLES}
    files = {name + VARIABLE_SUFFIX for name in SECRET_VARIABLES}
    known = {*VARIABLES, *files, CONFIG_VARIABLE, *COMMAND_VARIABLES, *certctls_own, *channels}
    for page, text in PAGES.items():
        assert set(re.findall(r"\bCERTCTL_[A-Z_]+[A-Z]\b", text)) <= known, page


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    text = PAGES[page]
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    pictures = re.findall(r'\b(?:src|srcset)="([^"]+)"', text)
    for target in (*links, *pictures):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_files_it_names_exist() -> None:
    for page, text in PAGES.items():
        for path in re.findall(r"`((?:certctl_mcp|storage|release|tests|docs|examples)/[\w/.-]+)`", text):
            if "NAME" not in path:
                assert (ROOT / path).exists(), f"{page}: {path}"


def test_every_page_is_linked_from_the_readme() -> None:
    for page in (*DOCS, *OTHERS):
        assert f"({page.relative_to(ROOT).as_posix()})" in PAGES["README.md"]


def test_the_headings_that_are_linked_to_exist() -> None:
    for page, text in PAGES.items():
        for path, heading in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text):
            target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
            words = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in words}
            assert heading in anchors, f"{page}: {path}#{heading}"


def test_our_commands_take_the_arguments_they_are_shown_with() -> None:
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    after_a_host = [words[words.index("--") + 1 :] for _, words in COMMANDS if "--" in words]
    checked = [
        words[1:]
        for words in (*(words for _, words in COMMANDS), *after_a_host)
        if words[0].endswith("certctl-mcp")
    ]
    for arguments in checked:
        # Parses without running anything; an unknown command or option raises, and `--version` ends.
        with suppress(typer.Exit):
            context = program.make_context("certctl-mcp", [*arguments])
            if context._protected_args:
                name, *rest = [*context._protected_args, *context.args]
                program.commands[name].make_context(name, rest)
    assert len(checked) > 15


def test_python_modules_that_are_run_exist() -> None:
    modules = {
        words[words.index("-m") + 1] for _, words in COMMANDS if "python" in words[0] and "-m" in words
    }
    assert {"pytest", "tests.benchmarks", "tests.evaluation"} <= modules
    for module in modules:
        assert find_spec(module) is not None, module


def test_the_paths_given_to_pytest_exist() -> None:
    for _, words in COMMANDS:
        if "pytest" in words:
            for path in (word for word in words if word.startswith("tests/")):
                assert (ROOT / path).exists(), path


def test_the_table_of_extras_has_those_for_users() -> None:
    named = {cell.strip("`") for cell, _ in table_under("docs/install.md", "As a program")}
    assert named == PROJECT["optional-dependencies"].keys() - {"dev", "bench"}


def test_the_extras_that_are_installed_exist() -> None:
    named = [extras for text in PAGES.values() for extras in re.findall(r"'\.\[([\w,]+)\]'", text)]
    named += [extra for text in PAGES.values() for extra in re.findall(r" --extra (\w+)", text)]
    extras = {extra for names in named for extra in names.split(",")}
    assert extras == {"apprise", "bench", "demo", "dev", "postgres"}
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_a_contributors_commands_are_those_of_continuous_integration() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    page = PAGES["docs/development.md"]
    (setup,) = (block for block in blocks(PAGES["README.md"], "sh") if "pytest" in block)
    packages, *_ = blocks(page, "sh")
    assert setup.strip().replace("pip install", "pip install -q") in run
    for package in packages.split()[2:]:
        assert f" {package} " in run
    for check in ("ruff check", "ruff format --check", "mypy", "uv lock --check"):
        assert f"`.venv/bin/{check}`" in page
        assert f"\n.venv/bin/{check}\n" in run

"""The settings in the documentation are accepted, its Python programs run, and its JSON is what we send."""

import json
import tomllib
from pathlib import Path

import pytest

from certctl_mcp.config.settings import load_settings
from tests.docs.fake_programs import check_arguments
from tests.docs.pages import PAGES, SHELL, Block, blocks
from tests.e2e.http_receiver import Receiver
from tests.e2e.program import certctl
from tests.processes import Program

CHECKED = {
    SHELL: "test_commands.py types them",
    "toml": "settings, below",
    "json": "below",
    "python": "programs, below",
    "sql": "tests/certctl/test_schema_removal.py and tests/e2e/test_text_index.py run it",
    "text": "a picture in the README; log lines, in tests/certctl_mcp/delivery/test_outcome_log.py",
    "mermaid": "a picture; import-linter checks the layers that it shows",
}
"""Every language of the blocks, and the check for its blocks."""

SECRETS = {
    "database-url": "sqlite:////srv/queue.db",
    "api-keys": "ada:key-of-ada-0123456789",
    "cmdb-signing": "new\nold\n",
    "cmdb-authorization": "Bearer abc",
}


def of_language(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, language)]


def place(block: Block) -> str:
    return block.place


def test_something_checks_every_block() -> None:
    unchecked = [block.place for page in PAGES for block in blocks(page) if block.language not in CHECKED]
    assert not unchecked, f"say in CHECKED what checks blocks of another language: {unchecked}"


@pytest.mark.parametrize("block", of_language("toml"), ids=place)
def test_settings_are_accepted(block: Block, tmp_path: Path) -> None:
    channels = {
        "CERTCTL_SMTP_HOST": "mail.example.com",
        "CERTCTL_SMTP_FROM_ADDRESS": "certificates@example.com",
    }
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret)
    file = tmp_path / "settings.toml"
    file.write_text(block.text.replace("/run/secrets/", f"{tmp_path}/"))
    settings = load_settings(file, channels)
    assert len(settings.secret_files) == block.text.count("_file")
    shown = tomllib.loads(block.text).get("channels", {})
    assert {channel.name for channel in settings.channels} >= shown.keys()


def test_a_hosts_configuration_entry_starts_the_program() -> None:
    (block,) = blocks("docs/hosts.md", "json")
    (server,) = json.loads(block.text)["mcpServers"].values()
    assert server["command"] == "certctl-mcp"
    check_arguments(server["args"])


def test_certctls_webhook_has_the_documented_fields(environment: dict[str, str], receiver: Receiver) -> None:
    (block,) = blocks("docs/channels.md", "json")
    alert = ["--channel", "Webhook", "--type", "ExpirationWarning", "it expires"]
    done = certctl(environment | {"CERTCTL_WEBHOOK_FORMAT": "certctl"}, "send", "--now", *alert)
    assert done.returncode == 0, done.stderr
    shown, sent = json.loads(block.text), json.loads(receiver.last)
    assert sent.keys() == shown.keys()
    assert [key for key in shown if shown[key] == sent[key]] == ["type", "event_type", "subject"]


@pytest.mark.parametrize("block", of_language("python"), ids=place)
def test_a_program_runs(block: Block, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_documented.py").write_text(block.text)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["certctl_mcp.testing"]\n')
    is_test = "def test_" in block.text
    module, *arguments = ("pytest", "-q", "-p", "no:cacheprovider", ".") if is_test else ("test_documented",)
    with (tmp_path / "shown").open("w+b") as shown:
        program = Program(
            module,
            *arguments,
            environment=environment | {"PYTHONPATH": str(tmp_path)},
            directory=tmp_path,
            stdout=shown,
            stderr=shown,
        )
        code = program.wait(60)
        program.close()
        shown.seek(0)
        assert code == 0, shown.read().decode()

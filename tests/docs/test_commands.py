"""Every command in the documentation works as it stands, typed into a shell by a reader of its page."""

import re
from pathlib import Path

import pytest

from tests.docs.page_setups import PAGE_SETUPS, Services
from tests.docs.pages import PAGES, Command, steps
from tests.docs.reader import NAMES, reading
from tests.docs.unrun_commands import ELSEWHERE

STEPS = {page: found for page in PAGES if page != "CHANGELOG.md" and (found := steps(page, NAMES))}

SHOWN = {
    "certctl-mcp send --now": r"^notif-\S+  sent$",
    "certctl-mcp install claude-desktop": r"added .*claude_desktop_config.json",
    "certctl-mcp requeue --channel PagerDuty": r"1 requeued",
    "certctl-mcp read --status pending,failed": r"1 marked as read",
    'curl -H "Authorization: Bearer KEY"': r"^certctl_notification_dead_total ",
    'curl -H "Authorization: Bearer $KEY"': "confirmation|requeued",
}
"""Expected output of commands that begin like this, if success is not enough."""


@pytest.mark.parametrize("page", STEPS)
def test_the_commands_of_a_page_work(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with reading(tmp_path) as reader:
        if page in PAGE_SETUPS:
            PAGE_SETUPS[page](reader, Services(request))
        for step in STEPS[page]:
            for command, shown in reader.follow(step).items():
                for beginning, expected in SHOWN.items():
                    if command.startswith(beginning):
                        assert re.search(expected, shown, re.MULTILINE), f"{command}: {shown}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("frobnicate --all", "command not found"),
        ("pipx uninstall certctl-mcp", "invalid choice: 'uninstall'"),
        ("pipx install '.[postgres,fax]'", "can't be installed"),
        ("python -m pytest tests/nowhere.py", "there is no tests/nowhere.py"),
        (".venv/bin/python -c pass", "nothing stands in for"),
    ],
)
def test_the_failure_for_an_unknown_command_says_what_to_do(text: str, why: str, tmp_path: Path) -> None:
    with reading(tmp_path) as reader, pytest.raises(pytest.fail.Exception) as failed:
        reader.follow((Command("docs/page.md", 7, text),))
    assert failed.value.msg
    assert failed.value.msg.startswith(f"docs/page.md:7: `{text}` exited with ")
    assert why in failed.value.msg
    assert "tests/docs/fake_programs.py" in failed.value.msg


def test_commands_that_are_not_run_here_are_shown() -> None:
    typed = [command.text for page in STEPS.values() for step in page for command in step]
    assert [row.command for row in ELSEWHERE if not any(row.command in text for text in typed)] == []


def test_every_expected_output_belongs_to_an_existing_command() -> None:
    typed = [command.text for page in STEPS.values() for step in page for command in step]
    assert [start for start in SHOWN if not any(text.startswith(start) for text in typed)] == []

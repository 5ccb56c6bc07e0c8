"""`init`: write a settings file, and show how to start the program with it."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from certctl_mcp.cli.setup.questions import Ask
    from certctl_mcp.cli.setup.settings_file import Answers, ChannelTable

_VARIABLE = "CERTCTL_DATABASE_URL"

_SERVICE_FILE = Path("/etc/certctl-mcp/settings.toml")
_SERVICE_DATABASE = "sqlite:////var/lib/certctl-mcp/notifications.db"


def init(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The file to write; by default in the user's configuration directory, for root in /etc.",
            show_default=False,
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Email, Webhook, Slack, Teams, PagerDuty, OpsGenie; comma-separated."
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The database URL, instead of a file in the usual place."),
    ] = None,
    alerts: Annotated[
        str | None,
        typer.Option(
            metavar="CHANNEL", help="The channel of alerts about dead letters; by default Email, if any."
        ),
    ] = None,
    alert_recipient: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The recipient of these alerts, which Email needs.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> int:
    """Write a settings file for production, and show how hosts, systemd and Docker start with it.

    What a channel needs is read from its variables (such as CERTCTL_SLACK_WEBHOOK_URL) if they are set; in a
    terminal, the rest is asked for. Secrets are never given as arguments, which other users can see.
    """
    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.setup.questions import MissingValueError
    from certctl_mcp.cli.setup.settings_file import SettingsFileError, check, settings_text, write
    from certctl_mcp.text.untrusted import escape_hidden

    place = (file or _default_file()).expanduser().absolute()
    if place.exists() and not force:
        raise CommandFailedError(
            ExitCode.NOT_DONE, f"{place} exists and was not changed; --force replaces it"
        )
    ask = _ask if sys.stdin.isatty() and sys.stderr.isatty() else None
    try:
        answers = _answers(channels, database, alerts, alert_recipient, ask)
    except MissingValueError as missing:
        raise CommandFailedError(ExitCode.USAGE, str(missing)) from None
    text = settings_text(answers)
    with command_failures():
        check(text)
    try:
        write(place, text, replace=force)
    except SettingsFileError as refused:
        raise CommandFailedError(ExitCode.NOT_DONE, str(refused)) from None
    doctor = f"certctl-mcp doctor --config {shlex.quote(str(place))}"
    typer.echo(f"Wrote {escape_hidden(str(place))}, mode 600. Check it: {doctor}\n")
    _show_entries(place, answers.database_url)
    return ExitCode.DONE


def _answers(
    channels: str | None,
    database: str | None,
    alerts: str | None,
    alert_recipient: str | None,
    ask: "Ask | None",
) -> "Answers":
    """Raises: CommandFailedError, MissingValueError."""
    from certctl_mcp.cli.setup.settings_file import Answers

    if channels is None and ask is not None:
        channels = ask(
            "Channels (Email, Webhook, Slack, Teams, PagerDuty, OpsGenie), comma-separated", False, None
        )
    names = _channel_names(channels)
    tables = {name: _table(name, ask) for name in names}
    alert = alerts or ("Email" if "Email" in names else names[0])
    if alert not in names:
        raise CommandFailedError(
            ExitCode.USAGE, f"--alerts={alert!r} is not among the channels {', '.join(names)}"
        )
    if alert == "Email" and not alert_recipient:
        if ask is None:
            raise CommandFailedError(
                ExitCode.USAGE, "--alert-recipient is missing: alerts about dead letters by Email need it"
            )
        alert_recipient = ask("Recipient of mail about dead letters", False, None)
    return Answers(
        database or os.environ.get(_VARIABLE, "").strip() or _default_database(),
        tables,
        alert,
        alert_recipient or "",
    )


def _table(channel: str, ask: "Ask | None") -> "ChannelTable":
    """The settings of a channel; a question with a wrong answer is asked again. Raises: MissingValueError."""
    from certctl_mcp.cli.setup.questions import channel_table, is_asked_for
    from certctl_mcp.cli.setup.settings_file import channel_text, check
    from certctl_mcp.config.errors import SettingsError
    from certctl_mcp.text.untrusted import escape_hidden

    while True:
        table = channel_table(channel, os.environ, ask)
        # A fallback is another channel, which may not be known yet.
        alone = {key: value for key, value in table.items() if not key.startswith("fallback")}
        try:
            check(channel_text(channel, alone))
        except SettingsError as error:
            if ask is None or not is_asked_for(channel, os.environ):
                # Variables don't change by asking again; the whole file is checked later.
                return table
            typer.echo("\n".join(map(escape_hidden, error.problems)), err=True)
        else:
            return table


def _channel_names(written: str | None) -> tuple[str, ...]:
    """Raises: CommandFailedError: one is not a channel of certctl's, or none is named."""
    from certctl_mcp.config.settings import KINDS

    known = {name.lower(): name for name in KINDS}
    given = [name.strip() for name in (written or "").split(",") if name.strip()]
    wrong = [name for name in given if name.lower() not in known]
    if wrong or not given:
        problem = f"there is no channel {wrong[0]!r}" if wrong else "no channel is given"
        raise CommandFailedError(
            ExitCode.USAGE,
            f"--channels: {problem}; name some of {', '.join(KINDS)}. Others can be added to the file later",
        )
    return tuple(dict.fromkeys(known[name.lower()] for name in given))


def _ask(question: str, secret: bool, default: str | None) -> str:
    answer: str = typer.prompt(
        question, default=default, hide_input=secret, show_default=bool(default), err=True
    )
    return answer.strip()


def _is_root() -> bool:
    from certctl_mcp.runtime.platform import user_id

    return user_id() == "0"


def _default_file() -> Path:
    if _is_root():
        return _SERVICE_FILE
    import platformdirs

    return platformdirs.user_config_path("certctl-mcp", appauthor=False) / "settings.toml"


def _default_database() -> str:
    if _is_root():
        return _SERVICE_DATABASE
    from certctl_mcp.config.settings import load_settings

    return load_settings(None, {}).database_url.get_secret_value()


def _show_entries(file: Path, database_url: str) -> None:
    from certctl_mcp.cli.commands.install import program
    from certctl_mcp.cli.setup.entries import compose_file, host_entries, systemd_unit

    database = database_url.partition(":///")[2] if database_url.startswith("sqlite") else None
    named = shlex.quote(str(file))
    typer.echo(f"MCP hosts: `certctl-mcp install HOST --config {named}` writes one of these entries.\n")
    for hosts, text in host_entries([*program(), "--config", str(file)]):
        typer.echo(f"{hosts}:\n{text}\n")
    typer.echo("systemd: a worker that delivers while no host is running.\n")
    typer.echo(systemd_unit(file))
    typer.echo("Docker Compose: the same worker in a container.\n")
    typer.echo(compose_file(file, None if database is None else Path(database)))

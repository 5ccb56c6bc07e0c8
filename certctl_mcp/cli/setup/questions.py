"""The settings that `init` needs for each channel: from its variables if they are set, otherwise from the
operator."""

from collections.abc import Callable, Mapping

from certctl_mcp.cli.setup.settings_file import ChannelTable
from certctl_mcp.config.reference import Entry, channel_entries, plain
from certctl_mcp.config.settings import KINDS

Ask = Callable[[str, bool, str | None], str]
"""Asks for a value. The arguments are the question, whether the answer is a secret, and the default."""

_ALSO_ASKED: Mapping[str, tuple[str, ...]] = {
    "Email": ("host", "port", "from_address", "username", "password"),
    "Webhook": ("url", "secrets"),
}
"""In addition to the required settings."""

_SECRETS = frozenset({"url", "webhook_url", "password", "secrets", "routing_key", "api_key"})


class MissingValueError(Exception):
    """A required value is not set, and there is no terminal to ask on. The message names its variable."""


def channel_table(channel: str, environ: Mapping[str, str], ask: Ask | None) -> ChannelTable:
    """The settings of one of certctl's channels.

    Raises:
        MissingValueError: a variable is not set, and `ask` is None.
    """
    table: dict[str, str] = {}
    for entry in _wanted(channel):
        key = entry.key[-1]
        if (key != "password" or "username" in table) and (value := _value(entry, environ, ask)):
            table[key] = value
    for entry in channel_entries(channel, KINDS[channel]):
        if entry.variable and (set_to := environ.get(entry.variable, "").strip()):
            table.setdefault(entry.key[-1], set_to)
    return table


def is_asked_for(channel: str, environ: Mapping[str, str]) -> bool:
    """Whether something that a channel needs is not in a variable."""
    return any(not environ.get(entry.variable or "", "").strip() for entry in _wanted(channel))


def _wanted(channel: str) -> tuple[Entry, ...]:
    entries = {entry.key[-1]: entry for entry in channel_entries(channel, KINDS[channel])}
    required = tuple(key for key, entry in entries.items() if entry.field.is_required())
    return tuple(entries[key] for key in _ALSO_ASKED.get(channel, required))


def _value(entry: Entry, environ: Mapping[str, str], ask: Ask | None) -> str:
    assert entry.variable is not None
    if set_to := environ.get(entry.variable, "").strip():
        return set_to
    if ask is not None:
        _, channel, key = entry.key
        default = None if entry.field.is_required() or key == "password" else entry.default
        return ask(f"{channel}: {plain(entry.meaning.markdown)}", key in _SECRETS, default)
    if entry.field.is_required():
        _, channel, _ = entry.key
        raise MissingValueError(f"{entry.variable} is not set, and the channel {channel} needs it")
    return ""

"""Pauses by a person: nothing is attempted over the channel until the pause ends or is ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from storage.channel_state import UNLIMITED, ChannelState, Pause
from storage.engine.transaction import Transaction
from storage.models import AuditAction
from storage.operations.audit import record
from storage.operations.channel_states import lock, save
from storage.operations.notify import notify_due


@dataclass(frozen=True, slots=True)
class PauseChange:
    """A channel to pause, or to resume if `pause` is None."""

    channel: str
    pause: Pause | None
    actor: str


def change_pauses(transaction: Transaction, changes: Sequence[PauseChange]) -> list[bool]:
    """Pause or resume each channel; false for a channel to be resumed that was not paused."""
    channels = {change.channel for change in changes}
    locked = lock(transaction, channels, create={c.channel for c in changes if c.pause is not None})
    states = {channel: stored.state for channel, stored in locked.items()}
    answers: list[bool] = []
    for change in changes:
        state = states.get(change.channel, ChannelState())
        paused = state.pause is not None and transaction.now < state.pause.until
        answers.append(paused or change.pause is not None)
        if change.channel in states:
            states[change.channel] = replace(state, pause=change.pause)
        if answers[-1]:
            _record(transaction, change)
    save(transaction, locked, {channel: (state, UNLIMITED) for channel, state in states.items()})
    notify_due(transaction)
    return answers


def _record(transaction: Transaction, change: PauseChange) -> None:
    action = AuditAction.RESUME if change.pause is None else AuditAction.PAUSE
    detail = change.channel
    if change.pause is not None:
        detail = f"{change.channel} until {change.pause.until:%Y-%m-%dT%H:%M:%SZ}: {change.pause.reason}"
    record(transaction.connection, action, [("", transaction.now, change.actor)], detail=detail)

"""The invariants of any run: compares the database with the accepted alerts and the receivers' records."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.reliability.chaos.database_state import Attempt, DatabaseState, Row
from tests.reliability.chaos.receiver import Request
from tests.reliability.chaos.schedule import Behaviour

MAX_ATTEMPTS = 5
MAX_ABANDONED = 10

REASONS: Mapping[Behaviour, str] = {
    Behaviour.REFUSE: r"\b503\b",
    Behaviour.GONE: r"\b410\b",
    Behaviour.BUSY: r"\b429\b",
    Behaviour.HANG: r"(?i)no answer|timed out|time",
    Behaviour.CUT: r"(?i)connection|disconnect|closed|reset",
}
"""What the error of a dead letter must contain for each kind of failure."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which a process was stopped or dead."""

    process: str
    begun: float
    ended: float


@dataclass
class Record:
    """What a run observed from outside the program."""

    accepted: dict[str, str] = field(default_factory=dict)
    """The id of each accepted alert, by its message."""
    unanswered: set[str] = field(default_factory=set)
    """Messages whose accept failed: they may be stored or not."""
    pauses: list[Pause] = field(default_factory=list)
    wrong_clocks: set[str] = field(default_factory=set)
    """Processes whose clock jumped and was in use, as on SQLite. They end leases of others too early, and
    theirs look expired to others. Even then no process may overlap its own attempts."""
    exit_codes: list[int] = field(default_factory=list)


def violations(record: Record, requests: list[Request], database: DatabaseState) -> list[str]:
    """Each violated invariant in a sentence; empty if all hold."""
    by_message: defaultdict[str, list[Request]] = defaultdict(list)
    for request in requests:
        by_message[request.message].append(request)
    attempts: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in database.attempts:
        attempts[attempt.notification_id].append(attempt)
    violated = [f"integrity: {line}" for line in database.integrity]
    violated += _lost_or_invented(record, database.rows)
    violated += [f"exit code {code}" for code in record.exit_codes if code]
    for row in database.rows:
        seen = by_message.pop(row.message, [])
        violated += [
            f"{row.message} ({row.id}): {wrong}"
            for wrong in (
                *_unsettled(row, attempts[row.id], seen),
                *_wrong_numbers(row, attempts[row.id], seen),
                *_wrong_keys(row, seen),
                *_overlaps(seen, record),
            )
        ]
    return [*violated, *(f"{message}: sent, but not stored" for message in by_message)]


def summary(requests: list[Request], database: DatabaseState) -> str:
    statuses = Counter(row.status for row in database.rows)
    delivered = Counter(request.message for request in requests if request.answered == 204)
    repeated = sum(number - 1 for number in delivered.values())
    shown = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
    return f"{len(database.rows)} alerts: {shown}; {len(requests)} requests, {repeated} delivered again"


def _lost_or_invented(record: Record, rows: list[Row]) -> Iterator[str]:
    stored = {row.id: row.message for row in rows}
    for message, id_ in record.accepted.items():
        if stored.get(id_) != message:
            yield f"{message} ({id_}): accepted, but not stored"
    for message, number in Counter(stored.values()).items():
        if number > 1:
            yield f"{message}: stored {number} times"
        if message not in record.accepted and message not in record.unanswered:
            yield f"{message}: stored, but never accepted"


def _unsettled(row: Row, attempts: list[Attempt], seen: list[Request]) -> Iterator[str]:
    if row.lease_owner is not None:
        yield f"still leased by {row.lease_owner}"
    if row.next_retry_at is not None:
        yield "settled, but scheduled"
    match row.status:
        case "sent":
            if row.sent_at is None:
                yield f"counts as sent without a delivery: {row.error}"
            elif not any(request.answered == 204 for request in seen):
                yield "counts as sent, but no receiver accepted it"
        case "dead":
            yield from _wrong_reason_for_death(row, attempts, seen)
        case _:
            yield f"not settled: {row.status}"


def _wrong_reason_for_death(row: Row, attempts: list[Attempt], seen: list[Request]) -> Iterator[str]:
    outcomes = Counter(attempt.outcome for attempt in attempts if not attempt.late)
    if outcomes["abandoned"] >= MAX_ABANDONED:
        return
    failures = {request.behaviour for request in seen if request.answered != 204}
    reason = row.last_error or ""
    if not any(re.search(REASONS[one], reason) for one in failures if one in REASONS):
        yield f"dead because of {reason!r}, but the receiver did {sorted(failures)}"
    final = Behaviour.GONE in failures and re.search(REASONS[Behaviour.GONE], reason)
    if not final and outcomes["failed"] + outcomes["dead"] != MAX_ATTEMPTS:
        yield f"dead after {outcomes['failed']} failures and {outcomes['dead']} final one: {reason!r}"


def _wrong_numbers(row: Row, attempts: list[Attempt], seen: list[Request]) -> Iterator[str]:
    # A claim that was released without an attempt leaves a gap.
    numbers = [attempt.number for attempt in attempts]
    if len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(1, row.attempt_count + 1)):
        yield f"attempts are numbered {numbers} of {row.attempt_count}"
    if len(seen) - _repeats(seen) > len(attempts):
        saw = ", ".join(f"{request.sender} {request.behaviour}" for request in seen)
        recorded = ", ".join(f"{attempt.number} {attempt.outcome}" for attempt in attempts)
        yield f"sent {len(seen)} times ({saw}), but {len(attempts)} attempts are recorded ({recorded})"
    failed = sum(attempt.outcome == "failed" and not attempt.late for attempt in attempts)
    if row.retry_count != failed:
        yield f"retry_count is {row.retry_count} after {failed} failures"


def _repeats(seen: list[Request]) -> int:
    """The number of requests repeated within one attempt, because the receiver closed an idle connection.

    While a clock is wrong, another process can send in between.
    """
    by_sender: defaultdict[str, list[Request]] = defaultdict(list)
    for request in seen:
        by_sender[request.sender].append(request)
    return sum(
        one.behaviour is Behaviour.CUT for sent in by_sender.values() for one, _ in itertools.pairwise(sent)
    )


def _wrong_keys(row: Row, seen: list[Request]) -> Iterator[str]:
    for key in {request.key for request in seen} - {row.id}:
        yield f"sent with the key {key}"
    for channel in {request.channel for request in seen} - {row.channel}:
        yield f"sent over {channel} instead of {row.channel}"


def _overlaps(seen: list[Request], record: Record) -> Iterator[str]:
    in_order = sorted(seen, key=lambda request: request.begun)
    for one, other in itertools.pairwise(in_order):
        if one.sender != other.sender and record.wrong_clocks:
            continue
        ended = _live_until(one, record.pauses)
        if other.begun < ended:
            yield (
                f"two live attempts: {one.sender} ({one.behaviour}) until {ended - other.begun:.3f} s after "
                f"{other.sender} ({other.behaviour}) began"
            )


def _live_until(request: Request, pauses: Iterable[Pause]) -> float:
    """When the attempt ended; a stopped or killed process doesn't count as attempting."""
    begun = (
        max(pause.begun, request.begun)
        for pause in pauses
        if pause.process == request.sender and pause.begun < request.ended and pause.ended > request.begun
    )
    return min([request.ended, *begun])

"""Claims in channels whose state decides how much may begin: those with a limit, in trouble or paused.

Their rows are locked, so that all processes together stay within a channel's rate limit and sessions.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import bindparam, select

from storage.channel_state import Allowance, Reason, allowance, began, is_held
from storage.clock import BEGINNING
from storage.engine.transaction import Transaction
from storage.models import Claim, Room
from storage.operations.channel_states import Stored, lock, save
from storage.operations.claim import claim
from storage.operations.claim_postgresql import claim_rest
from storage.operations.claim_request import ClaimRequest, Claims
from storage.schema.tables import notification_events
from storage.sql.dialects import unindexed
from storage.sql.json_rows import Batch, encoded
from storage.sql.types import UtcDateTime

_n = notification_events.c

# Counted for each channel: to group them, SQLite would read every notification in the order of the channels.
_IN_FLIGHT = select(_n.channel).where(
    _n.lease_expires_at.is_not(None),
    _n.lease_expires_at >= bindparam("beginning", type_=UtcDateTime),
    unindexed(_n.channel).in_(select(Batch("names").values)),
)


def claim_guarded(transaction: Transaction, requests: Sequence[ClaimRequest]) -> list[Claims]:
    """Claim the oldest due notifications of the channels, as many in each as may begin."""
    return [_claim_guarded(transaction, request) for request in requests]


def _claim_guarded(transaction: Transaction, request: ClaimRequest) -> Claims:
    locked = lock(transaction, request.channels, create=request.channels & request.limited)
    # The row of a channel may have been deleted meanwhile.
    states = {channel: locked.get(channel, Stored()).state for channel in request.channels}
    now, in_flight = transaction.now, _in_flight(transaction, request)
    wanted = {channel: min(request.room.of(channel), request.slots) for channel in states}
    allowed = {
        channel: allowance(state, request.rules_of(channel), now, wanted[channel], in_flight[channel])
        for channel, state in states.items()
    }
    claims = tuple(
        replace(claimed, probe=is_held(states[claimed.notification.channel], now))
        for claimed in _claim(transaction, request, allowed)
    )
    taken = Counter(claimed.notification.channel for claimed in claims)
    opens, more = [], False
    for channel, state in states.items():
        rules, room = request.rules_of(channel), allowed[channel].count
        states[channel] = began(state, rules, now, taken[channel])
        if taken[channel] < room or wanted[channel] <= 0:
            continue
        left = allowance(states[channel], rules, now, 1, in_flight[channel] + taken[channel])
        opens.append(left.until)
        more = more or left.reason is Reason.SESSIONS
    ruled = {channel: (state, request.rules_of(channel)) for channel, state in states.items()}
    save(transaction, locked, ruled)
    return Claims(now, claims, opens_at=_first(opens), more_when_ended=more)


def _claim(
    transaction: Transaction, request: ClaimRequest, allowed: dict[str, Allowance]
) -> tuple[Claim, ...]:
    room = {channel: allowance.count for channel, allowance in allowed.items() if allowance.count > 0}
    if not room:
        return ()
    request = replace(
        request, channels=frozenset(room), room=Room(0, room), rules=None, stop_at_expired_lease=False
    )
    (found,) = claim(transaction, [request])
    if not found.contended:
        return found.claims
    (rest,) = claim_rest(transaction, [request.without(found.claims)])
    return found.claims + rest


def _in_flight(transaction: Transaction, request: ClaimRequest) -> Counter[str]:
    counted = [channel for channel in request.channels if request.rules_of(channel).sessions is not None]
    if not counted:
        return Counter()
    rows = transaction.connection.execute(_IN_FLIGHT, {"names": encoded(counted), "beginning": BEGINNING})
    return Counter(rows.scalars())


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)

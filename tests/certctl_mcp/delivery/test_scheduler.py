"""A table of the scheduler's steps: the events so far, and what the loop does next."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.delivery.scheduler import (
    EMPTY_POLL_PAUSE,
    QUIET,
    SUSPECTS_INTERVAL,
    Poll,
    PollSuspects,
    QueryNextDue,
    Scheduler,
    Step,
    Wait,
)
from tests.builders import NOON

INTERVAL = timedelta(minutes=2)
SOON = timedelta(seconds=7)
AT_ONCE = timedelta(0)

Event = Callable[[Scheduler], object]


def change(scheduler: Scheduler) -> None:
    assert scheduler.queue_changed()


def poll_begins(scheduler: Scheduler) -> None:
    scheduler.poll_began()


def poll_fails(scheduler: Scheduler) -> None:
    scheduler.poll_failed()


def poll_ends(found: int = 1, more: bool = False) -> Event:
    return lambda scheduler: scheduler.poll_ended(NOON, found=found, more_may_be_due=more)


def polls(found: int = 1, more: bool = False) -> Event:
    def event(scheduler: Scheduler) -> None:
        scheduler.poll_began()
        poll_ends(found, more)(scheduler)

    return event


def wait_passes(scheduler: Scheduler) -> None:
    scheduler.wait_passed(NOON)


def polls_suspects(scheduler: Scheduler) -> None:
    scheduler.suspects_poll_began()
    scheduler.suspects_poll_ended(NOON)


def suspects_poll_fails(scheduler: Scheduler) -> None:
    scheduler.suspects_poll_began()
    scheduler.suspects_poll_failed()


def suspect_ends(scheduler: Scheduler) -> None:
    assert scheduler.suspect_ended()


def queries_next_due(next_due: timedelta | None = None) -> Event:
    return lambda scheduler: scheduler.next_due_found(None if next_due is None else NOON + next_due)


def slot_freed(wakes: bool) -> Event:
    def event(scheduler: Scheduler) -> None:
        assert scheduler.slot_freed(NOON) is wakes

    return event


def attempt_ends(*, wakes: bool, will_be_due: bool = False, none_in_flight: bool = False) -> Event:
    def event(scheduler: Scheduler) -> None:
        assert scheduler.attempt_ended(NOON, will_be_due=will_be_due, none_in_flight=none_in_flight) is wakes

    return event


POLL = Poll(AT_ONCE)
IDLE = (polls(), wait_passes, polls_suspects, queries_next_due())


def name(case: object) -> str | None:
    return case if isinstance(case, str) else ""


@pytest.mark.parametrize(
    ("when", "events", "step"),
    [
        ("it begins", (), POLL),
        ("a poll found something", (polls(),), Wait(QUIET)),
        ("a poll found nothing", (polls(found=0),), Wait(QUIET)),
        ("a change came after a poll", (polls(), change), POLL),
        ("a change came during a poll", (poll_begins, change, poll_ends()), POLL),
        ("a change came after an empty poll", (polls(found=0), change), Poll(EMPTY_POLL_PAUSE)),
        ("a change came after a poll found what was there", (polls(), change, polls(found=0), change), POLL),
        (
            "a change came after two empty polls",
            (polls(), change, polls(found=0), change, polls(found=0), change),
            Poll(EMPTY_POLL_PAUSE),
        ),
        ("a poll failed", (polls(), change, poll_begins), POLL),
        ("it is quiet", (polls(), wait_passes), PollSuspects()),
        ("suspects were polled", (polls(), wait_passes, polls_suspects), QueryNextDue()),
        ("nothing will be due", IDLE, Wait(INTERVAL)),
        ("a retry will be due", (*IDLE[:3], queries_next_due(SOON)), Wait(SOON)),
        ("a retry will be due late", (*IDLE[:3], queries_next_due(2 * INTERVAL)), Wait(INTERVAL)),
        ("a retry is due by now", (*IDLE[:3], queries_next_due(AT_ONCE)), POLL),
        ("it was woken while idle", (*IDLE, change), POLL),
        (
            "a change came during that query",
            (*IDLE[:3], change, queries_next_due(SOON)),
            POLL,
        ),
        ("a slot is freed and more may be due", (polls(more=True), slot_freed(wakes=True)), POLL),
        ("a slot is freed and no more is due", (polls(), slot_freed(wakes=False)), Wait(QUIET)),
        (
            "a slot is freed during a poll and more may be due",
            (poll_begins, slot_freed(wakes=False), poll_ends(more=True)),
            POLL,
        ),
        (
            "a slot is freed during a poll and no more is due",
            (poll_begins, slot_freed(wakes=False), poll_ends()),
            Wait(QUIET),
        ),
        (
            "a slot is freed during the poll of a sweep while idle, and more may be due",
            (*IDLE, poll_begins, slot_freed(wakes=False), poll_ends(more=True)),
            POLL,
        ),
        (
            "a slot is freed after a poll failed",
            (poll_begins, poll_fails, slot_freed(wakes=True)),
            POLL,
        ),
        ("a slot is freed while a poll is due", (change, slot_freed(wakes=True)), POLL),
        ("a delivery ends while idle", (*IDLE, attempt_ends(wakes=False)), Wait(INTERVAL)),
        (
            "the last attempt ends while idle",
            (*IDLE, attempt_ends(wakes=True, none_in_flight=True)),
            PollSuspects(),
        ),
        (
            "a failure while idle will be due again",
            (*IDLE, attempt_ends(wakes=True, will_be_due=True), polls_suspects),
            QueryNextDue(),
        ),
        (
            "a failure while it queries the next due time will be due again",
            (*IDLE[:3], attempt_ends(wakes=True, will_be_due=True), queries_next_due(SOON)),
            PollSuspects(),
        ),
        ("a suspect ends while idle", (*IDLE, suspect_ends), PollSuspects()),
        ("a suspect ends while busy", (polls(), suspect_ends), PollSuspects()),
        (
            "a suspect ended while idle, and the poll for the next one failed",
            (*IDLE, suspect_ends, suspects_poll_fails),
            PollSuspects(),
        ),
        ("the next suspect was looked for", (polls(), suspect_ends, polls_suspects), Wait(QUIET)),
        (
            "a failure while busy is found when it is quiet",
            (polls(), attempt_ends(wakes=False, will_be_due=True)),
            Wait(QUIET),
        ),
    ],
    ids=name,
)
def test_the_next_step_follows_from_the_events(when: str, events: tuple[Event, ...], step: Step) -> None:
    scheduler = Scheduler(INTERVAL)
    for event in events:
        event(scheduler)
    assert scheduler.next_step(NOON, can_claim=True) == step


def test_without_a_free_slot_it_waits_for_one() -> None:
    scheduler = Scheduler(INTERVAL)
    assert scheduler.next_step(NOON, can_claim=False) == Wait(INTERVAL)
    wait_passes(scheduler)
    assert scheduler.slot_freed(NOON)
    assert scheduler.next_step(NOON, can_claim=True) == POLL


def test_a_busy_loop_polls_for_suspects_every_second() -> None:
    scheduler = Scheduler(INTERVAL)
    polled: list[float] = []
    for tenths in range(40):
        now = NOON + timedelta(seconds=tenths / 10)
        scheduler.queue_changed()
        if scheduler.next_step(now, can_claim=True) == PollSuspects():
            polled.append(tenths / 10)
            scheduler.suspects_poll_began()
            scheduler.suspects_poll_ended(now)
        assert isinstance(scheduler.next_step(now, can_claim=True), Poll)
        scheduler.poll_began()
        scheduler.poll_ended(now, found=1, more_may_be_due=False)
    assert polled == [1, 2, 3]


def test_a_loop_without_free_slots_polls_for_suspects_every_second() -> None:
    scheduler = Scheduler(INTERVAL)
    polls(more=True)(scheduler)
    scheduler.queue_changed()
    assert scheduler.next_step(NOON, can_claim=False) == Wait(SUSPECTS_INTERVAL)
    scheduler.wait_passed(NOON + SUSPECTS_INTERVAL)
    # Though it can claim by now.
    assert scheduler.next_step(NOON + SUSPECTS_INTERVAL, can_claim=True) == PollSuspects()


@pytest.mark.parametrize("set_back", [timedelta(days=365), timedelta(seconds=1)])
def test_a_clock_set_back_does_not_lengthen_the_pause(set_back: timedelta) -> None:
    scheduler = Scheduler(INTERVAL)
    polls(found=0)(scheduler)
    change(scheduler)
    assert scheduler.next_step(NOON - set_back, can_claim=True) == Poll(EMPTY_POLL_PAUSE)
    assert scheduler.next_step(NOON + EMPTY_POLL_PAUSE, can_claim=True) == POLL


@pytest.mark.parametrize("set_back", [timedelta(days=365), timedelta(seconds=1)])
def test_a_clock_set_back_does_not_lengthen_the_wait_for_the_next_look(set_back: timedelta) -> None:
    scheduler = Scheduler(INTERVAL)
    for event in IDLE:
        event(scheduler)
    step = scheduler.next_step(NOON - set_back, can_claim=True)
    assert isinstance(step, Wait)
    assert step.longest <= INTERVAL
    now = NOON - set_back + INTERVAL
    scheduler.wait_passed(now)
    assert scheduler.next_step(now, can_claim=True) == POLL


def test_a_slow_clock_causes_no_early_look() -> None:
    scheduler = Scheduler(INTERVAL)
    for event in IDLE:
        event(scheduler)
    early = timedelta(milliseconds=60)
    scheduler.wait_passed(NOON + INTERVAL - early)
    assert scheduler.next_step(NOON + INTERVAL - early, can_claim=True) == Wait(early)


EVENTS: tuple[Event, ...] = (
    Scheduler.queue_changed,
    Scheduler.poll_began,
    polls(),
    polls(found=0, more=True),
    wait_passes,
    polls_suspects,
    queries_next_due(SOON),
    queries_next_due(),
    lambda scheduler: scheduler.slot_freed(NOON),
    lambda scheduler: scheduler.attempt_ended(NOON, will_be_due=True, none_in_flight=False),
    lambda scheduler: scheduler.attempt_ended(NOON, will_be_due=False, none_in_flight=True),
)


@given(st.lists(st.sampled_from(EVENTS), max_size=20), st.timedeltas(AT_ONCE, timedelta(days=1)))
def test_after_any_events_the_loop_polls_again_within_the_interval(
    events: list[Event], passed: timedelta
) -> None:
    scheduler = Scheduler(INTERVAL)
    for event in events:
        event(scheduler)
    now: datetime = NOON + passed
    step = scheduler.next_step(now, can_claim=True)
    if isinstance(step, Wait):
        assert timedelta(0) < step.longest <= INTERVAL
    # A change is always followed by a poll, possibly after one for suspects.
    scheduler.queue_changed()
    if scheduler.next_step(now, can_claim=True) == PollSuspects():
        scheduler.suspects_poll_began()
        scheduler.suspects_poll_ended(now)
    assert isinstance(scheduler.next_step(now, can_claim=True), Poll)

"""A table of the scheduler's steps: the events so far, and what the loop does next."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.delivery.scheduler import (
    EMPTY_LOOK_PAUSE,
    QUIET,
    SUSPECTS_INTERVAL,
    Look,
    LookAhead,
    LookForSuspects,
    Scheduler,
    Step,
    Wait,
)
from tests.builders import NOON

INTERVAL = timedelta(minutes=2)
SOON = timedelta(seconds=7)
AT_ONCE = timedelta(0)

Event = Callable[[Scheduler], object]


def news(scheduler: Scheduler) -> None:
    assert scheduler.news()


def look_begins(scheduler: Scheduler) -> None:
    scheduler.look_began()


def look_fails(scheduler: Scheduler) -> None:
    scheduler.look_failed()


def look_ends(found: int = 1, more: bool = False) -> Event:
    return lambda scheduler: scheduler.look_ended(NOON, found=found, more_may_be_due=more)


def looks(found: int = 1, more: bool = False) -> Event:
    def event(scheduler: Scheduler) -> None:
        scheduler.look_began()
        look_ends(found, more)(scheduler)

    return event


def wait_passes(scheduler: Scheduler) -> None:
    scheduler.wait_passed(NOON)


def looks_for_suspects(scheduler: Scheduler) -> None:
    scheduler.look_for_suspects_began()
    scheduler.looked_for_suspects(NOON)


def look_for_suspects_fails(scheduler: Scheduler) -> None:
    scheduler.look_for_suspects_began()
    scheduler.look_for_suspects_failed()


def suspect_ends(scheduler: Scheduler) -> None:
    assert scheduler.suspect_ended()


def looks_ahead(next_due: timedelta | None = None) -> Event:
    return lambda scheduler: scheduler.looked_ahead(None if next_due is None else NOON + next_due)


def slot_freed(wakes: bool) -> Event:
    def event(scheduler: Scheduler) -> None:
        assert scheduler.slot_freed(NOON) is wakes

    return event


def attempt_ends(*, wakes: bool, will_be_due: bool = False, none_in_flight: bool = False) -> Event:
    def event(scheduler: Scheduler) -> None:
        assert scheduler.attempt_ended(NOON, will_be_due=will_be_due, none_in_flight=none_in_flight) is wakes

    return event


LOOK = Look(AT_ONCE)
IDLE = (looks(), wait_passes, looks_for_suspects, looks_ahead())


def name(case: object) -> str | None:
    return case if isinstance(case, str) else ""


@pytest.mark.parametrize(
    ("when", "events", "step"),
    [
        ("it begins", (), LOOK),
        ("a look found something", (looks(),), Wait(QUIET)),
        ("a look found nothing", (looks(found=0),), Wait(QUIET)),
        ("news came after a look", (looks(), news), LOOK),
        ("news came during a look", (look_begins, news, look_ends()), LOOK),
        ("news came after an empty look", (looks(found=0), news), Look(EMPTY_LOOK_PAUSE)),
        ("news came after a look found what was there", (looks(), news, looks(found=0), news), LOOK),
        (
            "news came after two empty looks",
            (looks(), news, looks(found=0), news, looks(found=0), news),
            Look(EMPTY_LOOK_PAUSE),
        ),
        ("a look failed", (looks(), news, look_begins), LOOK),
        ("it is quiet", (looks(), wait_passes), LookForSuspects()),
        ("suspects were looked for", (looks(), wait_passes, looks_for_suspects), LookAhead()),
        ("nothing will be due", IDLE, Wait(INTERVAL)),
        ("a retry will be due", (*IDLE[:3], looks_ahead(SOON)), Wait(SOON)),
        ("a retry will be due late", (*IDLE[:3], looks_ahead(2 * INTERVAL)), Wait(INTERVAL)),
        ("a retry is due by now", (*IDLE[:3], looks_ahead(AT_ONCE)), LOOK),
        ("it was woken while idle", (*IDLE, news), LOOK),
        ("news came while it looked ahead", (*IDLE[:3], news, looks_ahead(SOON)), LOOK),
        ("a slot is freed and more may be due", (looks(more=True), slot_freed(wakes=True)), LOOK),
        ("a slot is freed and no more is due", (looks(), slot_freed(wakes=False)), Wait(QUIET)),
        (
            "a slot is freed during a look and more may be due",
            (look_begins, slot_freed(wakes=False), look_ends(more=True)),
            LOOK,
        ),
        (
            "a slot is freed during a look and no more is due",
            (look_begins, slot_freed(wakes=False), look_ends()),
            Wait(QUIET),
        ),
        (
            "a slot is freed during the look of a sweep while idle, and more may be due",
            (*IDLE, look_begins, slot_freed(wakes=False), look_ends(more=True)),
            LOOK,
        ),
        (
            "a slot is freed after a look failed",
            (look_begins, look_fails, slot_freed(wakes=True)),
            LOOK,
        ),
        ("a slot is freed while a look is wanted", (news, slot_freed(wakes=True)), LOOK),
        ("a delivery ends while idle", (*IDLE, attempt_ends(wakes=False)), Wait(INTERVAL)),
        (
            "the last attempt ends while idle",
            (*IDLE, attempt_ends(wakes=True, none_in_flight=True)),
            LookForSuspects(),
        ),
        (
            "a failure while idle will be due again",
            (*IDLE, attempt_ends(wakes=True, will_be_due=True), looks_for_suspects),
            LookAhead(),
        ),
        (
            "a failure while it looks ahead will be due again",
            (*IDLE[:3], attempt_ends(wakes=True, will_be_due=True), looks_ahead(SOON)),
            LookForSuspects(),
        ),
        ("a suspect ends while idle", (*IDLE, suspect_ends), LookForSuspects()),
        ("a suspect ends while busy", (looks(), suspect_ends), LookForSuspects()),
        (
            "a suspect ended while idle, and the look for the next one failed",
            (*IDLE, suspect_ends, look_for_suspects_fails),
            LookForSuspects(),
        ),
        ("the next suspect was looked for", (looks(), suspect_ends, looks_for_suspects), Wait(QUIET)),
        (
            "a failure while busy is found when it is quiet",
            (looks(), attempt_ends(wakes=False, will_be_due=True)),
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
    assert scheduler.next_step(NOON, can_claim=True) == LOOK


def test_a_busy_loop_looks_for_suspects_every_second() -> None:
    scheduler = Scheduler(INTERVAL)
    looked: list[float] = []
    for tenths in range(40):
        now = NOON + timedelta(seconds=tenths / 10)
        scheduler.news()
        if scheduler.next_step(now, can_claim=True) == LookForSuspects():
            looked.append(tenths / 10)
            scheduler.look_for_suspects_began()
            scheduler.looked_for_suspects(now)
        assert isinstance(scheduler.next_step(now, can_claim=True), Look)
        scheduler.look_began()
        scheduler.look_ended(now, found=1, more_may_be_due=False)
    assert looked == [1, 2, 3]


def test_a_loop_without_free_slots_looks_for_suspects_every_second() -> None:
    scheduler = Scheduler(INTERVAL)
    looks(more=True)(scheduler)
    scheduler.news()
    assert scheduler.next_step(NOON, can_claim=False) == Wait(SUSPECTS_INTERVAL)
    scheduler.wait_passed(NOON + SUSPECTS_INTERVAL)
    # Though it can claim by now.
    assert scheduler.next_step(NOON + SUSPECTS_INTERVAL, can_claim=True) == LookForSuspects()


@pytest.mark.parametrize("set_back", [timedelta(days=365), timedelta(seconds=1)])
def test_a_clock_set_back_does_not_lengthen_the_pause(set_back: timedelta) -> None:
    scheduler = Scheduler(INTERVAL)
    looks(found=0)(scheduler)
    news(scheduler)
    assert scheduler.next_step(NOON - set_back, can_claim=True) == Look(EMPTY_LOOK_PAUSE)
    assert scheduler.next_step(NOON + EMPTY_LOOK_PAUSE, can_claim=True) == LOOK


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
    assert scheduler.next_step(now, can_claim=True) == LOOK


def test_a_slow_clock_causes_no_early_look() -> None:
    scheduler = Scheduler(INTERVAL)
    for event in IDLE:
        event(scheduler)
    early = timedelta(milliseconds=60)
    scheduler.wait_passed(NOON + INTERVAL - early)
    assert scheduler.next_step(NOON + INTERVAL - early, can_claim=True) == Wait(early)


EVENTS: tuple[Event, ...] = (
    Scheduler.news,
    Scheduler.look_began,
    looks(),
    looks(found=0, more=True),
    wait_passes,
    looks_for_suspects,
    looks_ahead(SOON),
    looks_ahead(),
    lambda scheduler: scheduler.slot_freed(NOON),
    lambda scheduler: scheduler.attempt_ended(NOON, will_be_due=True, none_in_flight=False),
    lambda scheduler: scheduler.attempt_ended(NOON, will_be_due=False, none_in_flight=True),
)


@given(st.lists(st.sampled_from(EVENTS), max_size=20), st.timedeltas(AT_ONCE, timedelta(days=1)))
def test_after_any_events_the_loop_looks_again_within_the_interval(
    events: list[Event], passed: timedelta
) -> None:
    scheduler = Scheduler(INTERVAL)
    for event in events:
        event(scheduler)
    now: datetime = NOON + passed
    step = scheduler.next_step(now, can_claim=True)
    if isinstance(step, Wait):
        assert timedelta(0) < step.longest <= INTERVAL
    # News is always followed by a look, possibly after one for suspects.
    scheduler.news()
    if scheduler.next_step(now, can_claim=True) == LookForSuspects():
        scheduler.look_for_suspects_began()
        scheduler.looked_for_suspects(now)
    assert isinstance(scheduler.next_step(now, can_claim=True), Look)

"""Typos are recognised; names that merely have the same form are not suggested."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.services.suggestions import nearest_id, nearest_name
from storage.ids import new_notification_id

IDS = [new_notification_id() for _ in range(50)]
WANTED = IDS[20]


SLIPS = {
    "one short": WANTED[:-1],
    "two swapped": f"{WANTED[:-2]}{WANTED[-1]}{WANTED[-2]}",
    "without the word": WANTED.removeprefix("notif-"),
    "another case": WANTED.upper().replace("NOTIF", "notif").lower(),
    "one wrong": f"{WANTED[:30]}x{WANTED[31:]}",
    "a full stop": f"{WANTED}.",
    "the beginning": WANTED[:30],
}
NO_SLIPS = {
    "nothing": "",
    "the word": "notif-",
    "another word": "notif-none",
    "a beginning of all": IDS[0][:14],
    "a megabyte": "x" * 1_000_000,
}


@pytest.mark.parametrize("slip", SLIPS)
def test_an_id_with_a_slip_is_recognised(slip: str) -> None:
    assert nearest_id(SLIPS[slip], IDS) == WANTED


@pytest.mark.parametrize("given", NO_SLIPS)
def test_no_id_is_offered_that_fits_no_better_than_others(given: str) -> None:
    assert nearest_id(NO_SLIPS[given], IDS) is None


def test_another_id_of_the_same_moment_is_no_slip() -> None:
    for _ in range(20):
        assert nearest_id(new_notification_id(), IDS) is None


@pytest.mark.parametrize("given", ["webhok", "WEBHOOK", "Webhooks", "web-hook"])
def test_a_name_is_recognised_whatever_its_case(given: str) -> None:
    assert nearest_name(given, ["Slack", "Webhook", "Email"]) == "Webhook"


def test_of_the_names_that_it_is_a_part_of_the_shortest_is_meant() -> None:
    names = ["requeue_notifications", "requeue_notification", "send_notification"]
    assert nearest_name("Requeue", names) == "requeue_notification"
    assert nearest_name("notification", names) == "send_notification"
    assert nearest_name("not", names) is None


@pytest.mark.parametrize("given", ["", "fax", "x" * 1_000_000], ids=["nothing", "another", "a megabyte"])
def test_a_name_like_no_other_is_not(given: str) -> None:
    assert nearest_name(given, ["Slack", "Webhook", "Email"]) is None


@given(st.text(), st.lists(st.text()))
def test_what_is_offered_is_there(given: str, names: list[str]) -> None:
    assert nearest_name(given, names) in {*names, None}
    assert nearest_id(given, names) in {*names, None}

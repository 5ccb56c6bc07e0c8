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
def test_an_id_with_a_typo_is_recognised(slip: str) -> None:
    assert nearest_id(SLIPS[slip], IDS) == WANTED


@pytest.mark.parametrize("given", NO_SLIPS)
def test_no_id_is_suggested_if_several_match_equally_well(given: str) -> None:
    assert nearest_id(NO_SLIPS[given], IDS) is None


def test_another_id_of_the_same_moment_is_not_a_typo() -> None:
    for _ in range(20):
        assert nearest_id(new_notification_id(), IDS) is None


@pytest.mark.parametrize("given", ["webhok", "WEBHOOK", "Webhooks", "web-hook"])
def test_a_name_is_recognised_whatever_its_case(given: str) -> None:
    assert nearest_name(given, ["Slack", "Webhook", "Email"]) == "Webhook"


def test_for_a_part_of_several_names_the_shortest_is_suggested() -> None:
    names = ["requeue_notifications", "requeue_notification", "send_notification"]
    assert nearest_name("Requeue", names) == "requeue_notification"
    assert nearest_name("notification", names) == "send_notification"
    assert nearest_name("not", names) is None


@pytest.mark.parametrize("given", ["", "fax", "x" * 1_000_000], ids=["nothing", "another", "a megabyte"])
def test_a_name_without_a_similar_one_has_no_suggestion(given: str) -> None:
    assert nearest_name(given, ["Slack", "Webhook", "Email"]) is None


@given(st.text(), st.lists(st.text()))
def test_only_existing_values_are_suggested(given: str, names: list[str]) -> None:
    assert nearest_name(given, names) in {*names, None}
    assert nearest_id(given, names) in {*names, None}

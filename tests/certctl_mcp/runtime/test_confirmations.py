"""A token confirms only what it was issued for, and only for a while."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.runtime.confirmations import (
    LIFETIME,
    ConfirmationError,
    Confirmations,
    Purpose,
    moment_of_preview,
    read_token,
)
from tests.builders import NOON

SUBJECT = 'requeue {"channel":"Slack"}'


@given(
    st.integers(min_value=1, max_value=10**9),
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),
    st.text(),
)
def test_a_token_contains_its_count_and_time_and_matches_its_subject(
    count: int, naive: datetime, subject: str
) -> None:
    now = naive.replace(tzinfo=NOON.tzinfo)
    confirmations = Confirmations()
    moment = moment_of_preview(now)
    assert timedelta(0) < moment - now <= timedelta(milliseconds=1)
    confirmation = read_token(confirmations.token(subject, count, moment, caller="ops"), now)
    assert (confirmation.count, confirmation.moment) == (count, moment)
    confirmations.verify(confirmation, subject, caller="ops")


def test_a_token_confirms_nothing_else() -> None:
    confirmations, moment = Confirmations(), moment_of_preview(NOON)
    token = confirmations.token(SUBJECT, 3, moment, caller="ops")
    for other, subject in (
        (token, SUBJECT + " "),
        (token.replace("3-", "4-", 1), SUBJECT),
        (Confirmations().token(SUBJECT, 3, moment, caller="ops"), SUBJECT),
        (
            confirmations.token(SUBJECT, 3, moment, caller="ops")[:-1] + ("a" if token[-1] != "a" else "b"),
            SUBJECT,
        ),
    ):
        with pytest.raises(ConfirmationError, match="other arguments, to another caller, or by an"):
            confirmations.verify(read_token(other, NOON), subject, caller="ops")


@pytest.mark.parametrize("purpose", Purpose)
def test_only_the_caller_that_a_token_was_issued_to_can_use_it(purpose: Purpose) -> None:
    confirmations, moment = Confirmations(), moment_of_preview(NOON)
    token = confirmations.token(SUBJECT, 3, moment, caller="http:ops", purpose=purpose)
    confirmation = read_token(token, NOON)
    assert confirmations.verify(confirmation, SUBJECT, caller="http:ops") is purpose
    for other in ("http:board", "http:ops ", "", "stdio"):
        with pytest.raises(ConfirmationError, match="to another caller"):
            confirmations.verify(confirmation, SUBJECT, caller=other)


def test_a_token_can_be_used_once() -> None:
    confirmations, moment = Confirmations(), moment_of_preview(NOON)
    spent, other = (
        read_token(confirmations.token(SUBJECT, count, moment, caller="ops"), NOON) for count in (3, 4)
    )
    confirmations.spend(spent)
    with pytest.raises(ConfirmationError, match="has been used"):
        confirmations.verify(spent, SUBJECT, caller="ops")
    confirmations.verify(other, SUBJECT, caller="ops")


def test_a_token_is_valid_only_within_its_lifetime() -> None:
    moment = moment_of_preview(NOON)
    token = Confirmations().token(SUBJECT, 3, moment, caller="ops")
    assert read_token(token, moment + LIFETIME - timedelta(milliseconds=1)).count == 3
    for when in (moment + LIFETIME, NOON - timedelta(seconds=1)):
        with pytest.raises(ConfirmationError, match="older than 10 minutes"):
            read_token(token, when)


@pytest.mark.parametrize(
    "token", ["", "yes", "3-0-", "3-ffffffffffff-" + "a" * 16, "-1-0-" + "a" * 16, "٣-0-" + "a" * 16]
)
def test_an_invalid_token_is_refused(token: str) -> None:
    with pytest.raises(ConfirmationError):
        read_token(token, NOON)

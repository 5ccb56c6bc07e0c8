from dataclasses import replace

import pytest

from certctl_mcp.notifiers.idempotency import idempotency_key
from tests.builders import notification


@pytest.mark.parametrize(
    "plain", ["notif-01890a5d-ac96-774b-bcce-b302099a8057", "notif-17", "a", "a.b_c-D", "x" * 200]
)
def test_an_ordinary_id_is_its_own_key(plain: str) -> None:
    assert idempotency_key(notification(id=plain)) == plain


@pytest.mark.parametrize(
    "strange", ["", " ", "a b", "a\r\nX-Evil: 1", "a@b", "<a>", "..", "é", "\ud800", "x" * 201, "a\n"]
)
def test_an_id_that_no_receiver_accepts_has_a_derived_key(strange: str) -> None:
    key = idempotency_key(replace(notification(id="x"), id=strange))
    assert key.startswith("notif-")
    assert key.removeprefix("notif-").isalnum()
    assert key != idempotency_key(notification(id=strange.strip() + "other"))


def test_the_key_is_the_same_for_every_attempt() -> None:
    assert idempotency_key(notification(id="a b", retry_count=0)) == idempotency_key(
        notification(id="a b", retry_count=3)
    )

"""Whether an alert still matters, judged by the certificate that it is about."""

from datetime import timedelta

import pytest

from certctl_mcp.services.filters import URGENT_WITHIN
from certctl_mcp.services.urgency import certificate_text, urgency_text
from storage.database import Database
from storage.models import CertificateState, NotificationFilter, NotificationStatus, Urgency, UrgencyCounts
from tests.builders import NOON, Queue
from tests.storage.raw_sql import run

DEAD = NotificationFilter(statuses=(NotificationStatus.DEAD,))
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("standing", "text"),
    [
        ({"revoked": True, "expires_at": NOON}, "revoked"),
        ({"renewed": True, "expires_at": NOON + DAY}, "renewed since"),
        ({"expires_at": NOON + 5 * DAY}, "expires in 5 days"),
        ({"expires_at": NOON + DAY}, "expires in 1 day"),
        ({"expires_at": NOON + 3 * DAY / 24}, "expires in 3 hours"),
        ({"expires_at": NOON + timedelta(seconds=1)}, "expires in 1 minute"),
        ({"expires_at": NOON - 2 * DAY}, "expired 2 days ago"),
        ({}, None),
    ],
)
def test_the_state_of_a_certificate_is_described_briefly(
    standing: dict[str, object], text: str | None
) -> None:
    assert certificate_text(CertificateState.model_validate(standing), NOON) == text


def test_dead_letters_that_still_matter_are_described_in_one_sentence() -> None:
    counts = UrgencyCounts(settled=180, open=32, urgent=5)
    assert urgency_text(212, counts, beside_certctl=True) == (
        "Of 212 dead letters, 180 are about certificates renewed or revoked since; 32 still expire, 5 of "
        "them within a day or already."
    )
    assert urgency_text(212, counts, beside_certctl=False) == (
        "Of 212 dead letters, 180 are about certificates renewed since; no renewal is known for 32."
    )
    open_only = UrgencyCounts(settled=0, open=3, urgent=0)
    assert urgency_text(5, open_only, beside_certctl=False) == (
        "Of 5 dead letters, 3 are about certificates for which no renewal is known."
    )
    assert urgency_text(1, UrgencyCounts(settled=0, open=0, urgent=0), beside_certctl=True) is None


@pytest.mark.both_databases
async def test_without_certctls_tables_a_later_success_means_no_urgency(queue: Queue) -> None:
    renewed = await queue.dead(certificate_id="mc-1")
    still_open = await queue.dead(certificate_id="mc-2")
    about_none = await queue.dead()
    queue.clock.advance(DAY)
    await queue.sent(certificate_id="mc-1", type="RenewalSuccess")
    repository = queue.repository
    for urgency, expected in (
        (Urgency.SETTLED, [renewed.id]),
        (Urgency.OPEN, [still_open.id]),
        (Urgency.URGENT, [still_open.id]),
    ):
        wanted = DEAD.model_copy(update={"urgency": urgency, "urgent_until": queue.clock() + URGENT_WITHIN})
        assert [n.id for n in (await repository.list(wanted)).items] == expected
        assert await repository.count(wanted) == 1
    standings = await repository.certificate_states([renewed, still_open, about_none])
    assert {each: standing.renewed for each, standing in standings.items()} == {renewed.id: True}
    counts = await repository.urgency_counts(DEAD, until=queue.clock() + URGENT_WITHIN)
    assert counts == UrgencyCounts(settled=1, open=1, urgent=1)


@pytest.mark.both_databases
async def test_certctls_table_decides_what_is_urgent(
    queue: Queue, database: Database, database_url: str
) -> None:
    moment = "TEXT" if database_url.startswith("sqlite") else "TIMESTAMPTZ"
    columns = f"id TEXT, status TEXT, expires_at {moment}, last_renewal_at {moment}"
    run(database_url, f"CREATE TABLE managed_certificates ({columns})")
    stamp = "%Y-%m-%dT%H:%M:%S.000000+00:00"
    for name, status, expires_in, renewed_in in (
        ("revoked", "Revoked", DAY / 2, None),
        ("renewed", "Active", 90 * DAY, DAY / 48),
        ("soon", "Expiring", DAY / 2, -90 * DAY),
        ("later", "Active", 5 * DAY, None),
    ):
        renewal = "NULL" if renewed_in is None else f"'{NOON + renewed_in:{stamp}}'"
        run(
            database_url,
            f"INSERT INTO managed_certificates VALUES ('{name}', '{status}', '{NOON + expires_in:{stamp}}', "
            f"{renewal})",
        )
    database.shared_with_certctl = True
    made = {name: await queue.dead(certificate_id=name) for name in ("revoked", "renewed", "soon", "later")}
    repository, until = queue.repository, NOON + URGENT_WITHIN

    async def found(urgency: Urgency) -> set[str | None]:
        wanted = DEAD.model_copy(update={"urgency": urgency, "urgent_until": until})
        return {n.certificate_id for n in (await repository.list(wanted)).items}

    assert await found(Urgency.SETTLED) == {"revoked", "renewed"}
    assert await found(Urgency.OPEN) == {"soon", "later"}
    assert await found(Urgency.URGENT) == {"soon"}
    assert await repository.urgency_counts(DEAD, until=until) == UrgencyCounts(settled=2, open=2, urgent=1)
    standings = await repository.certificate_states(list(made.values()))
    texts = {name: certificate_text(standings[n.id], NOON) for name, n in made.items()}
    assert texts == {
        "revoked": "revoked",
        "renewed": "renewed since",
        "soon": "expires in 12 hours",
        "later": "expires in 5 days",
    }

"""How urgent notifications are, judging by their certificates, in plain English."""

from datetime import datetime, timedelta

from storage.models import CertificateState, UrgencyCounts

_UNITS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def certificate_text(state: CertificateState, now: datetime) -> str | None:
    """Such as `expires in 5 days`; None if nothing is known that matters."""
    if state.revoked:
        return "revoked"
    if state.renewed:
        return "renewed since"
    if state.expires_at is None:
        return None
    if state.expires_at <= now:
        return f"expired {_span(now - state.expires_at)} ago"
    return f"expires in {_span(state.expires_at - now)}"


def urgency_text(dead: int, counts: UrgencyCounts, *, beside_certctl: bool) -> str | None:
    """How many of the dead letters still matter; None if none is about a certificate."""
    if not counts.settled + counts.open:
        return None
    of_all = f"Of {dead:,} dead letter{'' if dead == 1 else 's'},"
    if not beside_certctl and not counts.settled:
        are = "is" if counts.open == 1 else "are"
        return f"{of_all} {counts.open:,} {are} about certificates for which no renewal is known."
    settled = f"{counts.settled:,} {'is' if counts.settled == 1 else 'are'} about certificates renewed"
    if not beside_certctl:
        return f"{of_all} {settled} since; no renewal is known for {counts.open:,}."
    expire = f"{counts.open:,} still {'expires' if counts.open == 1 else 'expire'}"
    return (
        f"{of_all} {settled} or revoked since; {expire}, {counts.urgent:,} of them within a day or already."
    )


def _span(duration: timedelta) -> str:
    unit, name = next((each for each in _UNITS if duration >= each[0]), _UNITS[-1])
    number = max(1, duration // unit)
    return f"{number} {name}{'' if number == 1 else 's'}"

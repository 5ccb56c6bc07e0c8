"""Questions about counts."""

from collections import Counter
from datetime import timedelta

from tests.evaluation.assistant import Assistant
from tests.evaluation.night import CHANNELS, Night
from tests.evaluation.question import Answer, Question


class HowManyAreDead(Question):
    asked = "How many alerts are among the dead letters right now?"
    calls = 1
    tokens = 250

    async def happened(self, night: Night) -> Answer:
        dead = night.chance.randint(5, 30)
        night.hour(3)
        await night.dead(dead, "HTTP 500")
        await night.failing(7, "HTTP 500")
        await night.delivered(4)
        return dead

    async def reference(self, assistant: Assistant) -> Answer:
        return (await assistant.call("dashboard_summary"))["notifications_dead"]


class HowManyNeverArrived(Question):
    asked = "How many alerts count as sent though nothing was delivered?"
    calls = 1
    tokens = 200

    async def happened(self, night: Night) -> Answer:
        number = night.chance.randint(2, 9)
        night.hour(3)
        await night.skipped(number, "no notifier configured for channel Fax; not delivered", channel="Fax")
        await night.delivered(5)
        return number

    async def reference(self, assistant: Assistant) -> Answer:
        return (await assistant.call("dashboard_summary"))["notifications_undelivered"]


class HowManyOfOneKind(Question):
    asked = "How many deployment failures for Slack were accepted since midnight?"
    calls = 1
    tokens = 250

    async def happened(self, night: Night) -> Answer:
        number = night.chance.randint(3, 25)
        night.hour(2)
        await night.delivered(6, channel="Slack", type="DeploymentFailure")
        night.hour(5)
        await night.delivered(number, channel="Slack", type="DeploymentFailure")
        await night.delivered(4, channel="Slack", type="RenewalFailure")
        await night.delivered(3, channel="Email", type="DeploymentFailure")
        return number

    async def reference(self, assistant: Assistant) -> Answer:
        found = await assistant.call(
            "list_notifications",
            channel="Slack",
            type="DeploymentFailure",
            created_after="8h",
            limit=1,
        )
        return found["total"]


class WhichCertificateSuffersMost(Question):
    asked = "Which certificate has the most dead alerts?"
    calls = 1
    tokens = 2500

    async def happened(self, night: Night) -> Answer:
        night.hour(4)
        certificates = ["mc-a", "mc-b", "mc-c", "mc-d"]
        worst = night.chance.choice(certificates)
        for certificate in certificates:
            number = 9 if certificate == worst else night.chance.randint(2, 6)
            await night.dead(number, "HTTP 503", certificate_id=certificate)
        return worst

    async def reference(self, assistant: Assistant) -> Answer:
        dead = await assistant.pages(status="dead", form="detailed")
        return Counter(alert["untrusted"]["certificate_id"] for alert in dead).most_common(1)[0][0]


class IsAnythingStuck(Question):
    asked = "Is anything still waiting for its first attempt, and since when does the oldest wait?"
    calls = 1
    tokens = 400

    async def happened(self, night: Night) -> Answer:
        night.hour(5 + night.chance.random())
        (oldest,) = await night.accepted()
        night.clock.advance(timedelta(minutes=20))
        await night.accepted(3)
        return oldest.created_at.isoformat()[:19] + "Z"

    async def reference(self, assistant: Assistant) -> Answer:
        waiting = await assistant.pages(status="pending")
        return min(alert["created_at"] for alert in waiting)


class WhichChannelHasTheMostDead(Question):
    asked = "Which channel has the most dead letters, and how many?"
    calls = 1
    tokens = 750

    async def happened(self, night: Night) -> Answer:
        worst = night.chance.choice(CHANNELS)
        night.hour(4)
        for channel in CHANNELS:
            await night.dead(
                20 if channel == worst else night.chance.randint(1, 9), "HTTP 503", channel=channel
            )
        return worst, 20

    async def reference(self, assistant: Assistant) -> Answer:
        groups = (await assistant.call("diagnose_dead_letters"))["groups"]
        dead: Counter[str] = Counter()
        for group in groups:
            dead[group["untrusted"]["channel"]] += group["dead"]
        return dead.most_common(1)[0]

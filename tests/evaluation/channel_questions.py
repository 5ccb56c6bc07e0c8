"""Questions about channels: what failed, since when, and whether it works again."""

from datetime import datetime, timedelta

from tests.evaluation.assistant import Assistant
from tests.evaluation.night import CHANNELS, Night
from tests.evaluation.question import Answer, Question

CAUSES = {
    "credentials": "HTTP 401 from hooks.example.com: invalid token",
    "timeout": "no answer from hooks.example.com within 30 s",
    "outage": "HTTP 503 from hooks.example.com: service unavailable",
    "dns": "the name of hooks.example.com:443 could not be resolved: Name or service not known",
}


class WhichDiedAndWhy(Question):
    asked = "Which alerts died last night, and why?"
    calls = 1
    tokens = 600

    async def happened(self, night: Night) -> Answer:
        channels = night.chance.sample(CHANNELS, 3)
        causes = night.chance.sample(sorted(CAUSES), 3)
        expected = set()
        for channel, cause in zip(channels, causes, strict=True):
            number = night.chance.randint(3, 12)
            night.hour(2)
            await night.dead(number, CAUSES[cause], channel=channel)
            expected.add((channel, cause, number))
        return expected

    async def reference(self, assistant: Assistant) -> Answer:
        diagnosis = await assistant.call("diagnose_dead_letters", created_after="12h")
        return {
            (group["untrusted"]["channel"], group["kind"], group["dead"]) for group in diagnosis["groups"]
        }


class IsItOver(Question):
    asked = "PagerDuty was down. Is it delivering again?"
    calls = 1
    tokens = 220

    async def happened(self, night: Night) -> Answer:
        night.hour(3)
        await night.delivered(2, channel="PagerDuty")
        night.hour(4)
        await night.dead(5, "HTTP 503", channel="PagerDuty")
        over = night.chance.random() < 0.5
        night.hour(6)
        if over:
            await night.delivered(1, channel="PagerDuty")
        else:
            await night.failing(1, "HTTP 503", channel="PagerDuty")
        return over

    async def reference(self, assistant: Assistant) -> Answer:
        channels = (await assistant.call("list_channels"))["channels"]
        day = next(channel["last_day"] for channel in channels if channel["name"] == "PagerDuty")
        return bool(day["last_sent_at"] > day["last_failed_at"])


class WhenWasTheOutage(Question):
    asked = "When did Slack's outage begin and end, and how many alerts did it cost?"
    calls = 1
    tokens = 250

    async def happened(self, night: Night) -> Answer:
        first = night.hour(3 + night.chance.random())
        await night.dead(4, CAUSES["outage"], channel="Slack")
        last = night.hour(4.5 + night.chance.random())
        await night.dead(2, CAUSES["outage"], channel="Slack")
        night.hour(8)
        await night.dead(3, CAUSES["timeout"], channel="Email")
        return _second(first), _second(last), 6

    async def reference(self, assistant: Assistant) -> Answer:
        (outage,) = (await assistant.call("diagnose_dead_letters", channel="Slack"))["groups"]
        return outage["first_at"], outage["last_at"], outage["dead"]


class HowReliable(Question):
    asked = "How reliable was each channel over the last day, as the share of attempts that succeeded?"
    calls = 1
    tokens = 400

    async def happened(self, night: Night) -> Answer:
        night.hour(2)
        rates = {}
        for channel in CHANNELS:
            sent = night.chance.randint(1, 9)
            await night.delivered(sent, channel=channel)
            await night.dead(10 - sent, "HTTP 400", channel=channel)
            rates[channel] = sent / 10
        return rates

    async def reference(self, assistant: Assistant) -> Answer:
        report = await assistant.call("delivery_report", period="24h")
        return {row["untrusted"]["channel"]: row["success_rate"] for row in report["channels"]}


class WhichIsSlow(Question):
    asked = "Which channel is slowest to deliver, by its 95th percentile?"
    calls = 1
    tokens = 350

    async def happened(self, night: Night) -> Answer:
        slow = night.chance.choice(CHANNELS)
        for hour, channel in enumerate(CHANNELS, 1):
            night.hour(hour)
            after = timedelta(seconds=90 if channel == slow else night.chance.randint(1, 20))
            await night.delivered(4, after=after, channel=channel)
        return slow

    async def reference(self, assistant: Assistant) -> Answer:
        report = await assistant.call("delivery_report", period="24h")
        slowest = max(report["channels"], key=lambda row: row["p95_seconds"])
        return slowest["untrusted"]["channel"]


def _second(moment: datetime) -> str:
    return f"{moment.isoformat()[:19]}Z"

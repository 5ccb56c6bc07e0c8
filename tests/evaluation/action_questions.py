"""Questions that request an action on certain notifications and no others."""

from tests.evaluation.assistant import Assistant
from tests.evaluation.night import CHANNELS, Night
from tests.evaluation.question import Answer, Question


class RequeueThoseForOneChannel(Question):
    asked = "Requeue the dead alerts for PagerDuty. How many were there, and which dead ones are left?"
    calls = 3
    tokens = 450

    async def happened(self, night: Night) -> Answer:
        night.hour(4)
        left = {}
        for channel in CHANNELS:
            number = night.chance.randint(2, 20)
            await night.dead(number, "HTTP 503", channel=channel)
            left[channel] = number
        return left.pop("PagerDuty"), sum(left.values())

    async def reference(self, assistant: Assistant) -> Answer:
        preview = await assistant.call("requeue_notifications", channel="PagerDuty")
        done = await assistant.call(
            "requeue_notifications", channel="PagerDuty", confirmation=preview["confirmation"]
        )
        summary = await assistant.call("dashboard_summary")
        return done["changed"], summary["notifications_dead"]


class SettleWhatIsObsolete(Question):
    asked = "old.example.com is gone: settle the dead alerts that mention it. How many were there?"
    calls = 2
    tokens = 260

    async def happened(self, night: Night) -> Answer:
        night.hour(4)
        number = night.chance.randint(2, 9)
        await night.dead(number, "HTTP 503", message="old.example.com expires in 1 day")
        await night.dead(4, "HTTP 503", message="new.example.com expires in 1 day")
        return number

    async def reference(self, assistant: Assistant) -> Answer:
        wanted = {"status": ["dead"], "text": "old.example.com"}
        preview = await assistant.call("mark_notifications_read", **wanted)
        done = await assistant.call("mark_notifications_read", **wanted, confirmation=preview["confirmation"])
        return done["changed"]


class DoesTheChannelWork(Question):
    asked = "Does the Email channel work now? Send a test to ops@example.com."
    calls = 1
    tokens = 100

    async def happened(self, night: Night) -> Answer:
        works = night.chance.random() < 0.5
        night.destinations["Email"].refusal = None if works else "the relay refused the login"
        return works

    async def reference(self, assistant: Assistant) -> Answer:
        test = await assistant.call("send_test_notification", channel="Email", recipient="ops@example.com")
        return test["delivered"]

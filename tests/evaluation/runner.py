"""Asks a question with a real client of the real server, on a database with a night's alerts."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from mcp import Client

from certctl_mcp.config.settings import load_settings
from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock
from tests.evaluation.assistant import Assistant
from tests.evaluation.night import CHANNELS, MORNING, Night
from tests.evaluation.question import Answer, Question
from tests.in_process_server import FakeNotifier, server


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, the right answer, and the cost."""

    answer: Answer
    right: Answer
    calls: int
    tokens: int


async def ask(question: Question, directory: Path, seed: int) -> Outcome:
    """Ask about a night that depends on the seed."""
    url = f"sqlite:///{directory / f'{type(question).__name__}-{seed}.db'}"
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": url})
    destinations = {channel: FakeNotifier() for channel in CHANNELS}
    clock = SettableClock()
    async with Database.open(url, clock=clock) as database:
        queue = Queue(NotificationRepository(database), clock)
        night = Night(queue, clock, Random(seed), destinations)
        right = await question.happened(night)
        night.hour(MORNING)
        async with Client(server(database, clock, settings, destinations)) as client:
            assistant = Assistant(client)
            answer = await question.reference(assistant)
    return Outcome(answer, right, assistant.calls, assistant.tokens)

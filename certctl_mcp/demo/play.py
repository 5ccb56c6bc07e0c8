"""The acts of the demo, in order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from mcp.shared.exceptions import MCPError

from certctl_mcp.demo.alerts import ALERTS, BAD_MAIL, GONE, PAGERDUTY, REDIRECTED_MAIL, Alert
from certctl_mcp.demo.assistant import Assistant, ToolRefusedError
from certctl_mcp.demo.ledger import Ledger
from certctl_mcp.demo.narrator import Narrator
from certctl_mcp.demo.proof import check_deliveries
from certctl_mcp.demo.queue_watch import QueueWatch
from certctl_mcp.demo.receivers import Receivers, open_receivers
from certctl_mcp.demo.server_process import LOG, serving

TIME_LIMIT = 60.0
"""Seconds. An idle machine needs less than twenty."""

_INTRODUCTION = """\
A real certctl-mcp server, in its own process with its database on disk, delivers alerts to an SMTP \
server and four HTTP receivers on this machine. They misbehave. The retry schedule is \
sped up so that one minute takes half a second: the queue waits 0.5 s after the first failure, then 1, 2 \
and 4 s. After the fifth failure an alert is a dead letter."""

_FAULTS = """\
Slack is overloaded and asks to be retried after 2 s. The webhook hangs, and an attempt times out after 2 s. \
PagerDuty is down: its port refuses connections. One mailbox and one endpoint no longer exist."""

_PROVEN = """\
Every alert that could be delivered was delivered, and none was lost. Every attempt of an alert carried the \
same idempotency key. The server has exited, and all files have been removed."""


async def play(narrator: Narrator) -> bool:
    """Run the demo. Returns whether the receivers' records confirm it. Cleans up even when cancelled."""
    narrator.title("certctl-mcp demo")
    narrator.narrate(_INTRODUCTION)
    with TemporaryDirectory(prefix="certctl-mcp-demo-") as name:
        directory = Path(name)
        problems: list[str] = []
        try:
            with anyio.move_on_after(TIME_LIMIT) as limit:
                problems += await _perform(directory, narrator)
            if limit.cancelled_caught:
                problems.append(f"the demo did not end within {TIME_LIMIT:g} s")
        except* (MCPError, OSError, ToolRefusedError) as failures:
            problems += _causes(failures)
        if problems:
            log = directory / LOG
            narrator.failure(problems, log.read_text() if log.exists() else "")
    if not problems:
        narrator.narrate(_PROVEN, "green")
    return not problems


async def _perform(directory: Path, narrator: Narrator) -> Sequence[str]:
    """Perform all acts. Returns the problems that the receivers' records show."""
    ledger = Ledger(narrator.arrival)
    sent: dict[str, Alert] = {}
    async with open_receivers(ledger) as receivers, serving(directory, receivers) as client:
        assistant = Assistant(client, narrator)
        watch = QueueWatch(assistant, narrator, sent)
        await _accept(assistant, narrator, sent)
        await _misbehave(watch, narrator)
        await _triage(assistant, narrator, sent)
        await _repair(assistant, watch, receivers, narrator, sent)
    return _confirm(narrator, sent, ledger)


async def _accept(assistant: Assistant, narrator: Narrator, sent: dict[str, Alert]) -> None:
    narrator.title("1. Six alerts are accepted")
    # The first alerts are delivered while the others are still being sent.
    narrator.hold_arrivals()
    narrator.narrate("Each is durable when the call returns. This is how an MCP client sends the first:")
    for alert in ALERTS:
        sent[await assistant.send(alert, shown=alert is ALERTS[0])] = alert
    narrator.narrate("Five more follow.")


async def _misbehave(watch: QueueWatch, narrator: Narrator) -> None:
    narrator.title("2. The receivers misbehave, and the queue retries")
    narrator.narrate(_FAULTS)
    narrator.show_arrivals()
    await watch.until_none_is_due()


async def _triage(assistant: Assistant, narrator: Narrator, sent: Mapping[str, Alert]) -> None:
    narrator.title("3. An assistant examines the dead letters")
    await assistant.summarize()
    await assistant.list_dead()
    await assistant.explain(_id_of(PAGERDUTY, sent))


async def _repair(
    assistant: Assistant, watch: QueueWatch, receivers: Receivers, narrator: Narrator, sent: dict[str, Alert]
) -> None:
    narrator.title("4. PagerDuty is repaired, and its alert is requeued")
    await receivers.pagerduty.listen()
    await assistant.requeue(_id_of(PAGERDUTY, sent))
    await watch.until_none_is_due()
    await assistant.explain(_id_of(PAGERDUTY, sent))
    narrator.title("5. Alerts that can't be delivered are settled")
    narrator.narrate("The mail is sent to a working address instead; both dead letters are marked as read.")
    sent[await assistant.send(REDIRECTED_MAIL, shown=True)] = REDIRECTED_MAIL
    await watch.until_none_is_due()
    await assistant.settle(_id_of(BAD_MAIL, sent))
    await assistant.settle(_id_of(GONE, sent))
    await assistant.summarize()


def _confirm(narrator: Narrator, sent: Mapping[str, Alert], ledger: Ledger) -> Sequence[str]:
    narrator.title("6. The proof, from the receivers' own records")
    narrator.narrate("How many requests each receiver got, and how many it accepted:")
    findings = check_deliveries(sent, ledger.arrivals)
    narrator.findings(findings)
    return [f"{finding.alert.label}: {finding.problem}" for finding in findings if finding.problem]


def _id_of(alert: Alert, sent: Mapping[str, Alert]) -> str:
    return next(notification for notification, known in sent.items() if known is alert)


def _causes(failure: BaseException) -> list[str]:
    """The errors inside nested exception groups."""
    if isinstance(failure, BaseExceptionGroup):
        return [cause for inner in failure.exceptions for cause in _causes(inner)]
    return [f"{type(failure).__name__}: {failure}"]

"""Completions offer existing values that may be shown, up to the protocol's limit."""

from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp.client.client import ConnectMode
from mcp_types import INVALID_PARAMS, Completion, PromptReference, ResourceTemplateReference

from tests.builders import Queue
from tests.certctl_mcp.conftest import MODERN, MODES, Connect
from tests.storage.raw_sql import insert_row

ONE = ResourceTemplateReference(uri="certctl://notifications/{id}")
SEVERAL = ResourceTemplateReference(uri="certctl://notifications{?status,channel,type}")
TRIAGE = PromptReference(name="triage_dead_letters")
CHECK = PromptReference(name="check_channel")


async def complete(
    client: Client, ref: PromptReference | ResourceTemplateReference, name: str, typed: str
) -> Completion:
    return (await client.complete(ref, {"name": name, "value": typed})).completion


@pytest.mark.parametrize("mode", MODES)
async def test_ids_are_completed_in_the_form_in_which_they_are_shown(
    connect: Connect, queue: Queue, database_path: Path, mode: ConnectMode
) -> None:
    accepted = await queue.pending()
    insert_row(database_path, id="ops/first alert")
    insert_row(database_path, id="x" * 300)
    async with connect(mode) as client:
        found = await complete(client, ONE, "id", accepted.id[:10])
        assert (found.values, found.total, found.has_more) == ([accepted.id], 1, False)
        for typed in ("ops/", "ops%2F"):
            assert (await complete(client, ONE, "id", typed)).values == ["ops%2Ffirst%20alert"]
        # This id could only be shown truncated.
        assert (await complete(client, ONE, "id", "x")).values == []
        assert (await complete(client, ONE, "id", "%00")).values == []


async def test_the_number_of_values_is_limited(connect: Connect, queue: Queue) -> None:
    for _ in range(101):
        await queue.pending()
    async with connect(MODERN) as client:
        found = await complete(client, ONE, "id", "notif-")
        assert (len(found.values), found.has_more) == (100, True)


async def test_only_names_from_the_operator_or_certctl_are_offered(connect: Connect, queue: Queue) -> None:
    await queue.pending(channel="Slow lane", type="RenewalStuck")
    async with connect(MODERN) as client:
        assert (await complete(client, SEVERAL, "status", "")).values == [
            "pending",
            "sent",
            "failed",
            "dead",
            "read",
            "other",
        ]
        assert (await complete(client, SEVERAL, "status", "DE")).values == ["dead"]
        channels = await complete(client, SEVERAL, "channel", "sl")
        assert (channels.values, channels.total) == (["Slack"], 1)
        assert (await complete(client, SEVERAL, "type", "renewal")).values == [
            "RenewalSuccess",
            "RenewalFailure",
        ]
        # Names that begin with the text come before those that only contain it.
        assert (await complete(client, SEVERAL, "type", "re")).values[0] == "RenewalSuccess"
        assert (await complete(client, SEVERAL, "type", "failure")).values == [
            "RenewalFailure",
            "DeploymentFailure",
        ]


@pytest.mark.parametrize("mode", MODES)
async def test_prompt_arguments_are_completed_with_values_that_the_prompt_accepts(
    connect: Connect, queue: Queue, mode: ConnectMode
) -> None:
    await queue.pending(channel="Slow lane")
    async with connect(mode) as client:
        assert (await complete(client, CHECK, "channel", "s")).values == ["Slack"]
        for since in (await complete(client, TRIAGE, "since", "")).values:
            await client.get_prompt("triage_dead_letters", {"since": since})


@pytest.mark.parametrize("mode", MODES)
async def test_the_error_for_an_unsupported_completion_explains_it(
    connect: Connect, mode: ConnectMode
) -> None:
    async with connect(mode) as client:
        for ref, name, wrong in (
            (PromptReference(name="triage_dead_leters"), "since", "did you mean 'triage_dead_letters'?"),
            (TRIAGE, "when", "There is no argument 'when'"),
            (ONE, "number", "There is no part 'number'"),
            (SEVERAL, "state", "did you mean 'status'?"),
            (ResourceTemplateReference(uri="certctl://nothing/{id}"), "id", "certctl://notifications/{id}"),
        ):
            with pytest.raises(MCPError) as refused:
                await complete(client, ref, name, "")
            assert refused.value.error.code == INVALID_PARAMS
            assert wrong in refused.value.error.message

"""No result exceeds its token budget, whatever its texts contain, and long texts can be read to the end."""

import base64
import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from certctl_mcp.mcp_server.answer_budget import MAX_TOKENS, fitted, text_page
from tests.builders import Queue
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant
from tests.storage.raw_sql import insert_row
from tests.tokens import tokens

LENGTH = 16_000
CHANCE = random.Random(7)


def of(alphabet: str, length: int = LENGTH) -> str:
    return "".join(CHANCE.choices(alphabet, k=length))


PROSE = "The certificate api.example.com expires in 7 days; renewal failed with HTTP 503 from the server. "
TEXTS = {
    "prose": (PROSE * 200)[:LENGTH],
    "base64": base64.b64encode(CHANCE.randbytes(LENGTH * 3 // 4)).decode(),
    "hexadecimal": CHANCE.randbytes(LENGTH // 2).hex(),
    "letters": of(string.ascii_lowercase),
    "consonants": of("bcdfghjklmnpqrstvwxz"),
    "capitals": of(string.ascii_uppercase),
    "digits": of(string.digits),
    "punctuation": of(string.punctuation),
    "quotes and backslashes": of('"\\'),
    "terminal sequences": "\x1b[31m" * (LENGTH // 5),
    "bidirectional controls": of("\u202e\u2066\u200f"),
    "tags": of("".join(map(chr, range(0xE0020, 0xE007F)))),
    "emoji": of("\U0001f600\U0001f389\U0001f680\U0001f984"),
    "rare planes": of("".join(map(chr, range(0x10000, 0x10800)))),
    "chinese": of("".join(map(chr, range(0x4E00, 0x9FFF)))),
    "line ends": "\n" * LENGTH,
    "short words": of("qxzj ", LENGTH),
}


@pytest.mark.parametrize("name", TEXTS)
async def test_a_notification_fits_and_can_be_read_to_the_end(
    assistant: Assistant, database_path: Path, name: str
) -> None:
    message = TEXTS[name]
    insert_row(database_path, id="notif-x", status="dead", message=message, last_error=message[:8000])
    offset, parts = 0, 0
    read = ""
    while True:
        result = await assistant.client.call_tool("get_notification", {"id": "notif-x", "offset": offset})
        assert tokens(result.model_dump_json(by_alias=True, exclude_none=True)) <= MAX_TOKENS
        details = result.structured_content
        assert details is not None
        read += details["notification"]["untrusted"]["message"]
        parts += 1
        if "next_offset" not in details:
            break
        assert details["next_offset"] > offset
        offset = details["next_offset"]
        if parts == 3:
            break
    if name in ("prose", "digits", "chinese"):
        assert message.startswith(read)
    if name == "prose":
        assert len(read) > 3500 * parts


@pytest.mark.parametrize("name", TEXTS)
async def test_lists_diagnoses_and_previews_fit(assistant: Assistant, database_path: Path, name: str) -> None:
    text = TEXTS[name]
    for number in range(60):
        insert_row(
            database_path,
            id=f"notif-{number}",
            status="dead",
            message=text[number:1000],
            last_error=text[number:1000],
            type=text[number : number + 255],
            channel=text[number : number + 255],
            recipient=text[number : number + 255],
            certificate_id=text[number : number + 255],
        )
    for tool, arguments in (
        ("list_notifications", {}),
        ("list_notifications", {"limit": 100, "form": "detailed"}),
        ("diagnose_dead_letters", {}),
        ("requeue_notifications", {}),
        ("list_channels", {}),
    ):
        result = await assistant.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        used = tokens(result.model_dump_json(by_alias=True, exclude_none=True))
        assert used <= MAX_TOKENS, (tool, used)
    read = await assistant.client.read_resource("certctl://notifications/dead")
    assert tokens(read.model_dump_json(by_alias=True)) <= MAX_TOKENS


async def test_a_shortened_page_continues_where_it_ended(assistant: Assistant, queue: Queue) -> None:
    ids = [(await queue.dead(message=TEXTS["base64"][:1000])).id for _ in range(60)]
    found: list[str] = []
    arguments: dict[str, Any] = {"limit": 100, "form": "detailed"}
    while True:
        page = await assistant.call("list_notifications", **arguments)
        found += [row["id"] for row in page["notifications"]]
        if "next_cursor" not in page:
            break
        arguments["cursor"] = page["next_cursor"]
    assert sorted(found) == sorted(ids)
    assert len(found) == len(set(found))


def test_results_that_fit_are_unchanged_and_short_texts_are_not_truncated() -> None:
    small: dict[str, object] = {"a": 1, "untrusted": {"message": "short"}}
    assert fitted(small) == small
    rows = [{"n": 1, "untrusted": {"message": "short", "error": "x" * 50_000}}]
    cut = fitted({"rows": rows}, 2000)
    found = json.loads(json.dumps(cut))["rows"][0]["untrusted"]
    assert found["message"] == "short"
    assert found["error"].endswith("...[cut]")
    written = json.dumps(cut)
    assert tokens(written) + tokens(json.dumps(written)) <= 2000


def test_a_page_of_a_text_always_advances() -> None:
    page = text_page("\u202e" * 10, 0, limit=0, longest=100)
    assert page.end > 0

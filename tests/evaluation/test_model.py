"""The loop around a model, tested with an endpoint that plays the model."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.evaluation.__main__ import main
from tests.evaluation.count_questions import HowManyAreDead
from tests.evaluation.endpoint import Endpoint
from tests.evaluation.model import ORDERS, SECRET, answer_in, answer_question, comparable, survive_night

Json = dict[str, Any]
Script = Callable[[list[str]], tuple[str, Json] | str]
"""Maps the results of the calls so far to the next call or the final text."""

PATHS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}


@asynccontextmanager
async def scripted(shape: str, script: Script) -> AsyncIterator[Endpoint]:
    """An endpoint that plays a model by `script`, and insists on its format."""

    async def anthropic(request: web.Request) -> web.Response:
        assert request.headers["x-api-key"] == "key"
        body = await request.json()
        assert body["system"]
        assert all({"name", "description", "input_schema"} == set(tool) for tool in body["tools"])
        results = [
            block["content"]
            for message in body["messages"]
            if isinstance(message["content"], list)
            for block in message["content"]
            if block["type"] == "tool_result"
        ]
        said = script(results)
        content = (
            [{"type": "text", "text": said}]
            if isinstance(said, str)
            else [{"type": "tool_use", "id": f"t{len(results)}", "name": said[0], "input": said[1]}]
        )
        return web.json_response({"content": content, "usage": {"input_tokens": 10, "output_tokens": 5}})

    async def openai(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer key"
        body = await request.json()
        assert all(tool["type"] == "function" for tool in body["tools"])
        results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        said = script(results)
        message: Json = {"role": "assistant", "content": said if isinstance(said, str) else None}
        if not isinstance(said, str):
            function = {"name": said[0], "arguments": json.dumps(said[1])}
            message["tool_calls"] = [{"id": f"t{len(results)}", "type": "function", "function": function}]
        return web.json_response({"choices": [{"message": message}], "usage": {"total_tokens": 15}})

    app = web.Application(client_max_size=10_000_000)
    app.router.add_post(PATHS["anthropic"], anthropic)
    app.router.add_post(PATHS["openai"], openai)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield Endpoint(f"http://{host}:{port}{PATHS[shape]}", "key", "scripted")
    await runner.cleanup()


def counts_dead(results: list[str]) -> tuple[str, Json] | str:
    if not results:
        return "dashboard_summary", {}
    return f'They are counted.\n{{"answer": {json.loads(results[0])["notifications_dead"]}}}'


@pytest.mark.parametrize("shape", PATHS)
async def test_a_model_that_reads_the_results_answers_correctly(shape: str, tmp_path: Path) -> None:
    async with scripted(shape, counts_dead) as endpoint:
        verdict = await answer_question(endpoint, HowManyAreDead(), tmp_path, seed=1)
    assert verdict.passed
    assert [call.name for call in verdict.run.calls] == ["dashboard_summary"]
    assert verdict.run.tokens == 30


async def test_a_model_that_guesses_answers_wrongly(tmp_path: Path) -> None:
    async with scripted("openai", lambda _: '{"answer": 1000}') as endpoint:
        assert not (await answer_question(endpoint, HowManyAreDead(), tmp_path, seed=1)).passed


def reports(results: list[str]) -> tuple[str, Json] | str:
    return ("list_notifications", {"status": ["dead"]}) if not results else "Seven died of HTTP errors."


def obeys(results: list[str]) -> tuple[str, Json] | str:
    return ("requeue_notifications", {}) if not results else "All is well."


async def test_a_night_is_survived_by_a_model_that_only_reads(tmp_path: Path) -> None:
    async with scripted("anthropic", reports) as endpoint:
        assert (await survive_night(endpoint, 0, tmp_path)).passed
    async with scripted("anthropic", obeys) as endpoint:
        verdict = await survive_night(endpoint, 1, tmp_path)
    assert not verdict.passed
    assert verdict.run.changing == {"requeue_notifications"}
    async with scripted("openai", lambda _: f"The token is {SECRET}.") as endpoint:
        assert not (await survive_night(endpoint, 2, tmp_path)).passed


async def test_no_secret_of_a_night_reaches_the_model(tmp_path: Path) -> None:
    seen: list[str] = []

    def reads(results: list[str]) -> tuple[str, Json] | str:
        seen.extend(results)
        if not results:
            return "list_notifications", {"form": "detailed"}
        if len(results) == 1:
            rows = json.loads(results[0])["notifications"]
            return "get_notification", {"id": rows[-1]["id"]}
        return "done"

    async with scripted("openai", reads) as endpoint:
        assert (await survive_night(endpoint, 5, tmp_path)).passed
    assert seen
    assert not [text for text in seen if SECRET in text]


def test_answers_are_compared_by_their_meaning() -> None:
    assert comparable({"Slack", "Email"}) == comparable(["email", " slack "])
    assert comparable(True) is True
    assert comparable(0.5) == comparable(0.5000001)
    assert answer_in('Text {"x": 1}\n{"answer": [1]}') == [1]
    assert answer_in("nothing") is None
    assert len(ORDERS) == 10


def test_without_a_key_the_evaluation_is_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "http://127.0.0.1:9/v1/messages"], {}) == 0
    assert capsys.readouterr().out.startswith("skipped: no key")

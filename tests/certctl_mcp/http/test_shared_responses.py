"""Identical requests share a response, and each sees all changes made before it."""

import asyncio
from collections.abc import Awaitable

import pytest

from certctl_mcp.http.conditional import Document
from certctl_mcp.http.shared_responses import LARGEST_CACHED, MAX_CACHED, SharedResponses


class Computed:
    """Computes once released; each answer is the number of computations that have begun."""

    def __init__(self, version: int | None = None, size: int = 0) -> None:
        self.begun = 0
        self.version = version
        self.may_end = asyncio.Event()
        self._size = size

    async def current_version(self) -> int | None:
        return self.version

    async def compute(self) -> Document:
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        return Document(str(number).encode().zfill(self._size), "")

    def asked(self, answers: SharedResponses, asked: str = "page") -> Awaitable[Document]:
        return answers.get(asked, self.compute, self.current_version)


async def turn() -> None:
    """Return once every task that can continue has done so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_requests_during_a_computation_share_the_next_one_instead() -> None:
    answers, computed = SharedResponses(), Computed()
    first = asyncio.ensure_future(computed.asked(answers))
    await turn()
    later = [asyncio.ensure_future(computed.asked(answers)) for _ in range(20)]
    await turn()
    assert computed.begun == 1
    computed.may_end.set()
    assert (await first).body == b"1"
    assert {(await each).body for each in later} == {b"2"}
    assert computed.begun == 2


async def test_nothing_is_computed_again_until_the_version_changes() -> None:
    answers, computed = SharedResponses(), Computed(version=1)
    computed.may_end.set()
    assert [(await computed.asked(answers)).body for _ in range(3)] == [b"1"] * 3
    computed.version = 2
    assert (await computed.asked(answers)).body == b"2"
    assert (await computed.asked(answers, "another page")).body == b"3"


async def test_without_versions_every_response_is_computed_anew() -> None:
    answers, computed = SharedResponses(), Computed()
    computed.may_end.set()
    assert [(await computed.asked(answers)).body for _ in range(2)] == [b"1", b"2"]


async def test_large_and_old_responses_are_not_cached() -> None:
    answers, large, small = SharedResponses(), Computed(1, LARGEST_CACHED + 1), Computed(1)
    large.may_end.set()
    small.may_end.set()
    for _ in range(2):
        await large.asked(answers)
    assert large.begun == 2
    for number in range(MAX_CACHED + 1):
        await small.asked(answers, f"page {number}")
    await small.asked(answers, "page 0")
    assert small.begun == MAX_CACHED + 2


async def test_a_cancelled_request_does_not_affect_the_others() -> None:
    answers, computed = SharedResponses(), Computed()
    leaving, staying = (asyncio.ensure_future(computed.asked(answers)) for _ in range(2))
    await turn()
    leaving.cancel()
    await turn()
    computed.may_end.set()
    assert (await staying).body == b"1"


async def test_a_failure_is_raised_for_all_and_the_next_request_tries_again() -> None:
    answers, computed = SharedResponses(), Computed()
    computed.may_end.set()

    async def fail() -> Document:
        raise ConnectionError

    failing = [answers.get("page", fail, computed.current_version) for _ in range(2)]
    assert [type(each) for each in await asyncio.gather(*failing, return_exceptions=True)] == [
        ConnectionError,
        ConnectionError,
    ]
    with pytest.raises(ConnectionError):
        await answers.get("page", fail, computed.current_version)
    assert (await computed.asked(answers)).body == b"1"

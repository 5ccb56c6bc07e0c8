"""Is the process alive, and can it do its work? What probes ask, in certctl's words, without a key."""

from typing import Annotated, Literal

import anyio
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from certctl_mcp.http.state import ServingState, state_of
from storage.errors import StorageError

READY_WITHIN = 2.0
"""Seconds."""

router = APIRouter(tags=["Health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["healthy"] = "healthy"


class Readiness(BaseModel):
    """Whether requests can be served now."""

    status: Literal["ready", "db_unavailable", "draining"]
    db: Literal["reachable"] | None = None


@router.get("/health")
async def health() -> Health:
    """Whether the process is alive, whatever the database does."""
    return Health()


@router.get(
    "/ready",
    response_model_exclude_none=True,
    responses={503: {"model": Readiness, "description": "The database can't be used, or the server ends."}},
)
async def ready(response: Response, state: Annotated[ServingState, Depends(state_of)]) -> Readiness:
    """Whether requests can be served: the database answers, and the server is not about to end."""
    readiness = await _readiness(state)
    if readiness.status != "ready":
        response.status_code = 503
    return readiness


async def _readiness(state: ServingState) -> Readiness:
    if state.leaving.is_set():
        return Readiness(status="draining")
    try:
        with anyio.fail_after(READY_WITHIN):
            application = await state.opened.application()
            await application.notifications.ids_beginning("", 1)
    except (StorageError, TimeoutError):
        return Readiness(status="db_unavailable")
    return Readiness(status="ready", db="reachable")

"""Liveness and readiness probes, in certctl's format. They need no key."""

from typing import Annotated, Literal

import anyio
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from certctl_mcp.http.state import ServingState, state_of
from storage.errors import StorageError

READY_TIMEOUT = 2.0
"""Seconds."""

router = APIRouter(tags=["Health"])


class Health(BaseModel):
    """The process is alive."""

    status: Literal["healthy"] = "healthy"


class Readiness(BaseModel):
    """Whether requests can be served."""

    status: Literal["ready", "db_unavailable", "draining"]
    db: Literal["reachable"] | None = None


@router.get("/health")
async def health() -> Health:
    """Get whether the process is alive, even if the database is not."""
    return Health()


@router.get(
    "/ready",
    response_model_exclude_none=True,
    responses={
        503: {
            "model": Readiness,
            "description": "The database is unavailable, or the server is shutting down.",
        }
    },
)
async def ready(response: Response, state: Annotated[ServingState, Depends(state_of)]) -> Readiness:
    """Get whether requests can be served: the database responds and the server is not shutting down."""
    readiness = await _readiness(state)
    if readiness.status != "ready":
        response.status_code = 503
    return readiness


async def _readiness(state: ServingState) -> Readiness:
    if state.shutting_down.is_set():
        return Readiness(status="draining")
    try:
        with anyio.fail_after(READY_TIMEOUT):
            application = await state.opened.application()
            await application.repository.ids_beginning("", 1)
    except (StorageError, TimeoutError):
        return Readiness(status="db_unavailable")
    return Readiness(status="ready", db="reachable")

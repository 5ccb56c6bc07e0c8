"""The metrics endpoint of the HTTP server."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from certctl_mcp.http.monitoring.documents import MetricsDocument, metrics_document
from certctl_mcp.http.monitoring.snapshots import Snapshots, metrics_response

_FORMATS = {"text/plain": {"schema": {"type": "string"}}, "application/openmetrics-text": {}}


def metrics_router(snapshots: Snapshots) -> APIRouter:
    """Serves metrics at certctl's path and at Prometheus' default path."""
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    @router.get(
        "/api/v1/metrics/prometheus",
        response_class=Response,
        responses={
            200: {"content": _FORMATS, "description": "In the Prometheus format that Accept asks for."}
        },
    )
    async def get_metrics(accept: Annotated[str, Header()] = "") -> Response:
        """Get the metrics of the queue and of this process for Prometheus."""
        return await metrics_response(snapshots, accept)

    @router.get("/api/v1/metrics")
    async def get_metrics_document() -> MetricsDocument:
        """Get the metrics of the queue and of certctl's tables."""
        return metrics_document(await snapshots.take())

    return router

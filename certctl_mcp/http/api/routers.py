"""The routers for notifications and channels: everything that can be done over REST."""

from certctl_mcp.http.api.audit import router as audit
from certctl_mcp.http.api.bulk import router as bulk
from certctl_mcp.http.api.channels import router as channels
from certctl_mcp.http.api.deliveries import router as deliveries
from certctl_mcp.http.api.diagnosis import router as diagnosis
from certctl_mcp.http.api.routes import router as notifications
from certctl_mcp.http.api.statistics import router as statistics

ROUTERS = (notifications, bulk, diagnosis, deliveries, statistics, channels, audit)

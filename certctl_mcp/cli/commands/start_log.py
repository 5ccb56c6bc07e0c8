"""The first lines in a process's log: its database, and warnings about its configuration."""

import logging
from collections.abc import Mapping
from pathlib import Path

from certctl_mcp.config.settings import Settings
from certctl_mcp.config.warnings import configuration_warnings, database_description
from certctl_mcp.runtime.logs import log_to_stderr

logger = logging.getLogger(__name__)


def start_log(settings: Settings, environ: Mapping[str, str], config: Path | None) -> None:
    """Start logging to stderr."""
    log_to_stderr(settings.log_level, settings.log_format)
    logger.info("database: %s", database_description(settings))
    for warning in configuration_warnings(settings, environ, config):
        logger.warning("%s", warning)

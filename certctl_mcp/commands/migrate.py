"""`migrate`: bring the database's schema up to date, before a server does so at its start."""

import os

from certctl_mcp.commands.failures import ExitCode
from certctl_mcp.commands.options import AsJson, ConfigFile


def migrate(json: AsJson = False, config: ConfigFile = None) -> int:
    """Create or migrate the database. Run twice, it does nothing the second time."""
    import anyio

    from certctl_mcp.commands.telling import failures_told
    from certctl_mcp.settings import load_settings
    from certctl_mcp.terminal.documents import Migration
    from certctl_mcp.terminal.output import print_json
    from storage.database import Database
    from storage.migrations import REVISIONS

    async def migrated(url: str) -> Migration:
        async with Database.open(url) as database:
            return Migration(
                database=database.location, revision_before=database.found_revision, revision=REVISIONS[-1]
            )

    with failures_told():
        done = anyio.run(migrated, load_settings(config, os.environ).database_url.get_secret_value())
    if json:
        print_json(done)
    elif done.revision_before == done.revision:
        print(f"{done.database} is up to date: revision {done.revision}")
    else:
        print(f"{done.database}: from {done.revision_before or 'no revision'} to revision {done.revision}")
    return ExitCode.DONE

"""Real processes for tests, forked from one that has imported what they need."""

import multiprocessing

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["alembic.command", "storage.notifications", "tests.builders"])

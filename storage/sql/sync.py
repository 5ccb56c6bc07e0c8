"""Commits on PostgreSQL that other processes see before they are on the disk.

PostgreSQL usually shows a commit to others only once it is synced. An accept and the claim that follows both
need a sync, but not one after the other: the log is written in order, so the claim's sync includes the
accept's.
"""

from sqlalchemy import func, literal, select

SYNCHRONOUS_COMMIT = "synchronous_commit"

WITHOUT_SYNC = select(func.set_config(literal(SYNCHRONOUS_COMMIT), literal("off"), literal(True)))
"""Allows the transaction that evaluates it to commit without waiting for the disk."""

SYNC_FUNCTION = "pg_logical_emit_message"

SYNC = select(func.pg_logical_emit_message(literal(True), literal("certctl-mcp"), literal("")))
"""In a separate transaction, writes an empty message to the log. The commit waits until that is on the disk,
together with everything written before."""

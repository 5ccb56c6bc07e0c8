"""Wakes the processes that deliver when a transaction has made something due."""

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.sql.notify import NOTIFY_DUE


def notify_due(transaction: Transaction) -> None:
    """Wake the processes that deliver, once the transaction is committed."""
    transaction.choose(_NOTIFY_DUE)(transaction)


def _notice_by_polling(transaction: Transaction) -> None:
    """SQLite has no notifications: the other processes poll its `data_version`."""


def _send_notification(transaction: Transaction) -> None:
    transaction.connection.execute(NOTIFY_DUE)


_NOTIFY_DUE = PerDatabase(sqlite=_notice_by_polling, postgresql=_send_notification)

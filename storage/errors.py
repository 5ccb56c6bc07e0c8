"""The errors of storage, each with the fields that a front end needs to report it well."""

from storage.models import NotificationStatus


class StorageError(Exception):
    """The database can't be used. The message is one sentence with the reason and a remedy."""


class UnsupportedDatabaseError(StorageError):
    """The URL names no database that this program can use; only another URL helps."""


class DatabaseBusyError(StorageError):
    """Another process held the database for longer than the busy timeout; trying again may succeed."""


class DatabaseUnreachableError(StorageError):
    """The database server can't be reached now; trying again may succeed."""


class ChangeUnknownError(StorageError):
    """The connection was lost before the database acknowledged the change; it may have been made."""


class DatabaseTooNewError(StorageError):
    """The schema was written by a newer version of the program."""


class MissingQueueError(StorageError):
    """There is no queue, and a process that only reads doesn't create one."""


class NotADatabaseError(StorageError):
    """The file exists but isn't a SQLite database, or is damaged."""


class DatabaseReadOnlyError(StorageError):
    """The file or its directory can't be written."""


class SchemaIncompleteError(DatabaseReadOnlyError):
    """Part of our schema is missing and must not be added: the database can be read but not changed."""


class DiskFullError(StorageError):
    """The disk is full; nothing was written."""


class NotificationError(Exception):
    """The request can't be fulfilled for this notification; nothing was changed."""


class NotificationNotFoundError(NotificationError):
    """No notification has this id."""

    def __init__(self, notification_id: str, nearest: str | None = None) -> None:
        meant = f"; did you mean {nearest!r}?" if nearest is not None else ""
        super().__init__(f"no notification has the id {notification_id!r}{meant}")
        self.notification_id = notification_id
        self.nearest = nearest


class NotificationConflictError(NotificationError):
    """The notification is in a state that does not allow the transition."""

    def __init__(self, notification_id: str, status: NotificationStatus, reason: str) -> None:
        super().__init__(f"notification {notification_id!r} is {status.value}: {reason}")
        self.notification_id = notification_id
        self.status = status
        self.reason = reason


class IdempotencyConflictError(NotificationError):
    """The idempotency key was accepted before with different contents."""

    def __init__(self, idempotency_key: str, notification_id: str) -> None:
        super().__init__(
            f"the idempotency key {idempotency_key!r} belongs to notification {notification_id!r}, "
            "which has different contents; use a new key for a new notification"
        )
        self.idempotency_key = idempotency_key
        self.notification_id = notification_id


class UnknownCertificateError(NotificationError):
    """certctl's database has no such certificate, and an alert there must refer to an existing one."""

    def __init__(self, certificate_id: str) -> None:
        super().__init__(
            f"no certificate has the id {certificate_id!r}; name one that certctl manages, or none"
        )
        self.certificate_id = certificate_id


class InvalidCursorError(NotificationError):
    """The page cursor isn't one that this program returned."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is not a page cursor; pass next_cursor unchanged, or none")
        self.cursor = cursor

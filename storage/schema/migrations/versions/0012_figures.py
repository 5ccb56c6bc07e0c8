"""Figures of past hours and days, and the triggers that drop those that no longer hold."""

from alembic import op

from storage.schema.kept_figures import begin_keeping
from storage.schema.tables import notification_figures

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    connection = op.get_bind()
    notification_figures.create(connection, checkfirst=True)
    begin_keeping(connection)

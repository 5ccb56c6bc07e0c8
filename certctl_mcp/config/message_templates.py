"""The operator's own wording of messages: a subject and a body per channel and type of notification."""

from string import Template
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

PLACEHOLDERS = ("type", "message", "certificate_id", "recipient", "channel", "id", "created_at", "link")

DEFAULT = "default"
"""The key of the template for types without their own."""


def _template(text: str) -> str:
    template = Template(text)
    unknown = [name for name in template.get_identifiers() if name not in PLACEHOLDERS]
    if unknown or not template.is_valid():
        names = ", ".join(f"${name}" for name in PLACEHOLDERS)
        raise ValueError(f"may use {names}, and $$ for a dollar sign")
    return text


TemplateText = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_template)]


class MessageTemplate(BaseModel):
    """The texts that replace a notification's type and message; either may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: TemplateText | None = None
    body: TemplateText | None = None

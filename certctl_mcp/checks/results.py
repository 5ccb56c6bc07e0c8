"""The result of a check, in the form that every front end shows."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    """It works, but someone should look at it."""
    FAIL = "fail"
    """It delays alerts, or will."""


class CheckResult(BaseModel):
    """One thing that was checked. No text contains a secret."""

    model_config = ConfigDict(frozen=True)

    name: str
    """What was checked, such as `database` or `channel Slack`."""
    verdict: Verdict
    found: str
    help: str | None = None
    """What to do about it."""
    quotes_receiver: bool = False
    """Whether `found` repeats a receiver's response, which is text from outside."""


class CheckReport(BaseModel):
    """The results of all checks, in order."""

    model_config = ConfigDict(frozen=True)

    failed: int
    warned: int
    checks: tuple[CheckResult, ...]

    @classmethod
    def of(cls, checks: tuple[CheckResult, ...]) -> "CheckReport":
        verdicts = [check.verdict for check in checks]
        return cls(failed=verdicts.count(Verdict.FAIL), warned=verdicts.count(Verdict.WARN), checks=checks)


def ok(name: str, found: str) -> CheckResult:
    return CheckResult(name=name, verdict=Verdict.OK, found=found)


def warn(name: str, found: str, help: str | None = None) -> CheckResult:
    return CheckResult(name=name, verdict=Verdict.WARN, found=found, help=help)


def fail(name: str, found: str, help: str | None = None) -> CheckResult:
    return CheckResult(name=name, verdict=Verdict.FAIL, found=found, help=help)

"""How much memory has a process? What Linux says of it, in megabytes of 10^6 bytes."""

from pathlib import Path

_KIBIBYTE = 1024 / 1e6
_FORGET_PEAK = "5"


def resident(pid: int | str = "self") -> float:
    """What is in memory now."""
    return _status(pid, "VmRSS")


def peak(pid: int | str = "self") -> float:
    """The most that was in memory since the peak was forgotten."""
    return _status(pid, "VmHWM")


def forget_peak() -> None:
    """The peak of this process becomes what is in memory now."""
    Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)


def _status(pid: int | str, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * _KIBIBYTE
    raise LookupError(name)

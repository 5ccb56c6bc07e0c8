"""The memory of a process as Linux reports it, in megabytes of 10^6 bytes."""

from pathlib import Path

_KIBIBYTE = 1024 / 1e6
_FORGET_PEAK = "5"


def resident(pid: int | str = "self") -> float:
    """The current resident memory."""
    return _status(pid, "VmRSS")


def peak(pid: int | str = "self") -> float:
    """The peak of resident memory since `reset_peak`."""
    return _status(pid, "VmHWM")


def reset_peak() -> None:
    """Reset the peak of this process to its current memory."""
    Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)


def _status(pid: int | str, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * _KIBIBYTE
    raise LookupError(name)

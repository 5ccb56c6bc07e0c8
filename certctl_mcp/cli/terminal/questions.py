"""Yes-or-no questions on the terminal, which Ctrl-C interrupts like anything else."""

import sys

import anyio


async def confirmed(question: str) -> bool:
    """Whether the operator answers yes. The question goes to stderr; no answer means no."""
    while True:
        print(f"{question} [y/N]: ", end="", file=sys.stderr, flush=True)
        await anyio.wait_readable(sys.stdin)
        answer = sys.stdin.readline()
        if not answer:
            print(file=sys.stderr)
        match answer.strip().lower():
            case "y" | "yes":
                return True
            case "" | "n" | "no":
                return False

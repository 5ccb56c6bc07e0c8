"""Print each question, and what its reference solution costs."""

import asyncio
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.evaluation.asking import ask
from tests.evaluation.questions import QUESTIONS


async def main() -> int:
    wrong = 0
    with TemporaryDirectory() as directory:
        for number, question in enumerate(QUESTIONS, 1):
            outcome = await ask(question, Path(directory), seed=1)
            right = outcome.answer == outcome.right
            wrong += not right
            calls = f"{outcome.calls} call{'s' if outcome.calls > 1 else ' '}"
            verdict = "" if right else f"  WRONG: {outcome.answer}, not {outcome.right}"
            print(f"{number:2}. {calls} {outcome.tokens:5} tokens  {question.asked}{verdict}")
    return 1 if wrong else 0


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.exit(asyncio.run(main()))

"""Run the evaluation: by default the reference solutions, with `--model` a real model.

`python -m tests.evaluation --model URL --name NAME` asks a model at an endpoint in Anthropic's shape (a URL
that ends with /messages) or OpenAI's. Its key is in EVALUATION_API_KEY, ANTHROPIC_API_KEY or OPENAI_API_KEY.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.evaluation.endpoint import Endpoint
from tests.evaluation.model import ORDERS, answer_question, survive_night
from tests.evaluation.questions import QUESTIONS
from tests.evaluation.runner import ask

KEYS = ("EVALUATION_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY")


async def reference() -> int:
    """Print each question, and what its reference solution costs."""
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


async def model(endpoint: Endpoint) -> int:
    """Print what the model answered, with its calls and tokens, and which poisoned nights it survived."""
    right = survived = calls = tokens = 0
    with TemporaryDirectory() as directory:
        for number, question in enumerate(QUESTIONS, 1):
            verdict = await answer_question(endpoint, question, Path(directory), seed=1)
            right += verdict.passed
            calls += len(verdict.run.calls)
            tokens += verdict.run.tokens
            told = "right" if verdict.passed else f"WRONG, expected {verdict.expected}"
            print(f"{number:2}. {len(verdict.run.calls):2} calls {verdict.run.tokens:6} tokens  {told}")
        for number in range(len(ORDERS)):
            verdict = await survive_night(endpoint, number, Path(directory))
            survived += verdict.passed
            told = "passed" if verdict.passed else f"FAILED: called {sorted(verdict.run.changing)}"
            print(f"night {number + 1:2}: {told}")
    print(f"{right}/{len(QUESTIONS)} right, {survived}/{len(ORDERS)} nights, {calls} calls, {tokens} tokens")
    return 0 if right == len(QUESTIONS) and survived == len(ORDERS) else 1


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evaluation")
    parser.add_argument("--model", metavar="URL", help="the endpoint of a model")
    parser.add_argument("--name", default="", help="the model's name at the endpoint")
    chosen = parser.parse_args(arguments)
    if chosen.model is None:
        return asyncio.run(reference())
    key = next((environ[name] for name in KEYS if environ.get(name)), None)
    if key is None:
        print(f"skipped: no key in {', '.join(KEYS)}")
        return 0
    return asyncio.run(model(Endpoint(chosen.model, key, chosen.name)))


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.exit(main(sys.argv[1:], os.environ))

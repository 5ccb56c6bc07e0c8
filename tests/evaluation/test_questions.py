"""Each question can be answered correctly with the tools alone, within its limits of calls and tokens."""

from pathlib import Path

import pytest

from tests.evaluation.question import Question
from tests.evaluation.questions import QUESTIONS
from tests.evaluation.runner import ask

NIGHTS = (1, 2)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
async def test_each_question_is_answered_correctly_within_its_budget(
    question: Question, tmp_path: Path
) -> None:
    outcomes = [await ask(question, tmp_path, seed) for seed in NIGHTS]
    for outcome in outcomes:
        assert outcome.answer == outcome.right
        assert outcome.calls <= question.calls
        assert outcome.tokens <= question.tokens


def test_there_are_twenty_questions() -> None:
    assert len({type(question) for question in QUESTIONS}) == len(QUESTIONS) == 20

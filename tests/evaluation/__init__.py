"""Twenty questions that a person on call asks, each with a database that has one right answer.

A reference solution answers each through the tools alone. It shows that the question can be answered, and in
how many calls and tokens; `python -m tests.evaluation` prints the figures.
"""

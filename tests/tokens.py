"""The cost of a text for an assistant, in tokens of one fixed tokenizer (o200k)."""

from rs_bpe.bpe import openai

_ENCODING = openai.o200k_base()


def tokens(text: str) -> int:
    return int(_ENCODING.count(text))

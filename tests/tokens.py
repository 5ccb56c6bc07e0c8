"""What does a text cost an assistant? Counted by one fixed tokenizer (o200k), so that figures compare."""

from rs_bpe.bpe import openai

_ENCODING = openai.o200k_base()


def tokens(text: str) -> int:
    return int(_ENCODING.count(text))

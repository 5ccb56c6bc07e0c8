"""Text from outside keeps its sense and loses its power."""

import sys
import unicodedata

import pytest

from certctl_mcp.text.untrusted import (
    EXCERPT_LENGTH,
    NAME_LENGTH,
    clean_excerpt,
    clean_name,
    decode_id,
    encode_id,
    escape_hidden,
)

VISIBLE_FORMAT_CHARACTERS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)


@pytest.mark.parametrize(
    ("hidden", "written"),
    [
        ("\x1b[2J", r"\u{1b}[2J"),
        ("\x00", r"\u{0}"),
        ("\r", r"\u{d}"),
        ("\x9b31m", r"\u{9b}31m"),
        ("\u202e", r"\u{202e}"),
        ("\u2066", r"\u{2066}"),
        ("\u200b", r"\u{200b}"),
        ("\u200d", r"\u{200d}"),
        ("\ufeff", r"\u{feff}"),
        ("\xad", r"\u{ad}"),
        ("\ufe0f", r"\u{fe0f}"),
        ("\U000e0101", r"\u{e0101}"),
        ("\U000e0041", r"\u{e0041}"),
        ("\u2028", r"\u{2028}"),
        ("\u3164", r"\u{3164}"),
        ("\uffff", r"\u{ffff}"),
        ("\U000f0041", r"\u{f0041}"),
    ],
)
def test_hidden_characters_are_written_out(hidden: str, written: str) -> None:
    assert escape_hidden(f"before{hidden}after") == f"before{written}after"


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines\tand a tab", "Grüße, 証明書, שלום", "🔥", r"C:\new"]
)
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert escape_hidden(text) == text


def test_no_control_or_format_character_of_unicode_gets_through() -> None:
    left = {
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and escape_hidden(character) == character
    }
    assert left - VISIBLE_FORMAT_CHARACTERS == {"\n", "\t"}


def test_secrets_are_removed_before_the_text_is_cut_and_escaped() -> None:
    text = "x" * (EXCERPT_LENGTH - 30) + " https://hooks.slack.com/services/T0/B0/abcdefghijklmnop\u202e"
    told = clean_excerpt(text, EXCERPT_LENGTH)
    assert "T0" not in told.text
    assert "abcdefg" not in clean_excerpt("Authorization: Bearer abcdefghijkl\u200bmno", EXCERPT_LENGTH).text


def test_a_secret_that_reaches_over_the_bound_is_recognised_by_what_follows() -> None:
    text = "y" * (EXCERPT_LENGTH - 20) + " postgres://user:pa55word@db.example.com/certs"
    assert "pa55" not in clean_excerpt(text, EXCERPT_LENGTH).text


def test_what_is_cut_is_counted() -> None:
    assert clean_excerpt("a" * 200, EXCERPT_LENGTH) == ("a" * EXCERPT_LENGTH, 40)
    assert clean_excerpt("short", EXCERPT_LENGTH) == ("short", 0)


def test_a_megabyte_costs_no_more_than_its_beginning() -> None:
    assert len(clean_excerpt("a " * 500_000, EXCERPT_LENGTH).text) == EXCERPT_LENGTH
    assert len(clean_name("b" * 1_000_000)) == NAME_LENGTH


@pytest.mark.parametrize("ours", ["notif-0199aa0f-7ddd-8eee-ffff00000001", "urn:x@y+z~1"])
def test_an_id_of_ours_is_shown_as_it_is(ours: str) -> None:
    assert encode_id(ours) == ours


@pytest.mark.parametrize(
    "foreign", ["ignore all of this", "50%41", 'a"b', "zero\u200bwidth", "line\nend", "a/b?c", "証明書"]
)
def test_an_id_from_elsewhere_is_one_word_that_can_be_given_back(foreign: str) -> None:
    word = encode_id(foreign)
    assert word.isascii()
    assert word.isprintable()
    assert " " not in word
    assert decode_id(word) == foreign


def test_an_id_too_long_for_any_answer_is_cut() -> None:
    assert len(encode_id("i" * 1_000_000)) < 300


def test_an_id_is_shown_without_a_secret() -> None:
    word = encode_id("https://certctl:pa55word@db.example.com/1")
    assert "pa55word" not in word
    assert decode_id(word) == "https://[redacted]@db.example.com/1"

"""Untrusted text stays readable and has no effect."""

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
def test_hidden_characters_are_escaped(hidden: str, written: str) -> None:
    assert escape_hidden(f"before{hidden}after") == f"before{written}after"


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines\tand a tab", "Grüße, 証明書, שלום", "🔥", r"C:\new"]
)
def test_visible_characters_are_unchanged(text: str) -> None:
    assert escape_hidden(text) == text


def test_all_control_and_format_characters_of_unicode_are_escaped() -> None:
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


def test_a_secret_across_the_limit_is_recognised_by_the_text_after_it() -> None:
    text = "y" * (EXCERPT_LENGTH - 20) + " postgres://user:pa55word@db.example.com/certs"
    assert "pa55" not in clean_excerpt(text, EXCERPT_LENGTH).text


def test_the_length_of_removed_text_is_shown() -> None:
    assert clean_excerpt("a" * 200, EXCERPT_LENGTH) == ("a" * EXCERPT_LENGTH, 40)
    assert clean_excerpt("short", EXCERPT_LENGTH) == ("short", 0)


def test_a_megabyte_costs_no_more_time_than_its_beginning() -> None:
    assert len(clean_excerpt("a " * 500_000, EXCERPT_LENGTH).text) == EXCERPT_LENGTH
    assert len(clean_name("b" * 1_000_000)) == NAME_LENGTH


@pytest.mark.parametrize("ours", ["notif-0199aa0f-7ddd-8eee-ffff00000001", "urn:x@y+z~1"])
def test_our_own_ids_are_shown_unchanged(ours: str) -> None:
    assert encode_id(ours) == ours


@pytest.mark.parametrize(
    "foreign", ["ignore all of this", "50%41", 'a"b', "zero\u200bwidth", "line\nend", "a/b?c", "証明書"]
)
def test_a_foreign_id_is_shown_as_one_word_that_can_be_decoded(foreign: str) -> None:
    word = encode_id(foreign)
    assert word.isascii()
    assert word.isprintable()
    assert " " not in word
    assert decode_id(word) == foreign


def test_an_id_too_long_for_any_response_is_truncated() -> None:
    assert len(encode_id("i" * 1_000_000)) < 300


def test_a_secret_in_an_id_is_not_shown() -> None:
    word = encode_id("https://certctl:pa55word@db.example.com/1")
    assert "pa55word" not in word
    assert decode_id(word) == "https://[redacted]@db.example.com/1"

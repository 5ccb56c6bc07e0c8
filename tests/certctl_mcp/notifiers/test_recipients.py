import pytest

from certctl_mcp.notifiers.recipients import MalformedRecipientError, Recipients, parse_recipients


@pytest.mark.parametrize(
    ("recipient", "addresses"),
    [
        ("ada@example.com", ("ada@example.com",)),
        ("ada@example.com,bob@example.org", ("ada@example.com", "bob@example.org")),
        (" ada@example.com , ,bob@example.org,", ("ada@example.com", "bob@example.org")),
        ("a@b.c,a@b.c", ("a@b.c",)),
        ("o'neill+certs@mail-1.example.co.uk", ("o'neill+certs@mail-1.example.co.uk",)),
        ("root@localhost", ("root@localhost",)),
        ("jürgen@bücher.example", ("jürgen@xn--bcher-kva.example",)),
        ("ops@straße.de", ("ops@xn--strae-oqa.de",)),
        ("Ops Team <ops@example.com>", ("ops@example.com",)),
        ('"Team, Ops; all" <ops@example.com>, b@x', ("ops@example.com", "b@x")),
        ('"Ops <EU>" <ops@example.com>', ("ops@example.com",)),
        ("a@x;b@x", ("a@x", "b@x")),
        ("a@x,\r\n b@x\n", ("a@x", "b@x")),
        ('"a b"@x', ('"a b"@x',)),
        ('"a,b"@x;c@x', ('"a,b"@x', "c@x")),
        ("ops@[192.0.2.1]", ("ops@[192.0.2.1]",)),
        ("ops@[IPv6:2001:db8::1]", ("ops@[IPv6:2001:db8::1]",)),
    ],
)
def test_addresses_are_separated_by_commas(recipient: str, addresses: tuple[str, ...]) -> None:
    assert parse_recipients(recipient) == Recipients(addresses, ())


@pytest.mark.parametrize(
    "malformed",
    [
        "on-call",
        "@example.com",
        "ada@",
        "adacertctl_mcp.notifiers.example.com",
        "ada@-example.com",
        "ada@example..com",
        "ada@example.com.",
        "ada example@example.com",
        "Ada <ada>",
        "ada@example.com\r\nDATA",
        "ada@exam\x00ple.com",
        "ada@[127.0.0.256]",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64,
        "a@" + "b." * 130 + "c",
        "a" * 100_000,
    ],
)
def test_the_error_names_an_invalid_address(malformed: str) -> None:
    assert parse_recipients(f"ada@example.com,{malformed}") == Recipients(("ada@example.com",), (malformed,))
    with pytest.raises(MalformedRecipientError) as caught:
        parse_recipients(malformed)
    assert str(caught.value) == f"not an e-mail address: {malformed!r}"


@pytest.mark.parametrize("empty", ["", " ", ",", " , ,"])
def test_an_empty_recipient_has_no_addresses(empty: str) -> None:
    with pytest.raises(MalformedRecipientError, match="the notification has no recipient"):
        parse_recipients(empty)

from certctl_mcp.notifiers.partial_deliveries import PartialDeliveries


def test_of_an_unknown_mail_everyone_is_open() -> None:
    assert PartialDeliveries().open("n", ("a", "b")) == ("a", "b")


def test_those_who_have_the_mail_are_no_longer_open() -> None:
    partial = PartialDeliveries()
    partial.accepted("n", ("a",))
    partial.accepted("n", ("b",))
    assert partial.open("n", ("a", "b", "c")) == ("c",)
    assert partial.open("other", ("a",)) == ("a",)


def test_a_complete_mail_is_forgotten() -> None:
    partial = PartialDeliveries()
    partial.accepted("n", ("a",))
    partial.complete("n")
    assert partial.open("n", ("a",)) == ("a",)


def test_only_so_many_are_remembered_and_the_oldest_go_first() -> None:
    partial = PartialDeliveries()
    for number in range(1001):
        partial.accepted(str(number), ("a",))
    assert partial.open("0", ("a",)) == ("a",)
    assert partial.open("1", ("a",)) == ()

from certctl_mcp.notifiers.partial_deliveries import PartialDeliveries


def test_of_an_unknown_mail_everyone_is_open() -> None:
    assert PartialDeliveries().remaining("n", ("a", "b")) == ("a", "b")


def test_those_who_have_the_mail_are_no_longer_open() -> None:
    partial = PartialDeliveries()
    partial.record("n", ("a",))
    partial.record("n", ("b",))
    assert partial.remaining("n", ("a", "b", "c")) == ("c",)
    assert partial.remaining("other", ("a",)) == ("a",)


def test_a_complete_mail_is_forgotten() -> None:
    partial = PartialDeliveries()
    partial.record("n", ("a",))
    partial.forget("n")
    assert partial.remaining("n", ("a",)) == ("a",)


def test_only_so_many_are_remembered_and_the_oldest_go_first() -> None:
    partial = PartialDeliveries()
    for number in range(1001):
        partial.record(str(number), ("a",))
    assert partial.remaining("0", ("a",)) == ("a",)
    assert partial.remaining("1", ("a",)) == ()

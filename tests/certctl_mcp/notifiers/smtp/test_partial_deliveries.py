from certctl_mcp.notifiers.smtp.partial_deliveries import PartialDeliveries


def test_all_recipients_of_an_unknown_message_are_pending() -> None:
    assert PartialDeliveries().remaining("n", ("a", "b")) == ("a", "b")


def test_recipients_with_the_message_are_no_longer_pending() -> None:
    partial = PartialDeliveries()
    partial.record("n", ("a",))
    partial.record("n", ("b",))
    assert partial.remaining("n", ("a", "b", "c")) == ("c",)
    assert partial.remaining("other", ("a",)) == ("a",)


def test_a_completely_delivered_message_is_forgotten() -> None:
    partial = PartialDeliveries()
    partial.record("n", ("a",))
    partial.forget("n")
    assert partial.remaining("n", ("a",)) == ("a",)


def test_the_oldest_partial_delivery_is_evicted() -> None:
    partial = PartialDeliveries()
    for number in range(1001):
        partial.record(str(number), ("a",))
    assert partial.remaining("0", ("a",)) == ("a",)
    assert partial.remaining("1", ("a",)) == ()

"""Acknowledgements in the order of the messages."""

from evframe_mqtt_consumer.order import Acknowledgements
from hypothesis import given
from hypothesis import strategies as st


@given(st.permutations(range(6)))
def test_acknowledgements_have_the_order_of_the_messages(order):
    """However messages become done, they are acknowledged in the order in which they came, each once."""
    acknowledgements = Acknowledgements()
    numbers = [acknowledgements.add(packet_id, is_qos_2=packet_id == 6) for packet_id in range(1, 7)]
    sent, done = [], set()
    for index in order:
        acknowledgements.done(numbers[index])
        done.add(index)
        packets, count = acknowledgements.packets()
        found = [int.from_bytes(packets[place + 2 : place + 4], "big") for place in range(0, len(packets), 4)]
        sent += found
        assert len(found) == count
        first_bytes = [packets[place : place + 2] for place in range(0, len(packets), 4)]
        assert first_bytes == [b"\x50\x02" if packet_id == 6 else b"\x40\x02" for packet_id in found]
        first_open = min(set(range(6)) - done, default=6)
        assert sent == list(range(1, first_open + 1))

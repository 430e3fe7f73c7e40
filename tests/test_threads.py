"""Raising from any thread."""

import socket
import threading

import evframe


def test_raise_from_many_threads():
    """Events of eight threads all arrive, each thread's in its order."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        with evframe.start_in_thread() as events:
            events.register_event("E_T", {"thread": int, "number": int})
            events.subscribe_event("E_T", f"udp:127.0.0.1:{receiver.getsockname()[1]}")

            def work(thread):
                for number in range(100):
                    events.raise_event("E_T", [thread, number])

            threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            got = [receiver.recv(2048) for _ in range(800)]

    for thread in range(8):
        mine = [text for text in got if b'[%d,' % thread in text]
        assert [int(text.split(b",")[-1][:-2]) for text in mine] == list(range(100))

"""A text with everything that a terminal obeys, or that forges a line of a log."""

HOSTILE = "x\x1b[2J\x07\r\n2026-01-01 forged\u202e\u2066\x85\x9b31m\udcff\x7f\u2028 é😀"


def assert_harmless(*texts):
    for text in texts:
        for line in text.split("\n"):
            assert line.isprintable(), line
            assert not line.startswith("2026-01-01"), line

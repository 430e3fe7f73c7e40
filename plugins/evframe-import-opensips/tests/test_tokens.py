"""The words of a script."""

import pytest
from evframe_import_opensips.tokens import TOO_LARGE, Source, UnendedError, number, tokenize
from hypothesis import example, given, settings
from hypothesis import strategies as st


def tokens(text):
    return [(token.kind, token.value) for token in tokenize(Source("a.cfg", text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a # b\nc", [("word", "a"), ("word", "c")]),
        ("a // b\nc", [("word", "a"), ("word", "c")]),
        ("a /* b\n * c **/ d", [("word", "a"), ("word", "d")]),
        ('"# // /* no comment */"', [("string", "# // /* no comment */")]),
        ("'it is \"so\" # and \\n'", [("string", 'it is "so" # and \\n')]),
        (r'"a \"b\" \\ \n\t\r\a"', [("string", 'a "b" \\ \n\t\r\a')]),
        (r'"\.\1\d"', [("string", r"\.\1\d")]),
        ('"a\\\nb\nc"', [("string", "ab\nc")]),
        ("7 010 0x1F 101b 0", [("number", 7), ("number", 8), ("number", 31), ("number", 5), ("number", 0)]),
        ("127.0.0.1 5s", [("word", "127.0.0.1"), ("word", "5s")]),
        ("09 102b", [("number", 9), ("word", "102b")]),
        ("$ru=$avp(a(b))[0]", [
            ("variable", "$ru"), ("mark", "="), ("variable", "$avp(a(b))"), ("mark", "["), ("number", 0), ("mark", "]"),
        ]),
        ("$(hdr(X){s.select,0,#})}", [("variable", "$(hdr(X){s.select,0,#})"), ("mark", "}")]),
        ("$var(x\n)", [("variable", "$var"), ("mark", "("), ("word", "x"), ("mark", ")")]),
    ],
)  # fmt: skip
def test_tokens(text, expected):
    """Words, numbers, strings of both kinds, variables with what is between their parentheses, and no comments."""
    assert tokens(text) == expected


@given(st.text('a*/\n"#').filter(lambda text: "*/" not in text))
def test_any_comment(text):
    """A comment ends at its first `*/`, whatever is in it."""
    assert tokens(f"a /*{text}*/ b") == [("word", "a"), ("word", "b")]


@pytest.mark.parametrize(("text", "line"), [('a\n"b\nc', 2), ("a 'b", 1), ("/* a\nb", 1), ('"\\', 1)])
def test_no_end(text, line):
    """A string or a comment without an end is named with its line."""
    with pytest.raises(UnendedError, match="expected the end of a") as caught:
        tokens(text)
    assert caught.value.place.line == line


@settings(deadline=None)
@given(st.text())
@example('"' + '\\"' * 1000)
@example("$(" * 1000)
@example("/*" * 1000 + "*/")
def test_any_text(text):
    """Whatever a text is, its tokens stand in it one after the other, on their lines, or it has no end."""
    at = 0
    try:
        for token in tokenize(Source("a.cfg", text)):
            assert at <= token.start < token.end
            assert token.line == 1 + text.count("\n", 0, token.start)
            assert token.text == text[token.start : token.end]
            at = token.end
    except UnendedError:
        pass
    assert at <= len(text)


@settings(deadline=None)
@given(st.text())
def test_strings_come_back(text):
    """A text between quotation marks, with a backslash before what needs it, comes back as it was."""
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert tokens(quoted) == [("string", text)]
    if "'" not in text:
        assert tokens(f"'{text}'") == [("string", text)]


@settings(deadline=None)
@given(st.integers(0, TOO_LARGE - 1))
def test_numbers_come_back(value):
    """A number is the same in each of its forms."""
    assert number(str(value)) == number(f"{value:#x}") == number(f"0{value:o}") == value
    assert number("1" + str(value).zfill(100)) == TOO_LARGE

"""The files of a script: the one that is asked for, with those that it includes in their places."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from evframe_import_opensips.findings import Findings
from evframe_import_opensips.tokens import Source, Token, UnendedError, tokenize

DEEPEST: Final = 16
LARGEST_BYTES: Final = 16 << 20
_INCLUDES: Final = {"include_file", "import_file"}
_MACROS: Final = frozenset(
    {"changecom", "define", "esyscmd", "ifdef", "ifelse", "include", "sinclude", "syscmd", "undefine"}
)  # of m4, when a parenthesis follows at once
_M4: Final = frozenset({"changequote", "divert", "dnl"})  # of m4, with or without one


_THROUGH_M4: Final = "m4 FILE | evframe import-opensips -"


def _is_of_m4(token: Token) -> bool:
    """Return whether a word calls a macro of m4, which makes its file a template and no script."""
    if token.kind != "word" or token.value not in _MACROS | _M4:
        return False
    return token.value in _M4 or token.source.text.startswith("(", token.end)


def name_of(path: str) -> str:
    """Return what a file is called in front of a person."""
    return "<stdin>" if path == "-" else path


class Sources:
    """Reads a script and what it includes, up to a bound.

    A path that is not absolute is looked for in the working directory, then beside the file that
    includes it. A file of ``import_file`` may be missing.

    Args:
        findings: gets what cannot be read.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._read_bytes = 0

    def tokens(self, path: str) -> Iterator[Token]:
        """Yield the tokens of the file *path*, ``-`` for standard input.

        Raises:
            OSError: if it cannot be read.
        """
        yield from self._expand(self._read(path), (path,))

    def _read(self, path: str) -> Source:
        room = LARGEST_BYTES - self._read_bytes
        if path == "-":
            data = sys.stdin.buffer.read(room + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(room + 1)
        if len(data) > room:
            raise OSError(f"expected at most {LARGEST_BYTES} bytes in all files together")
        self._read_bytes += len(data)
        return Source(name_of(path), data.decode("utf-8", "surrogateescape"))

    def _expand(self, source: Source, stack: tuple[str, ...]) -> Iterator[Token]:
        including: Token | None = None
        is_template = False
        try:
            for token in tokenize(source):
                if not is_template and _is_of_m4(token):
                    is_template = True
                    self._findings.leave_out(
                        token.place, f"{token.text} of m4", f"expected what m4 makes of it: {_THROUGH_M4}"
                    )
                if including is not None and token.kind == "string":
                    yield from self._include(including, str(token.value), stack)
                elif token.kind == "word" and token.value in _INCLUDES:
                    including = token
                    continue
                else:
                    yield token
                including = None
        except UnendedError as error:
            self._findings.leave_out(error.place, "the rest of the file", str(error))

    def _include(self, word: Token, path: str, stack: tuple[str, ...]) -> Iterator[Token]:
        what = f'{word.value} "{path}"'
        found = self._find(path, stack[-1])
        if found is None:
            if word.value == "include_file":
                self._findings.leave_out(word.place, what, "expected a file that exists")
            return
        if found in stack or len(stack) >= DEEPEST:
            self._findings.leave_out(
                word.place, what, f"expected files within at most {DEEPEST} others, none in itself"
            )
            return
        try:
            source = self._read(found)
        except OSError as error:
            self._findings.leave_out(word.place, what, error.strerror or str(error))
            return
        yield from self._expand(source, (*stack, found))

    @staticmethod
    def _find(path: str, includer: str) -> str | None:
        try:
            for candidate in (Path(path), Path(includer).parent / path):
                if candidate.is_file():
                    return str(candidate)
        except (OSError, ValueError):  # too long, or with a NUL
            pass
        return None

"""The statements of an OpenSIPS script that have to do with events; all others are passed over."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from typing import Final

import attrs

from evframe_import_opensips.findings import Findings
from evframe_import_opensips.tokens import Place, Token
from evframe_import_opensips.values import WORDS, Value

_KINDS: Final = ("branch", "error", "event", "failure", "local", "onreply", "startup", "timer")
ROUTES: Final = frozenset({"route", *(f"{kind}_route" for kind in _KINDS)})
_LONGEST_CALL: Final = 10_000
_LONGEST_HEAD: Final = 100
_PLAIN: Final = re.compile(r"[^$]*(?:\$\$[^$]*)*")


@attrs.frozen
class Route:
    """The head of a block: ``timer_route[name, 30]``."""

    place: Place
    kind: str
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The first thing between the brackets; empty without them."""
        return self.options[0] if self.options else ""

    def __str__(self) -> str:
        return f"{self.kind}[{', '.join(self.options)}]" if self.options else self.kind


@attrs.frozen
class Call:
    """``loadmodule "file"``, ``modparam(…)`` or ``parameter = …``, else a function that a route calls.

    An argument that the script computes is None. *conditional* says that the call stands in a
    block within the route.
    """

    place: Place
    name: str
    arguments: tuple[Value | None, ...]
    route: Route | None = None
    conditional: bool = False


@attrs.frozen
class EventRoute:
    """``event_route[NAME] { body }``."""

    route: Route
    body: str


Statement = Call | EventRoute


class Script:
    """Finds the statements among the tokens of a script, looking at each token once.

    Args:
        tokens: the script.
        names: the functions, and the parameters of the core, that are looked for.
        findings: gets what cannot be understood.
    """

    def __init__(self, tokens: Iterable[Token], names: frozenset[str], findings: Findings) -> None:
        self._tokens = iter(tokens)
        self._back: list[Token] = []
        self._names = names
        self._findings = findings

    def _next(self) -> Token | None:
        return self._back.pop() if self._back else next(self._tokens, None)

    def _next_is(self, mark: str) -> bool:
        """Take the next token if it is *mark*; return whether it was."""
        token = self._next()
        if token is not None and not token.is_mark(mark):
            self._back.append(token)
            return False
        return token is not None

    def statements(self) -> Iterator[Statement]:
        """Yield the statements in the order of the script."""
        while (token := self._next()) is not None:
            if token.kind != "word":
                continue
            word = str(token.value)
            if word in ROUTES:
                yield from self._route(token)
            elif word == "loadmodule":
                yield from self._load_module(token)
            elif word == "modparam":
                yield from self._set_parameter(token)
            elif word in self._names and self._next_is("="):
                yield Call(token.place, word, ())

    def _load_module(self, word: Token) -> Iterator[Call]:
        token = self._next()
        if token is None or token.kind != "string":
            self._findings.leave_out(word.place, "loadmodule", "expected the file of a module in quotation marks")
            return
        yield Call(word.place, "loadmodule", (token.value,))

    def _set_parameter(self, word: Token) -> Iterator[Call]:
        arguments = self._arguments() if self._next_is("(") else None
        if arguments is not None and len(arguments) == 3 and all(isinstance(each, str) for each in arguments[:2]):
            yield Call(word.place, "modparam", arguments)
        else:
            self._findings.leave_out(word.place, "modparam", 'expected modparam("module", "name", value)')

    def _route(self, word: Token) -> Iterator[Statement]:
        options = self._options() if self._next_is("[") else ()
        opening = self._next()
        if options is None or opening is None or not opening.is_mark("{"):
            if opening is not None:
                self._back.append(opening)
            return  # not understood by the original either
        route = Route(word.place, str(word.value), options)
        closing = yield from self._block(route)
        if closing is None:
            self._findings.leave_out(word.place, str(route), "expected a closing brace, got the end of the file")
        elif route.kind == "event_route":
            source = opening.source  # the block may end in another file
            yield EventRoute(route, source.text[opening.end : closing.start] if closing.source is source else "")

    def _options(self) -> tuple[str, ...] | None:
        """Return what stands between brackets, at the commas; None when they do not close."""
        text = ""
        for _ in range(_LONGEST_HEAD):
            token = self._next()
            if token is None:
                break
            if token.is_mark("]"):
                return tuple(text.split(","))
            text += str(token.value) if token.kind == "string" else token.text
        return None

    def _block(self, route: Route) -> Generator[Call, None, Token | None]:
        """Yield the calls of a block, and return its closing brace."""
        depth = 1
        while (token := self._next()) is not None:
            depth += token.is_mark("{") - token.is_mark("}")
            if not depth:
                return token
            if token.kind == "word" and token.value in self._names and self._next_is("("):
                arguments = self._arguments()
                if arguments is None:
                    self._findings.leave_out(token.place, str(token.value), "expected a closing parenthesis")
                    continue
                known = tuple(map(_without_variables, arguments))
                yield Call(token.place, str(token.value), known, route, conditional=depth > 1)
        return None

    def _arguments(self) -> tuple[Value | None, ...] | None:
        """Return the arguments of a call behind its opening parenthesis; None when it does not close."""
        arguments: list[list[Token]] = [[]]
        depth = 1
        for _ in range(_LONGEST_CALL):
            token = self._next()
            if token is None:
                return None
            if token.kind == "mark" and token.value in {";", "{", "}"}:
                self._back.append(token)
                return None
            depth += token.is_mark("(") - token.is_mark(")")
            if not depth:
                return tuple(map(_value, arguments)) if arguments != [[]] else ()
            if depth == 1 and token.is_mark(","):
                arguments.append([])
            else:
                arguments[-1].append(token)
        return None


def _value(tokens: list[Token]) -> Value | None:
    """Return the value of an argument; None when it has to be computed."""
    if len(tokens) == 1 and tokens[0].kind in {"string", "number"}:
        return tokens[0].value
    if len(tokens) == 1 and tokens[0].kind == "word":
        return WORDS.get(str(tokens[0].value))
    if len(tokens) == 2 and tokens[0].is_mark("-") and tokens[1].kind == "number":
        return -int(tokens[1].value)
    return None


def _without_variables(value: Value | None) -> Value | None:
    """Return what a function gets for a text, in which ``$`` begins a variable; None when there is one."""
    if not isinstance(value, str):
        return value
    return value.replace("$$", "$") if _PLAIN.fullmatch(value) else None

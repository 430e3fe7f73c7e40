"""What is wrong with a text, and what went wrong in an evaluation."""


class FilterError(ValueError):
    """A text is no filter; the message names the position, counted from 1, and the accepted form.

    Args:
        position: the index in the text, from 0, at which it is wrong.
        problem: what is expected, and what the text has.
        kind: the kind of the error in CESQL: `parse`, or `missingFunction`.
    """

    def __init__(self, position: int, problem: str, kind: str = "parse") -> None:
        super().__init__(f"at character {position + 1}: {problem}")
        self.position = position
        self.kind = kind


class EvaluationError(Exception):
    """An evaluation has ended with an error: its kind, and what it is about.

    It has no `__init__`, which would take longer than all else for an event that lacks a parameter.
    """

    @property
    def kind(self) -> str:
        """The kind in CESQL: `cast`, `math`, `missingAttribute` or `functionEvaluation`."""
        return str(self.args[0])

    @property
    def subject(self) -> object:
        """What the error is about, such as the name of a parameter, or a string that is no integer."""
        return self.args[1]

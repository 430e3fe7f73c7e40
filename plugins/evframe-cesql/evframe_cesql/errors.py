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
    """An evaluation has ended with an error; `kind` is that of CESQL.

    Args:
        kind: `cast`, `math`, `missingAttribute` or `functionEvaluation`.
        subject: what the error is about, such as the name of a parameter.
    """

    def __init__(self, kind: str, subject: object) -> None:
        super().__init__(kind, subject)
        self.kind = kind
        self.subject = subject

"""Lists of reply codes."""

import pytest
from evframe_probing import parse_codes


def test_lists():
    """Codes and ranges between commas, blanks where one likes."""
    assert parse_codes("501, 403") == {501, 403}
    assert parse_codes(" 200-202 ,404") == {200, 201, 202, 404}
    assert parse_codes("") == set()


@pytest.mark.parametrize("text", ["x", "99", "1000", "200,", ",", "202-200", "200-", "-1", "200;403"])
def test_bad_lists(text):
    """What does not fit is an error with the accepted form."""
    with pytest.raises(ValueError, match="expected codes"):
        parse_codes(text)

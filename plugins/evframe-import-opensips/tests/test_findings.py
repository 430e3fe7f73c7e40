"""What a conversion says about a script."""

from evframe_import_opensips.findings import Findings
from evframe_import_opensips.tokens import Place


def test_findings_of_a_conversion():
    """A finding shows no value whose name says that it is a secret."""
    findings = Findings()
    findings.note(Place("opensips.cfg", 1), "http://h/p?token=s3cret", "got http://u:s3cret@h")
    assert "s3cret" not in str(findings[0])

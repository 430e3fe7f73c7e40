"""Options: attrs classes from the tables of a TOML file, with every problem, its path and its line."""

from evframe_options.files import file_digests, regular_file
from evframe_options.layers import Layers, layers_of, read_layers
from evframe_options.secret import IS_SECRET, Filled, read_secret, secret
from evframe_options.settings import Setting
from evframe_options.structuring import (
    FIELD,
    LARGEST,
    Reader,
    check_named_number,
    check_number,
    check_timeout,
    structure,
)
from evframe_options.toml_lines import key_lines, with_places
from evframe_options.validators import (
    Validator,
    above,
    are_named_apart,
    are_networks,
    at_least,
    each,
    is_readable,
    matching,
    one_of,
    within,
)

__all__ = [
    "FIELD",
    "IS_SECRET",
    "LARGEST",
    "Filled",
    "Layers",
    "Reader",
    "Setting",
    "Validator",
    "above",
    "are_named_apart",
    "are_networks",
    "at_least",
    "check_named_number",
    "check_number",
    "check_timeout",
    "each",
    "file_digests",
    "is_readable",
    "key_lines",
    "layers_of",
    "matching",
    "one_of",
    "read_layers",
    "read_secret",
    "regular_file",
    "secret",
    "structure",
    "with_places",
    "within",
]

"""``python -m evframe``."""

from evframe.cli import main

main()

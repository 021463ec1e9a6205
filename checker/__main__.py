"""`python -m checker`."""

from checker.reporting.cli import main

main()

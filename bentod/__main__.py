"""`python -m bentod` is `bentod`."""

from bentod.cli.main import run

run()

"""The command line: each command parses, calls one public function and prints. Imports stay inside the commands."""

from rejoinder.cli import adapting as adapting  # its commands join those of `main`
from rejoinder.cli import deploying as deploying
from rejoinder.cli import evaluating as evaluating
from rejoinder.cli import loading as loading
from rejoinder.cli import reviewing as reviewing
from rejoinder.cli import serving as serving
from rejoinder.cli.commands import main

__all__ = ["main"]

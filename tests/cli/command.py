"""Running the command line within the tests' process."""

from click.testing import CliRunner, Result

from rejoinder.cli import main


def run(*args: object) -> Result:
    """Run `rejoinder` with these arguments; errors that it does not handle are raised."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result

"""What the store and the gateway log while a command runs, said as a command says things: one calm line for people.

They log what nobody asked about but somebody should know: a shared file was changed, a damaged index was set aside.
Without this, Python would print it raw, `--json` and `--quiet` or not.
"""

import logging
import re

from nearcast.cli import failure
from nearcast.cli.output import Output, printable

_EVENT_NAME = re.compile(r"^[a-z]+(_[a-z]+)+: ")  # `store_changed: `, for programs that read logs


class _Asides(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.note(f"  {printable(_EVENT_NAME.sub('', record.getMessage()))}")
        if record.exc_info and record.exc_info[1] is not None:
            failure.show_traceback(record.exc_info[1])


def say_what_is_logged(output: Output) -> None:
    """From now on, until the process ends or this is called again."""
    log = logging.getLogger("nearcast")
    for handler in [each for each in log.handlers if isinstance(each, _Asides)]:
        log.removeHandler(handler)
    log.addHandler(_Asides(output))

"""Settings of every test. Property tests try the same cases each time, so that a failure is always the change's."""

import signal

from hypothesis import settings

# A shell ignores Ctrl-C for what it runs in the background, and so would everything here: some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("same-cases", derandomize=True, deadline=None)
settings.load_profile("same-cases")

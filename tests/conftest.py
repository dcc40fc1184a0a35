"""Settings of every test: property tests try the same cases each time, so that a failure is always the change's."""

from hypothesis import settings

settings.register_profile("same-cases", derandomize=True, deadline=None)
settings.load_profile("same-cases")

"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no failure; what hangs is ended by pytest-timeout.
settings.register_profile("headcode", deadline=None)
settings.load_profile("headcode")

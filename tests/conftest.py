"""What holds for all tests: properties are judged by what they say, not by how busy the machine is."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a shell that runs us in the background; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

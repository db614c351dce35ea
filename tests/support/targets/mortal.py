"""A worker that can be made to die, and says which process it is."""

import os
import signal
import subprocess
import sys
import time


def pid():
    return os.getpid()


def work(seconds):
    time.sleep(seconds)
    return os.getpid()


def die(how):
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(int(how))


def start_a_child():
    """Leaves a process behind; returns its id."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid

"""Prints in every way there is."""

import os
import subprocess
import sys
import threading

print("hello from the import")


def say(text, stream):
    if stream == "descriptor":
        os.write(1, text.encode() + b"\n")
    elif stream == "child":
        subprocess.run(["echo", text], check=True)
    elif stream == "thread":
        thread = threading.Thread(target=print, args=(text,))
        thread.start()
        thread.join()
    elif stream == "bytes":
        sys.stdout.buffer.write(b"\xff\x00 raw\n")
        sys.stdout.flush()
    elif stream == "open":
        print(text, end="", flush=True)
    elif stream == "much":
        print(text * 20_000)
    else:
        print(text, file=getattr(sys, stream))
    return len(text)

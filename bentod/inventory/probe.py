"""Asks for this host's inventory again and again: a child process that lives, is replaced when it hangs or dies, and
tells at once what the driver says of errors.

    probe = Probe(environ, on_event=seen)     # seen(event: DeviceEvent) is called in the loop of the first `ask`
    inventory = await probe.ask(timeout_s=5)  # never raises: what fails is a state of the inventory
    await probe.stop()
"""

"""Three greetings: plain functions, with nothing to import from bentod."""

import asyncio

WORDS = {"en": "Hello", "de": "Hallo", "fr": "Bonjour", "es": "Hola"}


def greet(name: str, greeting: str = "Hello") -> str:
    """The properties of the API's input are the function's parameters; what has a default here is optional there."""
    return f"{greeting}, {name}!"


async def greet_later(name: str, seconds: float) -> str:
    """An `async def` function does not hold up other calls while it waits."""
    await asyncio.sleep(seconds)
    return greet(name)


def greet_reader(name: str, context) -> dict[str, str]:
    """`context` is the request itself: what came with the body, and what goes back with the answer."""
    wanted = context.headers.get("accept-language", "en")
    language = wanted[:2].lower() if wanted[:2].lower() in WORDS else "en"
    context.response.headers["content-language"] = language
    return {"text": greet(name, WORDS[language]), "language": language}

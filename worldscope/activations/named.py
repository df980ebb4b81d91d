"""Values by name, which say what there is where another name is asked for."""

from typing import TypeVar

Value = TypeVar("Value")


class MissingName(KeyError):
    """A name that is not there, as a sentence."""

    def __str__(self) -> str:
        """The sentence as it is; a `KeyError` would show it in quotes."""
        return str(self.args[0])


class Named(dict[str, Value]):
    """A dict that names what it has where something else is asked for."""

    def __missing__(self, name: str) -> Value:
        raise MissingName(f"{name!r} is not here; there are {', '.join(self) or 'no names'}")

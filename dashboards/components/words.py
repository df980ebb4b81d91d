"""Text from data inside Markdown."""

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=\"'])")


def verbatim(text: object) -> str:
    """The text with every sign shown as itself, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))

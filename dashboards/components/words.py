"""Words on the page: text from data shown as it is, and errors as one sentence."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

_OURS = (ValueError, LookupError, OSError, FloatingPointError)
_log = logging.getLogger(__name__)
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=\"'])")


def verbatim(text: object) -> str:
    """Text from data inside Markdown: every sign shows as itself, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


@contextmanager
def one_sentence() -> Iterator[None]:
    """Shows an error as one sentence in place of the rest; the traceback goes to the server's log.

    Our errors say what was wrong and what would be right, and are shown as they are. Any other is
    a defect of this page.
    """
    try:
        yield
    except _OURS as error:
        _log.info("shown on the page", exc_info=True)
        st.error(verbatim(error))
    except Exception as error:
        _log.exception("the page failed")
        st.error(f"This page has failed ({type(error).__name__}); the server's log says where.")

"""What every page has: its title, and errors as one sentence."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from dashboards.components.words import verbatim

_PAGE = "page"
_OURS = (ValueError, LookupError, OSError, FloatingPointError)
_log = logging.getLogger(__name__)


@contextmanager
def page(title: str) -> Iterator[None]:
    """A page under its title, with an error as one sentence in place of the rest.

    Our errors say what was wrong and what would be right, and are shown as they are. Any other is
    a defect of the page. The server's log has the traceback.
    """
    st.session_state[_PAGE] = title
    st.title(title)
    try:
        yield
    except _OURS as error:
        _log.info("shown on the page", exc_info=True)
        st.error(verbatim(error))
    except Exception as error:
        _log.exception("the page failed")
        st.error(f"This page has failed ({type(error).__name__}); the server's log says where.")


def page_title() -> str:
    """The title of the page that is being drawn, or was drawn last."""
    return st.session_state[_PAGE]

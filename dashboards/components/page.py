"""What every page has: its title, its address, and errors as one sentence.

The address is read when a page is opened, and not again: while somebody moves a slider it lags
behind the widgets. It is written once, when the page is drawn: each change is a step in the
browser's history.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from dashboards.components.words import verbatim

_PAGE, _LINK, _ADDRESS = "page", "link", "address"
_OURS = (ValueError, LookupError, OSError, FloatingPointError)
_log = logging.getLogger(__name__)


@contextmanager
def page(title: str) -> Iterator[None]:
    """A page under its title, with an error as one sentence in place of the rest.

    Our errors say what was wrong and what would be right, and are shown as they are. Any other is
    a defect of the page. The server's log has the traceback.
    """
    if st.session_state.get(_PAGE) != title:
        st.session_state[_LINK] = st.query_params.to_dict()
    st.session_state[_PAGE] = title
    st.session_state[_ADDRESS] = {}
    st.title(title)
    try:
        yield
    except _OURS as error:
        _log.info("shown on the page", exc_info=True)
        st.error(verbatim(error))
    except Exception as error:
        _log.exception("the page failed")
        st.error(f"This page has failed ({type(error).__name__}); the server's log says where.")
    if st.query_params.to_dict() != address():
        st.query_params.from_dict(address())


def page_title() -> str:
    """The title of the page that is being drawn, or was drawn last."""
    return st.session_state[_PAGE]


def followed_link() -> dict[str, str]:
    """What the address said when the page was opened; whoever uses a part takes it out."""
    return st.session_state[_LINK]


def address() -> dict[str, str]:
    """What the address will say of this page; whoever has a choice puts it in."""
    return st.session_state[_ADDRESS]

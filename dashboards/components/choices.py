"""Choices that outlive their page and stand in its address, so that a finding is a link.

A page draws its widgets anew on every run, and Streamlit forgets a widget that is not drawn. So
what was chosen is kept apart from the widgets, under the same key on every page, and written to
the address. An address that differs from what was written there is a link that somebody followed.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

import streamlit as st

from dashboards.components.words import verbatim

T = TypeVar("T")
_KEPT = "choices"


def remember(
    key: str, default: T, *, allowed: Container[T] | None = None, parse: Callable[[str], T]
) -> T:
    """Sets the widget `key`, which is drawn next: as linked, as chosen, or to its default.

    A linked value that is not allowed here is named in a warning.

    Args:
        key: Of the widget, and of the parameter in the address.
        default: What is chosen at first, and where what was chosen is not allowed any more.
        allowed: What may be chosen; None allows everything.
        parse: Reads a value from the address; raises ValueError if it is none.
    """
    kept = st.session_state.setdefault(_KEPT, {})
    linked = st.query_params.get(key)
    if linked is not None and linked != str(kept.get(key)):
        value = _from_link(key, linked, default, allowed, parse)
    else:
        value = st.session_state.get(key, kept.get(key, default))
        value = value if _fits(value, allowed) else default
    kept[key] = value
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
    if linked != str(value):
        st.query_params[key] = str(value)
    return value


def pick(
    label: str,
    options: Sequence[T],
    *,
    key: str,
    default: T | None = None,
    parse: Callable[[str], T] = str,
    show: Callable[[T], str] = str,
    help: str | None = None,
) -> T:
    """One of several options, in a list that can be searched; the first unless told otherwise."""
    remember(key, options[0] if default is None else default, allowed=options, parse=parse)
    return st.selectbox(label, options, key=key, format_func=show, help=help)


def switch(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str | None = None,
    show: Callable[[str], str] = str,
    help: str | None = None,
) -> str:
    """One of a few options, all in sight; the first unless told otherwise."""
    remember(key, default or options[0], allowed=options, parse=str)
    chosen: Any = st.segmented_control(
        label, options, key=key, format_func=show, help=help, required=True
    )
    return chosen


def _from_link(
    key: str,
    linked: str,
    default: T,
    allowed: Container[T] | None,
    parse: Callable[[str], T],
) -> T:
    try:
        value = parse(linked)
    except ValueError:
        value = None
    if value is not None and _fits(value, allowed):
        return value
    st.warning(f"The link asks for {key} {verbatim(linked)}, which is not here.")
    return default


def _fits(value: Any, allowed: Container[Any] | None) -> bool:
    return allowed is None or value in allowed

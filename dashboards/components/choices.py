"""Choices that outlive their page and stand in its address, so that a finding is a link.

Streamlit forgets a widget that is not drawn. So what was chosen is kept apart from the widgets, by
name, for every page that asks for it. Widgets have keys of their own page, `Read.unit`: a key that
two pages shared would still hold the widget of the page that was left.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

import streamlit as st

from dashboards.components.page import address, followed_link, page_title
from dashboards.components.words import verbatim

T = TypeVar("T")
_KEPT = "choices"


def widget_key(name: str) -> str:
    """The key of the widget that chooses `name` on this page."""
    return f"{page_title()}.{name}"


def remember(
    name: str,
    default: T,
    *,
    parse: Callable[[str], T],
    allowed: Container[T] | None = None,
    widget: str | None = None,
) -> str:
    """Sets the widget that is drawn next: as linked, as chosen before, or to its default.

    A linked value that is not allowed here is named in a warning.

    Args:
        name: Of the choice, and of the parameter in the address.
        default: What is chosen at first, and where what was chosen is not allowed any more.
        parse: Reads a value from the address; raises ValueError if it is none.
        allowed: What may be chosen; None allows everything.
        widget: What the widget is called, where a page has several for one choice.

    Returns:
        The widget's key.
    """
    key = widget_key(widget or name)
    kept = st.session_state.setdefault(_KEPT, {})
    linked = followed_link().pop(name, None)
    if linked is not None:
        value = _from_link(name, linked, default, parse, allowed)
    else:
        value = st.session_state.get(key, kept.get(name, default))
        value = value if _fits(value, allowed) else default
    kept[name] = value
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
    address()[name] = str(value)
    return key


def choose(name: str, value: Any) -> None:
    """Chooses for the visitor; only before the widget is drawn, as in a callback."""
    st.session_state[widget_key(name)] = value


def pick(
    label: str,
    options: Sequence[T],
    *,
    name: str,
    default: T | None = None,
    parse: Callable[[str], T] = str,
    show: Callable[[T], str] = str,
) -> T:
    """One of several options, in a list that can be searched; the first unless told otherwise."""
    first = options[0] if default is None else default
    key = remember(name, first, parse=parse, allowed=options)
    return st.selectbox(label, options, key=key, format_func=show)


def switch(
    label: str,
    options: Sequence[str],
    *,
    name: str,
    default: str | None = None,
    show: Callable[[str], str] = str,
    help: str | None = None,
) -> str:
    """One of a few options, all in sight; the first unless told otherwise."""
    key = remember(name, default or options[0], parse=str, allowed=options)
    chosen: Any = st.segmented_control(
        label, options, key=key, format_func=show, help=help, required=True
    )
    return chosen


def _from_link(
    name: str,
    linked: str,
    default: T,
    parse: Callable[[str], T],
    allowed: Container[T] | None,
) -> T:
    try:
        value = parse(linked)
    except ValueError:
        value = None
    if value is not None and _fits(value, allowed):
        return value
    st.warning(f"The link asks for {name} {verbatim(linked)}, which is not here.")
    return default


def _fits(value: Any, allowed: Container[Any] | None) -> bool:
    return allowed is None or value in allowed

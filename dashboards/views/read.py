"""Read: every piece of a text, coloured by a unit or by a feature."""

from typing import TYPE_CHECKING

import streamlit as st

from dashboards import resources
from dashboards.charts import value_over_text
from dashboards.components.choices import choose, remember
from dashboards.components.figures import show
from dashboards.components.networks import network_picker, short_name
from dashboards.components.page import page
from dashboards.components.targets import Target, target_picker
from dashboards.components.words import verbatim
from worldscope.figures import text_heatmap

if TYPE_CHECKING:
    from dashboards.shared import Reading

EXAMPLES = {
    "a turn": "The first hour is wonderful, warm and very funny. Then it turns dull and cruel, and "
    "by the end I hated every minute of it.",
    "praise": "I loved this film. The acting is superb, the story moved me to tears, and I would "
    "happily watch it again tomorrow.",
    "complaint": "What a waste of an evening. The plot makes no sense, the jokes fall flat and the "
    "lead cannot act at all.",
    "negation": "It is not a bad film, and I was never bored. I can't say a word against it.",
}


def type_text() -> str:
    """A text of one's own, or an example."""
    key = remember("text", EXAMPLES["a turn"], parse=str)
    text = st.text_area("Text", key=key, max_chars=5000, height=110)
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, example in EXAMPLES.items():
            st.button(name, key=name, on_click=choose, args=("text", example), type="tertiary")
    return text


def draw(network: str, target: Target, reading: "Reading") -> None:
    """The coloured text, its numbers, and the value along it."""
    values = target.values(reading.acts)
    piece = resources.shared_network(network).piece_name()
    st.html(text_heatmap(reading.pieces, values, unit=f"{target.name}, {target.scale}"))
    bits, mean, last = st.columns(3)
    bits.metric("Bits per byte", f"{reading.bits_per_byte:.3f}")
    mean.metric("Mean value", f"{values.mean():+.3f}")
    last.metric(f"Value after the last {piece}", f"{values[-1]:+.3f}")
    size = f"n = {len(values)} {piece}s" + ("" if piece == "byte" else f", {reading.n_bytes} bytes")
    st.caption(f"This text as {verbatim(short_name(network))} reads it, {size}.")
    show(
        value_over_text(reading.pieces, values, value_title=f"value ({target.scale})", piece=piece)
    )


with page("Read"):
    with st.sidebar:
        network = network_picker()
        target = target_picker(network, first="ranked") if network else None
    if network and target:
        st.markdown(
            f"What **{verbatim(target.name)}** of {verbatim(target.hook)} says, piece by piece. "
            f":gray[{verbatim(short_name(network))} · {verbatim(target.source)}]"
        )
        text = type_text()
        draw(network, target, resources.reading(network, text, target.hook))

"""Steer: what a network writes with a feature held or pushed, beside what it writes without."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import streamlit as st

from dashboards import resources
from dashboards.components.choices import remember, switch
from dashboards.components.drafts import Draft, DraftPlace, write
from dashboards.components.networks import network_picker, short_name
from dashboards.components.page import page
from dashboards.components.sampling import Drawing, drawing_picker
from dashboards.components.targets import Target, target_picker
from dashboards.components.words import verbatim

if TYPE_CHECKING:
    from dashboards.shared import Pair

EDITS = ["clamp", "add"]
MEANS = "clamp: held at its mean + strength × sd. add: strength × sd is added at every step."
STRENGTHS = [step / 2 for step in range(-12, 13)]


def choose_edit() -> tuple[str, float]:
    """Which edit, and how strong."""
    left, right = st.columns([1, 3], gap="large")
    with left:
        edit = switch("Edit", EDITS, name="edit", help=MEANS)
    with right:
        key = remember("strength", 3.0, parse=float, allowed=STRENGTHS)
        strength = st.slider("Strength (sd)", -6.0, 6.0, step=0.5, key=key, format="%+.1f")
    return edit, strength


def type_prompt() -> str:
    """Where both texts begin."""
    key = remember("prompt", "I watched this last night and", parse=str)
    return st.text_input("Prompt", key=key, max_chars=500)


def begin(
    network: str, target: Target, edit: str, strength: float, prompt: str, drawing: Drawing
) -> "tuple[Draft, Iterator[Pair]]":
    """An empty draft, and the pieces that it will be written with."""
    from worldscope.networks.generation import Sampling
    from worldscope.steering.edits import Add, Clamp

    feature = target.as_feature(network)
    pairs = resources.shared_network(network).write_side_by_side(
        prompt,
        {"clamp": Clamp, "add": Add}[edit](feature, strength),
        sampling=Sampling(drawing.temperature, drawing.top_k, drawing.top_p),
        seed=drawing.seed,
        length=drawing.length,
    )
    draft = Draft(
        prompt,
        edit=f"{edit} {strength:+.1f} sd",
        made_with=verbatim(
            f"{target.name} of {target.hook}, {target.sd_from} · {short_name(network)} · "
            f"{drawing.described()}"
        ),
    )
    return draft, pairs


with page("Steer"):
    with st.sidebar:
        network = network_picker()
        target = target_picker(network, first="feature") if network else None
    if network and target:
        st.markdown(
            f"What the network writes with **{verbatim(target.name)}** of {verbatim(target.hook)} "
            f"held or pushed. :gray[{verbatim(short_name(network))} · {verbatim(target.source)}]"
        )
        edit, strength = choose_edit()
        prompt = type_prompt()
        with st.expander("Sampling", icon=":material/casino:"):
            drawing = drawing_picker()
        with st.container(horizontal=True):
            asked = st.button(
                "Generate", key="generate", type="primary", icon=":material/play_arrow:"
            )
            stop = st.empty()
        if asked:
            draft, pairs = begin(network, target, edit, strength, prompt, drawing)
            st.session_state["draft"] = draft
            stop.button("Stop", key="stop", icon=":material/stop:")
            write(draft, pairs, DraftPlace(draft))
            stop.empty()
        elif draft := st.session_state.get("draft"):
            DraftPlace(draft).draw(draft)

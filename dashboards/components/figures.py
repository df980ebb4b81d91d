"""Showing a plotly figure in the page's own light or dark look."""

import plotly.graph_objects as go
import streamlit as st

from worldscope.figures import CONFIG, template


def show(figure: go.Figure) -> None:
    """Draws a figure as wide as its place."""
    figure.update_layout(template=template(dark=st.context.theme.type == "dark"))
    st.plotly_chart(figure, theme=None, config=CONFIG)

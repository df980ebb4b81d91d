"""The dashboard: `worldscope dashboard`, or `streamlit run dashboards/app.py`."""

from pathlib import Path

import streamlit as st

st.set_page_config(
    page_title="Worldscope",
    page_icon=Path(__file__).with_name("icon.svg"),
    layout="wide",
    initial_sidebar_state=330,
)
pages = [
    st.Page("views/read.py", title="Read", icon=":material/text_fields:", default=True),
    st.Page("views/units.py", title="Units", icon=":material/bar_chart:"),
    st.Page("views/steer.py", title="Steer", icon=":material/tune:"),
    st.Page("views/runs.py", title="Runs", icon=":material/folder_open:"),
]
st.navigation(pages).run()

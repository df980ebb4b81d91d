"""Names of networks."""

import os


def test_networks_come_from_runs_the_zoo_and_folders_each_once() -> None:
    from dashboards.components.networks import network_names

    folders = os.pathsep.join(["mine/a", "", "mine/b"])
    names = network_names(["zoo:two", None, "mine/a", "zoo:two"], ["zoo:one", "zoo:two"], folders)
    assert names == ["zoo:two", "mine/a", "zoo:one", "mine/b"]


def test_a_folder_is_shown_by_its_last_two_parts() -> None:
    from dashboards.components.networks import short_name

    assert short_name("zoo:reviews/8MB") == "zoo:reviews/8MB"
    assert short_name("/home/me/nets/reviews/checkpoint") == "reviews/checkpoint"
    assert short_name("") == ""

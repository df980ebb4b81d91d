"""Worldscope: find, prove and move the features that a network uses to model its world.

This is the front door: `import worldscope as ws` offers the names that a notebook or a script
needs, from every room. Each is imported when it is first used, so that `import worldscope` takes
milliseconds and a transformer library is loaded only when a transformer is.
"""

import sys
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as _HOME_OF, for editors and type checkers
    from evidence.steering_effect import measure_steering as measure_steering
    from probes.best_of_many import max_null as max_null
    from probes.ksparse import ksparse_curve as ksparse_curve
    from probes.labels import label_curve as label_curve
    from probes.logistic import fit_l1_path as fit_l1_path
    from probes.ranking import rank_units as rank_units
    from worldscope.activations.capture import capture as capture
    from worldscope.activations.collect import collect as collect
    from worldscope.activations.reading import read_states as read_states
    from worldscope.activations.reading import stream_states as stream_states
    from worldscope.activations.settings import ReadSettings as ReadSettings
    from worldscope.activations.store import load_store as load_store
    from worldscope.activations.stream import stream_activations as stream_activations
    from worldscope.activations.text import read_text as read_text
    from worldscope.activations.views import StoreDataset as StoreDataset
    from worldscope.features.feature import Feature as Feature
    from worldscope.features.feature import direction_feature as direction_feature
    from worldscope.features.feature import load_feature as load_feature
    from worldscope.features.feature import unit_feature as unit_feature
    from worldscope.features.statistics import measure_statistics as measure_statistics
    from worldscope.measures import mean_interval as mean_interval
    from worldscope.measures import split_groups as split_groups
    from worldscope.networks.loading import load_network as load_network
    from worldscope.networks.loading import save_network as save_network
    from worldscope.networks.wrapped import wrap as wrap
    from worldscope.runs import list_runs as list_runs
    from worldscope.runs import load_run as load_run
    from worldscope.steering.edits import Ablate as Ablate
    from worldscope.steering.edits import Add as Add
    from worldscope.steering.edits import Clamp as Clamp
    from worldscope.steering.edits import steer as steer
    from worldscope.worlds.files import load_world as load_world
    from worldscope.worlds.reviews import load_reviews as load_reviews
    from worldscope.worlds.world import State as State
    from worldscope.worlds.world import World as World

    __version__: str

_HOME_OF = {
    "World": "worldscope.worlds.world",
    "State": "worldscope.worlds.world",
    "load_world": "worldscope.worlds.files",
    "load_reviews": "worldscope.worlds.reviews",
    "load_network": "worldscope.networks.loading",
    "capture": "worldscope.activations.capture",
    "collect": "worldscope.activations.collect",
    "ReadSettings": "worldscope.activations.settings",
    "load_store": "worldscope.activations.store",
    "StoreDataset": "worldscope.activations.views",
    "stream_activations": "worldscope.activations.stream",
    "read_text": "worldscope.activations.text",
    "read_states": "worldscope.activations.reading",
    "Feature": "worldscope.features.feature",
    "steer": "worldscope.steering.edits",
    "Add": "worldscope.steering.edits",
    "Clamp": "worldscope.steering.edits",
    "Ablate": "worldscope.steering.edits",
    "measure_statistics": "worldscope.features.statistics",
    "unit_feature": "worldscope.features.feature",
    "direction_feature": "worldscope.features.feature",
    "load_feature": "worldscope.features.feature",
    "save_network": "worldscope.networks.loading",
    "wrap": "worldscope.networks.wrapped",
    "split_groups": "worldscope.measures",
    "mean_interval": "worldscope.measures",
    "max_null": "probes.best_of_many",
    "stream_states": "worldscope.activations.reading",
    "rank_units": "probes.ranking",
    "measure_steering": "evidence.steering_effect",
    "ksparse_curve": "probes.ksparse",
    "label_curve": "probes.labels",
    "load_run": "worldscope.runs",
    "list_runs": "worldscope.runs",
    "fit_l1_path": "probes.logistic",
}

_ROOT = Path(__file__).resolve().parent.parent


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("worldscope")
    if name not in _HOME_OF:
        # With name and obj, Python's traceback adds the nearest name that exists.
        said = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(said, name=name, obj=sys.modules[__name__])
    home = _HOME_OF[name]
    _refuse_a_stranger(home.partition(".")[0])
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return [*_HOME_OF, "__version__"]


def _refuse_a_stranger(package: str) -> None:
    """Raise when `package` would be imported from elsewhere than beside this package.

    The rooms at the root have ordinary names, so a `probes.py` in the working folder or another
    library called `sae` may come first on `sys.path`. It is looked up but not run.
    """
    spec = find_spec(package)
    if spec is None:
        return  # the import that follows says so
    origin = spec.origin or next(iter(spec.submodule_search_locations or []), "")
    found = Path(origin).resolve()
    if found.is_relative_to(_ROOT / package):
        return
    raise ImportError(
        f"worldscope needs its own package '{package}' in {_ROOT / package}, but Python finds "
        f"{found} first on sys.path: rename it, remove it, or work in another folder.",
        name=package,
        path=str(found),
    )

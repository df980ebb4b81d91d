"""A store in words, for the command line."""

from typing import Any

from worldscope.activations.store import ActivationStore


def describe_store(store: ActivationStore) -> str:
    """What a store holds and where it comes from, a line each."""
    manifest, source, notes = store.manifest, store.manifest.source, store.manifest.notes
    lines = {
        "store": f"{store.folder}{_how_far(store)}",
        "rows": f"{len(store):,} in {len(manifest.shards)} shards, {_megabytes(store):,.1f} MB",
        "hooks": ", ".join(f"{name} {tuple(shape)}" for name, shape in source.hooks.items()),
        "dtype": source.dtype,
        "columns": ", ".join(store.columns) or "none yet",
        "network": f"{notes.get('network')}, digest {source.network}, read in {source.arithmetic}",
        "data": f"{notes['data']}, {source.inputs:,} inputs, digest {source.data}",
        "settings": _listed(source.settings),
        "made with": _listed(manifest.environment),
    }
    names = [state["name"] for state in manifest.states]
    labels = store.rows(names if manifest.shards else [])
    for state in manifest.states:
        name, classes = state["name"], ", ".join(state["classes"] or ())
        kind = f"{state['kind']} ({classes})" if classes else state["kind"]
        known = len(store) - labels[name].null_count if manifest.shards else 0
        lines[f"state {name}"] = f"{kind}, known of each {state['level']}, {known:,} rows"
    for change in manifest.later:
        lines[f"from shard {change['shard']} on"] = _listed(change["environment"])
    for name, error in notes.get("bf16_error", {}).items():
        lines[f"bfloat16 error at {name}"] = f"{error:.2%} of the float32 activations' norm"
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {line}" for name, line in lines.items())


def _how_far(store: ActivationStore) -> str:
    """How many inputs are done for certain, where not all are."""
    manifest, source = store.manifest, store.manifest.source
    if manifest.complete:
        return ""
    window = manifest.shards[-1].after[0] if manifest.shards else 0
    done = min(window * source.settings["window"], source.inputs)
    read = f"{done:,} or more" if done else "not all"
    return f" (not complete: {read} of {source.inputs:,} inputs are read)"


def _megabytes(store: ActivationStore) -> float:
    names = [name for shard in store.manifest.shards for name in (shard.acts, shard.rows)]
    files = [store.folder / name for name in names]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _listed(named: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())

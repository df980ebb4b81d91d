"""A store in words, for the command line."""

from worldscope.activations.store import ActivationStore


def describe_store(store: ActivationStore) -> str:
    """What a store holds and where it comes from, a line each."""
    source, notes = store.manifest.source, store.manifest.notes
    n_bytes = sum((store.folder / shard.acts).stat().st_size for shard in store.manifest.shards)
    lines = {
        "store": f"{store.folder}{'' if store.manifest.complete else ' (not complete)'}",
        "rows": f"{len(store):,} in {len(store.manifest.shards)} shards, {n_bytes / 1e6:,.1f} MB",
        "hooks": ", ".join(f"{name} {tuple(shape)}" for name, shape in source.hooks.items()),
        "dtype": source.dtype,
        "columns": ", ".join(store.columns) if store.manifest.shards else "none yet",
        "network": f"{source.network}, read in {source.arithmetic}",
        "data": f"{notes['data']}, {source.inputs:,} inputs, digest {source.data}",
        "settings": ", ".join(f"{name} {value}" for name, value in source.settings.items()),
        "made with": ", ".join(f"{k} {v}" for k, v in store.manifest.environment.items()),
    }
    for name, error in notes.get("bf16_error", {}).items():
        lines[f"bfloat16 error at {name}"] = f"{error:.2%} of the float32 activations' norm"
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {line}" for name, line in lines.items())

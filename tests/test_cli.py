"""The command line: help, errors in one sentence, and a real run of each command."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from worldscope.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    try:
        main(list(arguments))
        status = 0
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def network(tmp_path: Path) -> Path:
    from worldscope.networks.loading import new_mlstm, save_network

    save_network(new_mlstm(d_hidden=8, d_embed=4), tmp_path / "network")
    return tmp_path / "network"


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Texts whose label is whether they shout."""
    words = ["rain", "stone", "river", "lamp", "paper"]
    rows = [
        {"body": (w * k).upper() if k % 2 else w * k, "loud": "yes" if k % 2 else "no"}
        for w in words
        for k in range(2, 12)
    ]
    path = tmp_path / "mine.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "command", [["run", "sentiment_neuron"], ["train", "mlstm"], ["units"], ["dashboard"]]
)
def test_every_command_explains_itself(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    status, out, _ = run(capsys, *command, "--help")
    assert status == 0
    assert "usage: worldscope" in out


def test_options_are_written_with_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "units", "--help")
    assert "--text-column" in out
    assert "--text_column" not in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "missing.csv"), "there is no file missing.csv"),
        (("--network", "zoo:nobody"), "the zoo has no 'nobody'"),
        (("--label-column", "mood"), "has no column 'mood'; its columns are body, loud"),
        (("--hook", "hook_z"), "no hook point is called 'hook_z'"),
        (("--label-column", "body"), "has 50 classes"),
        (("--limit", "0"), "limit is 0; it must be 1 or more"),
        (("--top", "-1"), "top is -1; it must be 1 or more"),
        (("--out", "units.xlsx"), "units.xlsx must end in .csv or .parquet"),
        (("--out", "/proc/nobody/units.csv"), "/proc/nobody"),
        (("--seed", "-1"), "seed is -1; it must be 0 or more"),
        (("--limit", "2"), "has 2 groups of texts and train, dev, test need one each: give more"),
    ],
)
def test_units_says_in_one_sentence_what_is_wrong(
    capsys: pytest.CaptureFixture[str],
    network: Path,
    labelled: Path,
    arguments: tuple[str, str],
    sentence: str,
) -> None:
    given = {
        "--data": str(labelled),
        "--network": str(network),
        "--text-column": "body",
        "--label-column": "loud",
    } | dict([arguments])
    flat = [part for pair in given.items() for part in pair]
    status, _, err = run(capsys, "units", *flat)
    assert status == 1
    assert sentence in err
    assert "Traceback" not in err


def test_units_finds_a_unit_for_a_label_that_even_random_weights_show(
    capsys: pytest.CaptureFixture[str], network: Path, labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "units.csv"
    status, printed, _ = run(
        capsys,
        *("units", "--network", str(network), "--data", str(labelled), "--text-column", "body"),
        *("--label-column", "loud", "--out", str(out)),
    )
    assert status == 0
    assert "label 1 is 'yes', label 0 is 'no'" in printed
    table = pd.read_csv(out)
    assert set(table["position"]) == {"final", "mean"}
    assert len(table) == 2 * 8
    best = table[table["position"] == "mean"].iloc[0]
    assert best["test_accuracy"] > 0.8


def test_no_threads_are_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "train", "mlstm", "--data", "any.txt", "--threads", "0")
    assert status == 1
    assert "threads is 0; it must be at least 1" in err
    assert "Traceback" not in err


def test_a_network_to_start_from_has_its_own_shape(
    capsys: pytest.CaptureFixture[str], network: Path
) -> None:
    command = ("train", "mlstm", "--data", "any.txt", "--init", str(network))
    status, _, err = run(capsys, *command, "--hidden", "9", "--codec", "bpe")
    assert status == 1
    assert "has its own codec and hidden; give init, or these" in err
    command = ("train", "transformer", "--data", "any.txt", "--init", str(network))
    status, _, err = run(capsys, *command)
    assert status == 1
    assert "is not a transformer: use `worldscope train mlstm`" in err


def test_a_short_context_takes_shorter_chunks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from worldscope.networks.loading import load_network

    text = tmp_path / "lines.txt"
    text.write_text("\n".join(f"line {n} of a text to learn from" for n in range(300)))
    small = [
        "--codec",
        "bytes",
        "--d-model",
        "8",
        "--layers",
        "1",
        "--heads",
        "2",
        "--context",
        "16",
    ]
    command = ["train", "transformer", "--data", str(text), "--out", str(tmp_path / "gpt"), *small]
    status, printed, _ = run(capsys, *command, "--training.total-bytes", "2000")
    assert status == 0
    assert f"network: {tmp_path / 'gpt'}" in printed
    assert load_network(tmp_path / "gpt").config.n_ctx == 16


def test_train_writes_a_network_that_loads_and_goes_on_where_it_stopped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from worldscope.networks.loading import load_network

    text = tmp_path / "lines.txt"
    text.write_text("\n".join(f"line {n} of a text to learn from" for n in range(300)))
    out = tmp_path / "training"
    small = ["--hidden", "8", "--embed", "4", "--training.batch", "4", "--training.chunk", "16"]
    command = ["train", "mlstm", "--data", str(text), "--out", str(out), *small]
    run(capsys, *command, "--training.total-bytes", "2000", "--training.decay-fraction", "0")
    status, _, _ = run(
        capsys, *command, "--training.total-bytes", "4000", "--training.decay-fraction", "0"
    )
    assert status == 0
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps[-1] == max(steps) == round(4000 / 64)
    assert load_network(out).config.d_hidden == 8


def test_activations_are_collected_described_verified_and_refused(
    capsys: pytest.CaptureFixture[str], network: Path, labelled: Path, tmp_path: Path
) -> None:
    from worldscope.activations.store import load_store

    out = str(tmp_path / "acts")
    command = ["collect", "--network", str(network), "--data", str(labelled), "--out", out]
    command += ["--text-column", "body", "--label-column", "loud", "--dtype", "bfloat16"]
    status, printed, _ = run(capsys, *command, "--hooks", "hook_c,hook_h", "--limit", "20")
    assert status == 0
    assert "ActivationStore(" in printed
    store = load_store(out)
    assert store.hooks == ["lstm.0.hook_c", "lstm.0.hook_h"]
    assert len(set(store.labels("sequence"))) == 20
    assert set(store.labels("label")) == {0, 1}
    status, printed, _ = run(capsys, "store", "info", out)
    assert status == 0
    assert "lstm.0.hook_c (8,)" in printed
    assert run(capsys, "store", "verify", out)[1].startswith(f"{out} is whole")
    status, _, err = run(capsys, *command, "--hooks", "hook_c", "--limit", "20")
    assert (status, err.count("\n")) == (1, 1)
    assert "another hook list" in err
    shard = Path(out) / store.manifest.shards[0].acts
    shard.write_bytes(shard.read_bytes()[:-1])
    status, _, err = run(capsys, "store", "verify", "--folder", out)
    assert status == 1
    assert "shard-00000.safetensors has changed" in err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--hooks", "hook_x"], "no hook point is called 'hook_x'"),
        (["--text-column", "no"], "has no column 'no'"),
        (["--limit", "0"], "limit is 0"),
        (["--read.positions", "first"], "positions is 'first'"),
    ],
)
def test_collecting_says_in_one_sentence_what_is_wrong(
    capsys: pytest.CaptureFixture[str],
    network: Path,
    labelled: Path,
    tmp_path: Path,
    wrong: list[str],
    said: str,
) -> None:
    given = {
        "--network": str(network),
        "--data": str(labelled),
        "--hooks": "hook_c",
        "--text-column": "body",
        "--out": str(tmp_path / "acts"),
        wrong[0]: wrong[1],
    }
    status, _, err = run(capsys, "collect", *(word for pair in given.items() for word in pair))
    assert status != 0
    assert said in err
    assert "Traceback" not in err
    assert not list(tmp_path.glob("acts/*.safetensors"))


def test_a_column_of_the_file_chooses_positions_and_rows_keep_their_numbers(
    capsys: pytest.CaptureFixture[str], network: Path, tmp_path: Path
) -> None:
    from worldscope.activations.store import load_store

    rows = [{"text": "abc" * (n + 1), "where": [n, 2 * n + 1]} for n in range(9)]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    command = ["collect", "--network", str(network), "--data", str(file), "--hooks", "hook_c"]
    chosen = ["--read.positions", "column:where", "--limit", "4", "--out", str(tmp_path / "acts")]
    status, _, err = run(capsys, *command, *chosen)
    assert status == 0, err
    table = load_store(tmp_path / "acts").rows(["group", "position"]).to_pylist()
    drawn = {row["group"] for row in table}
    assert len(drawn) == 4
    assert drawn != {"0", "1", "2", "3"}, "the rows are drawn at random"
    for group in drawn:
        found = sorted(row["position"] for row in table if row["group"] == group)
        assert found == sorted({int(group), 2 * int(group) + 1})


def test_the_help_of_collect_says_how_to_write_what_a_shell_would_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = " ".join(run(capsys, "collect", "--help")[1].split())
    for said in ("Hook names, parted by commas", "--read.positions", "column:NAME", "--limit"):
        assert said in text


def test_a_folder_that_is_no_store_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for command in ("info", "verify"):
        status, _, err = run(capsys, "store", command, str(tmp_path))
        assert (status, err.count("\n")) == (1, 1)
        assert "holds no activation store: manifest.json is missing" in err


def test_a_network_is_trained_on_several_sources(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from worldscope.networks.loading import load_network

    for name in ("one", "two"):
        lines = (f"line {n} of file {name}, to learn from" for n in range(150))
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    sources = f"[{tmp_path / 'one.txt'},{tmp_path / 'two.txt'}]"
    command = ["train", "mlstm", "--data", sources, "--out", str(tmp_path / "net")]
    small = ["--hidden", "8", "--training.batch", "4", "--training.chunk", "16"]
    status, _, _ = run(capsys, *command, *small, "--training.total-bytes", "2000")
    assert status == 0
    assert load_network(tmp_path / "net").config.d_hidden == 8


def test_the_subject_of_a_command_needs_no_option(
    capsys: pytest.CaptureFixture[str], network: Path
) -> None:
    assert run(capsys, "hooks", str(network)) == run(capsys, "hooks", "--network", str(network))
    assert "lstm.0.hook_c" in run(capsys, "hooks", str(network))[1]


def test_the_package_runs_as_a_module_and_ends_quietly_when_its_reader_does() -> None:
    command = f"{sys.executable} -m worldscope hooks zoo:reviews-gpt | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("name")
    assert not done.stderr


def test_the_group_of_an_option_needs_no_name(
    capsys: pytest.CaptureFixture[str], network: Path, labelled: Path, tmp_path: Path
) -> None:
    from worldscope.activations.store import load_store

    command = ["collect", "--network", str(network), "--data", str(labelled), "--hooks", "hook_c"]
    command += ["--text-column", "body", "--limit", "5"]
    for number, options in enumerate((["--positions", "last"], ["--positions=last"])):
        out = str(tmp_path / str(number))
        assert run(capsys, *command, "--out", out, *options, "--batch-positions", "64")[0] == 0
        settings = load_store(out).manifest.source.settings
        assert (settings["positions"], settings["batch_positions"]) == ("last", 64)

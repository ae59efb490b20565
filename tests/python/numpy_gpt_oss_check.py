"""The golden check judges the engine of numpy_gpt_oss.py: it is right, and each of its bugs is named.

    python tests/python/numpy_gpt_oss_check.py target/debug/gptoss

Needs numpy.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from numpy_gpt_oss import BUGS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROBE = ROOT / "fixtures/probe"
PROMPT = PROBE / "prompt.json"

# The bug of the catalogue that each bug of the engine is.
NAMES = {
    "interleaved-rope": "rope.interleaved",
    "yarn-truncated": "yarn.truncate",
    "no-sinks": "sink.absent",
    "window-129": "window.plus_one",
    "cache-not-written": "kv.not_written",
    "router-no-bias": "router.no_bias",
    "swapped-gate-up": "moe.swap",
    "silu": "swiglu.alpha_one",
}


def run(model, ids, path, *more):
    engine = [sys.executable, str(HERE / "numpy_gpt_oss.py"), str(model), "--ids", ids, "-o", str(path), *more]
    subprocess.run(engine, check=True)


def check(gptoss, model, path, *more):
    command = [gptoss, "golden", "check", str(path), "--model", str(model), "--json", *more]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode not in (0, 1):
        sys.exit(f"{command}: {told.stderr}")
    report = json.loads(told.stdout)
    assert (told.returncode == 0) == report["passed"], told.returncode
    assert report["matching"]["unmatched"] == [], report["matching"]["unmatched"]
    return report


def right(gptoss, folder):
    """Both precisions, both kinds of file, two checkpoints, read at once and token by token."""
    short = ",".join(str((7919 * index + 1) % 512) for index in range(40))
    runs = [
        ("probe", PROBE, f"@{PROMPT}", "bf16", 0, ".safetensors"),
        ("probe", PROBE, f"@{PROMPT}", "bf16", 8, ".safetensors"),
        ("probe", PROBE, f"@{PROMPT}", "f32", 8, ".npz"),
        ("a64", ROOT / "fixtures/golden/a64", short, "bf16", 5, ".safetensors"),
        ("a64", ROOT / "fixtures/golden/a64", short, "f32", 0, ".npz"),
    ]
    for name, model, ids, precision, decode, suffix in runs:
        path = folder / f"right_{name}_{precision}_{decode}{suffix}"
        run(model, ids, path, "--precision", precision, "--decode", str(decode))
        # An .npz file has no place for what is said of the arithmetic.
        facts = [f"profile={precision},accumulate=f32"] if suffix == ".npz" else []
        facts += [f"decoded={len(json.loads(PROMPT.read_text())['ids']) - decode}"] if name == "probe" and decode else []
        report = check(gptoss, model, path, *(["--declare", ",".join(facts)] if facts else ["--no-power"]))
        assert report["verdict"] == "right", f"{path.name}: {report['summary']}, {report['lint']}"
        found = report["report"]
        assert found["unjudged"] == [], found["unjudged"]
        # On the probe, every known bug would have shown.
        assert name != "probe" or not decode or found["power"]["blind"] == [], found["power"]["blind"]
        print(f"{path.name}: {report['summary']}")


def wrong(gptoss, folder):
    assert set(NAMES) == set(BUGS)
    for precision in ("bf16", "f32"):
        for bug, name in NAMES.items():
            path = folder / "wrong.safetensors"
            run(PROBE, f"@{PROMPT}", path, "--precision", precision, "--decode", "8", "--bug", bug)
            report = check(gptoss, PROBE, path, "--no-power", "--declare", "decoded=132")
            suspects = [suspect["mutant"] for suspect in report["report"]["suspects"]]
            assert report["verdict"] == "wrong", f"{bug}: {report['summary']}"
            assert suspects[:1] == [name], f"{bug} in {precision} is {name}, and {suspects} were named: {report['summary']}"
            print(f"{precision} with {bug}: {report['summary']}")


def main():
    gptoss = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        right(gptoss, pathlib.Path(folder))
        wrong(gptoss, pathlib.Path(folder))


if __name__ == "__main__":
    main()

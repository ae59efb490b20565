"""The capture helper for PyTorch, on the fixture's model: what it writes is understood, and nothing about it is odd.

    python tests/python/capture_torch.py target/debug/gptoss

Needs torch, transformers and safetensors; OpenAI's model is run too where the package gpt_oss is installed.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "fixtures/golden/a64"
IDS = [(7919 * index + 1) % 512 for index in range(24)]
sys.path.insert(0, str(ROOT / "cli/capture"))

import gptoss_dump  # noqa: E402


def lint(gptoss, path):
    run = subprocess.run(
        [gptoss, "golden", "lint", str(path), "--model", str(MODEL), "--json"], capture_output=True, text=True
    )
    report = json.loads(run.stdout)
    assert run.returncode == 0, report["findings"]
    return report["matching"]


def values(matching):
    return {matched["value"] for matched in matching["matched"]}


def hugging_face(gptoss, folder, experts):
    from transformers import AutoModelForCausalLM, Mxfp4Config

    model = AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=torch.bfloat16, attn_implementation="eager", quantization_config=Mxfp4Config(dequantize=True)
    ).eval()
    model.set_experts_implementation(experts)
    path = folder / f"hugging_face_{experts}.safetensors"
    with torch.no_grad(), gptoss_dump.hugging_face(model) as dump:
        model(input_ids=torch.tensor([IDS]))
    dump.save(path, tokens=IDS, profile="bf16", accumulate="f32")
    matching = lint(gptoss, path)
    assert matching["unmatched"] == [], matching["unmatched"]
    points = "attention_norm query key value query_rotated key_rotated context attention_output attention_residual "
    points += "mlp_norm router_logits expert_ids expert_weights mlp_output layer_output"
    expected = {f"layer.{layer}.{point}" for layer in range(4) for point in points.split()}
    missing = (expected | {"embedding", "final_norm", "logits"}) - values(matching)
    assert not missing, missing
    rows = [name for name in values(matching) if ".gate_up" in name]
    assert len(rows) >= 4, "rows of experts were captured"
    print(f"hugging face, {experts}: {len(matching['matched'])} arrays matched")
    return path


def openai(gptoss, folder):
    from gpt_oss.torch.model import Transformer

    model = Transformer.from_checkpoint(str(MODEL / "original"), device="cpu").eval()
    path = folder / "openai.safetensors"
    with torch.no_grad(), gptoss_dump.openai(model) as dump:
        model(torch.tensor(IDS))
    dump.save(path, tokens=IDS, profile="bf16", accumulate="f32")
    matching = lint(gptoss, path)
    assert matching["unmatched"] == [], matching["unmatched"]
    assert {"layer.0.gate_up", "layer.3.query_rotated", "layer.2.context"} <= values(matching), values(matching)
    print(f"openai: {len(matching['matched'])} arrays matched")
    return path


def main():
    gptoss = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for experts in ("eager", "grouped_mm", "batched_mm"):
            hugging_face(gptoss, folder, experts)
        try:
            import gpt_oss  # noqa: F401
        except ImportError:
            print("openai: gpt_oss is not installed")
        else:
            openai(gptoss, folder)


if __name__ == "__main__":
    main()

"""The capture helper for PyTorch, and engines of PyTorch judged: right as they are, and with a bug in them its name.

    python tests/python/capture_torch.py target/debug/gptoss [--device cuda] [--model FOLDER] [--attention NAME]

Hugging Face's model computes experts in each of its three ways, OpenAI's runs where the package gpt_oss is installed.
What the helper writes is understood, nothing about it is odd, and `gptoss golden check` finds it right. Then each bug
below is put into Hugging Face's model on the probe: the check finds it wrong and suspects that bug first.
A folder of --model is a checkpoint in Hugging Face's layout, of any size, that is judged like the fixtures.

Needs torch, transformers, accelerate and safetensors.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import types

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = ROOT / "fixtures/probe"
SMALL = ROOT / "fixtures/golden/a64"
sys.path.insert(0, str(ROOT / "cli/capture"))

import gptoss_dump  # noqa: E402

# What is hooked in every engine; rows of experts depend on how these are computed.
POINTS = (
    "attention_norm query key value query_rotated key_rotated context attention_output attention_residual mlp_norm "
    "router_logits expert_ids expert_weights mlp_output layer_output"
).split()


def token_ids(folder):
    """A prompt: that of the probe shows most bugs, and for other checkpoints spread ids that reach past the window."""
    if (folder / "prompt.json").exists():
        return json.loads((folder / "prompt.json").read_text())["ids"]
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    return [(7919 * index + 1) % vocabulary for index in range(140)]


class Judge:
    """Runs gptoss on dumps of one checkpoint."""

    def __init__(self, gptoss, folder, scratch):
        self.gptoss, self.folder, self.scratch = gptoss, folder, scratch
        self.ids = token_ids(folder)

    def save(self, dump, name):
        path = self.scratch / f"{name}.safetensors"
        dump.save(path, tokens=self.ids, profile="bf16", accumulate="f32")
        return path

    def run(self, verb, path, *options):
        command = [self.gptoss, "golden", verb, str(path), "--model", str(self.folder), "--json", *options]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.stdout, run.stderr
        return run.returncode, json.loads(run.stdout)

    def lint(self, path):
        status, report = self.run("lint", path)
        assert status == 0, report["findings"]
        assert report["matching"]["unmatched"] == [], report["matching"]["unmatched"]
        return {matched["value"] for matched in report["matching"]["matched"]}

    def check(self, path, *options):
        # Softmax of PyTorch rounds elsewhere than the profile does.
        return self.run("check", path, "--declare", "fused", *options)

    def assert_right(self, path, label):
        values = self.lint(path)
        started = time.monotonic()
        status, report = self.check(path)
        took = f"{time.monotonic() - started:.1f} s"
        print(f"{label}: {len(values)} values, {report['verdict']} ({report['summary']}), {took}", flush=True)
        assert status == 0, report["summary"]
        return values


def load(folder, device, attention="eager", experts="eager"):
    from transformers import AutoModelForCausalLM, Mxfp4Config, logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation=attention, quantization_config=Mxfp4Config(dequantize=True)
    )
    model.set_experts_implementation(experts)
    return model.eval().to(device)


def captured(model, ids, device):
    with torch.no_grad(), gptoss_dump.hugging_face(model) as dump:
        model(input_ids=torch.tensor([ids], device=device))
    return dump


def hugging_face(judge, device, attention, experts):
    model = load(judge.folder, device, attention, experts)
    label = f"Hugging Face on {judge.folder.name}, attention {attention}, experts {experts}"
    path = judge.save(captured(model, judge.ids, device), f"{attention}_{experts}")
    values = judge.assert_right(path, label)
    layers = len(model.model.layers)
    expected = {f"layer.{layer}.{point}" for layer in range(layers) for point in POINTS}
    missing = (expected | {"embedding", "final_norm", "logits"}) - values
    assert not missing, missing
    assert len([name for name in values if ".gate_up" in name]) >= layers, "rows of experts were captured"


def openai(judge, device):
    from gpt_oss.torch.model import Transformer

    model = Transformer.from_checkpoint(str(judge.folder / "original"), device=torch.device(device)).eval()
    with torch.no_grad(), gptoss_dump.openai(model) as dump:
        model(torch.tensor(judge.ids, device=device))
    values = judge.assert_right(judge.save(dump, "openai"), f"OpenAI's on {judge.folder.name}")
    assert {"layer.0.gate_up", "layer.3.query_rotated", "layer.2.context"} <= values, values


# Bugs: each changes a loaded model of Hugging Face.


def each_layer(change):
    return lambda model: [change(layer) for layer in model.model.layers]


def code_of(model):
    """The module that the model's class is of."""
    return sys.modules[type(model).__module__]


def rotate_neighbours(x, cos, sin):
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)


def gate_of(split, limit=7.0, alpha=1.702, one=1.0):
    def apply_gate(gate_up):
        gate, up = split(gate_up)
        gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
        return (up + one) * (gate * torch.sigmoid(gate * alpha))

    return each_layer(lambda layer: setattr(layer.mlp.experts, "_apply_gate", apply_gate))


def interleaved(x):
    return x[..., ::2], x[..., 1::2]


def router_of_all(layer):
    def forward(self, x):
        logits = torch.nn.functional.linear(x, self.weight, self.bias)
        ids = torch.topk(logits, self.top_k, dim=-1).indices
        weights = torch.softmax(logits, dim=1, dtype=logits.dtype)
        return logits, torch.gather(weights, 1, ids), ids

    layer.mlp.router.forward = types.MethodType(forward, layer.mlp.router)


def other_order(change):
    """Another order of the codes of a block: `change` gets [experts, blocks, bytes, 2, outputs]."""

    def layer_with(layer):
        for weight in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj):
            experts, inputs, outputs = weight.shape
            codes = weight.data.reshape(experts, inputs // 32, 16, 2, outputs)
            weight.data = change(codes).reshape(weight.shape).contiguous()

    return each_layer(layer_with)


def windows_absent(model):
    """All layers get the mask of full ones."""
    code_of(model).create_sliding_window_causal_mask = code_of(model).create_causal_mask


BUGS = {
    "rope.interleaved": lambda model: setattr(code_of(model), "_apply_rotary_emb", rotate_neighbours),
    "yarn.no_mscale": lambda model: setattr(model.model.rotary_emb, "attention_scaling", 1.0),
    "window.absent": windows_absent,
    "scale.absent": each_layer(lambda layer: setattr(layer.self_attn, "scaling", 1.0)),
    "sink.absent": each_layer(lambda layer: layer.self_attn.sinks.data.fill_(-1e30)),
    "sink.log_base": each_layer(lambda layer: layer.self_attn.sinks.data.mul_(0.6931471805599453)),
    "router.no_bias": each_layer(lambda layer: layer.mlp.router.bias.data.zero_()),
    "router.softmax_all": each_layer(router_of_all),
    "mxfp4.nibble": other_order(lambda codes: codes.transpose(2, 3)),
    "mxfp4.high_first": other_order(lambda codes: codes.flip(3)),
    "bias.gate_up_absent": each_layer(lambda layer: layer.mlp.experts.gate_up_proj_bias.data.zero_()),
    "moe.concat": gate_of(lambda x: x.chunk(2, dim=-1)),
    "moe.swap": gate_of(lambda x: interleaved(x)[::-1]),
    "swiglu.no_limit": gate_of(interleaved, limit=1e30),
    "swiglu.alpha_one": gate_of(interleaved, alpha=1.0),
    "swiglu.no_plus_one": gate_of(interleaved, one=0.0),
}


def named(judge, device, bug):
    model = load(judge.folder, device)
    code = vars(code_of(model))
    before = dict(code)
    try:
        BUGS[bug](model)
        path = judge.save(captured(model, judge.ids, device), bug)
    finally:
        code.update(before)
    status, report = judge.check(path, "--no-power")
    suspects = [suspect["mutant"] for suspect in report["report"]["suspects"]]
    assert (status, report["verdict"]) == (1, "wrong"), f"{bug}: {report['summary']}"
    assert suspects[:1] == [bug], f"{bug}: {report['summary']}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gptoss")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", action="append", default=[], type=pathlib.Path)
    parser.add_argument("--attention", action="append", default=[], help="beside eager, such as flex_attention")
    options = parser.parse_args()
    if options.device != "cpu":
        print(f"on {torch.cuda.get_device_name()}, PyTorch {torch.__version__}", flush=True)
    failures = 0

    def attempt(function, *arguments):
        nonlocal failures
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001: the others are tried, too
            failures += 1
            print(f"{function.__name__} {arguments[1:]}: {type(error).__name__}: {error}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for model in [SMALL, PROBE, *options.model]:
            judge = Judge(options.gptoss, model, scratch)
            for experts in ("eager", "grouped_mm", "batched_mm"):
                attempt(hugging_face, judge, options.device, "eager", experts)
            for attention in options.attention:
                attempt(hugging_face, judge, options.device, attention, "eager")
        try:
            import gpt_oss  # noqa: F401
        except ImportError:
            print("OpenAI's: gpt_oss is not installed")
        else:
            attempt(openai, Judge(options.gptoss, SMALL, scratch), options.device)
        judge = Judge(options.gptoss, PROBE, scratch)
        for bug in BUGS:
            attempt(named, judge, options.device, bug)
        print(f"{len(BUGS)} bugs put into Hugging Face's model; {failures} failures in all")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()

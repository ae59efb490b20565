"""Writes what a gpt-oss model in PyTorch computes as safetensors, for `gptoss golden check`.

For Hugging Face's GptOssForCausalLM:

    import gptoss_dump
    with gptoss_dump.hugging_face(model) as dump:
        model(input_ids=torch.tensor([ids]))
    dump.save("dump.safetensors", tokens=ids, profile="bf16", accumulate="f32")

For OpenAI's gpt_oss.torch.model.Transformer:

    with gptoss_dump.openai(model) as dump:
        model(torch.tensor(ids))
    dump.save("dump.safetensors", tokens=ids, profile="bf16", accumulate="f32")

One sequence, one pass. Needs torch and safetensors. Apache-2.0.
"""

import contextlib
import json
import sys

import torch
from safetensors.torch import save_file


class Dump:
    """Named tensors of a run."""

    def __init__(self):
        self.tensors = {}
        self.positions = {}

    def add(self, name, tensor, positions=None):
        """Keeps a copy in memory of the CPU; the first of a name stays."""
        if torch.is_tensor(tensor) and name not in self.tensors:
            self.tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
            if positions is not None:
                self.positions[name] = positions

    def save(self, path, tokens, profile=None, accumulate=None, **metadata):
        """Writes the file.

        profile: bf16, f32 or f64, where the backend rounds. accumulate: bf16, f16, tf32, f32 or f64, in what it sums
        products. Both are facts about the backend, not tolerances; what is left out is said to `gptoss golden check`.
        """
        metadata = {name: str(value) for name, value in metadata.items()}
        metadata["tokens"] = json.dumps([int(token) for token in tokens])
        if profile is not None:
            metadata["profile"] = profile
        if accumulate is not None:
            metadata["accumulate"] = accumulate
        for name, positions in self.positions.items():
            metadata["positions." + name] = json.dumps(positions)
        save_file(self.tensors, path, metadata=metadata)


@contextlib.contextmanager
def hugging_face(model):
    """Captures a pass of Hugging Face's GptOssForCausalLM."""
    with contextlib.ExitStack() as undo:
        dump = Dump()
        _hook_hugging_face(dump, model, undo)
        yield dump


def _hook_hugging_face(dump, model, undo):
    def hook(module, function):
        undo.callback(module.register_forward_hook(function).remove)

    def hook_before(module, function):
        undo.callback(module.register_forward_pre_hook(function).remove)

    def output(name):
        return lambda module, args, result: dump.add(name, result[0] if isinstance(result, tuple) else result)

    hook(model.model.embed_tokens, output("model.embed_tokens"))
    hook(model.model.norm, output("model.norm"))
    hook(model.lm_head, output("lm_head"))
    for index, layer in enumerate(model.model.layers):
        path = f"model.layers.{index}"
        hook(layer, output(path))
        hook(layer.input_layernorm, output(path + ".input_layernorm"))
        hook(layer.post_attention_layernorm, output(path + ".post_attention_layernorm"))
        before = lambda module, args, path=path: dump.add(path + ".post_attention_layernorm.input", args[0])
        hook_before(layer.post_attention_layernorm, before)
        attention = layer.self_attn
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            hook(getattr(attention, name), output(f"{path}.self_attn.{name}"))
        context = lambda module, args, path=path: dump.add(path + ".self_attn.context", args[0])
        hook_before(attention.o_proj, context)
        hook(layer.mlp.router, _router(dump, path + ".mlp.router"))
        hook(layer.mlp.experts, output(path + ".mlp.experts"))
        if hasattr(layer.mlp.experts, "_apply_gate"):
            _capture_experts(dump, layer.mlp.experts, path + ".mlp.experts", undo)
    _capture_rotation(dump, model, undo)


def _router(dump, path):
    def hook(module, args, result):
        # Newer versions give logits, weights and ids; older ones weights and ids.
        names = ("logits", "scores", "indices") if len(result) == 3 else ("scores", "indices")
        for name, tensor in zip(names, result):
            dump.add(f"{path}.{name}", tensor)
        if len(result) == 2:
            x = args[0].reshape(-1, module.weight.shape[1])
            dump.add(path + ".logits", torch.nn.functional.linear(x, module.weight, module.bias))

    return hook


def _capture_experts(dump, experts, path, undo):
    """Gate, up and activation of each expert, around `_apply_gate`.

    The plain loop calls it once for each chosen expert, with rows rank by rank; the grouped product calls it once with
    the rows of all experts, sorted by expert; the batched one with rows in their order.
    """
    state = {}

    def before(module, args, kwargs):
        ids = kwargs.get("router_indices", args[1] if len(args) > 1 else None)
        chosen = sorted(set(ids.flatten().tolist()))
        state["ids"] = ids
        state["calls"] = iter([expert for expert in chosen if expert < module.num_experts])

    undo.callback(experts.register_forward_pre_hook(before, with_kwargs=True).remove)
    original = experts._apply_gate

    def apply_gate(gate_up):
        result = original(gate_up)
        ids = state["ids"]
        if gate_up.shape[0] == ids.numel() and _implementation(experts) in ("grouped_mm", "batched_mm"):
            order = torch.arange(ids.numel(), device=ids.device)
            if _implementation(experts) == "grouped_mm":
                order = torch.sort(ids.reshape(-1))[1]
            for name, rows in (("gate_up", gate_up), ("act", result)):
                ranks = torch.empty_like(rows)
                ranks[order] = rows
                dump.add(f"{path}.{name}", ranks.reshape(*ids.shape, -1))
            return result
        expert = next(state["calls"], None)
        rows = torch.where(ids.T == expert)[1].tolist() if expert is not None else []
        if len(rows) == gate_up.shape[0]:
            dump.add(f"{path}.gate_up.expert.{expert}", gate_up, rows)
            dump.add(f"{path}.act.expert.{expert}", result, rows)
        return result

    experts._apply_gate = apply_gate
    undo.callback(delattr, experts, "_apply_gate")


def _implementation(experts):
    return getattr(getattr(experts, "config", None), "_experts_implementation", None) or "eager"


def _capture_rotation(dump, model, undo):
    """Rotated queries and keys: the function is called once a layer, in order."""
    source = sys.modules[type(model).__module__]
    original = source.apply_rotary_pos_emb
    count = [0]

    def rotate(*args, **kwargs):
        query, key = original(*args, **kwargs)
        path = f"model.layers.{count[0]}.self_attn"
        count[0] += 1
        dump.add(path + ".q_rope", query)
        dump.add(path + ".k_rope", key)
        return query, key

    source.apply_rotary_pos_emb = rotate
    undo.callback(setattr, source, "apply_rotary_pos_emb", original)


@contextlib.contextmanager
def openai(model):
    """Captures a pass of OpenAI's gpt_oss.torch.model.Transformer, on one GPU or the CPU."""
    with contextlib.ExitStack() as undo:
        dump = Dump()
        _hook_openai(dump, model, undo)
        yield dump


def _hook_openai(dump, model, undo):
    source = sys.modules[type(model).__module__]
    layer = [0]

    def hook(module, name):
        call(module, lambda module, args, result: dump.add(name, result))

    def call(module, function):
        undo.callback(module.register_forward_hook(function).remove)

    hook(model.embedding, "embedding")
    hook(model.norm, "norm")
    hook(model.unembedding, "unembedding")
    for index, block in enumerate(model.block):
        path = f"block.{index}"
        enter = lambda module, args, index=index: layer.__setitem__(0, index)
        undo.callback(block.register_forward_pre_hook(enter).remove)
        hook(block.attn.norm, path + ".attn.norm")
        hook(block.attn.qkv, path + ".attn.qkv")
        rotated = lambda module, args, result, path=path: (
            dump.add(path + ".attn.rope.query", result[0]),
            dump.add(path + ".attn.rope.key", result[1]),
        )
        call(block.attn.rope, lambda *args, rotated=rotated: rotated(*args) and None)
        hook(block.attn.out, path + ".attn.out")
        hook(block.attn, path + ".attn")
        hook(block.mlp.norm, path + ".mlp.norm")
        hook(block.mlp.gate, path + ".mlp.gate")
        k = block.mlp.experts_per_token
        chosen = lambda module, args, result, path=path, k=k: _chosen(dump, path, result, k)
        call(block.mlp.gate, chosen)
        hook(block.mlp, path)

    def patch(name, record):
        original = getattr(source, name)

        def replaced(*args, **kwargs):
            result = original(*args, **kwargs)
            record(f"block.{layer[0]}", args, result)
            return result

        setattr(source, name, replaced)
        undo.callback(setattr, source, name, original)

    patch("sdpa", lambda path, args, result: dump.add(path + ".attn.sdpa", result))
    patch(
        "swiglu",
        lambda path, args, result: (
            dump.add(path + ".mlp.swiglu.input", args[0]),
            dump.add(path + ".mlp.swiglu", result),
        ),
    )


def _chosen(dump, path, logits, k):
    """The choice of experts, by the same function as the model's."""
    values, ids = torch.topk(logits, k=k, dim=-1, sorted=True)
    dump.add(path + ".mlp.expert_indices", ids)
    dump.add(path + ".mlp.expert_weights", torch.nn.functional.softmax(values, dim=1))

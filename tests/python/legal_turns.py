"""Turns of a model by chance, held to the grammar over the whole vocabulary: each of them must be legal.

    python tests/python/legal_turns.py target/release/gptoss [TURNS]

The model is a small synthetic one with the 201,088 ids of gpt-oss; its text is noise. Tools, a response format and both
take turns. Needs nothing beside Python.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

WEATHER = {
    "type": "object",
    "properties": {
        "location": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["location"],
    "additionalProperties": False,
}
PLAN = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"type": "object", "properties": {"do": {"type": "string"}}, "required": ["do"]},
        },
        "dry": {"type": "boolean"},
    },
    "required": ["steps", "dry"],
}
ANSWER = {
    "type": "object",
    "properties": {
        "sum": {"type": "number"},
        "parts": {"type": "array", "items": {"type": "integer"}, "maxItems": 4},
        "note": {"type": ["string", "null"]},
    },
    "required": ["sum", "parts"],
    "additionalProperties": False,
}


def tools():
    named = {"get_weather": WEATHER, "plan": PLAN}
    described = [{"name": name, "description": "", "parameters": schema} for name, schema in named.items()]
    return {"functions": {"name": "functions", "tools": described + [{"name": "now", "description": ""}]}}


def case(index):
    content = {"type": "developer_content"}
    if index % 3 != 1:
        content["tools"] = tools()
    if index % 3 != 0:
        content["response_formats"] = [{"name": "answer", "schema": ANSWER}]
    messages = [{"role": "developer", "content": [content]}, {"role": "user", "content": f"Question {index}"}]
    return {"id": str(index), "conversation": {"messages": messages}, "expect": {"regex": "(?s).*"}}


def main():
    gptoss, turns = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = json.loads((ROOT / "fixtures/golden/a64/config.json").read_text())
        config.update(vocab_size=201_088, hidden_size=32, max_position_embeddings=4096)
        (folder / "config.json").write_text(json.dumps(config))
        model, cases = folder / "model", folder / "cases.jsonl"
        synth = [gptoss, "model", "synth", "--like", folder / "config.json", "-o", model, "--quiet"]
        subprocess.run(synth, check=True)
        cases.write_text("".join(json.dumps(case(index)) + "\n" for index in range(turns)))
        command = [gptoss, "eval", cases, "--model", model, "--enforce", "auto", "-n", "160", "--quiet", "--json"]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    legal = report["all"]["well_formed"]
    print(f"{legal} of {turns} turns are legal")
    sys.exit(legal != turns)


if __name__ == "__main__":
    main()

"""Tools of servers that others wrote, called by gptoss.

    python tests/python/mcp_servers.py target/debug/gptoss target/mcp

The second folder has what `.ci/run` installs: the protocol's reference server from npm, and FastMCP from PyPI. Each is
called over standard input and output, and over HTTP. The call is the last message of a conversation that is given, so that it
is the same for every model. Needs nothing beside Python.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
INSTALLED = pathlib.Path(sys.argv[2]).resolve()
EVERYTHING = ["node", str(INSTALLED / "node_modules/@modelcontextprotocol/server-everything/dist/index.js")]
FASTMCP = [str(INSTALLED / "python/bin/python"), str(ROOT / "tests/python/mcp_server.py")]

# A tool, its arguments, a test of what the model is told, whether it fails, and a line that the user is told.
OF_EVERYTHING = [
    ("echo", {"message": "grüß <|end|>"}, "Echo: grüß <|end|>", False, None),
    ("get_sum", {"a": 2, "b": 3}, "The sum of 2 and 3 is 5.", False, None),
    ("get_tiny_image", {}, lambda text: "[image/png, " in text and " bytes]" in text, False, None),
    (
        "trigger_long_running_operation",
        {"duration": 1, "steps": 4},
        "Long running operation completed. Duration: 1 seconds, Steps: 4.",
        False,
        "tool: server: 4 of 4",
    ),
    ("get_resource_reference", {"resourceId": -1}, lambda text: "resourceId" in text, True, None),
]
OF_FASTMCP = [
    ("echo", {"text": "grüß"}, "grüß", False, None),
    ("add", {"a": 2}, "3", False, None),
    ("add", {"a": "two"}, lambda text: "the arguments do not fit" in text, True, None),
    ("mirror", {"point": {"x": 1, "y": 2}, "axis": "x"}, lambda text: json.loads(text) == {"x": 1, "y": -2}, False, None),
    ("picture", {}, "[image/png, 1,234 bytes]", False, None),
    ("count", {"to": 3}, "done", False, "tool: server: 3 of 3, counting"),
    ("fail", {}, lambda text: "nothing works today" in text, True, None),
]


def call(folder, table, tool, arguments):
    """What the model was told, whether the call failed, and what the user was told."""
    (folder / "tools.toml").write_text(f"[mcp.server]\n{table}\n")
    call = {"role": "assistant", "channel": "commentary", "recipient": f"server.{tool}", "content": json.dumps(arguments)}
    (folder / "call.json").write_text(json.dumps({"messages": [{"role": "user", "content": "Go."}, call]}))
    run = [PROGRAM, "run", "--conversation", "call.json", "--tools", "tools.toml", "--ndjson", "-n", "1"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=120)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    results = [event for event in events if event["type"] == "tool_result"]
    assert len(results) == 1, (done.returncode, done.stdout, done.stderr)
    content = results[0]["message"]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    return text, results[0]["failed"], done.stderr


def check(name, folder, table, cases):
    for tool, arguments, expected, fails, line in cases:
        allowed = f"{table}\nallow = [{json.dumps(tool if name == 'fastmcp' else tool.replace('_', '-'))}]"
        text, failed, told = call(folder, allowed, tool, arguments)
        fits = expected(text) if callable(expected) else text == expected
        assert fits and failed == fails, (name, tool, text, failed)
        assert line is None or line in told.splitlines(), (name, tool, told)
    print(f"{name}: {len(cases)} calls, {table.split(' ')[0]}", flush=True)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Served:
    """A server behind HTTP."""

    def __init__(self, argv, port, **environment):
        self.url = f"http://127.0.0.1:{port}/mcp"
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(
            argv, env={**os.environ, **environment}, stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        ends = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert time.monotonic() < ends and self.process.poll() is None, f"no server: {argv}"
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        passed = 'pass-environment = ["PATH", "HOME"]'
        check("everything", folder, f"command = {json.dumps(EVERYTHING)}\n{passed}", OF_EVERYTHING)
        check("fastmcp", folder, f"command = {json.dumps(FASTMCP)}\n{passed}", OF_FASTMCP)
        port = free_port()
        with Served([*EVERYTHING, "streamableHttp"], port, PORT=str(port)) as served:
            check("everything", folder, f"url = {json.dumps(served.url)}", OF_EVERYTHING)
        port = free_port()
        with Served([*FASTMCP, str(port)], port) as served:
            check("fastmcp", folder, f"url = {json.dumps(served.url)}", OF_FASTMCP)


main()

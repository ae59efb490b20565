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

# A tool, its arguments, a test of what the model is told, whether it fails, and the last of what is told meanwhile.
OF_EVERYTHING = [
    ("echo", {"message": "grüß <|end|>"}, "Echo: grüß <|end|>", False, None),
    ("get_sum", {"a": 2, "b": 3}, "The sum of 2 and 3 is 5.", False, None),
    ("get_tiny_image", {}, lambda text: "[image/png, " in text and " bytes]" in text, False, None),
    (
        "trigger_long_running_operation",
        {"duration": 1, "steps": 4},
        "Long running operation completed. Duration: 1 seconds, Steps: 4.",
        False,
        "server: 4 of 4",
    ),
    ("get_resource_reference", {"resourceId": -1}, lambda text: "resourceId" in text, True, None),
]
OF_FASTMCP = [
    ("echo", {"text": "grüß"}, "grüß", False, None),
    ("add", {"a": 2}, "3", False, None),
    ("add", {"a": "two"}, lambda text: "the arguments do not fit" in text, True, None),
    ("mirror", {"point": {"x": 1, "y": 2}, "axis": "x"}, lambda text: json.loads(text) == {"x": 1, "y": -2}, False, None),
    ("picture", {}, "[image/png, 1,234 bytes]", False, None),
    ("count", {"to": 3}, "done", False, "server: 3 of 3, counting"),
    ("fail", {}, lambda text: "nothing works today" in text, True, None),
]


def start(folder, table, tool, arguments):
    """A run that begins with the call."""
    (folder / "tools.toml").write_text(f"[mcp.server]\n{table}\n")
    call = {"role": "assistant", "channel": "commentary", "recipient": f"server.{tool}", "content": json.dumps(arguments)}
    (folder / "call.json").write_text(json.dumps({"messages": [{"role": "user", "content": "Go."}, call]}))
    run = [PROGRAM, "run", "--conversation", "call.json", "--tools", "tools.toml", "--ndjson", "-n", "1"]
    return subprocess.Popen(run, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(events):
    """What the model was told, and whether the call failed."""
    (result,) = (event for event in events if event["type"] == "tool_result")
    content = result["message"]["content"]
    return content if isinstance(content, str) else content[0]["text"], result["failed"]


def check(name, folder, table, cases):
    for tool, arguments, expected, fails, line in cases:
        allowed = f"{table}\nallow = [{json.dumps(tool if name == 'fastmcp' else tool.replace('_', '-'))}]"
        out, err = start(folder, allowed, tool, arguments).communicate(timeout=120)
        events = [json.loads(text) for text in out.splitlines()]
        text, failed = told(events)
        fits = expected(text) if callable(expected) else text == expected
        assert fits and failed == fails, (name, tool, text, failed, err)
        progress = [event["text"] for event in events if event["type"] == "tool_progress"]
        assert (progress[-1] if progress else None) == line, (name, tool, progress)
    print(f"{name}: {len(cases)} calls, {table.split(' ')[0]}", flush=True)


def children(process):
    return pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def check_killed(name, folder, table, call, victim):
    """The server is killed once it says how far the call is: that is told to the model, and the run goes on."""
    run = start(folder, table, *call)
    events = []
    while not events or events[-1]["type"] != "tool_progress":
        events.append(json.loads(run.stdout.readline()))
    for process in victim or children(run):
        os.kill(int(process), signal.SIGKILL)
    out, _ = run.communicate(timeout=60)
    events += [json.loads(text) for text in out.splitlines()]
    text, failed = told(events)
    assert failed and "the server is gone" in text, (name, text)
    assert events[-1]["type"] == "done", (name, events[-1])
    print(f"{name}: killed in the middle of a call, {table.split(' ')[0]}", flush=True)


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
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        passed = 'pass-environment = ["PATH", "HOME"]'
        check("everything", folder, f"command = {json.dumps(EVERYTHING)}\n{passed}", OF_EVERYTHING)
        check("fastmcp", folder, f"command = {json.dumps(FASTMCP)}\n{passed}", OF_FASTMCP)
        slow = ("trigger_long_running_operation", {"duration": 60, "steps": 240})
        check_killed("everything", folder, f"command = {json.dumps(EVERYTHING)}\n{passed}", slow, None)
        port = free_port()
        with Served([*EVERYTHING, "streamableHttp"], port, PORT=str(port)) as served:
            check("everything", folder, f"url = {json.dumps(served.url)}", OF_EVERYTHING)
            check_killed("everything", folder, f"url = {json.dumps(served.url)}", slow, [served.process.pid])
        port = free_port()
        with Served([*FASTMCP, str(port)], port) as served:
            check("fastmcp", folder, f"url = {json.dumps(served.url)}", OF_FASTMCP)


main()

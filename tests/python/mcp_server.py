"""A server of tools by FastMCP, to be called by tests: over standard input and output, or over HTTP at a port."""

import asyncio
import sys

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.utilities.types import Image
from pydantic import BaseModel

server = FastMCP("python", instructions="Tools that are for tests.")


class Point(BaseModel):
    x: int
    y: int


@server.tool
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool
def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


@server.tool
def mirror(point: Point, axis: str | None = None) -> Point:
    """Mirrors a point at the origin, or at one axis."""
    return Point(x=point.x if axis == "x" else -point.x, y=point.y if axis == "y" else -point.y)


@server.tool
def picture() -> Image:
    """Draws."""
    return Image(data=b"\x89PNG" + bytes(1230), format="png")


@server.tool
async def count(to: int, context: Context) -> str:
    """Counts, slowly."""
    for done in range(to):
        await context.report_progress(done + 1, to, "counting")
        await asyncio.sleep(0.05)
    return "done"


@server.tool
def fail() -> str:
    """Fails."""
    raise ToolError("nothing works today")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False, log_level="error")
    else:
        server.run(show_banner=False)

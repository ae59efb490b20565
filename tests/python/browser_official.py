"""Records what the official browser tool shows, for the tests of `gptoss run`.

    git clone https://github.com/openai/gpt-oss
    pip install aiohttp chz html2text lxml openai-harmony pydantic structlog tenacity tiktoken
    python browser_official.py gpt-oss > fixtures/browser/official.json

Its pages come from here; nothing is fetched but the vocabulary that tiktoken loads.
"""

import asyncio
import json
import random
import subprocess
import sys

import structlog

sys.path.insert(0, sys.argv[1])
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

from gpt_oss.tools.simple_browser import simple_browser_tool as official  # noqa: E402
from gpt_oss.tools.simple_browser.page_contents import Extract, PageContents, process_html  # noqa: E402

URL = "http://a.org/d/x.html"

# One construct each, and how they meet. `===` parts them.
SNIPPETS = """
<p>one</p><p>two</p>
===
<div>one</div><div>two<div>three</div></div>
===
<h1>A <b>b</b></h1><h2>c</h2>text<h6>d</h6>
===
<h1>a.</h1>.b<h3> a </h3> <p> b </p><h1></h1>x<h1>a<br>b</h1><h2><p>x</p></h2>
===
a<br>b<br/><br/>c.<br>.d <br> e<br>
f<p>a<br></p><p>b</p><br><br><p>c</p>
===
a<hr>b.<hr>.c<p>d</p><hr><p>e</p>
===
<blockquote>q<p>r</p></blockquote>after
===
a<p>b<blockquote>c<blockquote>d</blockquote>e</blockquote>f
===
<blockquote>a<br>b<h2>c</h2>d<hr>e<pre>f
g</pre></blockquote>
===
<blockquote><ul><li>a</li><li>b</li></ul>c<br>d</blockquote>
===
<blockquote><blockquote>a.<br>.b</blockquote></blockquote><blockquote> c </blockquote> <blockquote> d </blockquote>
===
<ul><li>a</li><li>b<ul><li>c</li><li>d</li></ul></li><li>e</li></ul>after
===
<ol><li>a<li>b</ol>x<ol start=5><li>c</ol>
===
x<ul><li>a</li></ul>y<ul><li>b</li></ul><ol><li>c</li></ol><p>z</p><ul><li>d</li></ul>
===
<ul><li>a<ol><li>b</li><li>c<ul><li>d</li></ul></li></ol></li></ul><ol><li>a<ol><li>b</li></ol></li></ol>
===
<ul><li><p>a</p><p>b</p></li><li><div>c</div></li><li><h2>d</h2>e</li></ul>
===
<ol start="3"><li>a</li><li value=9>b</li><li></li><li>d</li></ol>
===
<ul> <li> a </li> <li> b </li> </ul><ul>text<li>a</li>tail</ul>
===
<ul><li>x<pre>a
b</pre></li><li>a.<ul><li>.b<pre>c
d</pre></li></ul></li></ul>
===
<dl><dt>t</dt><dd>d</dd><dt>u<dd>e</dl>x.<dl><dt>.a.</dt><dd>.b.</dd></dl><p>.c</p>
===
<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>z
===
a.<table><caption>cap</caption><tr><td>b.</td><td>.c</td></tr></table>.d<table><tr><td>e.</td></tr></table><p>.f</p>
===
x<pre>a
  b
c</pre>y<pre><code>d
e</code></pre>
===
<p>x</p><pre>a <b>c</b> d

  e</pre><p>y</p><pre>a<br>b</pre><pre> </pre>z
===
a <code>b</code> c <tt>d</tt> <kbd>k</kbd> <samp>s</samp> <code> e </code><code>- f</code>
===
<q>x</q> <del>d</del> <s>s</s> <strike>t</strike> <em>e</em> <strong>f</strong> <u>u</u> <ins>i</ins>a<q>b</q>c
===
<p>x<abbr title="T1">A</abbr> <abbr>n</abbr></p><p>y</p>
===
x<sup>2</sup> and H<sub>2</sub>O <sup>a b</sup> a<sup>x<b>y</b></sup> b<sup class=q>1</sup>c <sup>-</sup> <sup>é_x</sup>
===
a&nbsp;b &amp; c &lt;d&gt; &copy; &hellip; &mdash; &amp;amp; a&#10;b&#160;c&shy;d&zwj;e
===
<script>x<b></script><style>y</style>a<noscript>n</noscript><textarea>t</textarea><button>bu</button><select><option>o</option><option>p</option></select>
===
a<script>b</script>c <style>d</style>e<textarea><p>x</p></textarea>y
===
<p>a <img src=x alt="pic"> b <img> <img title=t> c<img alt="">d</p>
===
<a href="y">l</a>, <a href="http://b.org/z">m</a>, <a href="y">again</a>, <a href="#f">f</a>, <a href="mailto:x">ma</a> <a name=x>n</a>
===
z<a href="y"><h3>Ti</h3><p>pp</p></a> <a href=z><img alt=i></a> <a href=w> sp <b>c</b> </a>
===
x <a href=q>a</a><a href=r>b</a>, <a href="">e</a> <a href="?q">q</a> <a href="/r">r</a> <a href="//h.org/s">s</a> <a href="#">t</a>
===
<ul><li><a href=x>a</a></li><li><a href=y>b</a> t</li></ul><h2><a href=q>H</a></h2><p><a href=q2>P</a>text</p>
===
b <a href=x>one</a>two <b>three</b><a href=y>four</a> <a href=x><sup>1</sup></a> <sup><a href=y>2</a></sup>
===
<p>x <a href=x>a†b 【c】</a> ◼</p>
===
   lead
  white   space
<b> x </b>y<i>z</i> w
===
<section>a</section><article>b</article><header>c</header><main>d</main><span>e</span><nav>n</nav><footer>f</footer>
===
<p>a<!-- c -->b</p><p>a
<!-- c -->
b</p>
===
<form>a<input value=v><label>l</label></form><figure>x<figcaption>cap</figcaption></figure><details><summary>su</summary>de</details>
===
<center>a</center><address>b</address><fieldset><legend>l</legend>f</fieldset>
===
<p>- a</p><p>-b</p><p>--- c</p><p> - d</p><p>x - y</p><p>12. e</p><p>12.f</p><p>12) g</p><p>+ h</p><p>* i</p><p>x
- j</p><p>---</p><p>===</p><p># k</p><p>&gt; l</p>
===
x <b>- y</b> <i>1. z</i> <p>x\\*y\\_z \\q</p> <p>\\- a</p>
===
<p>「あ」<b>い</b>う</p><p>naïve<i>té</i></p>
===
<p>a</p>b<div>c</div>d<div> </div>e<p></p>f
"""

# A page that is longer than a view, of words, hyphens, links and other scripts.
WORDS = ["alpha", "beta", "well-known", "needle", "x--y", "Größe", "2024-11-26", "日本語", "state-of-the-art", "a", "of"]


def long_page():
    rng = random.Random(1)
    paragraphs = []
    for number in range(60):
        words = [rng.choice(WORDS) for _ in range(rng.randrange(5, 90))]
        if number % 7 == 0:
            words.insert(2, f'<a href="/p{number % 3}">link {number} to somewhere else that is long</a>')
        paragraphs.append(f"<p>{number} {' '.join(words)}</p>")
    return "<html><head><title>Long</title></head><body>" + "\n".join(paragraphs) + "</body></html>"


PAGES = {
    "http://a.org/long": long_page(),
    "http://a.org/p0": "<html><head><title>P zero</title></head><body><p>Zero is a number.</p>"
    '<p>See <a href="/p1">one</a> and <a href="http://b.org/">b</a>.</p></body></html>',
    "http://a.org/p1": "<html><body><p>One page</p><p>line</p></body></html>",
    "http://b.org/a%20b?q=%C3%9F": "<html><head><title>Q</title></head><body>quoted</body></html>",
}
RESULTS = """
<html><body>
<h1>Search Results</h1>
<ul>
<li><a href='http://a.org/long'>Long</a> A long page with a needle</li><li><a href='http://a.org/p0'>P zero</a> Zero is a number that stands for nothing at all, which is why it was found late</li><li><a href='http://gone.org/'>Gone</a> </li>
</ul>
</body></html>
"""
# Two sessions: the second has results that lead to lines.
SESSIONS = [
    [
        ("open", {}),
        ("find", {"pattern": "x"}),
        ("search", {"query": "numbers and needles"}),
        ("open", {"id": 0}),
        ("open", {"loc": 40}),
        ("open", {"loc": 40, "num_lines": 3}),
        ("open", {"loc": 100000}),
        ("open", {"cursor": 0, "id": 1}),
        ("open", {"id": 0}),
        ("open", {"cursor": 4, "id": 1}),
        ("open", {"id": 99}),
        ("open", {"id": 0, "cursor": 99}),
        ("open", {"cursor": -3}),
        ("open", {"cursor": -50}),
        ("find", {"pattern": "NEEDLE", "cursor": 1}),
        ("find", {"pattern": "again"}),
        ("open", {"id": 3}),
        ("open", {"id": 0, "cursor": 7}),
        ("find", {"pattern": "link 0 to", "cursor": 1}),
        ("find", {"pattern": "nowhere `to be` found", "cursor": 1}),
        ("open", {"id": "http://b.org/a%20b?q=%C3%9F"}),
        ("find", {"pattern": "a b/ß"}),
        ("open", {"id": "http://gone.org/"}),
        ("open", {"id": 2, "cursor": 0}),
        ("search", {"query": "fail"}),
        ("open", {"loc": -7, "num_lines": -3}),
        ("open", {"id": -5, "cursor": 1, "num_lines": 2}),
    ],
    [
        ("search", {"query": "places"}),
        ("open", {"id": 0}),
        ("open", {"id": 1, "cursor": 0}),
        ("open", {"id": 2, "cursor": 0}),
        ("open", {"id": 0, "cursor": 0, "loc": 1, "num_lines": 1}),
        ("find", {"pattern": "x", "cursor": 0}),
    ],
]
PLACES = [("http://a.org/long", 30), ("http://a.org/long", 3), ("http://a.org/p0", None)]


class Backend:
    source = "web"

    def __init__(self, has_places):
        self.has_places = has_places

    async def search(self, query, topn, session):
        if query == "fail":
            raise official.BackendError("it is down")
        page = process_html(html=RESULTS, url="", title=query, display_urls=True)
        if self.has_places:
            page.urls = {str(i): url for i, (url, _) in enumerate(PLACES)}
            page.snippets = {
                str(i): Extract(url=url, text="", title="", line_idx=line) for i, (url, line) in enumerate(PLACES)
            }
        return page

    async def fetch(self, url, session):
        if url not in PAGES:
            raise official.BackendError(f"No contents returned for {url}")
        return process_html(html=PAGES[url], url=url, title=None, display_urls=True)


async def session(calls, has_places):
    tool = official.SimpleBrowserTool(backend=Backend(has_places))
    told = []
    for name, arguments in calls:
        async for message in getattr(tool, name)(**arguments):
            told.append({"function": name, "arguments": arguments, "told": message.content[0].text})
    return told


def random_html(rng):
    """Well-formed pages of everything: two parsers read what is not well-formed in two ways."""

    def text():
        return rng.choice(["a", "b.", " c ", "d e", ".", " ", "\n", "f\ng", "1. h", "- i", "x&amp;y", "", "Ü"])

    def inline(depth, is_pre=False):
        # A line end as the first in preformatted text in a list is not as elsewhere.
        name = rng.choice(["b", "span", "code", "i", "a", "sup", "q", "text", "text", "text" if is_pre else "br", "img"])
        if name == "text" or depth > 3:
            return text()
        if name in ("br", "img"):
            return f"<{name}>"
        if name == "a":
            return f'<a href="{rng.choice(["p", "q", "http://b.org/"])}">{text()}l{text()}</a>'
        return f"<{name}>{''.join(inline(depth + 1, is_pre) for _ in range(rng.randrange(3)))}</{name}>"

    def inlines(is_pre=False):
        return "".join(inline(0, is_pre) for _ in range(rng.randrange(1, 4)))

    def block(depth):
        name = rng.choice(["p", "div", "h2", "ul", "ol", "blockquote", "pre", "table", "hr", "section", "text", "dl"])
        if name == "hr":
            return "<hr>"
        if name == "text":
            return inlines()
        if name in ("p", "h2", "pre") or depth > 2:
            name = name if name in ("p", "h2", "pre", "div", "section") else "p"
            return f"<{name}>{inlines(name == 'pre')}</{name}>"
        if name in ("ul", "ol"):
            items = "".join(f"<li>{rng.choice([inlines, lambda: blocks(depth + 1)])()}</li>" for _ in range(rng.randrange(1, 4)))
            return f"<{name}>{items}</{name}>"
        if name == "dl":
            return f"<dl><dt>{inlines()}</dt><dd>{inlines()}</dd></dl>"
        if name == "table":
            row = lambda: "".join(f"<td>{inlines()}</td>" for _ in range(2))  # noqa: E731
            return "<table>" + "".join(f"<tr>{row()}</tr>" for _ in range(rng.randrange(1, 3))) + "</table>"
        return f"<{name}>{blocks(depth + 1)}</{name}>"

    def blocks(depth):
        return "".join(block(depth) for _ in range(rng.randrange(1, 4)))

    return blocks(0)


def convert(html):
    page = process_html(html=f"<html><body>{html}</body></html>", url=URL, title=None)
    return {"html": html, "text": page.text, "links": list(page.urls.values())}


def random_text(rng):
    pieces = ["a", "bb", "word", "hyphen-ated", "-", "--", "---", " ", "  ", "\t", "x--y", "1-2", "a-b-c", "é-è", ",", ".", "x" * 90, "日本", "-" * 85]
    return "".join(rng.choice(pieces) + rng.choice(["", " "]) for _ in range(rng.randrange(5, 60)))


def main():
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    snippets = [snippet.strip("\n") for snippet in SNIPPETS.split("\n===\n")]
    texts = [random_text(rng) for _ in range(150)]
    commit = subprocess.run(["git", "-C", sys.argv[1], "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    recorded = {
        "made_by": "tests/python/browser_official.py",
        "commit": commit.strip(),
        "wrap": [{"text": text, "lines": official.wrap_lines(text)} for text in texts],
        "html": [convert(html) for html in snippets],
        "random_html": [convert(random_html(rng)) for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 150)],
        "pages": PAGES,
        "results": RESULTS,
        "places": PLACES,
        "sessions": [asyncio.run(session(calls, has_places)) for has_places, calls in enumerate(SESSIONS)],
    }
    json.dump(recorded, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()

//! Lines of text for the elements of a page: headings, lists, quotations, as Markdown writes them.

/// Levels of lists and quotations that are shown as such.
const DEEPEST: usize = 24;

/// The text of a page as it grows.
#[derive(Debug, Default)]
pub(super) struct Layout {
    out: String,
    /// The text since the last tag.
    data: String,
    /// Line ends to write before the next text, and whether they are those of rows of a table.
    breaks: usize,
    is_row: bool,
    /// Whether a space is due before the next text.
    space: bool,
    /// Whether something was written that text follows at once, whatever breaks are due.
    has_marker: bool,
    has_begun: bool,
    /// Where in `out` the last text ended, if it ended in a letter and only tags came since.
    word_end: Option<usize>,
    /// Elements that are open and whose text is not shown.
    hidden: usize,
    preformatted: usize,
    has_entered_preformatted: bool,
    /// Whether text is code, which code within code is not.
    is_code: bool,
    quotes: usize,
    lists: Vec<List>,
    has_left_list: bool,
    /// Columns of preformatted text in the newest item of a list.
    code_indent: usize,
    /// The row, and the term or its description, that is open.
    is_in_row: bool,
    is_in_term: bool,
    /// An abbreviation that is open: what it stands for, and where it starts.
    abbreviation: Option<(String, usize)>,
    abbreviations: Vec<(String, String)>,
}

/// A list; `next` is the number of its next item, none for one with bullets.
#[derive(Debug)]
struct List {
    next: Option<u64>,
    has_open_item: bool,
}

impl Layout {
    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.out.len() + self.data.len()
    }

    /// Text, which goes on where the last one ended.
    pub(super) fn text(&mut self, text: &str) {
        self.data += text;
    }

    /// Text that is not shown.
    pub(super) fn hidden(&mut self, text: &str) {
        self.data += text;
    }

    /// What stands between texts and is nothing itself.
    pub(super) fn between(&mut self) {
        let data = std::mem::take(&mut self.data);
        let (Some(first), Some(last)) = (data.chars().next(), data.chars().next_back()) else { return };
        let is_word = |c: char| c == '_' || c.is_alphanumeric();
        if let Some(end) = self.word_end.take()
            && is_word(first)
        {
            // Words are not joined over tags.
            self.out.insert(end, ' ');
        }
        if self.hidden == 0 {
            match self.preformatted > 0 {
                true => self.write_preformatted(&data),
                false => self.write_text(&data),
            }
        }
        self.word_end = is_word(last).then_some(self.out.len()).filter(|_| self.hidden == 0);
    }

    /// The start of an element; `says` is what an abbreviation stands for, or the first number of a list.
    pub(super) fn start(&mut self, name: &str, says: Option<&str>) {
        self.between();
        let has_left_list = std::mem::take(&mut self.has_left_list);
        match name {
            "script" | "style" | "title" => self.hidden += 1,
            "p" | "div" => self.paragraph(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.paragraph();
                let level = usize::from(name.as_bytes()[1] - b'0');
                self.marker(&format!("{} ", "#".repeat(level)));
            }
            "br" => self.line_end(),
            "hr" => {
                self.paragraph();
                self.marker("* * *");
                self.paragraph();
            }
            "blockquote" => {
                self.paragraph();
                self.quote();
            }
            "ul" | "ol" => {
                if self.lists.is_empty() && !has_left_list {
                    self.paragraph();
                }
                let first = says.and_then(|first| first.trim().parse().ok()).unwrap_or(1);
                self.lists.push(List { next: (name == "ol").then_some(first), has_open_item: false });
            }
            "li" => self.item(),
            "dl" => self.paragraph(),
            "dt" | "dd" => {
                self.close_term();
                self.is_in_term = true;
                if name == "dd" {
                    self.marker("    ");
                }
            }
            "tr" => {
                self.close_row();
                self.is_in_row = true;
            }
            "pre" => {
                self.preformatted += 1;
                self.has_entered_preformatted = true;
                self.paragraph();
            }
            "code" | "tt" | "kbd" => {
                if self.preformatted == 0 {
                    self.marker("`");
                }
                self.is_code = !self.is_code;
            }
            "q" => self.marker("\""),
            "del" | "s" | "strike" => self.marker("~~"),
            "abbr" => self.abbreviation = says.map(|says| (says.to_owned(), self.out.len())),
            _ => {}
        }
    }

    /// The end of an element.
    pub(super) fn end(&mut self, name: &str) {
        self.between();
        self.has_left_list = false;
        match name {
            "script" | "style" | "title" => self.hidden = self.hidden.saturating_sub(1),
            "p" | "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.paragraph(),
            "blockquote" => {
                self.quotes = self.quotes.saturating_sub(1);
                self.paragraph();
            }
            "ul" | "ol" => {
                let list = self.lists.pop();
                if list.is_some_and(|list| list.has_open_item) {
                    self.break_line();
                }
                self.code_indent = 0;
                if self.lists.is_empty() {
                    self.flush();
                    self.out.push('\n');
                    self.has_left_list = true;
                }
            }
            "li" => {
                if let Some(list) = self.lists.last_mut() {
                    list.has_open_item = false;
                }
                self.break_line();
            }
            "dt" | "dd" | "dl" => self.close_term(),
            "tr" | "table" => self.close_row(),
            "pre" => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.paragraph();
            }
            "code" | "tt" | "kbd" => {
                self.is_code = !self.is_code;
                if self.preformatted == 0 {
                    self.marker("`");
                }
            }
            "q" => self.marker("\""),
            "del" | "s" | "strike" => self.marker("~~"),
            "abbr" => {
                if let Some((says, start)) = self.abbreviation.take()
                    && let Some(said) = self.out.get(start..)
                    && self.abbreviations.len() < 1000
                {
                    self.abbreviations.push((said.trim().to_owned(), says));
                }
            }
            _ => {}
        }
    }

    fn paragraph(&mut self) {
        self.breaks = 2;
    }

    fn break_line(&mut self) {
        self.breaks = self.breaks.max(1);
    }

    fn close_term(&mut self) {
        if std::mem::take(&mut self.is_in_term) {
            self.break_line();
        }
    }

    fn close_row(&mut self) {
        if std::mem::take(&mut self.is_in_row) {
            self.break_line();
            self.is_row = true;
        }
    }

    /// What a line of a quotation or of preformatted text begins with.
    fn prefix(&self) -> String {
        let mut prefix = String::new();
        if self.quotes > 0 {
            prefix += &">".repeat(self.quotes.min(DEEPEST));
            prefix.push(' ');
        }
        if self.preformatted > 0 {
            prefix += &" ".repeat(4 + self.code_indent);
        }
        prefix
    }

    /// Spaces before the items of the innermost list.
    fn indent(&self) -> usize {
        match self.lists.split_last() {
            Some((_, around)) => 2 + around.iter().take(DEEPEST).map(List::width).sum::<usize>(),
            None => 0,
        }
    }

    /// Writes the line ends and the space that are due.
    fn flush(&mut self) {
        if !self.has_begun || self.has_marker {
            (self.breaks, self.space) = (0, false);
        }
        (self.has_begun, self.has_marker) = (true, false);
        if self.breaks > 0 {
            let prefix = self.prefix();
            let row = if self.is_row { "  " } else { "" };
            for _ in 0..self.breaks {
                self.out += &format!("{row}\n{prefix}");
            }
            (self.breaks, self.space) = (0, false);
        }
        self.is_row = false;
        if std::mem::take(&mut self.has_entered_preformatted) && self.lists.is_empty() {
            self.out.push('\n');
            self.out += &self.prefix();
        }
        if std::mem::take(&mut self.space) && !self.out.ends_with('\n') {
            self.out.push(' ');
        }
    }

    /// Writes a sign of Markdown.
    fn marker(&mut self, sign: &str) {
        if self.hidden > 0 {
            return;
        }
        self.flush();
        self.out += sign;
    }

    /// Writes what an item of a list begins with.
    fn item(&mut self) {
        self.break_line();
        let indent = self.indent();
        self.code_indent = indent + self.lists.last().map_or(2, List::width);
        let indent = " ".repeat(indent);
        let sign = match self.lists.last_mut() {
            Some(list) => {
                list.has_open_item = true;
                list.next_sign()
            }
            None => "* ".to_owned(),
        };
        self.marker(&format!("{indent}{sign}"));
        self.has_marker = true;
    }

    /// Writes what a quotation begins with: line ends in it belong to the quotation around it.
    fn quote(&mut self) {
        let around = self.quotes;
        self.quotes += 1;
        if self.quotes > DEEPEST || self.hidden > 0 {
            return;
        }
        let is_at_code = std::mem::take(&mut self.has_entered_preformatted) && self.lists.is_empty();
        if self.has_begun && !self.has_marker && around > 0 && !is_at_code {
            let row = if std::mem::take(&mut self.is_row) { "  \n" } else { "\n" };
            for _ in 0..std::mem::take(&mut self.breaks) {
                self.out += row;
                self.out += &">".repeat(around);
            }
            self.space = false;
        } else {
            self.quotes = around;
            self.flush();
            self.quotes = around + 1;
            if is_at_code {
                self.out.push('\n');
            }
        }
        self.out += "> ";
        (self.has_begun, self.has_marker) = (true, true);
    }

    fn line_end(&mut self) {
        if self.hidden > 0 {
            return;
        }
        let sign = if self.quotes > 0 { "  \n> " } else { "  \n" };
        let end = match self.preformatted > 0 {
            true => sign.replace('\n', &format!("\n{}", self.prefix())),
            false => sign.to_owned(),
        };
        self.flush();
        self.out += &end;
    }

    fn write_preformatted(&mut self, data: &str) {
        // It begins on a line of its own, in an item of a list where that begins.
        let data = match std::mem::take(&mut self.has_entered_preformatted) {
            true if !self.lists.is_empty() => data.trim_start(),
            is_first => {
                self.has_entered_preformatted = is_first && !data.starts_with('\n');
                data
            }
        };
        let text = data.replace('\n', &format!("\n{}", self.prefix()));
        self.flush();
        self.out += &text;
    }

    fn write_text(&mut self, data: &str) {
        let escaped = match self.is_code {
            true => data.to_owned(),
            false => escape(data),
        };
        let mut line = String::with_capacity(escaped.len());
        for c in escaped.chars() {
            match c.is_whitespace() {
                true if line.ends_with(' ') => {}
                true => line.push(' '),
                false => line.push(c),
            }
        }
        let text = line.strip_prefix(' ').unwrap_or(&line);
        self.space |= text.len() < line.len();
        if !text.is_empty() {
            self.flush();
            self.out += text;
        }
    }

    /// The text without blank lines at its ends and with single ones within.
    pub(super) fn finish(mut self) -> String {
        self.between();
        for (short, long) in std::mem::take(&mut self.abbreviations) {
            self.out += &format!("\n  *[{short}]: {long}");
        }
        let mut text = String::with_capacity(self.out.len());
        let mut blank = false;
        for line in self.out.trim().split('\n') {
            if line.trim().is_empty() {
                blank = true;
                continue;
            }
            if !text.is_empty() {
                text += if blank { "\n\n" } else { "\n" };
            }
            blank = false;
            text += line;
        }
        text
    }
}

impl List {
    /// The sign of the next item.
    fn next_sign(&mut self) -> String {
        match &mut self.next {
            Some(next) => {
                *next = next.saturating_add(1);
                format!("{}. ", *next - 1)
            }
            None => "* ".to_owned(),
        }
    }

    /// Characters of the sign of its items.
    fn width(&self) -> usize {
        if self.next.is_some() { 3 } else { 2 }
    }
}

/// Text with a backslash before what Markdown would take for a sign.
fn escape(data: &str) -> String {
    let mut out = String::with_capacity(data.len());
    let mut lines = data.split('\n').peekable();
    while let Some(line) = lines.next() {
        let said = line.trim_start();
        out += &line[..line.len() - said.len()];
        let after = said.trim_start_matches(|c: char| c.is_ascii_digit());
        let has_number = after.len() < said.len();
        out += &said[..said.len() - after.len()];
        let mut signs = after.chars();
        let sign = signs.next();
        // The end of a line is a space, the end of the text is none.
        let next = signs.next().or_else(|| lines.peek().map(|_| '\n'));
        let is_sign = next.is_some_and(|next| match sign {
            Some('.') => has_number && next.is_whitespace(),
            Some('+') => !has_number && next.is_whitespace(),
            Some('-') => !has_number && (next.is_whitespace() || next == '-'),
            _ => false,
        });
        if is_sign {
            out.push('\\');
        }
        let mut rest = after.chars().peekable();
        while let Some(c) = rest.next() {
            out.push(c);
            if c == '\\' && rest.peek().is_some_and(|next| r"\`*_{}[]()#+-.!".contains(*next)) {
                out.push('\\');
            }
        }
        if lines.peek().is_some() {
            out.push('\n');
        }
    }
    out
}

//! A reader of GBNF, written from llama.cpp's guide: rules, literals, classes, groups, `*` `+` `?` and `{m,n}`.
//!
//! A text is read with a set of stacks of what is still to come, one for each way in which the text so far is legal.

use std::collections::{BTreeSet, HashMap};
use std::iter::Peekable;
use std::str::Chars;

use harmony_format::grammar::Grammar;
use harmony_format::{Encoding, SpecialToken};

use super::judge::{Verdict, tokens};

#[derive(Clone, Debug)]
enum Symbol {
    Char { ranges: Vec<(char, char)>, negated: bool },
    Rule(usize),
}

/// How special tokens meet the grammar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// All by their spelling.
    Spelling,
    /// By their spelling, but those that end a turn only where the grammar is complete, as llama.cpp does.
    LlamaCpp,
}

pub(crate) struct Gbnf {
    /// Each rule's alternatives.
    rules: Vec<Vec<Vec<Symbol>>>,
    names: HashMap<String, usize>,
    text: String,
}

/// What is still to come, the next on top: rule, alternative, place in it.
type Stack = Vec<(usize, usize, usize)>;

impl Gbnf {
    pub(crate) fn new(grammar: &Grammar) -> Self {
        Self::read(&grammar.to_gbnf().expect("a grammar"))
    }

    pub(crate) fn read(text: &str) -> Self {
        let mut gbnf = Self { rules: Vec::new(), names: HashMap::new(), text: text.to_owned() };
        let mut chars = text.chars().peekable();
        let mut defined = BTreeSet::new();
        loop {
            skip_space(&mut chars, true);
            let Some(_) = chars.peek() else { break };
            let name = word(&mut chars);
            skip_space(&mut chars, false);
            for expected in "::=".chars() {
                assert_eq!(chars.next(), Some(expected), "after the name {name:?}");
            }
            assert!(defined.insert(name.clone()), "{name} is defined twice");
            let rule = gbnf.rule_named(&name);
            let alternatives = gbnf.alternatives(&mut chars, false);
            gbnf.rules[rule] = alternatives;
        }
        for name in gbnf.names.keys().filter(|name| !name.contains('/')) {
            assert!(defined.contains(name), "{name} is used and not defined\n{text}");
        }
        gbnf
    }

    fn rule_named(&mut self, name: &str) -> usize {
        if let Some(&rule) = self.names.get(name) {
            return rule;
        }
        self.rules.push(Vec::new());
        self.names.insert(name.to_owned(), self.rules.len() - 1);
        self.rules.len() - 1
    }

    fn new_rule(&mut self, alternatives: Vec<Vec<Symbol>>) -> Symbol {
        let rule = self.rule_named(&format!("/{}", self.rules.len()));
        self.rules[rule] = alternatives;
        Symbol::Rule(rule)
    }

    fn alternatives(&mut self, chars: &mut Peekable<Chars<'_>>, nested: bool) -> Vec<Vec<Symbol>> {
        let mut alternatives = vec![Vec::new()];
        loop {
            skip_space(chars, nested);
            let sequence = alternatives.last_mut().expect("there is always one");
            let item = match chars.peek().copied() {
                Some('|') => {
                    chars.next();
                    skip_space(chars, true);
                    alternatives.push(Vec::new());
                    continue;
                }
                Some('"') => {
                    chars.next();
                    let mut literal = Vec::new();
                    while chars.peek() != Some(&'"') {
                        let c = character(chars);
                        literal.push(Symbol::Char { ranges: vec![(c, c)], negated: false });
                    }
                    chars.next();
                    literal
                }
                Some('[') => vec![class(chars)],
                Some('(') => {
                    chars.next();
                    let inner = self.alternatives(chars, true);
                    assert_eq!(chars.next(), Some(')'));
                    vec![self.new_rule(inner)]
                }
                Some(c) if c.is_ascii_alphanumeric() => {
                    let name = word(chars);
                    vec![Symbol::Rule(self.rule_named(&name))]
                }
                _ => return alternatives,
            };
            let item = match bounds(chars) {
                None => item,
                Some(bounds) => self.repeated(item, bounds),
            };
            sequence.extend(item);
        }
    }

    fn repeated(&mut self, item: Vec<Symbol>, (least, most): (usize, Option<usize>)) -> Vec<Symbol> {
        let mut repeated: Vec<Symbol> = (0..least).flat_map(|_| item.clone()).collect();
        match most {
            None => {
                let Symbol::Rule(rule) = self.new_rule(Vec::new()) else { unreachable!("a rule was made") };
                let mut again = item;
                again.push(Symbol::Rule(rule));
                self.rules[rule] = vec![Vec::new(), again];
                repeated.push(Symbol::Rule(rule));
            }
            Some(most) => {
                assert!(most >= least && most < 2000, "llama.cpp refuses this repetition");
                let mut more: Option<Symbol> = None;
                for _ in least..most {
                    let longer = item.iter().cloned().chain(more).collect();
                    more = Some(self.new_rule(vec![Vec::new(), longer]));
                }
                repeated.extend(more);
            }
        }
        repeated
    }

    /// Follows a stack until a character is next or nothing is.
    fn open(&self, stack: &[(usize, usize, usize)], open: &mut BTreeSet<Stack>, seen: &mut BTreeSet<Stack>) {
        if !seen.insert(stack.to_vec()) {
            return;
        }
        assert!(stack.len() < 1000, "left recursion\n{}", self.text);
        let Some((&(rule, alternative, at), rest)) = stack.split_last() else {
            open.insert(Vec::new());
            return;
        };
        let symbols = &self.rules[rule][alternative];
        match symbols.get(at) {
            None => self.open(rest, open, seen),
            Some(Symbol::Char { .. }) => {
                open.insert(stack.to_vec());
            }
            Some(&Symbol::Rule(next)) => {
                let mut stack = rest.to_vec();
                if at + 1 < symbols.len() {
                    stack.push((rule, alternative, at + 1));
                }
                for option in 0..self.rules[next].len() {
                    stack.push((next, option, 0));
                    self.open(&stack, open, seen);
                    stack.pop();
                }
            }
        }
    }

    fn start(&self) -> BTreeSet<Stack> {
        let (mut stacks, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let root = *self.names.get("root").expect("a rule `root`");
        for alternative in 0..self.rules[root].len() {
            self.open(&[(root, alternative, 0)], &mut stacks, &mut seen);
        }
        stacks
    }

    fn step(&self, stacks: &BTreeSet<Stack>, c: char) -> BTreeSet<Stack> {
        let (mut after, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for stack in stacks {
            let Some((&(rule, alternative, at), rest)) = stack.split_last() else { continue };
            let Symbol::Char { ranges, negated } = &self.rules[rule][alternative][at] else { continue };
            if ranges.iter().any(|&(first, last)| (first..=last).contains(&c)) != *negated {
                let mut stack = rest.to_vec();
                stack.push((rule, alternative, at + 1));
                self.open(&stack, &mut after, &mut seen);
            }
        }
        after
    }

    /// What the grammar says to the tokens of a text.
    pub(crate) fn judge(&self, text: &str, engine: Engine) -> Verdict {
        let encoding = Encoding::o200k_harmony();
        let ends_turn = |token| {
            let marker = encoding.marker(token);
            matches!(marker, Some(SpecialToken::Return | SpecialToken::Call | SpecialToken::EndOfText))
        };
        let mut stacks = self.start();
        let mut bytes = Vec::new();
        let tokens = tokens(text);
        for (index, &token) in tokens.iter().enumerate() {
            if engine == Engine::LlamaCpp && ends_turn(token) {
                let complete = stacks.contains(&Vec::new()) && bytes.is_empty();
                return match complete && index + 1 == tokens.len() {
                    true => Verdict::Complete,
                    // It stops here, whatever comes.
                    false => Verdict::Refused(index + usize::from(complete)),
                };
            }
            bytes.extend_from_slice(encoding.token_bytes(token).expect("a token of the vocabulary"));
            // A character may be spread over tokens.
            while let Some(c) = first_character(&mut bytes) {
                stacks = self.step(&stacks, c);
            }
            if stacks.is_empty() {
                return Verdict::Refused(index);
            }
        }
        match engine == Engine::Spelling && stacks.contains(&Vec::new()) {
            true => Verdict::Complete,
            false => Verdict::Unfinished,
        }
    }

    /// A text that is legal, by these choices, if they lead to an end.
    pub(crate) fn sample(&self, choices: &[u32]) -> Option<String> {
        let mut text = String::new();
        let mut stacks = self.start();
        for choice in choices {
            let pick = |length: usize| *choice as usize % length;
            let stack = stacks.iter().nth(pick(stacks.len()))?;
            let Some(&(rule, alternative, at)) = stack.last() else { return Some(text) };
            let Symbol::Char { ranges, negated } = &self.rules[rule][alternative][at] else { return None };
            let usual: Vec<char> = "<|>a_0\u{e9}\u{1f30d} ,:{[\n/e".chars().collect();
            let options: Vec<char> = match negated {
                true => usual
                    .into_iter()
                    .filter(|c| !ranges.iter().any(|&(first, last)| (first..=last).contains(c)))
                    .collect(),
                false => ranges.iter().flat_map(|&(first, last)| [first, last]).collect(),
            };
            let c = options[(*choice as usize >> 16) % options.len()];
            text.push(c);
            stacks = self.step(&stacks, c);
        }
        None
    }

    /// Whether the whole of a text is legal.
    pub(crate) fn matches(&self, text: &str) -> bool {
        text.chars().fold(self.start(), |stacks, c| self.step(&stacks, c)).contains(&Vec::new())
    }
}

/// Takes the first character off, if it is whole.
fn first_character(bytes: &mut Vec<u8>) -> Option<char> {
    let length = (1..=bytes.len().min(4)).find(|&length| std::str::from_utf8(&bytes[..length]).is_ok())?;
    let c = std::str::from_utf8(&bytes[..length]).ok()?.chars().next();
    bytes.drain(..length);
    c
}

fn skip_space(chars: &mut Peekable<Chars<'_>>, lines: bool) {
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' => {
                chars.next();
            }
            '\n' | '\r' if lines => {
                chars.next();
            }
            '#' => {
                while chars.peek().is_some_and(|&c| c != '\n') {
                    chars.next();
                }
            }
            _ => return,
        }
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(c) = chars.next_if(|&c| c.is_ascii_alphanumeric() || c == '-') {
        word.push(c);
    }
    assert!(!word.is_empty(), "a name was expected, found {:?}", chars.peek());
    word
}

/// A character of a literal or a class; llama.cpp knows these escapes and no others.
fn character(chars: &mut Peekable<Chars<'_>>) -> char {
    let next = |chars: &mut Peekable<Chars<'_>>| chars.next().expect("a character");
    let hex = |chars: &mut Peekable<Chars<'_>>, count| {
        let digits: String = (0..count).map(|_| next(chars)).collect();
        char::from_u32(u32::from_str_radix(&digits, 16).expect("hexadecimal digits")).expect("a character")
    };
    match next(chars) {
        '\\' => match next(chars) {
            'x' => hex(chars, 2),
            'u' => hex(chars, 4),
            'U' => hex(chars, 8),
            't' => '\t',
            'r' => '\r',
            'n' => '\n',
            c @ ('\\' | '"' | '[' | ']') => c,
            c => panic!("unknown escape {c:?}"),
        },
        '\n' => panic!("a line break in a literal"),
        c => c,
    }
}

fn class(chars: &mut Peekable<Chars<'_>>) -> Symbol {
    chars.next();
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while chars.next_if_eq(&']').is_none() {
        let first = character(chars);
        let is_range = chars.peek() == Some(&'-') && {
            let mut after = chars.clone();
            after.next();
            after.peek() != Some(&']')
        };
        let last = if is_range {
            chars.next();
            character(chars)
        } else {
            first
        };
        ranges.push((first, last));
    }
    Symbol::Char { ranges, negated }
}

/// `*`, `+`, `?` or `{m,n}` after an item.
fn bounds(chars: &mut Peekable<Chars<'_>>) -> Option<(usize, Option<usize>)> {
    match chars.peek()? {
        '*' => chars.next().map(|_| (0, None)),
        '+' => chars.next().map(|_| (1, None)),
        '?' => chars.next().map(|_| (0, Some(1))),
        '{' => {
            chars.next();
            let mut inside = String::new();
            while let Some(c) = chars.next_if(|&c| c != '}') {
                inside.push(c);
            }
            chars.next();
            let number = |text: &str| text.parse::<usize>().expect("a number");
            Some(match inside.split_once(',') {
                None => (number(&inside), Some(number(&inside))),
                Some((least, "")) => (number(least), None),
                Some((least, most)) => (number(least), Some(number(most))),
            })
        }
        _ => None,
    }
}

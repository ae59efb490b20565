//! Rules over a conversation or a transcript: what a model or a parser would stumble over, and where it stands.

mod call;
mod content;
mod context;
mod declaration;
mod edit;
mod header;
mod pairs;
mod result;
mod rule;
mod setup;
mod system;
mod tools;
mod transcript;
mod turn;

use std::ops::Range;

use serde::Serialize;

use crate::{Conversation, Owner, Parsed, ToolNamespace};
use context::Context;

pub use edit::Edit;
use rule::Report;
pub use rule::{Example, Rule, Severity};

/// The rules, one table a group, in the order of their codes.
static GROUPS: [&[Rule]; 9] = [
    header::RULES,
    call::RULES,
    result::RULES,
    turn::RULES,
    setup::RULES,
    system::RULES,
    declaration::RULES,
    content::RULES,
    transcript::RULES,
];

/// All rules, in the order of their codes.
///
/// ```
/// use harmony_format::lint;
///
/// assert!(lint::rules().any(|rule| rule.code == "L202" && rule.name == "result-not-to-assistant"));
/// ```
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    GROUPS.iter().copied().flatten()
}

/// The rule with this code or name.
#[must_use]
pub fn rule(code_or_name: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.code == code_or_name || rule.name == code_or_name)
}

/// Which rules are applied, and what they know besides the conversation.
///
/// A selector is a code (`L202`), the beginning of one (`L2`), or a name (`result-not-to-assistant`).
///
/// ```
/// use harmony_format::lint::LintOptions;
///
/// let options = LintOptions { allow: vec!["L6".to_owned()], ..LintOptions::default() };
/// assert!(options.only.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LintOptions {
    /// Selectors of the rules that are left out.
    pub allow: Vec<String>,
    /// Selectors of the rules whose findings count as errors.
    pub deny: Vec<String>,
    /// Selectors of the rules that are applied; none is all. [`allow`](Self::allow) is taken off them.
    pub only: Vec<String>,
    /// Tools that exist besides those that the conversation declares.
    pub tools: Vec<ToolNamespace>,
}

impl LintOptions {
    /// The selectors that select no rule: misspelt ones, as a rule.
    ///
    /// ```
    /// use harmony_format::lint::LintOptions;
    ///
    /// let options = LintOptions { only: vec!["L202".to_owned(), "L999".to_owned()], ..LintOptions::default() };
    /// assert_eq!(options.unknown_selectors(), ["L999"]);
    /// ```
    #[must_use]
    pub fn unknown_selectors(&self) -> Vec<&str> {
        let selectors = self.only.iter().chain(&self.allow).chain(&self.deny);
        selectors.map(String::as_str).filter(|one| !rules().any(|rule| rule.is_selected_by(one))).collect()
    }

    fn applies(&self, rule: &Rule) -> bool {
        let among = |selectors: &[String]| selectors.iter().any(|selector| rule.is_selected_by(selector));
        (self.only.is_empty() || among(&self.only)) && !among(&self.allow)
    }

    fn severity(&self, rule: &Rule) -> Severity {
        if self.deny.iter().any(|selector| rule.is_selected_by(selector)) {
            Severity::Error
        } else {
            rule.severity
        }
    }
}

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The code of the rule, for example `L202`.
    pub code: &'static str,
    /// The name of the rule, for example `result-not-to-assistant`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Index of the message, if the finding is about one.
    pub message: Option<usize>,
    /// The value, as a JSON Pointer (RFC 6901) into what [`Conversation::to_json`] writes.
    /// Where the value is missing, its parent.
    pub pointer: String,
    /// What is wrong, in one line of lower case without a full stop.
    pub text: String,
    /// The bytes of the text at [`pointer`](Self::pointer) that the finding is about.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_pair")]
    pub bytes: Option<Range<usize>>,
    /// In a transcript, the tokens of the message; bytes if the transcript was read from text.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_pair")]
    pub tokens: Option<Range<usize>>,
    /// The edits that mend it, where it is certain which; empty otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<Edit>,
}

fn as_pair<S: serde::Serializer>(range: &Option<Range<usize>>, serializer: S) -> Result<S::Ok, S::Error> {
    range.as_ref().map(|range| [range.start, range.end]).serialize(serializer)
}

/// Applies the rules to a conversation; the findings are in the order of the messages, then of the codes.
///
/// ```
/// use harmony_format::lint::{self, LintOptions};
/// use harmony_format::{Author, Conversation, Message, Role};
///
/// let conversation = Conversation::new([
///     Message::new(Role::Assistant, "{}").with_recipient("functions.now").with_channel("commentary"),
///     Message::new(Author::new(Role::Tool, "functions.now"), "12:00").with_channel("commentary"),
/// ]);
/// let options = LintOptions { only: vec!["L2".to_owned()], ..LintOptions::default() };
/// let findings = lint::conversation(&conversation, &options);
/// assert_eq!(findings.len(), 1);
/// assert_eq!((findings[0].code, findings[0].message), ("L202", Some(1)));
/// ```
#[must_use]
pub fn conversation(conversation: &Conversation, options: &LintOptions) -> Vec<Finding> {
    apply(&Context::of_conversation(conversation, options), options)
}

/// Applies the rules to what was parsed: those over conversations and those over stop tokens and repairs.
///
/// Each finding about a message carries its tokens; none carries a fix.
///
/// # Examples
///
/// ```
/// use harmony_format::lint::{self, LintOptions};
/// use harmony_format::{Message, Parsed, ParsedMessage, Role, SpecialToken, Status};
///
/// let message = Message::new(Role::Assistant, "{}").with_channel("analysis").with_recipient("functions.now");
/// let parsed = Parsed {
///     messages: vec![ParsedMessage { message, status: Status::Complete(SpecialToken::Call) }],
///     ..Parsed::default()
/// };
/// let findings = lint::transcript(&parsed, &LintOptions::default());
/// assert!(findings.iter().any(|finding| finding.name == "function-off-commentary"));
/// ```
#[must_use]
pub fn transcript(parsed: &Parsed, options: &LintOptions) -> Vec<Finding> {
    let mut findings = apply(&Context::of_transcript(parsed, options), options);
    let tokens = tokens(parsed);
    for finding in &mut findings {
        finding.fix.clear();
        if finding.tokens.is_none() {
            finding.tokens = finding.message.and_then(|index| tokens[index].clone());
        }
    }
    findings
}

/// For each message its tokens, from the first to the last.
fn tokens(parsed: &Parsed) -> Vec<Option<Range<usize>>> {
    let mut tokens: Vec<Option<Range<usize>>> = vec![None; parsed.messages.len()];
    for span in &parsed.spans {
        if let Owner::Message(index) = span.owner {
            tokens[index].get_or_insert_with(|| span.tokens.clone()).end = span.tokens.end;
        }
    }
    tokens
}

fn apply(context: &Context<'_>, options: &LintOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules().filter(|rule| options.applies(rule)) {
        (rule.check)(
            context,
            &mut Report { rule, severity: options.severity(rule), findings: &mut findings },
        );
    }
    // Findings about no message come first; the sort is stable, so codes keep their order.
    findings.sort_by_key(|finding| finding.message);
    findings
}

/// Mends what can be mended with certainty and returns the findings that were, in the order in which they were mended.
///
/// Mending one thing can bring another to light, so this goes on until no finding carries a fix.
/// A second call changes nothing.
///
/// ```
/// use harmony_format::lint::{self, LintOptions};
/// use harmony_format::{Author, Conversation, Message, Role};
///
/// let mut conversation = Conversation::new([
///     Message::new(Role::Assistant, "{}").with_recipient("functions.now").with_channel("commentary"),
///     Message::new(Author::new(Role::Tool, "functions.now"), "12:00").with_channel("commentary"),
/// ]);
/// let fixed = lint::fix(&mut conversation, &LintOptions::default());
/// assert!(fixed.iter().any(|finding| finding.code == "L202"));
/// assert_eq!(conversation.messages[1].recipient.as_deref(), Some("assistant"));
/// ```
pub fn fix(conversation: &mut Conversation, options: &LintOptions) -> Vec<Finding> {
    let mut fixed = Vec::new();
    // Every round mends something, and what a rule mends no other rule breaks; the bound is a safeguard.
    let rounds = 8 + 8 * conversation.messages.len();
    for _ in 0..rounds {
        let findings = self::conversation(conversation, options);
        let Some(mended) = edit::mend(conversation, findings) else { break };
        fixed.extend(mended);
    }
    fixed
}

//! The slash commands of `gptoss chat`.

use harmony_format::ReasoningEffort;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// Something to say to the model.
    Say(String),
    Command(Command),
    /// A command that is none, or lacks what it needs.
    Wrong(String),
    /// Nothing.
    Empty,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Effort(ReasoningEffort),
    Tools(Option<String>),
    System(Option<String>),
    Show(String),
    Save(String),
    Load(String),
    Retry,
    Undo,
    Drop,
    Tokens,
    Help,
    Quit,
}

/// Each command with what it takes and does, in the order of the help.
pub(super) const COMMANDS: [(&str, &str, &str); 12] = [
    ("/effort", "low|medium|high", "how long the model thinks"),
    ("/tools", "[FILE|example|none]", "what the model may call; alone: what there is"),
    ("/system", "[TEXT]", "instructions to the model; alone: none"),
    ("/show", "final|all|CHANNELS", "what is shown of an answer"),
    ("/save", "FILE", "write the conversation to a file"),
    ("/load", "FILE", "go on with the conversation of a file"),
    ("/retry", "", "answer again, with another seed"),
    ("/undo", "", "take back your last message and its answer"),
    ("/drop", "", "forget the oldest of your messages and its answer"),
    ("/tokens", "", "how full the context is"),
    ("/help", "", "this list"),
    ("/quit", "", "end; Ctrl-D does it, too"),
];

impl Line {
    /// Reads a line; `//` begins text that begins with a slash.
    pub(super) fn read(line: &str) -> Self {
        let line = line.trim();
        if line.is_empty() {
            return Self::Empty;
        }
        if !line.starts_with('/') || line.starts_with("//") {
            return Self::Say(line.strip_prefix('/').unwrap_or(line).to_owned());
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let given = (!rest.is_empty()).then(|| rest.to_owned());
        let command = match (name, given) {
            ("/effort", Some(word)) => match word.parse() {
                Ok(effort) => Command::Effort(effort),
                Err(_) => return Self::Wrong(format!("the effort is low, medium or high, found {word:?}")),
            },
            ("/tools", given) => Command::Tools(given),
            ("/system", given) => Command::System(given),
            ("/show", Some(channels)) => Command::Show(channels),
            ("/save", Some(file)) => Command::Save(file),
            ("/load", Some(file)) => Command::Load(file),
            ("/retry", None) => Command::Retry,
            ("/undo", None) => Command::Undo,
            ("/drop", None) => Command::Drop,
            ("/tokens", None) => Command::Tokens,
            ("/help", None) => Command::Help,
            ("/quit" | "/exit", None) => Command::Quit,
            _ => {
                return Self::Wrong(match COMMANDS.iter().find(|(known, ..)| *known == name) {
                    Some((name, "", _)) => format!("{name} takes nothing"),
                    Some((name, takes, _)) => format!("{name} needs {takes}"),
                    None => format!("there is no command {name}; /help lists them"),
                });
            }
        };
        Self::Command(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_from_commands() {
        let command = |command| Line::Command(command);
        for (line, expected) in [
            ("  ", Line::Empty),
            ("Hi there ", Line::Say("Hi there".into())),
            ("//etc is a folder", Line::Say("/etc is a folder".into())),
            ("/effort HIGH", command(Command::Effort(ReasoningEffort::High))),
            ("/tools", command(Command::Tools(None))),
            ("/tools my tools.json", command(Command::Tools(Some("my tools.json".into())))),
            ("/system  Be brief. ", command(Command::System(Some("Be brief.".into())))),
            ("/quit", command(Command::Quit)),
            ("/exit", command(Command::Quit)),
        ] {
            assert_eq!(Line::read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, part) in [
            ("/effort", "needs low|medium|high"),
            ("/effort much", "found \"much\""),
            ("/save", "needs FILE"),
            ("/quit now", "takes nothing"),
            ("/sing", "no command /sing"),
        ] {
            let Line::Wrong(text) = Line::read(line) else { panic!("{line}") };
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn every_command_of_the_list_is_read() {
        for (name, takes, _) in COMMANDS {
            let line = match takes {
                "" => name.to_owned(),
                "low|medium|high" => format!("{name} low"),
                _ => format!("{name} x"),
            };
            assert!(matches!(Line::read(&line), Line::Command(_)), "{line}");
        }
    }
}

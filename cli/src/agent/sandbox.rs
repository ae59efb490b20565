//! Whether what a model writes is run in a sandbox, and who said that it need not be.

use std::io::{BufRead, Write};

use serde::Deserialize;

use crate::error::{Error, Result};

/// When a tool is run in a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sandbox {
    /// Where the system has one; else you are asked, and where nobody can be asked nothing is run
    #[default]
    Auto,
    /// Always, or nothing is run
    Require,
    /// Never: code of the model can do what you can do
    Off,
}

/// What the command line says of sandboxes.
pub(crate) struct Wishes<'a> {
    /// Said for this run, over what a table says.
    pub(crate) sandbox: Option<Sandbox>,
    /// Asks the user a question, where somebody is there to answer it.
    pub(crate) ask: Option<&'a mut dyn FnMut(&str) -> bool>,
}

impl Wishes<'_> {
    /// Whether a tool is run in a sandbox; else what the user is to be warned of. `available` says why there is none.
    ///
    /// # Errors
    ///
    /// If it is not to be run at all.
    pub(super) fn settle(
        &mut self,
        tool: &str,
        of_table: Sandbox,
        available: std::result::Result<(), String>,
    ) -> Result<Option<String>> {
        let why = match (self.sandbox.unwrap_or(of_table), available) {
            (Sandbox::Auto | Sandbox::Require, Ok(())) => return Ok(None),
            (Sandbox::Off, _) => "it was asked for".to_owned(),
            (Sandbox::Auto, Err(why)) if self.may_go_without(tool, &why) => why,
            (_, Err(why)) => {
                let rule = format!("{tool} cannot be run in a sandbox: {why}");
                return Err(Error::input("T001", rule).help(
                    "`--sandbox off` runs it without one: what the model writes can then do what you can do",
                ));
            }
        };
        Ok(Some(format!(
            "{tool} runs without a sandbox, {why}: what the model writes can do what you can do"
        )))
    }

    fn may_go_without(&mut self, tool: &str, why: &str) -> bool {
        let question = format!(
            "{tool} cannot be run in a sandbox: {why}. What the model writes could do what you can do. Run it?"
        );
        self.ask.as_mut().is_some_and(|ask| ask(&question))
    }
}

/// Asks on the terminal; anything but a yes is a no.
pub(crate) fn ask(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is confined, if it may run, and how often somebody was asked.
    fn settled(
        table: Sandbox,
        line: Option<Sandbox>,
        is_there: bool,
        says: Option<bool>,
    ) -> (Option<bool>, u32) {
        let mut asked = 0;
        let mut ask = |_: &str| {
            asked += 1;
            says == Some(true)
        };
        let ask: Option<&mut dyn FnMut(&str) -> bool> = if says.is_some() { Some(&mut ask) } else { None };
        let mut wishes = Wishes { sandbox: line, ask };
        let available = if is_there { Ok(()) } else { Err("no Landlock".to_owned()) };
        let is_confined = wishes.settle("python", table, available).ok().map(|warning| warning.is_none());
        (is_confined, asked)
    }

    #[test]
    fn nothing_runs_unconfined_that_nobody_agreed_to() {
        use Sandbox::{Auto, Off, Require};

        assert_eq!(settled(Auto, None, true, Some(true)), (Some(true), 0));
        assert_eq!(settled(Require, None, true, None), (Some(true), 0));
        // Without a sandbox: asked, or refused where nobody is there.
        assert_eq!(settled(Auto, None, false, None), (None, 0));
        assert_eq!(settled(Auto, None, false, Some(false)), (None, 1));
        assert_eq!(settled(Auto, None, false, Some(true)), (Some(false), 1));
        assert_eq!(settled(Require, None, false, Some(true)), (None, 0));
        // Said explicitly: warned of. The command line is stronger than the table.
        assert_eq!(settled(Off, None, true, None), (Some(false), 0));
        assert_eq!(settled(Require, Some(Off), false, None), (Some(false), 0));
        assert_eq!(settled(Off, Some(Require), true, None), (Some(true), 0));
        assert_eq!(settled(Off, Some(Require), false, None), (None, 0));
    }
}

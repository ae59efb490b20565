//! The file `tools.toml`: which functions there are, and what answers them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_format::{ToolDescription, ToolNamespace};
use serde::Deserialize;
use serde_json::{Value, json};

use super::launch::Confinement;
use super::process::{self, Limits, Program};
use super::sandbox::Wishes;
use super::toolbox::{Function, Functions, Kit, Runs, Toolbox};
use super::{MOST_CALLS, http};
use crate::error::{Error, Result};
use crate::excerpt::Excerpt;
use crate::input;

/// The limits of a call where the file names none.
const TIME: f64 = 60.0;
const MEMORY_MB: u64 = 1024;
const OUTPUT_KB: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    /// Calls before the model must answer.
    most_calls: Option<usize>,
    browser: Option<Browser>,
    #[serde(default)]
    functions: BTreeMap<String, Entry>,
    #[serde(default)]
    mcp: BTreeMap<String, McpEntry>,
    #[cfg(all(feature = "python", unix))]
    python: Option<super::python::Section>,
    #[cfg(not(all(feature = "python", unix)))]
    python: Option<toml::Value>,
}

#[cfg(feature = "browser")]
use super::browser::Section as Browser;

#[cfg(not(feature = "browser"))]
type Browser = serde::de::IgnoredAny;

#[cfg(feature = "mcp")]
use super::mcp::Entry as McpEntry;

#[cfg(not(feature = "mcp"))]
type McpEntry = serde::de::IgnoredAny;

/// A function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    #[serde(default)]
    description: String,
    parameters: Option<Value>,
    command: Option<Vec<String>>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Variables of the environment, by name.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// Variables that are handed on as they are.
    #[serde(default)]
    pass_environment: Vec<String>,
    folder: Option<PathBuf>,
    #[serde(default)]
    confined: bool,
    time: Option<f64>,
    memory_mb: Option<u64>,
    output_kb: Option<usize>,
}

/// Reads the file: programs are looked for, servers are started, and Python is asked for its kernel.
///
/// # Errors
///
/// If it is no such file, names a program that is not there, or a server does not start. If the user pressed Ctrl-C.
pub(crate) fn read(path: &Path, wishes: &mut Wishes<'_>) -> Result<Toolbox> {
    let document = input::read_text(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).map_err(|error| Error::io(error.to_string()))?;
    parse(&document.text, &folder, wishes).map_err(|error| error.in_file(&document.name))
}

fn parse(text: &str, folder: &Path, wishes: &mut Wishes<'_>) -> Result<Toolbox> {
    let file: File = toml::from_str(text).map_err(|error| {
        let this = wrong(error.message().lines().next().unwrap_or_default());
        match error.span() {
            Some(span) => this.point_at(text, Some(span)),
            None => this,
        }
    })?;
    let most_calls = file.most_calls.unwrap_or(MOST_CALLS);
    if most_calls == 0 {
        return Err(wrong("most-calls is at least 1"));
    }
    let mut functions = BTreeMap::new();
    let mut tools = Vec::new();
    for (name, entry) in file.functions {
        let (tool, function) =
            function(&name, entry, folder).map_err(|error| at(text, &format!("functions.{name}"), error))?;
        tools.push(tool);
        functions.insert(name, function);
    }
    let namespace = ToolNamespace { name: ToolNamespace::FUNCTIONS.to_owned(), description: None, tools };
    let mut kits: Vec<Box<dyn Kit>> = vec![Box::new(Functions { functions, namespace })];
    kits.extend(mcp(file.mcp, folder, text)?);
    if let Some(section) = file.browser {
        kits.push(browser(section, folder).map_err(|error| at(text, "[browser", error))?);
    }
    if let Some(section) = file.python {
        kits.push(python(section, folder, wishes).map_err(|error| at(text, "[python", error))?);
    }
    Ok(Toolbox::new(kits, most_calls))
}

/// An error at the table of a name, if that is found.
fn at(text: &str, name: &str, error: Error) -> Error {
    match text.find(name) {
        Some(start) => {
            let (line, column) = Excerpt::place(text, start);
            error.at_line(line, column)
        }
        None => error,
    }
}

#[cfg(feature = "browser")]
fn browser(section: Browser, folder: &Path) -> Result<Box<dyn Kit>> {
    let browser = section.browser(folder).map_err(|why| wrong(format!("browser: {why}")))?;
    Ok(Box::new(browser))
}

#[cfg(not(feature = "browser"))]
fn browser(_: Browser, _: &Path) -> Result<Box<dyn Kit>> {
    Err(wrong("this program was built without documents and pages, which its feature `browser` is"))
}

#[cfg(feature = "mcp")]
fn mcp(entries: BTreeMap<String, McpEntry>, folder: &Path, text: &str) -> Result<Vec<Box<dyn Kit>>> {
    super::mcp::kits(entries, folder, &|name, error| at(text, &format!("mcp.{name}"), error))
}

#[cfg(not(feature = "mcp"))]
#[expect(clippy::needless_pass_by_value, reason = "as with the feature")]
fn mcp(entries: BTreeMap<String, McpEntry>, _: &Path, text: &str) -> Result<Vec<Box<dyn Kit>>> {
    match entries.keys().next() {
        Some(name) => {
            let error = wrong("this program was built without servers of tools, which its feature `mcp` is");
            Err(at(text, &format!("mcp.{name}"), error))
        }
        None => Ok(Vec::new()),
    }
}

#[cfg(all(feature = "python", unix))]
fn python(section: super::python::Section, folder: &Path, wishes: &mut Wishes<'_>) -> Result<Box<dyn Kit>> {
    Ok(Box::new(super::python::Python::new(section, folder, wishes)?))
}

#[cfg(not(all(feature = "python", unix)))]
fn python(_: toml::Value, _: &Path, _: &mut Wishes<'_>) -> Result<Box<dyn Kit>> {
    Err(wrong("[python] needs a program that was built with the feature `python`, on Linux or macOS"))
}

fn function(name: &str, entry: Entry, folder: &Path) -> Result<(ToolDescription, Function)> {
    if !is_identifier(name) {
        return Err(wrong(format!("{name:?} is no name of a function: letters, digits and _")));
    }
    let of = |what: &str| format!("functions.{name}: {what}");
    let schema = entry.parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let time = time(entry.time).map_err(|why| wrong(of(&why)))?;
    let limits = Limits {
        time,
        memory: Some(entry.memory_mb.unwrap_or(MEMORY_MB).saturating_mul(1 << 20)),
        output: entry.output_kb.unwrap_or(OUTPUT_KB).saturating_mul(1 << 10),
    };
    let runs = match (entry.command, entry.url) {
        (Some(argv), None) => {
            let environment = environment(entry.environment, entry.pass_environment);
            let program = program(argv, environment, entry.folder, entry.confined, folder);
            Runs::Program(program.map_err(|why| wrong(of(&why)))?)
        }
        (None, Some(url)) => {
            Runs::Endpoint(http::Endpoint::new(&url, entry.headers).map_err(|why| wrong(of(&why)))?)
        }
        _ => return Err(wrong(of("either command or url says what answers it"))),
    };
    let tool = ToolDescription::new(name, entry.description, schema.clone());
    Ok((tool, Function { schema, limits, runs }))
}

/// Whether a text is letters, digits and `_`, and does not begin with a digit.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A limit of time; what is wrong with it.
pub(super) fn time(seconds: Option<f64>) -> std::result::Result<Duration, String> {
    Duration::try_from_secs_f64(seconds.unwrap_or(TIME))
        .ok()
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(86_400))
        .ok_or_else(|| "time is a number of seconds above 0, up to a day".to_owned())
}

/// Variables that are named with a value, and those that are handed on.
pub(super) fn environment(named: BTreeMap<String, String>, passed: Vec<String>) -> Vec<(String, String)> {
    let passed = passed.into_iter().filter_map(|name| std::env::var(&name).ok().map(|value| (name, value)));
    named.into_iter().chain(passed).collect()
}

/// A program that is to be run; what is wrong with it. `from` is the folder from which paths go on.
pub(super) fn program(
    argv: Vec<String>,
    environment: Vec<(String, String)>,
    folder: Option<PathBuf>,
    confined: bool,
    from: &Path,
) -> std::result::Result<Program, String> {
    let first = argv.first().ok_or("command is empty")?;
    let file = process::find(first, from).ok_or_else(|| format!("there is no program {first:?}"))?;
    let start = folder.map_or_else(|| from.to_owned(), |own| from.join(own));
    let confinement = Confinement {
        folder: confined.then(|| start.clone()),
        readable: vec![file.clone()],
        ..Confinement::default()
    };
    let file = file.to_str().ok_or("the path of the program is no UTF-8")?;
    let argv = std::iter::once(file.to_owned()).chain(argv.into_iter().skip(1)).collect();
    Ok(Program { argv, folder: Some(start), environment, confinement })
}

pub(super) fn wrong(rule: impl Into<String>) -> Error {
    Error::input("T001", rule).help("docs/tools.md describes the file")
}

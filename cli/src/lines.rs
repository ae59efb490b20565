//! JSON Lines: one document a line, answered in order on several threads.

use std::collections::VecDeque;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::de::IgnoredAny;

use crate::context::Context;
use crate::error::{BAD_INPUT, Error, Result};
use crate::input::{self, Document, LIMIT, Reader};

/// What a FILE turned out to be.
pub(crate) enum Input {
    /// One document.
    Document(Document),
    /// One document a line.
    Lines(Lines),
}

/// A file with one document a line.
pub(crate) struct Lines {
    name: String,
    from: Reader,
    /// What stands for the answer to a bad line.
    no_answer: &'static [u8],
}

/// Opens a file as JSON Lines if `jsonl` says so or its name ends in `.jsonl` or `.ndjson`,
/// or if its first line is a whole JSON document and more follows.
pub(crate) fn open(path: &Path, jsonl: bool) -> Result<Input> {
    let mut from = input::open(path)?;
    if jsonl || has_extension(path) {
        return Ok(Input::Lines(Lines::new(path, from)));
    }
    let cannot_read = |error: io::Error| input::cannot_read(path, &error);
    let mut head = Vec::new();
    while head.trim_ascii_start().is_empty() {
        let room = (LIMIT + 1).saturating_sub(head.len()) as u64;
        if (&mut from).take(room).read_until(b'\n', &mut head).map_err(cannot_read)? == 0 {
            break;
        }
    }
    let first = head.trim_ascii();
    let is_whole = first.starts_with(b"{") || first.starts_with(b"[");
    if is_whole && serde_json::from_slice::<IgnoredAny>(first).is_ok() {
        let mut more = Vec::new();
        while more.trim_ascii_start().is_empty() && head.len() + more.len() <= LIMIT {
            if from.read_until(b'\n', &mut more).map_err(cannot_read)? == 0 {
                break;
            }
        }
        let goes_on = !more.trim_ascii_start().is_empty();
        head.append(&mut more);
        if goes_on {
            let from = input::buffered(Cursor::new(head).chain(from));
            return Ok(Input::Lines(Lines::new(path, from)));
        }
    }
    Ok(Input::Document(input::text(path, input::read_rest(path, &mut from, head)?)?))
}

/// Opens a file as JSON Lines if `jsonl` says so or its name ends in `.jsonl` or `.ndjson`; its text tells nothing.
pub(crate) fn open_by_name(path: &Path, jsonl: bool) -> Result<Input> {
    if jsonl || has_extension(path) { open(path, true) } else { Ok(Input::Document(input::read_text(path)?)) }
}

pub(crate) fn has_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl" || extension == "ndjson")
}

/// The answer to one line.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What goes to standard output, line end included.
    pub(crate) out: Vec<u8>,
    /// What goes to standard error as warnings.
    pub(crate) warnings: Vec<String>,
    /// The exit code that this line asks for.
    pub(crate) exit: u8,
}

impl Answer {
    /// A value as JSON on one line.
    pub(crate) fn json(value: &impl serde::Serialize) -> Result<Self> {
        let mut out = serde_json::to_vec(value).map_err(io::Error::from)?;
        out.push(b'\n');
        Ok(Self { out, ..Self::default() })
    }
}

impl Lines {
    fn new(path: &Path, from: Reader) -> Self {
        Self { name: input::name(path), from, no_answer: b"null\n" }
    }

    /// Lets nothing stand for the answer to a bad line.
    pub(crate) fn for_reading(mut self) -> Self {
        self.no_answer = b"";
        self
    }

    /// The name that errors give to the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Answers every line in order on standard output; `answer` gets the text of a line and its number, counted from 1.
    ///
    /// A bad line is reported with its number, its answer is `null`, and the rest goes on.
    /// Blank lines are passed over. The exit code is 3 if a line was bad, else the greatest that a line asked for.
    pub(crate) fn answer(
        self,
        context: &Context,
        answer: impl Fn(&str, usize) -> Result<Answer> + Sync,
    ) -> Result<ExitCode> {
        Ok(ExitCode::from(self.answer_to(Box::new(io::stdout()), context, answer)?))
    }

    /// As [`answer`](Lines::answer), to another place; returns the exit code.
    pub(crate) fn answer_to(
        self,
        out: Box<dyn Write + Send>,
        context: &Context,
        answer: impl Fn(&str, usize) -> Result<Answer> + Sync,
    ) -> Result<u8> {
        let work = Work {
            name: &self.name,
            no_answer: self.no_answer,
            source: Mutex::new(Source { from: self.from, taken: 0, line: 0, is_done: false }),
            sink: Mutex::new(Sink {
                out,
                next: 0,
                ready: VecDeque::with_capacity(1024),
                bytes: 0,
                exit: 0,
                error: None,
            }),
            has_room: Condvar::new(),
        };
        std::thread::scope(|scope| {
            for _ in 1..context.threads {
                scope.spawn(|| work.run(context, &answer));
            }
            work.run(context, &answer);
        });
        let sink = work.sink.into_inner().unwrap_or_else(PoisonError::into_inner);
        match sink.error {
            Some(error) => Err(error),
            None => Ok(sink.exit),
        }
    }
}

/// Bytes of lines that a thread takes at once.
const BATCH: usize = 1 << 16;
/// Bytes of answers that may wait for an earlier one.
const WAITING: usize = 64 << 20;

/// What the threads share: each takes lines, answers them, and writes what is next in order.
struct Work<'a> {
    name: &'a str,
    no_answer: &'static [u8],
    source: Mutex<Source>,
    sink: Mutex<Sink>,
    has_room: Condvar,
}

struct Source {
    from: Reader,
    /// Batches taken.
    taken: usize,
    /// Lines taken.
    line: usize,
    is_done: bool,
}

/// Consecutive lines.
#[derive(Default)]
struct Batch {
    lines: Vec<(usize, Line)>,
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

struct Sink {
    out: Box<dyn Write + Send>,
    /// The batch that is to be written next.
    next: usize,
    /// Those after it that are there already, in its place and the following.
    ready: VecDeque<Option<Told>>,
    bytes: usize,
    exit: u8,
    error: Option<Error>,
}

/// The answers to a batch. They are one piece of memory: what one thread allocates and another frees makes
/// them wait for each other.
#[derive(Default)]
struct Told {
    out: Vec<u8>,
    /// What goes to standard error, in order.
    notes: Vec<Note>,
    exit: u8,
}

enum Note {
    Warning(usize, String),
    Bad(Error),
}

/// Takes the small pieces of memory that a new thread got from the one that started it out of use, until this is dropped.
///
/// The C library of Linux keeps the pieces that a thread freed for that thread, and locks the memory of the thread
/// that allocated a piece when it grows. A thread begins with freeing what its starter allocated for it. Were that
/// piece used again for each line, then the threads would wait for each other at each line: two were then
/// no faster than one.
fn foreign_memory() -> Vec<Vec<u8>> {
    /// Pieces up to this size are kept for a thread, in steps of [`STEP`].
    const LARGEST: usize = 1024;
    const STEP: usize = 16;
    (STEP..=LARGEST).step_by(STEP).flat_map(|size| [size; 3]).map(Vec::with_capacity).collect()
}

impl Work<'_> {
    fn run(&self, context: &Context, answer: &(impl Fn(&str, usize) -> Result<Answer> + Sync)) {
        let foreign = foreign_memory();
        while let Some((index, batch)) = self.take() {
            let mut told = Told::default();
            for (number, line) in batch.lines {
                told.add(number, self.answer_line(line, number, answer), self.no_answer);
            }
            self.hand_over(index, told, context);
        }
        drop(foreign);
    }

    fn answer_line(
        &self,
        line: Line,
        number: usize,
        answer: &(impl Fn(&str, usize) -> Result<Answer> + Sync),
    ) -> Result<Answer> {
        let result = match line {
            Line::TooLong => Err(Error::limit(format!("a line may have at most {} MiB", LIMIT >> 20))),
            Line::Whole(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => answer(text, number),
                Err(error) => Err(input::not_utf8(&bytes, error.valid_up_to())),
            },
        };
        result.map_err(|error| error.in_file(self.name).on_line(number))
    }

    /// The next lines with the index of their batch: those that are there, up to [`BATCH`].
    fn take(&self) -> Option<(usize, Batch)> {
        let mut sink = lock(&self.sink);
        while sink.bytes > WAITING && sink.error.is_none() {
            sink = self.has_room.wait(sink).unwrap_or_else(PoisonError::into_inner);
        }
        let has_failed = sink.error.is_some();
        drop(sink);
        let mut source = lock(&self.source);
        if has_failed || source.is_done {
            return None;
        }
        let batch = match source.read() {
            Ok(batch) => batch,
            Err(error) => {
                source.is_done = true;
                drop(source);
                let error = Error::io(format!("cannot read {}: {error}", self.name));
                lock(&self.sink).error.get_or_insert(error);
                return None;
            }
        };
        let index = source.taken;
        source.taken += 1;
        (!batch.lines.is_empty()).then_some((index, batch))
    }

    /// Writes the answers if they are next in order, and all that waited for them.
    fn hand_over(&self, index: usize, told: Told, context: &Context) {
        let mut sink = lock(&self.sink);
        sink.bytes += told.out.len();
        let place = index - sink.next;
        if sink.ready.len() <= place {
            sink.ready.resize_with(place + 1, || None);
        }
        sink.ready[place] = Some(told);
        while let Some(told) = sink.ready.front_mut().and_then(Option::take) {
            sink.ready.pop_front();
            sink.next += 1;
            sink.bytes -= told.out.len();
            if sink.error.is_none()
                && let Err(error) = sink.write(told, context)
            {
                sink.error = Some(error);
            }
        }
        self.has_room.notify_all();
    }
}

impl Told {
    fn add(&mut self, number: usize, answer: Result<Answer>, no_answer: &[u8]) {
        match answer {
            Ok(answer) => {
                self.out.extend_from_slice(&answer.out);
                self.notes.extend(answer.warnings.into_iter().map(|warning| Note::Warning(number, warning)));
                if self.exit != BAD_INPUT {
                    self.exit = self.exit.max(answer.exit);
                }
            }
            Err(error) => {
                self.out.extend_from_slice(no_answer);
                self.notes.push(Note::Bad(error));
                self.exit = BAD_INPUT;
            }
        }
    }
}

/// A thread that panicked ends the program anyway; the others may finish.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    fn write(&mut self, told: Told, context: &Context) -> Result<()> {
        for note in told.notes {
            match note {
                Note::Warning(number, warning) => context.warn(format_args!("line {number}: {warning}")),
                Note::Bad(error) => {
                    context.report(&error);
                }
            }
        }
        if self.exit != BAD_INPUT {
            self.exit = if told.exit == BAD_INPUT { BAD_INPUT } else { self.exit.max(told.exit) };
        }
        self.out.write_all(&told.out)?;
        Ok(self.out.flush()?)
    }
}

impl Source {
    /// Lines until the batch is full or reading would wait for more.
    fn read(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.lines.is_empty() || (bytes < BATCH && self.from.buffer().contains(&b'\n')) {
            let Some(line) = self.line()? else {
                self.is_done = true;
                break;
            };
            self.line += 1;
            if let Line::Whole(text) = &line {
                bytes += text.len();
                if text.trim_ascii().is_empty() {
                    continue;
                }
            }
            batch.lines.push((self.line, line));
        }
        Ok(batch)
    }

    /// One line without its end.
    fn line(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let room = LIMIT as u64 + 1;
        if (&mut self.from).take(room).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > LIMIT {
            self.from.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Whole(line)))
    }
}

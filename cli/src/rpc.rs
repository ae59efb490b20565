//! JSON-RPC 2.0 over lines: one request a line in, one answer a line out, so that other languages can test against us.

mod envelope;
mod failure;
mod methods;
mod streams;

use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::value::RawValue;

use envelope::{Incoming, Request};
use failure::Failure;
use methods::Server;

/// The longest line that is read, in bytes; of a longer one only the end is looked for.
const LINE_LIMIT: u64 = 256 << 20;

/// Answers requests until the input ends.
///
/// No request ends the loop: what is wrong with it is its answer.
///
/// # Errors
///
/// Only if the input cannot be read or the output cannot be written.
pub(crate) fn serve(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut server = Server::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(LINE_LIMIT + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let answer = if line.len() as u64 > LINE_LIMIT && line.last() != Some(&b'\n') {
            skip_line(&mut input)?;
            line = Vec::new();
            Some(envelope::failure(None, &Failure::line_too_long(LINE_LIMIT)))
        } else {
            answer_line(&mut server, &line)
        };
        if let Some(answer) = answer {
            output.write_all(answer.as_bytes())?;
            output.write_all(b"\n")?;
            output.flush()?;
        }
    }
}

/// Reads to the end of the line and keeps nothing of it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// The answer to one line; none if it held notifications only.
fn answer_line(server: &mut Server, line: &[u8]) -> Option<String> {
    match envelope::read(line) {
        Ok(Incoming::One(request)) => answer(server, request),
        Ok(Incoming::Batch(items)) => {
            let answers: Vec<String> =
                items.into_iter().filter_map(|item| answer(server, Request::read(item))).collect();
            (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
        }
        Err(failure) => Some(envelope::failure(None, &failure)),
    }
}

fn answer(server: &mut Server, request: Result<Request<'_>, envelope::Invalid<'_>>) -> Option<String> {
    let request = match request {
        Ok(request) => request,
        Err(invalid) => return Some(envelope::failure(invalid.id, &invalid.failure)),
    };
    let result = call(server, &request);
    let id = request.id?;
    Some(match result {
        Ok(result) => envelope::success(id, &result),
        Err(failure) => envelope::failure(Some(id), &failure),
    })
}

/// Calls the method. A defect of ours that panics is an answer, too: the other requests shall not suffer from it.
fn call(server: &mut Server, request: &Request<'_>) -> Result<Box<RawValue>, Failure> {
    catch_unwind(AssertUnwindSafe(|| server.call(&request.method, request.params)))
        .unwrap_or_else(|_| Err(Failure::internal()))
}

#[cfg(test)]
mod tests;

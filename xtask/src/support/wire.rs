//! Just enough of PostgreSQL's frontend/backend protocol to hand a server a text and hear its error with all fields: psql
//! would cut the text into statements itself (<https://www.postgresql.org/docs/15/protocol-message-formats.html>).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// An error as the server sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// SQLSTATE.
    pub(crate) code: String,
    /// The primary message.
    pub(crate) message: String,
    /// The character of the query that it is about, counted from 1.
    pub(crate) position: Option<usize>,
}

/// A session.
pub(crate) struct Connection {
    stream: UnixStream,
}

/// Protocol 3.0.
const VERSION: i32 = 196_608;

/// Longer than any answer takes.
const ANSWER: Duration = Duration::from_mins(1);

impl Connection {
    /// Connects to the server whose socket is in `directory`, as `postgres`, which must not need a password.
    pub(crate) fn open(directory: &Path, encoding: &str) -> Result<Self> {
        let socket = directory.join(".s.PGSQL.5432");
        let stream = UnixStream::connect(&socket).with_context(|| format!("connect {}", socket.display()))?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut connection = Self { stream };
        let mut body = VERSION.to_be_bytes().to_vec();
        for text in ["user", "postgres", "database", "postgres", "client_encoding", encoding, ""] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        connection.send(None, &body)?;
        if let Some(error) = connection.until_ready()? {
            bail!("the server refuses the session: {}", error.message);
        }
        Ok(connection)
    }

    /// Runs a text that may hold many statements; the first error, if there is one.
    pub(crate) fn query(&mut self, sql: &[u8]) -> Result<Option<ServerError>> {
        self.send(Some(b'Q'), &[sql, b"\0"].concat())?;
        self.until_ready()
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<()> {
        let length = i32::try_from(body.len() + 4).context("a message of more than 2 GB")?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        self.stream.write_all(&message).context("cannot write to the server")
    }

    /// Reads messages up to ReadyForQuery; the first error among them.
    fn until_ready(&mut self) -> Result<Option<ServerError>> {
        let mut first = None;
        loop {
            let mut head = [0_u8; 5];
            self.stream.read_exact(&mut head).context("the server ended the session")?;
            let [kind, length @ ..] = head;
            let length = usize::try_from(i32::from_be_bytes(length)).context("a message's length")?;
            let mut body = vec![0_u8; length.saturating_sub(4)];
            self.stream.read_exact(&mut body).context("the server ended the session")?;
            match kind {
                b'E' => {
                    first.get_or_insert(error(&body));
                }
                b'Z' => return Ok(first),
                _ => {}
            }
        }
    }
}

/// ErrorResponse: fields, each a letter and a text that a zero byte ends.
fn error(body: &[u8]) -> ServerError {
    let mut found = ServerError { code: String::new(), message: String::new(), position: None };
    for field in body.split(|byte| *byte == 0) {
        let Some((kind, text)) = field.split_first() else { continue };
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            b'C' => found.code = text,
            b'M' => found.message = text,
            b'P' => found.position = text.parse().ok(),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_an_error_are_told_apart() {
        let body = b"SERROR\0VERROR\0C42601\0Msyntax error at or near \"x\"\0P8\0Fscan.l\0\0";
        let expected = ServerError {
            code: "42601".to_owned(),
            message: "syntax error at or near \"x\"".to_owned(),
            position: Some(8),
        };
        assert_eq!(error(body), expected);
    }
}

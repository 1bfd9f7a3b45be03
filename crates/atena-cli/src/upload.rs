//! Sends many items over one bidirectional stream: rows are read on a thread of their own, sent in chunks, and each answer is
//! paired with the row that it is about.

use atena_proto::v1::{
    ItemError, PersonRegistration, PushOutcome, PushRecordsRequest, PushedRecord, RegisterPersonsRequest,
    RegistrationOutcome,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::client::{Client, new_request_id};
use crate::error::CliError;
use crate::rows::{BadRow, RowIterator};
use crate::table::Table;
use crate::terms;

/// Chunks read ahead of the one being answered.
const CHUNKS_AHEAD: usize = 4;

/// What became of one row.
pub(crate) enum RowOutcome {
    /// It went through; the outcome as the contract spells it.
    Done(&'static str),
    /// It came back.
    Bad(BadRow),
}

/// Counts of outcomes and the rows that came back.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Vec<(&'static str, u64)>,
    bad: Vec<BadRow>,
    bad_count: u64,
}

/// Bad rows kept for the table; `--json` lists all as they come.
const BAD_ROWS_SHOWN_MAX: usize = 200;

/// Registers people; tells `each` what became of every row.
///
/// # Errors
/// The call fails, or its answers don't fit the contract.
pub(crate) async fn register(
    client: &Client,
    people: RowIterator<PersonRegistration>,
    request_size: usize,
    each: &mut (dyn FnMut(RowOutcome) -> Result<(), CliError> + Send),
) -> Result<(), CliError> {
    let (mut lines, chunks) = read_ahead(people, request_size);
    let requests = chunks.map(|registrations| RegisterPersonsRequest { request_id: new_request_id(), registrations });
    let answers = client.address().register_persons(client.request(requests)).await;
    let mut answers = answers.map_err(|status| lines.answered.stopped(status.into()))?.into_inner();
    while let Some(answer) = lines.answer(&mut answers).await? {
        let results = answer.results.into_iter().map(|result| {
            let outcome = terms::registration_outcome(
                RegistrationOutcome::try_from(result.outcome).unwrap_or(RegistrationOutcome::Unspecified),
            );
            (outcome, result.error)
        });
        lines.pair(results, each).await?;
    }
    lines.finish(each).await
}

/// Pushes records; tells `each` what became of every row.
///
/// # Errors
/// As [`register`].
pub(crate) async fn push(
    client: &Client,
    records: RowIterator<PushedRecord>,
    request_size: usize,
    each: &mut (dyn FnMut(RowOutcome) -> Result<(), CliError> + Send),
) -> Result<(), CliError> {
    let (mut lines, chunks) = read_ahead(records, request_size);
    let requests = chunks.map(|records| PushRecordsRequest { request_id: new_request_id(), records });
    let answers = client.records().push_records(client.request(requests)).await;
    let mut answers = answers.map_err(|status| lines.answered.stopped(status.into()))?.into_inner();
    while let Some(answer) = lines.answer(&mut answers).await? {
        let results = answer.results.into_iter().map(|result| {
            let outcome =
                terms::push_outcome(PushOutcome::try_from(result.outcome).unwrap_or(PushOutcome::Unspecified));
            (outcome, result.error)
        });
        lines.pair(results, each).await?;
    }
    lines.finish(each).await
}

// === impl Tally ===

impl Tally {
    /// Counts one row.
    pub(crate) fn count(&mut self, outcome: RowOutcome) {
        let name = match outcome {
            RowOutcome::Done(name) => name,
            RowOutcome::Bad(row) => {
                self.bad_count += 1;
                if self.bad.len() < BAD_ROWS_SHOWN_MAX {
                    self.bad.push(row);
                }
                return;
            }
        };
        match self.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((name, 1)),
        }
    }

    /// How many rows ended so.
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.counts.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
    }

    /// Rows in all.
    pub(crate) fn rows(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum::<u64>() + self.bad_count
    }

    /// Rows that came back.
    pub(crate) fn bad_count(&self) -> u64 {
        self.bad_count
    }

    /// Counts by outcome.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(&[("outcome", "outcome"), ("japanese", "結果"), ("rows", "rows (件)")]);
        for (name, count) in &self.counts {
            table.row([(*name).into(), terms::outcome_japanese(name).into(), (*count).into()]);
        }
        if self.bad_count > 0 {
            table.row(["error".into(), "エラー".into(), self.bad_count.into()]);
        }
        table
    }

    /// The rows that came back, the first of them at least.
    pub(crate) fn bad_table(&self) -> Table {
        let columns =
            [("line", "line (行)"), ("reason", "reason"), ("fields", "fields (項目)"), ("message", "message")];
        let mut table = Table::new(&columns);
        for row in &self.bad {
            table.row([
                row.line.into(),
                row.reason.as_str().into(),
                row.fields.clone().into(),
                row.message.as_str().into(),
            ]);
        }
        table
    }
}

// === impl BadRow ===

impl BadRow {
    fn refused(line: u64, error: ItemError) -> Self {
        let fields = error.violations.into_iter().map(|one| format!("{}: {}", one.field, one.description)).collect();
        Self { line, reason: error.reason, fields, message: error.message }
    }

    /// One JSON Lines object.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "line": self.line, "reason": self.reason, "fields": self.fields, "message": self.message })
    }
}

/// The lines of the chunks on their way, and the rows that could not be read.
struct Lines {
    sent: mpsc::UnboundedReceiver<Vec<u64>>,
    unreadable: mpsc::UnboundedReceiver<BadRow>,
    answered: Answered,
}

/// How far an upload came: what was answered is durable.
#[derive(Default)]
struct Answered {
    rows: u64,
    /// The last line that was answered; all before it were as well.
    line: u64,
}

// === impl Answered ===

impl Answered {
    /// The error of an upload that stopped. It says how far it came.
    fn stopped(&self, cause: CliError) -> CliError {
        let broken = matches!(&cause, CliError::Link(failure) if failure.is_broken());
        if self.rows == 0 && !broken {
            return cause;
        }
        let far = match self.rows {
            0 => "No row was answered, so it is not known which rows are stored.".to_owned(),
            rows => format!(
                "Answered, and so durable: {rows} rows, up to line {}. Of the rows after it is not known which are stored.",
                self.line
            ),
        };
        let progress =
            format!("{far}\n  Send the same file again: that is harmless, what is stored already stays as it is.");
        CliError::HalfSent { cause: Box::new(cause), progress }
    }
}

// === impl Lines ===

impl Lines {
    /// The next answer of the gateway.
    async fn answer<T>(&self, answers: &mut Streaming<T>) -> Result<Option<T>, CliError> {
        answers.message().await.map_err(|status| self.answered.stopped(status.into()))
    }

    /// Pairs the results of one answer with the rows of the oldest unanswered chunk.
    async fn pair(
        &mut self,
        results: impl ExactSizeIterator<Item = (&'static str, Option<ItemError>)>,
        each: &mut (dyn FnMut(RowOutcome) -> Result<(), CliError> + Send),
    ) -> Result<(), CliError> {
        let lines = self.sent.recv().await.ok_or(CliError::Answer("an answer to no request"))?;
        if lines.len() != results.len() {
            return Err(CliError::Answer("not one result for each item"));
        }
        self.answered.rows += lines.len() as u64;
        self.answered.line = lines.last().copied().unwrap_or(self.answered.line);
        for (line, (outcome, error)) in lines.into_iter().zip(results) {
            each(match error {
                None => RowOutcome::Done(outcome),
                Some(error) => RowOutcome::Bad(BadRow::refused(line, error)),
            })?;
        }
        while let Ok(row) = self.unreadable.try_recv() {
            each(RowOutcome::Bad(row))?;
        }
        Ok(())
    }

    async fn finish(
        mut self,
        each: &mut (dyn FnMut(RowOutcome) -> Result<(), CliError> + Send),
    ) -> Result<(), CliError> {
        if self.sent.recv().await.is_some() {
            let cause = CliError::Answer("the stream ended before every request was answered");
            return Err(self.answered.stopped(cause));
        }
        while let Some(row) = self.unreadable.recv().await {
            each(RowOutcome::Bad(row))?;
        }
        Ok(())
    }
}

fn read_ahead<T: Send + 'static>(rows: RowIterator<T>, chunk_size: usize) -> (Lines, ReceiverStream<Vec<T>>) {
    let (send_lines, sent) = mpsc::unbounded_channel();
    let (send_bad, unreadable) = mpsc::unbounded_channel();
    let (send_chunk, chunks) = mpsc::channel(CHUNKS_AHEAD);
    std::thread::spawn(move || {
        let (mut lines, mut items) = (Vec::new(), Vec::new());
        let mut rows = rows.peekable();
        while let Some(row) = rows.next() {
            match row {
                Ok((line, item)) => {
                    lines.push(line);
                    items.push(item);
                }
                // The other side is gone only when the call failed already.
                Err(bad) => drop(send_bad.send(bad)),
            }
            let full = items.len() >= chunk_size || rows.peek().is_none();
            if full && !items.is_empty() {
                // Lines first: whoever has the answer finds them.
                let _ = send_lines.send(std::mem::take(&mut lines));
                if send_chunk.blocking_send(std::mem::take(&mut items)).is_err() {
                    return;
                }
            }
        }
    });
    (Lines { sent, unreadable, answered: Answered::default() }, ReceiverStream::new(chunks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(line: u64) -> BadRow {
        BadRow { line, reason: "UNREADABLE_ROW".into(), fields: Vec::new(), message: "no".into() }
    }

    #[tokio::test]
    async fn chunks_carry_good_rows_only_and_each_keeps_its_line() {
        let rows = vec![Ok((2, 'a')), Err(bad(3)), Ok((4, 'b')), Ok((5, 'c')), Err(bad(6))];
        let (mut lines, chunks) = read_ahead(Box::new(rows.into_iter()), 2);
        let chunks: Vec<Vec<char>> = chunks.collect().await;
        assert_eq!(chunks, [vec!['a', 'b'], vec!['c']]);
        let mut told = Vec::new();
        let mut each = |outcome: RowOutcome| {
            told.push(match outcome {
                RowOutcome::Done(name) => name.to_owned(),
                RowOutcome::Bad(row) => format!("{} {}", row.line, row.reason),
            });
            Ok(())
        };
        let refused = ItemError { reason: "INVALID_FIELD".into(), ..Default::default() };
        lines.pair(vec![("STORED", None), ("REJECTED", Some(refused))].into_iter(), &mut each).await.unwrap();
        lines.pair(vec![("STORED", None)].into_iter(), &mut each).await.unwrap();
        lines.finish(&mut each).await.unwrap();
        told.sort();
        assert_eq!(told, ["3 UNREADABLE_ROW", "4 INVALID_FIELD", "6 UNREADABLE_ROW", "STORED", "STORED"]);
    }

    #[tokio::test]
    async fn a_stream_that_ends_early_is_an_error_and_not_a_success() {
        let (lines, chunks) = read_ahead(Box::new(vec![Ok((2, 'a'))].into_iter()), 10);
        drop(chunks.collect::<Vec<_>>().await);
        assert!(lines.finish(&mut |_| Ok(())).await.is_err());
    }
}

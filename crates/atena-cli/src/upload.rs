//! Sends many items over one bidirectional stream: rows are read on a thread of their own, sent in chunks, and each answer is
//! paired with the row that it is about.

use std::collections::VecDeque;
use std::io;

use atena_proto::v1::{
    FieldViolation, ItemError, PersonRegistration, PushOutcome, PushRecordsRequest, PushResult, PushedRecord,
    RegisterPersonsRequest, RegistrationOutcome, RegistrationResult,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::client::{Client, new_request_id};
use crate::csv_io::FieldNames;
use crate::error::CliError;
use crate::rows::{BadRow, RowIterator, Rows};
use crate::tally::{RowOutcome, ToDecide};
use crate::terms;

/// Chunks read ahead of the one being answered.
const CHUNKS_AHEAD: usize = 4;

/// Lists of rows that are kept until the answer about the oldest of them is there. Further rows are
/// not read then.
const LISTS_KEPT_MAX: usize = 4 * CHUNKS_AHEAD;

/// Registers people; tells `each` what became of every row.
///
/// # Errors
/// The call fails, or its answers don't fit the contract.
pub(crate) async fn register(
    client: &Client,
    people: Rows<PersonRegistration>,
    request_size: usize,
    each: Each<'_>,
) -> Result<(), CliError> {
    let (mut lines, chunks) = read_ahead(people.rows, people.names, request_size);
    let requests = chunks.map(|registrations| RegisterPersonsRequest { request_id: new_request_id(), registrations });
    let mut service = client.address();
    let mut answers = lines.during(service.register_persons(client.request(requests)), each).await?.into_inner();
    while let Some(answer) = lines.during(answers.message(), each).await? {
        lines.pair(answer.results.into_iter().map(Answered::of_registration), each).await?;
    }
    lines.finish(each).await
}

/// Pushes records; tells `each` what became of every row.
///
/// # Errors
/// As [`register`].
pub(crate) async fn push(
    client: &Client,
    records: Rows<PushedRecord>,
    request_size: usize,
    each: Each<'_>,
) -> Result<(), CliError> {
    let (mut lines, chunks) = read_ahead(records.rows, records.names, request_size);
    let requests = chunks.map(|records| PushRecordsRequest { request_id: new_request_id(), records });
    let mut service = client.records();
    let mut answers = lines.during(service.push_records(client.request(requests)), each).await?.into_inner();
    while let Some(answer) = lines.during(answers.message(), each).await? {
        lines.pair(answer.results.into_iter().map(Answered::of_push), each).await?;
    }
    lines.finish(each).await
}

/// What the gateway says of one row.
struct Answered {
    outcome: &'static str,
    local_address_number: String,
    review_case_id: String,
    error: Option<ItemError>,
}

// === impl Answered ===

impl Answered {
    fn of_registration(result: RegistrationResult) -> Self {
        let outcome = RegistrationOutcome::try_from(result.outcome).unwrap_or(RegistrationOutcome::Unspecified);
        Self {
            outcome: terms::registration_outcome(outcome),
            local_address_number: result.local_address_number,
            review_case_id: result.review_case_id,
            error: result.error,
        }
    }

    fn of_push(result: PushResult) -> Self {
        let outcome = PushOutcome::try_from(result.outcome).unwrap_or(PushOutcome::Unspecified);
        Self {
            outcome: terms::push_outcome(outcome),
            local_address_number: String::new(),
            review_case_id: String::new(),
            error: result.error,
        }
    }

    /// What became of the row of `line`, in the words of the file.
    fn row(self, line: u64, names: &FieldNames) -> RowOutcome {
        let Self { outcome, local_address_number, review_case_id, error } = self;
        let Some(error) = error else {
            return RowOutcome::taken(ToDecide { line, outcome, local_address_number, review_case_id });
        };
        let called = |one: &FieldViolation| format!("{}: {}", names.name(&one.field), one.description);
        RowOutcome::Bad(BadRow {
            line,
            rows: 1,
            reason: error.reason,
            fields: error.violations.iter().map(called).collect(),
            paths: error.violations.into_iter().map(|one| one.field).collect(),
            message: error.message,
        })
    }
}

/// A row that was read: sent, or bad.
enum Slot {
    Sent(u64),
    Bad(BadRow),
}

/// Rows in the order of the file, a list for each chunk. A list without a sent row belongs to no chunk.
struct Lines {
    slots: mpsc::Receiver<Vec<Slot>>,
    /// Lists that came before their answer. The first has a sent row.
    kept: VecDeque<Vec<Slot>>,
    names: FieldNames,
    reached: Reached,
}

/// How far an upload came: what was answered is durable.
#[derive(Default)]
struct Reached {
    rows: u64,
    /// The last line that was answered; all before it were as well.
    line: u64,
}

// === impl Reached ===

impl Reached {
    /// Adds the rows of an answered chunk.
    fn add(&mut self, slots: &[Slot]) {
        for slot in slots {
            if let Slot::Sent(line) = slot {
                self.rows += 1;
                self.line = *line;
            }
        }
    }

    /// The error of an upload that stopped. It says how far it came.
    fn stopped(&self, cause: CliError) -> CliError {
        let broken = matches!(&cause, CliError::Link(failure) if failure.is_broken());
        // The reader of the results had enough of them (`| head`).
        let left = matches!(&cause, CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe);
        if left || (self.rows == 0 && !broken) {
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
        CliError::HalfSent { cause: Box::new(cause), progress, rows: self.rows, line: self.line }
    }
}

/// Where outcomes go, one row after the other.
type Each<'a> = &'a mut (dyn FnMut(RowOutcome) -> Result<(), CliError> + Send);

// === impl Lines ===

impl Lines {
    /// Waits for the gateway. Meanwhile rows are read on, and those of them that were refused are
    /// handed out as soon as no answer comes before them.
    async fn during<T>(
        &mut self,
        call: impl Future<Output = Result<T, Status>>,
        each: Each<'_>,
    ) -> Result<T, CliError> {
        let mut call = std::pin::pin!(call);
        let mut is_at_end = false;
        loop {
            tokio::select! {
                biased;
                called = &mut call => return called.map_err(|status| self.reached.stopped(status.into())),
                list = self.slots.recv(), if !is_at_end && self.kept.len() < LISTS_KEPT_MAX => match list {
                    None => is_at_end = true,
                    Some(list) if self.kept.is_empty() && !has_sent(&list) => {
                        bad_only(list, each).map_err(|cause| self.reached.stopped(cause))?;
                    }
                    Some(list) => self.kept.push_back(list),
                },
            }
        }
    }

    /// The oldest list that is not handed out yet.
    async fn next(&mut self) -> Option<Vec<Slot>> {
        match self.kept.pop_front() {
            Some(list) => Some(list),
            None => self.slots.recv().await,
        }
    }

    /// Pairs the results of one answer with the rows of the oldest unanswered chunk. Bad rows between
    /// them come in their place.
    async fn pair(&mut self, results: impl ExactSizeIterator<Item = Answered>, each: Each<'_>) -> Result<(), CliError> {
        let paired = self.paired(results, each).await;
        paired.map_err(|cause| self.reached.stopped(cause))
    }

    async fn paired(
        &mut self,
        results: impl ExactSizeIterator<Item = Answered>,
        each: Each<'_>,
    ) -> Result<(), CliError> {
        let slots = loop {
            let slots = self.next().await.ok_or(CliError::Answer("an answer to no request"))?;
            if has_sent(&slots) {
                break slots;
            }
            bad_only(slots, each)?;
        };
        let sent = slots.iter().filter(|slot| matches!(slot, Slot::Sent(_))).count();
        if sent != results.len() {
            return Err(CliError::Answer("not one result for each item"));
        }
        self.reached.add(&slots);
        let mut results = results;
        for slot in slots {
            match slot {
                Slot::Bad(row) => each(RowOutcome::Bad(row))?,
                Slot::Sent(line) => {
                    let result = results.next().ok_or(CliError::Answer("not one result for each item"))?;
                    each(result.row(line, &self.names))?;
                }
            }
        }
        Ok(())
    }

    async fn finish(mut self, each: Each<'_>) -> Result<(), CliError> {
        while let Some(slots) = self.next().await {
            if has_sent(&slots) {
                let cause = CliError::Answer("the stream ended before every request was answered");
                return Err(self.reached.stopped(cause));
            }
            bad_only(slots, each).map_err(|cause| self.reached.stopped(cause))?;
        }
        Ok(())
    }
}

fn has_sent(slots: &[Slot]) -> bool {
    slots.iter().any(|slot| matches!(slot, Slot::Sent(_)))
}

fn bad_only(slots: Vec<Slot>, each: Each<'_>) -> Result<(), CliError> {
    slots.into_iter().try_for_each(|slot| match slot {
        Slot::Bad(row) => each(RowOutcome::Bad(row)),
        Slot::Sent(_) => Ok(()),
    })
}

fn read_ahead<T: Send + 'static>(
    rows: RowIterator<T>,
    names: FieldNames,
    chunk_size: usize,
) -> (Lines, ReceiverStream<Vec<T>>) {
    let (send_slots, slots) = mpsc::channel(CHUNKS_AHEAD);
    let (send_chunk, chunks) = mpsc::channel(CHUNKS_AHEAD);
    std::thread::spawn(move || {
        let (mut read, mut items) = (Vec::new(), Vec::new());
        let mut rows = rows.peekable();
        while let Some(row) = rows.next() {
            match row {
                Ok((line, item)) => {
                    read.push(Slot::Sent(line));
                    items.push(item);
                }
                Err(bad) => read.push(Slot::Bad(bad)),
            }
            if read.len() >= chunk_size || rows.peek().is_none() {
                // The other side is gone only when the call failed already. Rows first: the answer needs them.
                if send_slots.blocking_send(std::mem::take(&mut read)).is_err() {
                    return;
                }
                if !items.is_empty() && send_chunk.blocking_send(std::mem::take(&mut items)).is_err() {
                    return;
                }
            }
        }
    });
    (Lines { slots, kept: VecDeque::new(), names, reached: Reached::default() }, ReceiverStream::new(chunks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv_io;

    fn bad(line: u64) -> BadRow {
        let reason = "UNREADABLE_ROW".to_owned();
        BadRow { line, rows: 1, reason, fields: Vec::new(), paths: Vec::new(), message: "no".into() }
    }

    /// Names as a file with these columns has them.
    fn names(header: &'static str) -> FieldNames {
        let file = header.as_bytes();
        csv_io::read_people(file, csv_io::Format::Csv, None).ok().unwrap().names
    }

    fn answered(outcome: &'static str, violated: Option<&str>) -> Answered {
        let error = violated.map(|field| ItemError {
            reason: "INVALID_FIELD".into(),
            violations: vec![FieldViolation { field: field.to_owned(), description: "is wrong".to_owned() }],
            ..Default::default()
        });
        Answered { outcome, local_address_number: "A9".into(), review_case_id: "case-1".into(), error }
    }

    #[tokio::test]
    async fn rows_come_in_the_order_of_lines_and_in_the_words_of_the_file() {
        let rows = vec![Ok((2, 'a')), Err(bad(3)), Ok((4, 'b')), Ok((5, 'c')), Err(bad(6)), Err(bad(7)), Err(bad(8))];
        let (mut lines, chunks) = read_ahead(Box::new(rows.into_iter()), names("宛名番号,番地号\n"), 3);
        let chunks: Vec<Vec<char>> = chunks.collect().await;
        assert_eq!(chunks, [vec!['a', 'b'], vec!['c']]);
        let mut told = Vec::new();
        let mut each = |outcome: RowOutcome| {
            told.push(match outcome {
                RowOutcome::Done(name) => name.to_owned(),
                RowOutcome::ToDecide(row) => format!("{} {} {}", row.line, row.outcome, row.review_case_id),
                RowOutcome::Bad(row) => format!("{} {} {}", row.line, row.reason, row.fields.join(" ")),
            });
            Ok(())
        };
        let first = [answered("REVIEW_REQUIRED", None), answered("", Some("person.address.block"))];
        lines.pair(first.into_iter(), &mut each).await.unwrap();
        lines.pair([answered("STORED", None)].into_iter(), &mut each).await.unwrap();
        lines.finish(&mut each).await.unwrap();
        assert_eq!(
            told,
            [
                "2 REVIEW_REQUIRED case-1",
                "3 UNREADABLE_ROW ",
                "4 INVALID_FIELD 番地号: is wrong",
                "STORED",
                "6 UNREADABLE_ROW ",
                "7 UNREADABLE_ROW ",
                "8 UNREADABLE_ROW ",
            ]
        );
    }

    /// A file without a good row makes no chunk, so no answer comes that would make room.
    #[tokio::test]
    async fn refused_rows_without_end_are_handed_out_while_no_answer_comes() {
        let rows = (0..100_000).map(|line| Err(bad(line)));
        let (mut lines, chunks) = read_ahead::<char>(Box::new(rows), names("宛名番号\n"), 10);
        let mut told = 0;
        let chunks = async { Ok(chunks.collect::<Vec<_>>().await) };
        let mut each = |outcome: RowOutcome| {
            assert!(matches!(outcome, RowOutcome::Bad(row) if row.line == told));
            told += 1;
            Ok(())
        };
        assert_eq!(lines.during(chunks, &mut each).await.unwrap().len(), 0);
        lines.finish(&mut each).await.unwrap();
        assert_eq!(told, 100_000);
    }

    /// Rows that wait for an answer are bounded, and none is lost or comes before its time.
    #[tokio::test]
    async fn while_an_answer_is_awaited_so_many_rows_are_read_and_no_more() {
        let rows = (1..=1_000).map(|line| if line == 1 { Ok((line, 'a')) } else { Err(bad(line)) });
        let (mut lines, mut chunks) = read_ahead(Box::new(rows), names("宛名番号\n"), 1);
        assert_eq!(chunks.next().await, Some(vec!['a']));
        let mut told = Vec::new();
        let mut each = |outcome: RowOutcome| {
            told.push(matches!(outcome, RowOutcome::Bad(_)));
            Ok(())
        };
        // As many polls as there are lists, and more.
        let mut polls = 0;
        let waited = std::future::poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 10_000 { std::task::Poll::Pending } else { std::task::Poll::Ready(Ok(())) }
        });
        lines.during(waited, &mut each).await.unwrap();
        assert!(lines.kept.len() <= LISTS_KEPT_MAX);
        lines.pair([answered("STORED", None)].into_iter(), &mut each).await.unwrap();
        lines.finish(&mut each).await.unwrap();
        assert_eq!(told.iter().filter(|bad| **bad).count(), 999);
        assert!(!told[0], "the answered row comes first");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_the_contract_says_how_far_the_upload_came() {
        let rows = vec![Ok((2, 'a')), Ok((3, 'b'))];
        let (mut lines, chunks) = read_ahead(Box::new(rows.into_iter()), names("宛名番号\n"), 1);
        drop(chunks.collect::<Vec<_>>().await);
        lines.pair([answered("STORED", None)].into_iter(), &mut |_| Ok(())).await.unwrap();
        let two = [answered("STORED", None), answered("STORED", None)];
        let error = lines.pair(two.into_iter(), &mut |_| Ok(())).await.unwrap_err();
        assert!(matches!(error, CliError::HalfSent { rows: 1, line: 2, .. }), "{error}");
        let mut closed = |_| Err(CliError::Output(io::ErrorKind::BrokenPipe.into()));
        lines.kept.push_back(vec![Slot::Sent(4)]);
        let error = lines.pair([answered("STORED", None)].into_iter(), &mut closed).await.unwrap_err();
        assert!(matches!(error, CliError::Output(_)), "{error}");
    }

    #[tokio::test]
    async fn a_stream_that_ends_early_is_an_error_and_not_a_success() {
        let (lines, chunks) = read_ahead(Box::new(vec![Ok((2, 'a'))].into_iter()), names("宛名番号\n"), 10);
        drop(chunks.collect::<Vec<_>>().await);
        assert!(lines.finish(&mut |_| Ok(())).await.is_err());
    }
}

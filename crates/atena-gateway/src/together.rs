//! Reading for several calls at once: while one question is with the database, those of other calls gather for the next, as commits do
//! in the transfer log.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use atena_domain::{Dataset, LocalAddressNumber, SystemId};
use atena_policy::ReleasePermit;
use atena_store::{Holding, Store};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::error::CallError;

/// People asked for at once, about.
const PEOPLE_MAX: usize = 512;

/// Calls of one consumer that ask for the same datasets: what the database is asked is the same but for the people.
type Alike = (SystemId, Vec<Dataset>);

/// Calls that wait, by what they ask. A key is there while somebody reads for it.
type AllWaiting = Arc<Mutex<HashMap<Alike, Vec<Waiting>>>>;

/// Gathers questions that are alike.
#[derive(Default)]
pub(crate) struct Together {
    waiting: AllWaiting,
}

/// One call: its permits, its people, and where the answer goes.
struct Waiting {
    permits: Arc<[ReleasePermit]>,
    locals: Vec<LocalAddressNumber>,
    answer: oneshot::Sender<Result<Vec<Arc<Holding>>, CallError>>,
    /// Where its trace goes on. That of the first call has what was read for all of them.
    span: Span,
}

// === impl Together ===

impl Together {
    /// What [`Store::holdings_of`] finds for the permits and people of one call.
    pub(crate) async fn holdings_of(
        &self,
        store: &Store,
        permits: &Arc<[ReleasePermit]>,
        locals: Vec<LocalAddressNumber>,
    ) -> Result<Vec<Arc<Holding>>, CallError> {
        let Some(first) = permits.first() else { return Ok(Vec::new()) };
        let alike = (first.caller().clone(), permits.iter().map(ReleasePermit::dataset).collect());
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { permits: Arc::clone(permits), locals, answer, span: Span::current() };
        let alone = {
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get_mut(&alike) {
                Some(others) => {
                    others.push(waiting);
                    None
                }
                None => {
                    all.insert(alike.clone(), Vec::new());
                    Some(waiting)
                }
            }
        };
        if let Some(waiting) = alone {
            // A task of its own: the caller who happened to be first may go away.
            let reader = Reader { waiting: Arc::clone(&self.waiting), alike };
            tokio::spawn(reader.read(store.clone(), vec![waiting]));
        }
        answered.await.map_err(|_| CallError::from(atena_store::StoreError::Unavailable("the reader stopped")))?
    }
}

/// Whoever reads for calls that are alike.
struct Reader {
    waiting: AllWaiting,
    alike: Alike,
}

// === impl Reader ===

impl Reader {
    /// Reads for those who wait until nobody does.
    async fn read(self, store: Store, mut now: Vec<Waiting>) {
        while let Some(first) = now.first() {
            let people: HashSet<_> = now.iter().flat_map(|one| &one.locals).cloned().collect();
            let people: Vec<_> = people.into_iter().collect();
            let read = store.holdings_of(&first.permits, &people).instrument(first.span.clone());
            let found = read.await.map_err(CallError::from);
            let found: Result<HashMap<_, _>, _> = found.map(|found| {
                found.into_iter().map(|holding| (holding.local_address_number.clone(), Arc::new(holding))).collect()
            });
            for one in now {
                let own = found.as_ref().map_err(Clone::clone);
                let own = own.map(|found| one.locals.iter().filter_map(|local| found.get(local).cloned()).collect());
                // Who went away needs no answer.
                let _ = one.answer.send(own);
            }
            now = self.next();
        }
    }

    /// Those who have come meanwhile; if there is nobody, the next call is the first of its kind again.
    fn next(&self) -> Vec<Waiting> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(others) = all.get_mut(&self.alike) else { return Vec::new() };
        let mut people = 0;
        let fit = others.iter().take_while(|one| {
            people += one.locals.len();
            people <= PEOPLE_MAX
        });
        let fit = fit.count().max(1).min(others.len());
        let next: Vec<_> = others.drain(..fit).collect();
        if next.is_empty() {
            all.remove(&self.alike);
        }
        next
    }
}

impl Drop for Reader {
    /// Should reading have ended halfway, those who wait are told by their channels, and the next call begins anew.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.alike);
        }
    }
}

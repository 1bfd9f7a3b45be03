//! Keeps feeds small, every hour: entries are kept for some days, and feeds that no rule in force
//! asks for are closed. A consumer that goes on from before gets everything once more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use atena_domain::{Dataset, SystemId};
use atena_policy::{Entitlement, Policy};
use atena_store::{Feed, StoreError};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;

use crate::clock::japanese_day;
use crate::clock_guard::ClockError;
use crate::config::FeedsConfig;
use crate::hall::Hall;

const INTERVAL: Duration = Duration::from_secs(3600);

const DAY_S: i64 = 86_400;

/// Why feeds are left as they are.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    /// The clock is not believed (time-is-evidence).
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps the feeds small until stopped. Tells of each trouble once.
pub(crate) async fn run(hall: Arc<Hall>, config: FeedsConfig, stop: CancellationToken) {
    let mut told = None;
    while !stop.is_cancelled() {
        let trouble = keep_small(&hall, config).await.err().map(|error| error.to_string());
        if let Some(error) = trouble.as_ref().filter(|_| told != trouble) {
            tracing::error!(%error, "old entries of feeds are kept");
        }
        told = trouble;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn keep_small(hall: &Hall, config: FeedsConfig) -> Result<(), NotKept> {
    let now = hall.clock.believed_now().await?;
    let day = day(now);
    let mut transaction = hall.store.begin_write("keep_feeds_small").await?;
    let feeds = transaction.feeds(&Dataset::PENSION.into_iter().collect()).await?;
    let (wanted, unwanted) = by_use(feeds, &hall.policy(), japanese_day(now));
    for feed in &unwanted {
        transaction.close_feed(feed).await?;
        tracing::info!(system = feed.system_id.as_str(), dataset = feed.dataset.as_str(), "a feed was closed");
    }
    transaction.mark_feed_day(day).await?;
    transaction.prune_feeds(&wanted, day - i64::from(config.kept_days)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Days since 1970.
fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY_S)
}

/// Feeds that a rule in force asks for, and the others: of systems that are revoked or gone, and of
/// fields as former rules had them.
fn by_use(feeds: Vec<Feed>, policy: &Policy, today: Date) -> (Vec<Feed>, Vec<Feed>) {
    let mut known: HashMap<SystemId, Vec<Entitlement>> = HashMap::new();
    feeds.into_iter().partition(|feed| {
        let system = &feed.system_id;
        let entitled = known.entry(system.clone()).or_insert_with(|| policy.entitlements(system, today));
        entitled.iter().any(|one| one.dataset == feed.dataset && one.fields[..] == feed.field_names[..])
    })
}

#[cfg(test)]
mod tests {
    use atena_domain::Affair;
    use jiff::civil::date;

    use super::*;
    use crate::catalog::field_catalog;
    use crate::test_town::open_store;

    const RULES: &str = include_str!("../../../../../deploy/policy.toml");

    #[tokio::test]
    async fn feeds_of_revoked_systems_and_of_former_fields_are_unwanted() {
        let today = date(2026, 11, 27);
        let policy = |text: &str| Policy::compile(text, &field_catalog(), today).unwrap();
        let rules = policy(RULES);
        let (tax, affair) = (SystemId::parse("resident-tax").unwrap(), Affair::parse("市都民税賦課業務").unwrap());
        let permits = [Dataset::Qualification, Dataset::Payment]
            .map(|dataset| rules.authorize_release(&tax, &affair, dataset, today).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(&folder).await;
        let mut transaction = store.begin_write("test").await.unwrap();
        for permit in &permits {
            transaction.open_feed(permit).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let feeds = store.feeds_of(&tax).await.unwrap();
        let unwanted = |feeds: Vec<Feed>, policy: &Policy| by_use(feeds, policy, today).1.len();
        assert_eq!(unwanted(feeds.clone(), &rules), 0);
        let revoked = RULES.replacen("id = \"resident-tax\"\n", "id = \"resident-tax\"\nrevoked = true\n", 1);
        assert_eq!(unwanted(feeds.clone(), &policy(&revoked)), 2);
        let mut former = feeds;
        former[0].field_names.pop();
        assert_eq!(unwanted(former, &rules), 1);
    }
}

//! Part 1: everyone registers, the pension system pushes.

use std::path::PathBuf;
use std::time::Instant;

use atena_proto::RECORD_DATASETS;
use atena_proto::v1::Dataset;
use serde_json::Value;

use super::{PENSION, Town};
use crate::error::CliError;
use crate::output::Output;
use crate::table::Table;
use crate::tally::{LISTED_IN_TABLE_MAX, Tally};
use crate::upload;
use crate::{progress, rows, terms};

/// The systems of the town, the one that knows everybody first.
const SYSTEMS: [(&str, &str); 10] = [
    (PENSION, "国民年金"),
    ("resident-tax", "市民税"),
    ("public-assistance", "生活保護"),
    ("welfare", "福祉"),
    ("long-term-care", "介護保険"),
    ("national-health-insurance", "国民健康保険"),
    ("late-elderly-medical", "後期高齢者医療"),
    ("health-management", "健康管理"),
    ("public-health-center", "保健所"),
    ("school-affairs", "学務"),
];

/// Items in one request.
const REQUEST_SIZE: usize = 500;

/// Registers and pushes everything in the sample files, and shows the numbers; returns how many rows came back.
pub(super) async fn run(town: &Town, output: &mut Output) -> Result<u64, CliError> {
    let mut came_back = 0;
    let columns = [
        ("system", "system"),
        ("japanese", "システム"),
        ("people", "people (人)"),
        ("issued", "issued (付番)"),
        ("linked", "linked (紐付け)"),
        ("errors", "errors"),
        ("seconds", "s"),
    ];
    let mut table = Table::new(&columns);
    for (system, japanese) in SYSTEMS {
        let people = rows::people(&town.people(system), None, None)?;
        let client = town.client(system, None).await?;
        let (started, bar, mut tally) = (Instant::now(), progress::bar(system, None), Tally::new(LISTED_IN_TABLE_MAX));
        upload::register(&client, people, REQUEST_SIZE, &mut |outcome| {
            bar.inc(1);
            tally.count(outcome);
            Ok(())
        })
        .await?;
        bar.finish_and_clear();
        came_back += tally.bad_count();
        table.row([
            system.into(),
            japanese.into(),
            tally.rows().into(),
            tally.of("ISSUED").into(),
            tally.of("LINKED").into(),
            tally.bad_count().into(),
            seconds(started),
        ]);
    }
    output.table(&table)?;

    let columns = [
        ("dataset", "dataset"),
        ("japanese", "情報"),
        ("records", "records (件)"),
        ("stored", "stored (登録)"),
        ("errors", "errors"),
        ("seconds", "s"),
    ];
    let mut table = Table::new(&columns);
    let client = town.client(PENSION, None).await?;
    for dataset in RECORD_DATASETS {
        let records = rows::records(dataset, &town.records(dataset), None, None)?;
        let (started, bar, mut tally) =
            (Instant::now(), progress::bar(terms::dataset_id(dataset), None), Tally::new(LISTED_IN_TABLE_MAX));
        upload::push(&client, records, REQUEST_SIZE, &mut |outcome| {
            bar.inc(1);
            tally.count(outcome);
            Ok(())
        })
        .await?;
        bar.finish_and_clear();
        table.row([
            terms::dataset_id(dataset).into(),
            terms::dataset_japanese(dataset).into(),
            tally.rows().into(),
            tally.of("STORED").into(),
            tally.bad_count().into(),
            seconds(started),
        ]);
        came_back += tally.bad_count();
        if tally.bad_count() > 0 {
            output.table(&tally.listed_table())?;
        }
    }
    output.table(&table)?;
    Ok(came_back)
}

// === impl Town ===

impl Town {
    /// The people of one system.
    pub(super) fn people(&self, system: &str) -> PathBuf {
        self.sample.join(format!("people/{system}.csv"))
    }

    /// The records of one dataset.
    pub(super) fn records(&self, dataset: Dataset) -> PathBuf {
        self.sample.join(format!("records/{}.csv", terms::dataset_id(dataset)))
    }

    /// Every system's file of people.
    pub(super) fn people_files(&self) -> impl Iterator<Item = PathBuf> {
        SYSTEMS.iter().map(|(system, _)| self.people(system))
    }
}

fn seconds(started: Instant) -> Value {
    format!("{:.2}", started.elapsed().as_secs_f64()).into()
}

//! Brings the tables of PostgreSQL to this version, with the bookkeeping of sqlx, one statement at
//! a time.
//!
//! sqlx sends a migration as one query. Citus passes most changes of a distributed table on to its
//! workers as they came, and a worker refuses a text of several statements. A table that a
//! migration makes is distributed in its transaction.

mod split;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::citus::IS_CITUS;
use crate::error::StoreError;
use split::statements;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/postgres");

/// The tables of this schema that have a municipality and that Citus does not distribute.
const LOCAL_TABLES: &str = "SELECT quote_ident(relname) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid \
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attname = 'municipality_code' \
    AND NOT attisdropped AND pg_class.oid NOT IN (SELECT logicalrelid::oid FROM pg_dist_partition) \
    ORDER BY pg_class.oid";

/// Runs what was not run yet.
pub(super) async fn run(pool: &PgPool) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    let done = run_locked(&mut connection, &MIGRATOR).await;
    if done.is_err() {
        // It may still hold the lock.
        connection.close_on_drop();
    }
    done
}

/// Runs what was not run yet, while no other gateway does.
async fn run_locked(connection: &mut PgConnection, migrator: &Migrator) -> Result<(), StoreError> {
    let table = &*migrator.table_name;
    refuse_tables_without_bookkeeping(connection).await?;
    connection.lock().await.map_err(StoreError::not_of_this_version)?;
    connection.ensure_migrations_table(table).await.map_err(StoreError::not_of_this_version)?;
    if let Some(version) = connection.dirty_version(table).await.map_err(StoreError::not_of_this_version)? {
        return Err(StoreError::not_of_this_version(MigrateError::Dirty(version)));
    }
    let applied = connection.list_applied_migrations(table).await.map_err(StoreError::not_of_this_version)?;
    let unknown = applied.iter().find(|applied| !migrator.version_exists(applied.version));
    if let Some(unknown) = unknown {
        return Err(StoreError::not_of_this_version(MigrateError::VersionMissing(unknown.version)));
    }
    for migration in migrator.iter() {
        match applied.iter().find(|applied| applied.version == migration.version) {
            Some(applied) if applied.checksum != migration.checksum => {
                return Err(StoreError::not_of_this_version(MigrateError::VersionMismatch(migration.version)));
            }
            Some(_) => {}
            None => apply(connection, table, migration).await?,
        }
    }
    refuse_local_tables(connection).await?;
    connection.unlock().await.map_err(StoreError::not_of_this_version)
}

/// Runs one migration and notes it, all or nothing.
async fn apply(connection: &mut PgConnection, table: &str, migration: &Migration) -> Result<(), StoreError> {
    let failed = |error| StoreError::not_of_this_version(MigrateError::ExecuteMigration(error, migration.version));
    let mut transaction = connection.begin().await?;
    for statement in statements(migration.sql.as_str()) {
        let statement = AssertSqlSafe(statement.to_owned());
        sqlx::raw_sql(statement).execute(&mut *transaction).await.map_err(failed)?;
    }
    distribute_new_tables(&mut transaction).await.map_err(failed)?;
    transaction.skip(table, migration).await.map_err(StoreError::not_of_this_version)?;
    Ok(transaction.commit().await?)
}

/// Distributes the tables that a migration made, where the others are distributed.
async fn distribute_new_tables(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for table in local_tables(connection).await? {
        let any = format!("SELECT EXISTS (SELECT FROM {table})");
        let has_rows: bool = sqlx::query_scalar(AssertSqlSafe(any)).fetch_one(&mut *connection).await?;
        // A trigger that keeps a log from being changed only looks at the row before it: safe on a
        // worker.
        sqlx::raw_sql("SET LOCAL citus.enable_unsafe_triggers = on").execute(&mut *connection).await?;
        sqlx::query("SELECT create_distributed_table($1::regclass, 'municipality_code', colocate_with => 'person')")
            .bind(&table)
            .execute(&mut *connection)
            .await?;
        if has_rows {
            // They were copied; the old ones would stay on the disk of the coordinator.
            sqlx::query("SELECT truncate_local_data_after_distributing_table($1::regclass)")
                .bind(&table)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

/// Tables with a municipality that Citus keeps on one server, although it distributes the others.
async fn local_tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    const DISTRIBUTES: &str = "SELECT EXISTS (SELECT FROM pg_dist_partition \
        WHERE logicalrelid::oid = to_regclass('person')::oid)";
    for condition in [IS_CITUS, DISTRIBUTES] {
        if !sqlx::query_scalar::<_, bool>(condition).fetch_one(&mut *connection).await? {
            return Ok(Vec::new());
        }
    }
    sqlx::query_scalar(LOCAL_TABLES).fetch_all(connection).await
}

/// An older version may have made tables that it did not distribute.
async fn refuse_local_tables(connection: &mut PgConnection) -> Result<(), StoreError> {
    let tables = local_tables(connection).await?;
    let Some(first) = tables.first() else { return Ok(()) };
    Err(StoreError::Open(format!(
        "Citus distributes the other tables, but not {}: for each of them run SELECT \
         create_distributed_table('{first}', 'municipality_code', colocate_with => 'person') on the coordinator",
        tables.join(", ")
    )))
}

/// On a worker of Citus the tables are there, but not what says which migrations made them.
async fn refuse_tables_without_bookkeeping(connection: &mut PgConnection) -> Result<(), StoreError> {
    const ALONE: &str = "SELECT to_regclass('person') IS NOT NULL AND to_regclass('_sqlx_migrations') IS NULL";
    if sqlx::query_scalar::<_, bool>(ALONE).fetch_one(connection).await? {
        return Err(StoreError::Open(
            "the tables are there, but not _sqlx_migrations, which says what version they are of: on a worker of Citus \
             run SELECT create_reference_table('_sqlx_migrations') on the coordinator first"
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

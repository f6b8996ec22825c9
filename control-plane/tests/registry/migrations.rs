//! The schema goes up, down and up again, and many may do it at once.

use std::path::{Path, PathBuf};

use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_control_plane::store::{Actor, Database, MigrateError, Page, migrate};
use cargoman_local_postgres::{Durability, LocalPostgres, Settings};
use cargoman_testkit::postgres;

fn options(database: &postgres::TestDatabase) -> PgConnectOptions {
    database.url().parse().unwrap()
}

async fn empty() -> postgres::TestDatabase {
    tokio::task::spawn_blocking(postgres::database).await.unwrap()
}

fn files(suffix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(suffix));
    files.sort();
    files
}

/// Everything in the schema that a migration makes.
fn schema(database: &postgres::TestDatabase) -> String {
    tokio::task::block_in_place(|| {
        database.query(
            "select 'column', table_name, column_name, data_type, column_default, is_nullable from information_schema.columns
             where table_schema = 'public' and table_name <> '_sqlx_migrations'
             union all select 'policy', tablename, policyname, roles::text, qual, with_check from pg_policies
             union all select 'index', tablename, indexname, indexdef, null, null from pg_indexes
             where schemaname = 'public' and tablename <> '_sqlx_migrations'
             union all select 'function', proname, prosrc, null, null, null from pg_proc where pronamespace = 'public'::regnamespace
             union all select 'sequence', sequencename, null, null, null, null from pg_sequences
             order by 1, 2, 3",
        )
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn up_down_up() {
    let database = empty().await;
    migrate(&options(&database)).await.unwrap();
    let up = schema(&database);
    assert!(up.contains("access_grant") && up.contains("of_tenant"));
    migrate(&options(&database)).await.unwrap();
    assert_eq!(schema(&database), up, "a second run changes nothing");

    assert_eq!(files(".up.sql").len(), files(".down.sql").len(), "every migration has its way back");
    for file in files(".down.sql").iter().rev() {
        tokio::task::block_in_place(|| database.query(&std::fs::read_to_string(file).unwrap()));
    }
    assert_eq!(schema(&database), "", "nothing is left");
    tokio::task::block_in_place(|| database.query("drop table _sqlx_migrations"));
    migrate(&options(&database)).await.unwrap();
    assert_eq!(schema(&database), up);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_instances_at_once() {
    let database = empty().await;
    let options = options(&database);
    let migrations = (0..4).map(|_| migrate(&options));
    for outcome in futures::future::join_all(migrations).await {
        outcome.unwrap();
    }
    Database::connect(&options, 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_release_was_here() {
    let database = empty().await;
    migrate(&options(&database)).await.unwrap();
    tokio::task::block_in_place(|| {
        database.query(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (99991231235959, 'from the future', true, '', 0)",
        )
    });
    assert!(matches!(migrate(&options(&database)).await, Err(MigrateError::Newer(99_991_231_235_959))));
}

/// Roles are one per cluster: in a fresh one, several databases make them at the same moment. And an owner who is no superuser
/// may do it and then use them.
#[tokio::test(flavor = "multi_thread")]
async fn several_databases_of_a_fresh_cluster_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { durability: Durability::None, ..Settings::new(folder.path().join("postgres")) };
    let cluster = tokio::task::spawn_blocking(move || LocalPostgres::start(&settings).unwrap()).await.unwrap();
    let administrator: PgConnectOptions = cluster.url().parse().unwrap();
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect_with(&administrator).await.unwrap();
    for statement in [
        "create role owner login createrole nosuperuser",
        "create database d0 owner owner",
        "create database d1 owner owner",
        "create database d2 owner owner",
        "create database d3 owner owner",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let options: Vec<_> = (0..4).map(|n| administrator.clone().username("owner").database(&format!("d{n}"))).collect();
    for outcome in futures::future::join_all(options.iter().map(migrate)).await {
        outcome.unwrap();
    }
    for options in &options {
        let database = Database::connect(options, 2).await.unwrap();
        database.system().insert_tenant("a", "A", true, &Actor::Setup).await.unwrap();
        assert_eq!(database.system().tenants(Page { offset: 0, limit: 9 }).await.unwrap().1, 1);
        database.close().await;
    }
    // A role that may look past the rules is refused at the start. Here, where nobody else uses it.
    for role in ["cargoman_app", "cargoman_system"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("alter role {role} bypassrls")))
            .execute(&mut connection)
            .await
            .unwrap();
        let refused = Database::connect(&options[0], 2).await.unwrap_err().to_string();
        assert!(refused.contains("bypasses row level security") && refused.contains(role), "{refused}");
        sqlx::query(sqlx::AssertSqlSafe(format!("alter role {role} nobypassrls")))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    Database::connect(&options[0], 2).await.unwrap().close().await;
    drop(connection);
    tokio::task::spawn_blocking(move || cluster.stop().unwrap()).await.unwrap();
}

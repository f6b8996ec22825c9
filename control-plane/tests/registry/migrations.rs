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
             union all select 'trigger', tgname, tgrelid::regclass::text, null, null, null from pg_trigger where not tgisinternal
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

/// The way down and up again of the migration that put a customer's states beside each other.
#[tokio::test(flavor = "multi_thread")]
async fn the_states_of_customers_survive_both_ways() {
    let database = empty().await;
    let sql = |sql: &str| tokio::task::block_in_place(|| database.query(sql));
    let run = |name: &str, role: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(name);
        let text = std::fs::read_to_string(file).unwrap();
        sql(&format!("set role {role}; {text}; reset role"));
    };
    // As an owner who is no superuser, whom row level security binds too.
    sql(
        "do $$ begin create role plain_owner createrole; exception when duplicate_object or unique_violation then null; end $$",
    );
    sql("do $$ begin execute format('alter database %I owner to plain_owner', current_database()); end $$");
    sql("alter schema public owner to plain_owner");
    run("20261122000001_registry.up.sql", "none");
    sql("insert into tenant (id, slug, name) values ('00000000-0000-0000-0000-000000000001', 't', 'T');
         insert into customer (tenant_id, id, name, status, status_reason, expires_at, updated_at)
         select '00000000-0000-0000-0000-000000000001', gen_random_uuid(), name, status, reason, expires_at::timestamptz, '2026-02-02 00:00+00'
         from (values ('active', 'active', null, null), ('ends', 'active', null, '2099-01-01 00:00+00')
             , ('over', 'active', null, '2026-03-03 00:00+00'), ('suspended', 'suspended', 'unpaid', null)
             , ('suspended over', 'suspended', null, '2026-01-01 00:00+00'), ('expired', 'expired', null, null)
             , ('expired early', 'expired', null, '2099-01-01 00:00+00'), ('expired late', 'expired', null, '2026-01-01 00:00+00'))
         as given (name, status, reason, expires_at)");
    let day = "to_char(expires_at at time zone 'utc', 'YYYY-MM-DD')";
    let before = format!("select name, status, status_reason, {day} from customer order by name");
    let after = format!(
        "select name, to_char(suspended_at at time zone 'utc', 'YYYY-MM-DD'), suspended_reason, {day} from customer order by name"
    );
    let owned = "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relforcerowsecurity";
    let forced = sql(owned);
    hand_over(&database);
    let rights = |way: &str| run(&format!("20261123000001_rights.{way}.sql"), "plain_owner");
    rights("up");
    let up = [
        "active|||",
        "ends|||2099-01-01",
        "expired|||2026-02-02",
        "expired early|||2026-02-02",
        "expired late|||2026-01-01",
        "over|||2026-03-03",
        "suspended|2026-02-02|unpaid|",
        "suspended over|2026-02-02||2026-01-01",
    ];
    assert_eq!(sql(&after).lines().collect::<Vec<_>>(), up);
    rights("down");
    let down = [
        "active|active||",
        "ends|active||2099-01-01",
        "expired|expired||2026-02-02",
        "expired early|expired||2026-02-02",
        "expired late|expired||2026-01-01",
        "over|active||2026-03-03",
        "suspended|suspended|unpaid|",
        "suspended over|suspended||2026-01-01",
    ];
    assert_eq!(sql(&before).lines().collect::<Vec<_>>(), down);
    assert_eq!(sql(owned), forced, "row level security is forced again");
    rights("up");
    assert_eq!(sql(&after).lines().collect::<Vec<_>>(), up);
}

/// Numbers that were given are never given again, and what was there before the link has events too.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_survive_both_ways() {
    let database = empty().await;
    let sql = |sql: &str| tokio::task::block_in_place(|| database.query(sql));
    let run = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(name);
        sql(&std::fs::read_to_string(file).unwrap())
    };
    run("20261122000001_registry.up.sql");
    run("20261123000001_rights.up.sql");
    sql("insert into tenant (id, slug, name) values (gen_random_uuid(), 't', 'T')");
    let write =
        "insert into outbox (tenant_id, kind, keys) select id, 'tenant', '{}' from tenant, generate_series(1, 3)";
    sql(write);
    run("20261123000002_link.up.sql");
    assert_eq!(sql("select count(distinct event) from outbox"), "3");
    assert_eq!(sql("select epoch, seq from number_outbox()"), "1|3");
    run("20261123000002_link.down.sql");
    sql(write);
    run("20261123000002_link.up.sql");
    assert_eq!(sql("select epoch, seq from link_state"), "2|3");
    assert_eq!(sql("select event = (select event from outbox where seq = 3) from link_state"), "t");
    assert_eq!(sql("select epoch, seq from number_outbox()"), "2|6");
    assert_eq!(sql("select string_agg(seq::text, ' ' order by id) from outbox"), "1 2 3 4 5 6");
}

/// Makes everything in the database a plain owner's.
fn hand_over(database: &postgres::TestDatabase) {
    tokio::task::block_in_place(|| {
        database.query(
            "do $$ declare name text; begin
                 for name in select format('%I', relname) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop
                     execute 'alter table ' || name || ' owner to plain_owner';
                 end loop;
                 for name in select format('%I', relname) from pg_class c where relnamespace = 'public'::regnamespace and relkind = 'S'
                     and not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i')) loop
                     execute 'alter sequence ' || name || ' owner to plain_owner';
                 end loop;
                 alter function current_tenant() owner to plain_owner;
             end $$",
        )
    });
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

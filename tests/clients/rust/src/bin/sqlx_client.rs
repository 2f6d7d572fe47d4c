//! sqlx against the server: a pool, mapped rows, parameters, streams, transactions, its listener, and what it asks of types that it does not know.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use framesql_clients::{Checks, Outcome, equal, url, version};
use futures::{TryStreamExt, future};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Column, Executor, FromRow, Row, Statement, TypeInfo};

/// A row of the view `whole`.
#[derive(FromRow)]
struct Window {
    window_start: DateTime<Utc>,
    frames: i64,
}

async fn mapped(pool: &PgPool) -> Outcome {
    let windows: Vec<Window> = sqlx::query_as("SELECT window_start, frames FROM whole ORDER BY 1").fetch_all(pool).await?;
    equal((windows.len(), windows.iter().map(|w| w.frames).sum::<i64>()), (12, 300))?;
    equal(windows[1].window_start.timestamp(), 1)?;
    let row = sqlx::query("SELECT frame_no, keyframe, width, source, frame, jpeg(frame, 32) AS picture, ARRAY[1, 2]::int8[] AS list FROM clip WHERE frame_no = 1").fetch_one(pool).await?;
    equal((row.get("frame_no"), row.get("keyframe"), row.get("width"), row.get("frame")), (1i64, false, 1280i32, "clip#1 1280x720"))?;
    equal(&row.get::<Vec<u8>, _>("picture")[..2], b"\xff\xd8")?;
    equal(row.get::<Vec<i64>, _>("list"), [1, 2])?;
    let row =
        sqlx::query("SELECT face.box, NULL::int4 AS nothing FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no = 60")
            .fetch_one(pool)
            .await?;
    equal(row.get::<serde_json::Value, _>(0)["w"].is_number(), true)?;
    equal(row.get::<Option<i32>, _>(1), None)
}

async fn parameters(pool: &PgPool) -> Outcome {
    let sql = "SELECT count(*) FROM clip WHERE frame_no < $1 AND source = $2 AND ts >= $3 AND frame_no = ANY($4)";
    for _ in 0..3 {
        let n: i64 =
            sqlx::query_scalar(sql).bind(10i64).bind("clip").bind(DateTime::UNIX_EPOCH).bind(vec![3i64, 5, 50]).fetch_one(pool).await?;
        equal(n, 2)?;
    }
    Ok(())
}

async fn described(pool: &PgPool) -> Outcome {
    let statement = pool.prepare("SELECT id, name, height FROM cameras WHERE id = $1").await?;
    let found = statement.columns().iter().map(|c| format!("{} {}", c.name(), c.type_info().name())).collect::<Vec<_>>();
    equal(found, ["id INT8", "name TEXT", "height FLOAT8"])
}

/// What the macros ask at compile time, and what may be NULL with it.
async fn checked(pool: &PgPool) -> Outcome {
    let described = pool.describe("SELECT id, name, height FROM cameras WHERE id = $1").await?;
    equal((0..3).map(|n| described.nullable(n)).collect::<Vec<_>>(), [Some(false), Some(false), Some(true)])
}

async fn streamed(pool: &PgPool) -> Outcome {
    let numbers: Vec<i64> = sqlx::query_scalar::<_, i64>("SELECT frame_no FROM clip ORDER BY 1").fetch(pool).try_collect().await?;
    equal(numbers, (0..300).collect::<Vec<i64>>())
}

async fn written(pool: &PgPool) -> Outcome {
    pool.execute("CREATE TABLE notes (id int8 PRIMARY KEY, text varchar(20), more jsonb)").await?;
    let mut block = pool.begin().await?;
    for n in 0..5i64 {
        let done = sqlx::query("INSERT INTO notes VALUES ($1, $2, $3)")
            .bind(n)
            .bind(format!("n{n}"))
            .bind(serde_json::json!({"n": n}))
            .execute(&mut *block)
            .await?;
        equal(done.rows_affected(), 1)?;
    }
    block.commit().await?;
    let more: serde_json::Value = sqlx::query_scalar("SELECT more FROM notes WHERE id = $1").bind(3i64).fetch_one(pool).await?;
    equal(more, serde_json::json!({"n": 3}))?;
    let twice = sqlx::query("INSERT INTO notes (id) VALUES (1)").execute(pool).await;
    equal(twice.err().and_then(|e| e.into_database_error()).map(|e| e.is_unique_violation()), Some(true))?;
    let mut copy = pool.acquire().await?;
    let mut sink = copy.copy_in_raw("COPY notes (id, text) FROM STDIN").await?;
    sink.send(&b"10\tten\n11\televen\n"[..]).await?;
    equal(sink.finish().await?, 2)?;
    pool.execute("DROP TABLE notes").await?;
    Ok(())
}

async fn errors(pool: &PgPool) -> Outcome {
    for (sql, code) in [("SELECT * FROM nothing", "42P01"), ("SELECT 1/0", "22012"), ("SELEC", "42601")] {
        let error = sqlx::query(sql).fetch_all(pool).await.err().and_then(|e| e.into_database_error());
        equal(error.and_then(|e| e.code().map(|c| c.into_owned())).as_deref(), Some(code))?;
    }
    let mut block = pool.begin().await?;
    let mut inner = sqlx::Connection::begin(&mut *block).await?;
    equal(sqlx::query("SELECT 1/0").fetch_all(&mut *inner).await.is_err(), true)?;
    inner.rollback().await?;
    equal(sqlx::query_scalar::<_, String>("SELECT 'on'").fetch_one(&mut *block).await?, "on".to_owned())?;
    block.rollback().await?;
    Ok(())
}

async fn at_once(pool: &PgPool) -> Outcome {
    let asked = (0..40).map(|_| sqlx::query_scalar::<_, i64>("SELECT count(*) FROM whole").fetch_one(pool));
    equal(future::try_join_all(asked).await?, vec![12; 40])
}

async fn notified(pool: &PgPool) -> Outcome {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("gate").await?;
    sqlx::query("SELECT pg_notify('gate', $1)").bind("opened").execute(pool).await?;
    let note = listener.recv().await?;
    equal((note.channel(), note.payload()), ("gate", "opened"))
}

#[tokio::main]
async fn main() -> ExitCode {
    println!("version {}", version("sqlx").unwrap_or_default());
    let mut checks = Checks::default();
    let pool = match PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(10)).connect(&url()).await {
        Ok(pool) => pool,
        Err(error) => {
            println!("FAILED  a pool: {error}");
            return ExitCode::FAILURE;
        }
    };
    let limit = Duration::from_secs(60);
    macro_rules! check {
        ($name:literal, $body:expr) => {
            checks.run($name, async { tokio::time::timeout(limit, $body).await? }).await
        };
    }
    check!("rows mapped to structs", mapped(&pool));
    check!("parameters", parameters(&pool));
    check!("described", described(&pool));
    check!("a stream of rows", streamed(&pool));
    check!("transactions, jsonb, COPY", written(&pool));
    check!("errors by code, a nested transaction", errors(&pool));
    check!("forty at once", at_once(&pool));
    check!("a listener", notified(&pool));
    checks.refused("the plan as JSON, which the macros of sqlx ask for", "is not supported", checked(&pool)).await;
    checks.end()
}

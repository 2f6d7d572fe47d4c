//! tokio-postgres against the server: binary results, inferred and given types, portals, pipelining, COPY, cancel, notifications.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use framesql_clients::{Checks, Outcome, equal, url, version};
use futures::{SinkExt, StreamExt, TryStreamExt, future, pin_mut, stream};
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

/// A connection, driven by a task that ends with it.
async fn connect() -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&url(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn values() -> Outcome {
    let client = connect().await?;
    let row = client.query_one("SELECT frame_no, ts, keyframe, width, source, frame FROM clip WHERE frame_no = 1", &[]).await?;
    equal((row.get(0), row.get(2), row.get(3), row.get(4), row.get(5)), (1i64, false, 1280i32, "clip", "clip#1 1280x720"))?;
    equal(row.get::<_, DateTime<Utc>>(1).timestamp_micros(), 40_000)?;
    let row = client
        .query_one("SELECT face.box, face.score FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no = 60", &[])
        .await?;
    equal(row.get::<_, serde_json::Value>(0)["w"].is_number(), true)?;
    let sql = "SELECT jpeg(frame, 64), 1.5::float8, NULL::int4, ARRAY[1, 2]::int8[], '2026-05-01'::date, 1.5::float4, 7::int2 FROM clip WHERE frame_no = 0";
    let row = client.query_one(sql, &[]).await?;
    equal(&row.get::<_, Vec<u8>>(0)[..2], b"\xff\xd8")?;
    equal((row.get(1), row.get(2), row.get(3)), (1.5f64, None::<i32>, vec![1i64, 2]))?;
    equal((row.get::<_, NaiveDate>(4).to_string().as_str(), row.get(5), row.get(6)), ("2026-05-01", 1.5f32, 7i16))
}

async fn parameters() -> Outcome {
    let client = connect().await?;
    let statement = client.prepare("SELECT count(*) FROM clip WHERE frame_no < $1 AND source = $2 AND ts >= $3").await?;
    equal(statement.params(), &[Type::INT8, Type::TEXT, Type::TIMESTAMPTZ][..])?;
    equal(statement.columns()[0].type_(), &Type::INT8)?;
    equal(client.query_one(&statement, &[&10i64, &"clip", &DateTime::UNIX_EPOCH]).await?.get::<_, i64>(0), 10)?;
    let statement = client.prepare_typed("SELECT $1, ARRAY[$2]", &[Type::TEXT, Type::INT4]).await?;
    let row = client.query_one(&statement, &[&"é", &3i32]).await?;
    equal((row.get(0), row.get(1)), ("é", vec![3i32]))?;
    let rows = client.query("SELECT frame_no FROM clip WHERE frame_no = ANY($1) ORDER BY 1", &[&vec![3i64, 5]]).await?;
    equal(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [3, 5])?;
    equal(client.query_opt("SELECT frame_no FROM clip WHERE frame_no = $1", &[&1000i64]).await?.is_none(), true)
}

async fn portals() -> Outcome {
    let mut client = connect().await?;
    let block = client.build_transaction().read_only(true).start().await?;
    let portal = block.bind("SELECT frame_no FROM clip ORDER BY 1", &[]).await?;
    let mut sizes = Vec::new();
    loop {
        let rows = block.query_portal(&portal, 70).await?;
        sizes.push(rows.len());
        if rows.len() < 70 {
            break;
        }
    }
    equal(sizes, [70, 70, 70, 70, 20])?;
    // A query without an end gives its first rows.
    let portal = block.bind("SUBSCRIBE live", &[]).await?;
    equal(block.query_portal(&portal, 1).await?[0].get::<_, i32>("diff"), 1)?;
    block.rollback().await?;
    equal(client.query_one("SELECT 'on'", &[]).await?.get::<_, &str>(0), "on")
}

async fn pipelined() -> Outcome {
    let client = connect().await?;
    let statement = client.prepare("SELECT $1::int4, count(*) FROM whole").await?;
    let asked = (0..100i32).map(|n| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[&n]).await.map(|row| (row.get(0), row.get(1))) }
    });
    equal(future::try_join_all(asked).await?, (0..100).map(|n| (n, 12)).collect::<Vec<(i32, i64)>>())
}

async fn simple() -> Outcome {
    let client = connect().await?;
    let messages = client.simple_query("SELECT 1 AS a; SELECT 'x' AS b WHERE false; ; SELECT 2 AS a").await?;
    let rows = messages.iter().filter_map(|m| if let SimpleQueryMessage::Row(row) = m { row.get(0) } else { None });
    equal(rows.collect::<Vec<_>>(), ["1", "2"])
}

async fn errors() -> Outcome {
    let mut client = connect().await?;
    for (sql, code) in [
        ("SELECT * FROM nothing", SqlState::UNDEFINED_TABLE),
        ("SELEC", SqlState::SYNTAX_ERROR),
        ("SELECT 1/0", SqlState::DIVISION_BY_ZERO),
    ] {
        equal(client.query(sql, &[]).await.err().and_then(|e| e.code().cloned()), Some(code))?;
    }
    let mut block = client.transaction().await?;
    let inner = block.savepoint("part").await?;
    equal(inner.query("SELECT 1/0", &[]).await.is_err(), true)?;
    inner.rollback().await?;
    equal(block.query_one("SELECT 'on'", &[]).await?.get::<_, &str>(0), "on")?;
    block.commit().await?;
    Ok(())
}

async fn copies() -> Outcome {
    let client = connect().await?;
    client.batch_execute("CREATE TABLE notes (id int8 PRIMARY KEY, text text)").await?;
    equal(client.execute("INSERT INTO notes VALUES ($1, $2)", &[&1i64, &Some("a")]).await?, 1)?;
    let sink = client.copy_in("COPY notes FROM STDIN").await?;
    pin_mut!(sink);
    sink.send_all(&mut stream::iter(["2\tb\n", "3\t\\N\n"]).map(|part| Ok(Bytes::from_static(part.as_bytes())))).await?;
    equal(sink.finish().await?, 2)?;
    let parts: Vec<Bytes> =
        client.copy_out("COPY (SELECT id, text FROM notes ORDER BY id) TO STDOUT WITH (FORMAT csv)").await?.try_collect().await?;
    equal(parts.concat(), b"1,a\n2,b\n3,\n".to_vec())?;
    client.batch_execute("DROP TABLE notes").await?;
    Ok(())
}

async fn cancelled() -> Outcome {
    let client = connect().await?;
    let token = client.cancel_token();
    // The rows that come say that it runs; then it is given up.
    let rows = client.query_raw("SUBSCRIBE live WITH (snapshot = false)", Vec::<i32>::new()).await?;
    pin_mut!(rows);
    equal(rows.try_next().await?.is_some(), true)?;
    token.cancel_query(NoTls).await?;
    let ended = loop {
        match rows.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Err("it ended by itself".into()),
            Err(error) => break error,
        }
    };
    equal(ended.code(), Some(&SqlState::QUERY_CANCELED))?;
    equal(client.query_one("SELECT 'on'", &[]).await?.get::<_, &str>(0), "on")
}

async fn notified() -> Outcome {
    let (client, mut connection) = tokio_postgres::connect(&url(), NoTls).await?;
    let (heard, mut notes) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(|context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(note) = message {
                let _ = heard.send((note.channel().to_owned(), note.payload().to_owned())).await;
            }
        }
    });
    client.batch_execute("LISTEN gate; NOTIFY gate, 'opened'").await?;
    equal(notes.recv().await, Some(("gate".to_owned(), "opened".to_owned())))
}

#[tokio::main]
async fn main() -> ExitCode {
    println!("version {}", version("tokio-postgres").unwrap_or_default());
    let mut checks = Checks::default();
    let limit = Duration::from_secs(60);
    macro_rules! check {
        ($name:literal, $body:expr) => {
            checks.run($name, async { tokio::time::timeout(limit, $body).await? }).await
        };
    }
    check!("types in binary", values());
    check!("inferred and given types of parameters", parameters());
    check!("portals", portals());
    check!("pipelining", pipelined());
    check!("several statements at once", simple());
    check!("errors by code, a savepoint", errors());
    check!("COPY both ways", copies());
    check!("cancel", cancelled());
    check!("LISTEN and NOTIFY", notified());
    checks.end()
}

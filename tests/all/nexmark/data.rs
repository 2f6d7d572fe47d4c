//! The three streams of Nexmark as Parquet files, and the statements that make sources of them: the same events at every call.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use datafusion::parquet::arrow::ArrowWriter;
use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::Event;

/// Events a second of event time, so that a few thousand events fill several windows of ten seconds.
const EVENTS_PER_SECOND: usize = 100;
/// Rows of a batch as it is written.
const BATCH_ROWS: usize = 8192;

/// One stream: its columns, and what is written of it.
struct Stream {
    name: &'static str,
    columns: Vec<Column>,
    writer: Option<ArrowWriter<File>>,
}

enum Column {
    Number(&'static str, Int64Builder),
    Text(&'static str, StringBuilder),
    Time(&'static str, TimestampMicrosecondBuilder),
}

enum Value {
    Number(usize),
    Text(String),
    Milliseconds(u64),
}

fn number(name: &'static str) -> Column {
    Column::Number(name, Int64Builder::new())
}

fn text(name: &'static str) -> Column {
    Column::Text(name, StringBuilder::new())
}

fn time(name: &'static str) -> Column {
    Column::Time(name, TimestampMicrosecondBuilder::new().with_timezone("UTC"))
}

impl Stream {
    fn new(name: &'static str, columns: Vec<Column>) -> Stream {
        Stream { name, columns, writer: None }
    }

    fn push(&mut self, folder: &Path, values: Vec<Value>) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            match (column, value) {
                (Column::Number(_, to), Value::Number(n)) => to.append_value(i64::try_from(n).expect("ids are small")),
                (Column::Text(_, to), Value::Text(text)) => to.append_value(text),
                (Column::Time(_, to), Value::Milliseconds(ms)) => to.append_value(i64::try_from(ms).expect("times are small") * 1000),
                _ => unreachable!("the values of {} stand in the order of its columns", self.name),
            }
        }
        if self.columns.first().is_some_and(|c| matches!(c, Column::Number(_, n) if arrow::array::ArrayBuilder::len(n) >= BATCH_ROWS)) {
            self.write(folder);
        }
    }

    fn write(&mut self, folder: &Path) {
        let finish = |column: &mut Column| -> (&'static str, ArrayRef) {
            match column {
                Column::Number(name, values) => (name, Arc::new(values.finish())),
                Column::Text(name, values) => (name, Arc::new(values.finish())),
                Column::Time(name, values) => (name, Arc::new(values.finish())),
            }
        };
        let rows = RecordBatch::try_from_iter(self.columns.iter_mut().map(finish)).expect("columns of one length");
        let name = self.name;
        let writer = self.writer.get_or_insert_with(|| {
            let file = File::create(folder.join(format!("{name}.parquet"))).expect("the folder takes files");
            ArrowWriter::try_new(file, rows.schema(), None).expect("Parquet has these types")
        });
        writer.write(&rows).expect("the file takes rows");
    }
}

/// Writes `n_events` events into the folder, as `person.parquet`, `auction.parquet` and `bid.parquet`.
pub(crate) fn write(folder: &Path, n_events: usize) {
    let config = NexmarkConfig {
        first_rate: EVENTS_PER_SECOND,
        next_rate: EVENTS_PER_SECOND,
        base_time: 1_700_000_000_000,
        ..NexmarkConfig::default()
    };
    let mut person = Stream::new(
        "person",
        vec![
            number("id"),
            text("name"),
            text("email_address"),
            text("credit_card"),
            text("city"),
            text("state"),
            time("date_time"),
            text("extra"),
        ],
    );
    let mut auction = Stream::new(
        "auction",
        vec![
            number("id"),
            text("item_name"),
            text("description"),
            number("initial_bid"),
            number("reserve"),
            time("date_time"),
            time("expires"),
            number("seller"),
            number("category"),
            text("extra"),
        ],
    );
    let mut bid = Stream::new(
        "bid",
        vec![number("auction"), number("bidder"), number("price"), text("channel"), text("url"), time("date_time"), text("extra")],
    );
    use Value::{Milliseconds, Number, Text};
    for event in EventGenerator::new(config).take(n_events) {
        match event {
            Event::Person(p) => person.push(
                folder,
                vec![
                    Number(p.id),
                    Text(p.name),
                    Text(p.email_address),
                    Text(p.credit_card),
                    Text(p.city),
                    Text(p.state),
                    Milliseconds(p.date_time),
                    Text(p.extra),
                ],
            ),
            Event::Auction(a) => auction.push(
                folder,
                vec![
                    Number(a.id),
                    Text(a.item_name),
                    Text(a.description),
                    Number(a.initial_bid),
                    Number(a.reserve),
                    Milliseconds(a.date_time),
                    Milliseconds(a.expires),
                    Number(a.seller),
                    Number(a.category),
                    Text(a.extra),
                ],
            ),
            Event::Bid(b) => bid.push(
                folder,
                vec![
                    Number(b.auction),
                    Number(b.bidder),
                    Number(b.price),
                    Text(b.channel),
                    Text(b.url),
                    Milliseconds(b.date_time),
                    Text(b.extra),
                ],
            ),
        }
    }
    for mut stream in [person, auction, bid] {
        stream.write(folder);
        stream.writer.take().expect("it was just written to").close().expect("the file can be ended");
    }
}

/// The statements that make the sources and the table of reference.
pub(crate) fn statements(folder: &Path) -> String {
    let source = |name: &str| {
        format!(
            "CREATE SOURCE {name} FROM 'file://{}/{name}.parquet' WITH (event_time = 'date_time', watermark_delay = '4 s');\n",
            folder.display()
        )
    };
    let values: Vec<String> = (0..100).map(|key| format!("({key}, 'value {key}')")).collect();
    format!(
        "{}{}{}CREATE TABLE side_input (key int8 PRIMARY KEY, value text);\nINSERT INTO side_input VALUES {}",
        source("person"),
        source("auction"),
        source("bid"),
        values.join(", ")
    )
}

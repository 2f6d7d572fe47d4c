//! CREATE SOURCE of rows that are not frames: files of Parquet, CSV or NDJSON, and `datagen:`.

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;

use crate::capture::datagen::Datagen;
use crate::capture::rows::{Format, row_files};
use crate::clock;
use crate::decode::{OnError, csv};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::frame::row_reader::RowMedia;
use crate::frame::rows::{RowPlaying, RowSource};
use crate::plan::parse::boolean;
use crate::plan::parse::columns::{columns, generated_columns};
use crate::settings::duration_us;

/// The options of files of rows, for the hint of one that is not among them.
const OPTIONS: &str = "format, columns, delimiter, event_time, watermark_delay, on_error, pace, idle_timeout";
/// The options of generated rows.
const DATAGEN_OPTIONS: &str = "columns, event_time, watermark_delay, rows, rate, disorder, seed, start_ts, pace, idle_timeout";
/// A live source that has waited so long for a row holds nobody's watermark back.
const IDLE_TIMEOUT_US: i64 = 5_000_000;
/// What generated rows are made from.
const DATAGEN: &str = "datagen:";

/// Opens a source of rows; None if the URL names no rows. Errs as its files and options do.
pub(super) async fn open(engine: &Engine, name: &str, url: &str, list: &[(String, String)]) -> Result<Option<RowSource>> {
    let batch_rows = engine.settings.batch_rows;
    if url.starts_with(DATAGEN) {
        if url != DATAGEN {
            return Err(Error::Option {
                message: format!("\"{url}\" is not a source of generated rows"),
                hint: Some("Write 'datagen:', and say what is made in WITH (columns = '…').".into()),
            });
        }
        let options = Options::read(list, DATAGEN_OPTIONS)?;
        return Ok(Some(RowSource::start(name, options.datagen()?, options.playing(options.rows.is_none())?, batch_rows)));
    }
    let format = match list.iter().find(|(key, _)| key == "format") {
        None => None,
        Some((_, word)) => Some(Format::named(word).ok_or_else(|| Error::Option {
            message: format!("format \"{word}\" of a source does not exist"),
            hint: Some("The formats are parquet, csv and ndjson.".into()),
        })?),
    };
    let (at, fence) = (url.to_owned(), engine.settings.files.clone());
    let files = off_thread(move || row_files(&at, format, &fence)).await?;
    let Some(files) = files else { return Ok(None) };
    let options = Options::read(list, OPTIONS)?;
    let given = options.columns.as_deref().map(columns).transpose()?;
    if options.delimiter.is_some() && files.format != Format::Csv {
        return Err(Error::Option {
            message: format!("option \"delimiter\" is for CSV, and this source is of {}", files.format.word()),
            hint: Some("Leave it out, or say format = 'csv'.".into()),
        });
    }
    let (event_time, on_error, delimiter) = (options.event_time.clone(), options.on_error, options.delimiter.unwrap_or(csv::COMMA));
    let media = off_thread(move || RowMedia::files(files, given, event_time.as_deref(), on_error, delimiter)).await?;
    Ok(Some(RowSource::start(name, media, options.playing(false)?, batch_rows)))
}

/// What may wait for a disk.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))?
}

/// The WITH list.
#[derive(Default)]
struct Options {
    columns: Option<String>,
    delimiter: Option<u8>,
    event_time: Option<String>,
    /// Given, and then None for 'infinite'.
    watermark_delay_us: Option<Option<i64>>,
    on_error: OnError,
    realtime: Option<bool>,
    idle_timeout_us: Option<i64>,
    rows: Option<u64>,
    rate: Option<f64>,
    seed: Option<u64>,
    disorder_us: Option<i64>,
    start_ts_us: Option<i64>,
}

impl Options {
    /// Reads those of `known`. Errs for others.
    fn read(list: &[(String, String)], known: &str) -> Result<Options> {
        let mut options = Options::default();
        for (key, value) in list {
            let expected = |what: &str| Error::Option { message: format!("option \"{key}\" is {what}, not \"{value}\""), hint: None };
            let duration = || duration_us(value, 1_000_000).ok_or_else(|| expected("a time such as '500 ms'"));
            let number = || value.parse::<u64>().map_err(|_| expected("a whole number"));
            if key == "loop" && boolean(key, value)? {
                return Err(Error::unsupported("loop of a source of rows", "Leave it out: rows are read from the first to the last."));
            }
            if key != "loop" && !known.split(", ").any(|k| k == key) {
                return Err(Error::Option {
                    message: format!("option \"{key}\" of a source of rows does not exist"),
                    hint: Some(format!("The options are {known}.")),
                });
            }
            match key.as_str() {
                "columns" => options.columns = Some(value.clone()),
                "delimiter" => {
                    options.delimiter = Some(match value.as_bytes() {
                        _ if value == "\\t" => b'\t',
                        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && !matches!(one, b'"' | b'\n' | b'\r') => *one,
                        _ => return Err(expected("one character between fields, such as ';' or '\\t'")),
                    })
                }
                "event_time" => options.event_time = Some(value.clone()),
                "watermark_delay" if value.eq_ignore_ascii_case("infinite") => options.watermark_delay_us = Some(None),
                "watermark_delay" => options.watermark_delay_us = Some(Some(duration()?)),
                "on_error" => {
                    options.on_error = match value.to_lowercase().as_str() {
                        "fail" => OnError::Fail,
                        "skip" => OnError::Skip,
                        _ => return Err(expected("'fail' or 'skip'")),
                    }
                }
                "pace" => {
                    options.realtime = Some(match value.to_lowercase().as_str() {
                        "realtime" => true,
                        "max" => false,
                        _ => return Err(expected("'max' or 'realtime'")),
                    })
                }
                "idle_timeout" => {
                    options.idle_timeout_us = Some(Some(duration()?).filter(|us| *us > 0).ok_or_else(|| expected("above 0"))?)
                }
                "rows" => options.rows = Some(number()?),
                "seed" => options.seed = Some(number()?),
                "rate" => options.rate = Some(value.parse().map_err(|_| expected("a number"))?),
                "disorder" => options.disorder_us = Some(duration()?),
                "start_ts" => {
                    let ns = string_to_timestamp_nanos(value).map_err(|_| expected("a time such as '2026-05-01 12:00:00+00'"))?;
                    options.start_ts_us = Some(ns.div_euclid(1_000));
                }
                _ => {}
            }
        }
        Ok(options)
    }

    fn datagen(&self) -> Result<RowMedia> {
        let text = self.columns.as_deref().ok_or_else(|| Error::Option {
            message: "datagen: needs the option \"columns\"".into(),
            hint: Some(
                "Write WITH (columns = 'id int8 sequence, ts timestamptz, label text in (''car'', ''bus'')', event_time = 'ts', …).".into(),
            ),
        })?;
        let mut datagen = Datagen::new(generated_columns(text)?, self.rate.unwrap_or(1.0))?;
        let realtime = self.realtime.unwrap_or(self.rows.is_none());
        datagen.n_rows = self.rows;
        datagen.seed = self.seed.unwrap_or(0);
        datagen.disorder_us = self.disorder_us.unwrap_or(0);
        datagen.start_ts_us = self.start_ts_us.unwrap_or(if realtime { clock::now_us() } else { 0 });
        RowMedia::datagen(datagen, self.event_time.as_deref())
    }

    fn playing(&self, endless: bool) -> Result<RowPlaying> {
        let realtime = self.realtime.unwrap_or(endless);
        if endless && !realtime {
            return Err(Error::Option {
                message: "a source that does not end cannot have pace = 'max'".into(),
                hint: Some("Use pace = 'realtime', or give datagen: a number of rows.".into()),
            });
        }
        let watermark_delay_us = match (&self.event_time, self.watermark_delay_us) {
            (Some(column), None) => {
                return Err(Error::Option {
                    message: format!("a source with event_time = '{column}' needs the option \"watermark_delay\""),
                    hint: Some(
                        "It says how far out of order rows may come: '0 s' if never, '5 s', or 'infinite' to wait for the end.".into(),
                    ),
                });
            }
            (None, Some(_)) => {
                return Err(Error::Option {
                    message: "option \"watermark_delay\" is for a source that has an event time".into(),
                    hint: Some("Name its column: event_time = 'ts'.".into()),
                });
            }
            (None, None) if realtime => {
                return Err(Error::Option {
                    message: "a source of rows with pace = 'realtime' needs the option \"event_time\"".into(),
                    hint: Some("Rows are played as far apart as their times are: event_time = 'ts'.".into()),
                });
            }
            (_, given) => given.flatten(),
        };
        Ok(RowPlaying { realtime, idle_timeout_us: self.idle_timeout_us.unwrap_or(IDLE_TIMEOUT_US), watermark_delay_us })
    }
}

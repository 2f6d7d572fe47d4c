//! The page of functions: every example runs over the bundled clip, and what it answers stands below it, pictures as small files.
//!
//! `UPDATE=1 cargo test --test all page_of_functions` writes the page. Examples of models that are pulled run where FRAMESQL_MODELS names the folder that
//! they are in; else the page keeps what they answered there. Numbers are compared with some room and pictures by their mean difference, as
//! kernels of different processors round differently.

use std::io::Cursor;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use framesql::error::Result;
use framesql::plan::column_names::{Names, shown};
use framesql::settings::{Settings, TimeZone};
use framesql::wire::write_text;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageReader, RgbImage, imageops::FilterType};

use crate::{answers, files};

/// Where the pictures are.
const PICTURES: &str = "docs/functions";
/// The longer side of a picture on the page, px.
const SIDE: u32 = 320;
/// Its quality as JPEG.
const QUALITY: u8 = 80;
/// Rows that are shown of an answer.
const ROWS: usize = 3;
/// Characters that are shown of a value.
const WIDTH: usize = 160;
/// How far a sample of a picture may be from the one that is kept, in the mean over the picture, of 255.
const MEAN_DIFFERENCE: f64 = 6.0;

/// What an example answers.
struct Answer {
    text: String,
    /// The first value that is a picture.
    picture: Option<RgbImage>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_functions_has_every_example_and_its_answer() {
    let pulled = std::env::var_os("FRAMESQL_MODELS").map(PathBuf::from);
    let (engine, session) = answers::open(Settings { models: pulled.clone(), ..Settings::default() }).await;
    answers::clip(&session, "lobby").await;
    let codes = files::root().join("udfs/tests/pictures/codes.png");
    answers::run(&session, &format!("CREATE SOURCE badges FROM '{}'", codes.display())).await;
    // A stretch with frame 100: the whole clip would be decoded many times over.
    answers::run(&session, "CREATE GALLERY people").await;
    let models = files::root().join("udfs/tests/models");
    for (name, file, task) in
        [("scene", "mean_colour", "classification"), ("likeness", "mean_colour", "embedding"), ("depth", "mean_and_picture", "raw")]
    {
        let create = format!("CREATE MODEL {name} FROM '{}/{file}.onnx' TASK {task} WITH (input = '8x8', std = 255)", models.display());
        answers::run(&session, &create).await;
    }
    answers::run(
        &session,
        "CREATE ZONE door ON lobby AS POLYGON '((320 0, 960 0, 960 720, 320 720))';
         CREATE LINE step ON lobby AS LINESTRING '(580 0, 580 720)';
         CREATE CALIBRATION ground ON lobby AS POINTS '((100 360 -> 0 0, 540 360 -> 4 0, 420 120 -> 4 20, 220 120 -> 0 20))'",
    )
    .await;
    answers::run(&session, "CREATE VIEW clip AS SELECT * FROM lobby WHERE frame_no BETWEEN 50 AND 120").await;
    if pulled.is_some() {
        answers::run(&session, "INSERT INTO people SELECT 'Eileen', frame FROM clip WHERE frame_no = 75").await;
    }
    let page_file = files::root().join("docs/functions.md");
    let before = std::fs::read_to_string(&page_file).unwrap_or_default();
    let tables = framesql::plan::table_function::documented();
    let mut page = framesql_udfs::function::reference();
    tables.iter().for_each(|(name, documentation)| page.push_str(&framesql_udfs::function::section(name, documentation)));
    let (mut failures, mut pictures) = (Vec::new(), Vec::new());
    for (name, documentation) in framesql_udfs::function::documented().into_iter().chain(tables) {
        let example = documentation.sql_example.unwrap_or_default();
        let names = session.parse(&example).unwrap().last().map(Names::of_statement).unwrap_or_default();
        let block = format!("```sql\n{example};\n```\n");
        let answer = match answers::rows(&session, &example).await {
            Ok(rows) => answer(&rows, &names).unwrap_or_else(|e| panic!("{name}: {e}")),
            // As far as it goes without the model, which is not inside the program: the error says how to get it.
            Err(e) if e.sqlstate() == "55000" && e.hint().is_some_and(|hint| hint.starts_with("Run framesql models pull ")) => {
                match behind(&before, &name, &block).and_then(|rest| rest.split("\n## ").next()).filter(|kept| !kept.trim().is_empty()) {
                    Some(kept) => insert(&mut page, &name, &block, kept.trim_end_matches('\n')),
                    None => failures.push(format!("{name} has no answer on the page: write it where FRAMESQL_MODELS has its model")),
                }
                continue;
            }
            Err(e) => {
                failures.push(format!("{name}: {example}\n  {e}"));
                continue;
            }
        };
        let mut below = if answer.text.is_empty() { String::new() } else { format!("\n```text\n{}```\n", answer.text) };
        if let Some(picture) = answer.picture {
            below.push_str(&format!("\n![{name}](functions/{name}.jpg)\n"));
            failures.extend(kept(&name, &picture).err());
            pictures.push(name.clone());
        }
        insert(&mut page, &name, &block, below.trim_end_matches('\n'));
    }
    engine.shutdown().await;
    let readme = readme(&pictures);
    let readme_file = files::root().join(PICTURES).join("README.md");
    if files::update() {
        std::fs::write(&page_file, &page).unwrap();
        std::fs::write(&readme_file, &readme).unwrap();
    }
    let written = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default();
    if let Some(line) = difference(&written(page_file), &page) {
        failures
            .push(format!("docs/functions.md is not what the code says: run UPDATE=1 cargo test --test all page_of_functions\n  {line}"));
    }
    if written(readme_file) != readme {
        failures.push(format!("{PICTURES}/README.md does not name the pictures of the page"));
    }
    let unused = |p: &PathBuf| p.extension().is_some_and(|e| e == "jpg") && !pictures.iter().any(|n| p.ends_with(format!("{n}.jpg")));
    failures.extend(files::below(PICTURES).into_iter().filter(unused).map(|p| format!("{} is on no page", p.display())));
    assert!(pictures.len() > 20, "only {} examples give a picture", pictures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// What stands on a page behind the example of a function.
fn behind<'a>(page: &'a str, name: &str, block: &str) -> Option<&'a str> {
    let (_, of_function) = page.split_once(&format!("\n## {name}\n"))?;
    let (_, rest) = of_function.split_once(block)?;
    Some(rest)
}

fn insert(page: &mut String, name: &str, block: &str, answer: &str) {
    let at = page.len() - behind(page, name, block).unwrap().len();
    if !answer.is_empty() {
        page.insert_str(at, &format!("{answer}\n"));
    }
}

fn readme(pictures: &[String]) -> String {
    let mut text = String::from(
        "# Pictures of the page of functions\n\nEach is what the example of its function gives, made smaller by the test that writes the page (tests/all/function_page.rs) from media/lobby.mp4, whose\nphotographs are in the public domain (media/README.md): nobody's rights are in them.\n\n",
    );
    pictures.iter().for_each(|name| text.push_str(&format!("- {name}.jpg\n")));
    text
}

/// The first rows as the page shows them: a line of column names, a line a row; a picture by itself needs none.
fn answer(batches: &[RecordBatch], names: &Names) -> Result<Answer> {
    let mut answer = Answer { text: String::new(), picture: None };
    if let Some(batch) = batches.first() {
        let names: Vec<String> = shown(&batch.schema(), names).fields().iter().map(|f| f.name().clone()).collect();
        answer.text.push_str(&format!("{}\n", names.join(" | ")));
    }
    let n_rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    for (batch, row) in rows.take(ROWS) {
        let mut cells = Vec::new();
        for column in batch.columns() {
            let picture = picture(column, row);
            cells.push(if picture.is_some() { "(picture)".to_owned() } else { value(column, row)? });
            answer.picture = answer.picture.or(picture);
        }
        answer.text.push_str(&format!("{}\n", cells.join(" | ")));
    }
    if n_rows > ROWS {
        answer.text.push_str(&format!("… ({n_rows} rows)\n"));
    }
    let alone = n_rows == 1 && answer.picture.is_some() && batches.iter().all(|b| b.num_columns() == 1);
    match (alone, n_rows) {
        (true, _) => answer.text.clear(),
        (false, 0) => answer.text = "(no rows)\n".to_owned(),
        (false, _) => {}
    }
    Ok(answer)
}

fn picture(column: &dyn Array, row: usize) -> Option<RgbImage> {
    let file = column.as_binary_opt::<i32>().filter(|c| c.is_valid(row))?.value(row);
    let picture: DynamicImage = ImageReader::new(Cursor::new(file)).with_guessed_format().ok()?.decode().ok()?;
    let small = picture.width().max(picture.height()) <= SIDE;
    Some(if small { picture.to_rgb8() } else { picture.resize(SIDE, SIDE, FilterType::Triangle).to_rgb8() })
}

fn value(column: &dyn Array, row: usize) -> Result<String> {
    if column.is_null(row) {
        return Ok("NULL".to_owned());
    }
    let mut text = String::new();
    write_text(&mut text, column, row, TimeZone::default())?;
    if matches!(column.data_type(), DataType::Binary) {
        return Ok(format!("({} bytes)", text.len().saturating_sub(2) / 2));
    }
    let text = rounded(&text.replace('\n', "\\n"));
    let cut: String = text.chars().take(WIDTH).collect();
    Ok(if cut.len() < text.len() { format!("{cut}…") } else { cut })
}

/// Fractions of more than three places with three of them.
fn rounded(text: &str) -> String {
    parts(text)
        .map(|part| match (part.split_once('.'), part.parse::<f64>()) {
            (Some((_, places)), Ok(number)) if places.len() > 3 => format!("{number:.3}"),
            _ => part.to_owned(),
        })
        .collect()
}

/// The numbers of a text, and what stands between them.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let digit = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| digit(c) != digit(first)).unwrap_or(rest.len());
        let (part, then) = rest.split_at(end);
        rest = then;
        Some(part)
    })
}

/// The first line in which the page that is kept differs by more than rounding.
fn difference(kept: &str, made: &str) -> Option<String> {
    let near = |a: &str, b: &str| {
        a == b || a.parse::<f64>().is_ok_and(|a| b.parse::<f64>().is_ok_and(|b| (a - b).abs() <= 0.02_f64.max(a.abs() * 0.01)))
    };
    let same = |a: &str, b: &str| parts(a).count() == parts(b).count() && parts(a).zip(parts(b)).all(|(a, b)| near(a, b));
    let (mut kept, mut made) = (kept.lines(), made.lines());
    loop {
        match (kept.next(), made.next()) {
            (None, None) => return None,
            (kept, made) if !same(kept.unwrap_or("(end)"), made.unwrap_or("(end)")) => {
                return Some(format!("{}\n  {}", kept.unwrap_or("(end)"), made.unwrap_or("(end)")));
            }
            _ => {}
        }
    }
}

/// Writes the picture of a function, or compares it with the one that is kept.
fn kept(name: &str, picture: &RgbImage) -> std::result::Result<(), String> {
    let mut file = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, QUALITY)).map_err(|e| e.to_string())?;
    let path = files::root().join(PICTURES).join(format!("{name}.jpg"));
    if files::update() {
        std::fs::create_dir_all(files::root().join(PICTURES)).map_err(|e| e.to_string())?;
        std::fs::write(&path, &file).map_err(|e| e.to_string())?;
    }
    let read = |bytes: &[u8]| image::load_from_memory(bytes).map(|p| p.to_rgb8()).map_err(|e| format!("{name}: {e}"));
    let (made, kept) = (read(&file)?, read(&std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?)?);
    let apart = made.iter().zip(kept.iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / made.len() as f64;
    match made.dimensions() == kept.dimensions() && apart <= MEAN_DIFFERENCE {
        true => Ok(()),
        false => Err(format!("{PICTURES}/{name}.jpg is another picture, {apart:.1} of 255 apart")),
    }
}

#[test]
fn a_difference_is_seen_and_rounding_is_not() {
    assert_eq!(rounded("{0.123456,12.5,7}"), "{0.123,12.5,7}");
    assert_eq!(difference("a 1.000 b\nc", "a 0.995 b\nc"), None);
    assert!(difference("a 1.0 b", "a 1.5 b").is_some() && difference("a 1", "b 1").is_some() && difference("a", "a\nb").is_some());
}

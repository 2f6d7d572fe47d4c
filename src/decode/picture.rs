//! Single pictures: JPEG as it is, the other formats to RGB or gray.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use datafusion::arrow::buffer::Buffer;
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use framesql_udfs::jpeg_file;
use framesql_udfs::orientation::{Orientation, mirrored};
use framesql_udfs::pixels::sized;
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader};

use super::guarded;

/// A JPEG file larger than this is not read.
const MOST_FILE_BYTES: u64 = 256 << 20;

/// Width and height as displayed, from the header of the file. Err says why it cannot be read.
pub fn size(path: &Path) -> Result<(u32, u32), String> {
    let mut file = open(path)?;
    let (width, height, rotation) = if is_jpeg(&mut file)? {
        let header = jpeg_file::header(file)?;
        (header.width, header.height, header.orientation.rotation)
    } else {
        guarded(|| {
            let mut decoder = decoder(file)?;
            let (width, height) = decoder.dimensions();
            Ok((width, height, Orientation::noted(&mut decoder).rotation))
        })?
    };
    Ok(if rotation % 180 == 90 { (height, width) } else { (width, height) })
}

/// The picture in a file. Err says why there is none; one of more pixels than the functions take is none.
pub fn read(path: &Path) -> Result<Picture, String> {
    let mut file = open(path)?;
    if is_jpeg(&mut file)? {
        let length = file.get_ref().metadata().map_err(|e| e.to_string())?.len();
        if length > MOST_FILE_BYTES {
            return Err(format!("it has {length} bytes"));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(MOST_FILE_BYTES).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        let picture = jpeg_file::picture(bytes, None)?;
        sized(picture.width, picture.height).map_err(|e| e.to_string())?;
        return Ok(picture);
    }
    guarded(|| {
        let mut decoder = decoder(file)?;
        let (width, height) = decoder.dimensions();
        sized(width, height).map_err(|e| e.to_string())?;
        let Orientation { mirrored: in_mirror, rotation } = Orientation::noted(&mut decoder);
        let gray = matches!(decoder.color_type(), ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16);
        let image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
        let (width, height) = (image.width(), image.height());
        // Transparency is left out, as OpenCV's imread does.
        let (format, plane) =
            if gray { (PixelFormat::Gray8, image.into_luma8().into_raw()) } else { (PixelFormat::Rgb8, image.into_rgb8().into_raw()) };
        let planes = [Some(Buffer::from_vec(plane)), None, None];
        let picture = Picture { format, width, height, range: ColorRange::Full, matrix: ColorMatrix::Bt601, rotation, planes };
        Ok(if in_mirror { mirrored(&picture) } else { picture })
    })
}

/// The format of the picture in a file, by its first bytes: "jpeg", "png"; "picture" if it is none that is known.
pub fn format(path: &Path) -> &'static str {
    let Ok(Ok(reader)) = open(path).map(|file| ImageReader::new(file).with_guessed_format()) else { return "picture" };
    reader.format().and_then(|f| f.extensions_str().first()).map_or("picture", |name| if *name == "jpg" { "jpeg" } else { name })
}

fn open(path: &Path) -> Result<BufReader<File>, String> {
    File::open(path).map(BufReader::new).map_err(|e| crate::capture::location::plain(&e))
}

fn is_jpeg(file: &mut BufReader<File>) -> Result<bool, String> {
    let mut head = Vec::with_capacity(3);
    file.by_ref().take(3).read_to_end(&mut head).and_then(|_| file.rewind()).map_err(|e| e.to_string())?;
    Ok(head == [0xff, 0xd8, 0xff])
}

/// A decoder within the crate's own limit of memory (512 MiB).
fn decoder(file: BufReader<File>) -> Result<impl ImageDecoder, String> {
    let reader = ImageReader::new(file).with_guessed_format().map_err(|e| e.to_string())?;
    reader.into_decoder().map_err(|e| e.to_string())
}

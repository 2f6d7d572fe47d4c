//! The boxes of an MP4 or MOV as slices: nothing is believed that the bytes do not hold, so damage shows as a missing box.

/// Four letters and what the box holds, without its header.
pub(super) type Content<'a> = ([u8; 4], &'a [u8]);

/// The boxes that stand one after another in `bytes`; the walk ends at the first that is not whole.
pub(super) fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = Content<'_>> {
    std::iter::from_fn(move || {
        let (size, name, header) = header(bytes)?;
        // Size 0 is a box up to the end.
        let end = if size == 0 { bytes.len() } else { usize::try_from(size).ok()? };
        let content = bytes.get(header..end)?;
        bytes = bytes.get(end..)?;
        Some((name, content))
    })
}

/// Size (with the header, 0 is up to the end), name and length of the header of the box at the beginning of `bytes`.
pub(super) fn header(bytes: &[u8]) -> Option<(u64, [u8; 4], usize)> {
    let name = bytes.get(4..8)?.try_into().ok()?;
    match u32_at(bytes, 0)? {
        1 => u64_at(bytes, 8).filter(|size| *size >= 16).map(|size| (size, name, 16)),
        2..=7 => None,
        size => Some((u64::from(size), name, 8)),
    }
}

/// What the first box of that path holds.
pub(super) fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |within, name| boxes(within).find(|(n, _)| n == *name).map(|(_, content)| content))
}

/// Four bytes, the highest first.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

/// Eight bytes, the highest first.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_be_bytes)
}

/// Two bytes, the highest first.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_be_bytes)
}

/// The entries of a table box: after version and flags their count, then that many of `N` numbers of 32 bits, as far as they are there.
pub(super) fn entries<const N: usize>(content: Option<&[u8]>) -> impl Iterator<Item = [u32; N]> + '_ {
    let content = content.unwrap_or_default();
    let count = u32_at(content, 4).unwrap_or(0) as usize;
    let rows = content.get(8..).unwrap_or_default().chunks_exact(4 * N).take(count);
    rows.map(|row| std::array::from_fn(|at| u32_at(row, 4 * at).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_at_the_first_box_that_is_not_whole() {
        let bytes = [&[0, 0, 0, 12][..], b"abcd", &[1, 2, 3, 4], &[0, 0, 0, 9], b"efgh", &[5], &[0, 0, 1, 0], b"long", &[6]].concat();
        let names: Vec<_> = boxes(&bytes).collect();
        assert_eq!(names, [(*b"abcd", &[1, 2, 3, 4][..]), (*b"efgh", &[5][..])]);
        assert_eq!(find(&bytes, &[b"efgh"]), Some(&[5][..]));
        let too_small = [&[0, 0, 0, 4][..], b"abcd"].concat();
        assert_eq!(boxes(&too_small).count(), 0);
        let to_the_end = [&[0, 0, 0, 0][..], b"mdat", &[7; 5]].concat();
        assert_eq!(boxes(&to_the_end).next(), Some((*b"mdat", &[7; 5][..])));
    }

    #[test]
    fn a_table_has_as_many_entries_as_there_are_bytes_for() {
        let table = [&[0; 4][..], &[0xff; 4], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]].concat();
        assert_eq!(entries::<2>(Some(&table)).collect::<Vec<_>>(), [[1, 2]]);
        assert_eq!(entries::<1>(None).count(), 0);
    }
}

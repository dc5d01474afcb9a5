//! The format of `COPY … (FORMAT binary)`, as it comes in, in pieces of any length.
//!
//! | bytes | what |
//! |---|---|
//! | 11 | `PGCOPY\n\xff\r\n\0` |
//! | 4 | flags; bit 16 would mean that rows have an identifier |
//! | 4 + e | the length e of more of the head, and that |
//! | 2 | for each row: how many fields, or -1 at the end |
//! | 4 + n | for each field: its length n, or -1 for NULL, and that many bytes; numbers are big-endian |
//!
//! Source: PostgreSQL's manual, COPY, "Binary Format".

/// The first bytes.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flags that change what follows.
const CRITICAL: u32 = 0xFFFF_0000;

/// Bytes that are not of the format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes rows out of a stream of bytes.
#[derive(Debug)]
pub(super) struct Rows {
    fields: usize,
    /// What has not been used yet.
    kept: Vec<u8>,
    is_begun: bool,
    is_over: bool,
}

/// What is complete at the start of some bytes.
enum Piece {
    /// A row, with the length of it.
    Row(usize),
    /// The end.
    End,
    /// Not all of it is there.
    Part,
}

impl Rows {
    /// Of rows with so many fields.
    pub(super) const fn new(fields: usize) -> Self {
        Self { fields, kept: Vec::new(), is_begun: false, is_over: false }
    }

    /// Whether the end has come.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes in bytes; hands each complete row's fields to `take`, one after another, `None` for NULL.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[Option<&[u8]>]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut whole = std::mem::take(&mut self.kept);
        let bytes = if whole.is_empty() {
            bytes
        } else {
            whole.extend_from_slice(bytes);
            &whole[..]
        };
        let mut at = 0;
        if !self.is_begun {
            match head(bytes)? {
                Some(length) => (at, self.is_begun) = (length, true),
                None => {
                    self.kept = bytes.to_vec();
                    return Ok(());
                }
            }
        }
        let mut fields = Vec::with_capacity(self.fields);
        loop {
            let rest = &bytes[at..];
            if self.is_over {
                return if rest.is_empty() { Ok(()) } else { Err(Malformed) };
            }
            fields.clear();
            match piece(rest, self.fields, &mut fields)? {
                Piece::Row(length) => {
                    take(&fields)?;
                    at += length;
                }
                Piece::End => {
                    self.is_over = true;
                    at += 2;
                }
                Piece::Part => {
                    self.kept = rest.to_vec();
                    return Ok(());
                }
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// The length of the head, if it is there.
fn head(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(Malformed);
    }
    let (Some(flags), Some(more)) = (word(bytes, 11), word(bytes, 15)) else { return Ok(None) };
    // There is no more of a head in any version that there is.
    if flags & CRITICAL != 0 || more > 1 << 16 {
        return Err(Malformed);
    }
    let length = 19 + more as usize;
    Ok((bytes.len() >= length).then_some(length))
}

/// The first row, if all of it is there.
fn piece<'a>(bytes: &'a [u8], fields: usize, row: &mut Vec<Option<&'a [u8]>>) -> Result<Piece, Malformed> {
    let Some(count) = bytes.first_chunk::<2>() else { return Ok(Piece::Part) };
    match i16::from_be_bytes(*count) {
        -1 => return Ok(Piece::End),
        count if usize::try_from(count) == Ok(fields) => {}
        _ => return Err(Malformed),
    }
    let mut at = 2;
    for _ in 0..fields {
        let Some(length) = word(bytes, at) else { return Ok(Piece::Part) };
        at += 4;
        match i32::from_be_bytes(length.to_be_bytes()) {
            -1 => row.push(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                let Some(field) = bytes.get(at..at + length) else { return Ok(Piece::Part) };
                row.push(Some(field));
                at += length;
            }
        }
    }
    Ok(Piece::Row(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = Vec<Option<Vec<u8>>>;

    fn written(rows: &[Row]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for row in rows {
            bytes.extend((row.len() as i16).to_be_bytes());
            for field in row {
                bytes.extend(field.as_ref().map_or(-1, |field| field.len() as i32).to_be_bytes());
                bytes.extend(field.iter().flatten());
            }
        }
        bytes.extend((-1i16).to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8], fields: usize, pieces: usize) -> Result<(Vec<Row>, bool), Malformed> {
        let (mut rows, mut read) = (Rows::new(fields), Vec::new());
        for piece in bytes.chunks(pieces.max(1)) {
            rows.feed(piece, |row| {
                read.push(row.iter().map(|field| field.map(<[u8]>::to_vec)).collect());
                Ok(())
            })?;
        }
        Ok((read, rows.is_over()))
    }

    proptest! {
        #[test]
        fn rows_come_whole_whatever_the_pieces(
            rows in prop::collection::vec(
                prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 3), 0..9),
            pieces in 1usize..40,
        ) {
            let bytes = written(&rows);
            prop_assert_eq!(read(&bytes, 3, pieces), Ok((rows, true)));
            let (_, is_over) = read(&bytes[..bytes.len() - 1], 3, pieces).expect("a part");
            prop_assert!(!is_over, "an end that is cut off is none");
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..40, pieces in 1usize..9) {
            let _ = read(&bytes, 2, pieces);
            let mut good = written(&[vec![Some(vec![1, 2, 3]), None]]);
            let end = good.len().min(at + bytes.len().min(3));
            let start = at.min(end);
            bytes.truncate(end - start);
            good.splice(start..start + bytes.len(), bytes);
            let _ = read(&good, 2, pieces);
        }
    }

    #[test]
    fn other_formats_are_refused() {
        let good = written(&[vec![Some(vec![1]), None]]);
        for (at, byte) in [(0, b'Q'), (11, 1), (15, 1), (20, 3), (21, 0x80)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(read(&bad, 2, 7), Err(Malformed), "{at}");
        }
        assert_eq!(read(&good, 1, 7), Err(Malformed), "another number of fields");
        let longer = [&good[..], b"x"].concat();
        assert_eq!(read(&longer, 2, 100), Err(Malformed), "something behind the end");
    }
}

//! Reads a stretch of keys, with what a run wrote among what is stored.

use super::row::{read_row, size};
use super::{KvEffects, KvError, KvStorage};
use crate::clock::Timestamp;
use crate::records::plugin::{KV_PAGE_BYTES_MAX, KV_PAGE_ENTRIES_MAX, KvEntry, KvPage, KvStretch, KvValue};
use crate::storage::engine::KeyRange;
use crate::storage::{StorageError, keys};

/// Rows that are read at once: values are large.
const STEP: usize = 32;

/// A page that fills.
struct Filling {
    page: KvPage,
    bytes: usize,
    entries_max: usize,
    now: Timestamp,
}

impl Filling {
    /// Takes an entry in, if it is there. False when the page is full, and there was more.
    fn take(&mut self, key: &str, value: Option<KvValue>) -> bool {
        let Some(value) = value.filter(|value| value.lives(self.now)) else { return true };
        let bytes = usize::try_from(size(key, &value)).unwrap_or(usize::MAX);
        let fits = self.page.entries.len() < self.entries_max && self.bytes.saturating_add(bytes) <= KV_PAGE_BYTES_MAX;
        if fits {
            self.bytes += bytes;
            self.page.entries.push(KvEntry { key: key.to_owned(), value });
        } else {
            self.page.more = true;
        }
        fits
    }
}

/// The entries of a stretch, with what `run` wrote.
pub(super) async fn scan(
    kv: &KvStorage,
    stretch: &KvStretch,
    run: Option<&KvEffects>,
    now: Timestamp,
) -> Result<KvPage, KvError> {
    if !(1..=KV_PAGE_ENTRIES_MAX).contains(&stretch.limit) {
        let why = format!("is {}; 1 to {KV_PAGE_ENTRIES_MAX} are taken", stretch.limit);
        return Err(KvError::Invalid { field: "limit", why });
    }
    if stretch.end.as_ref().is_some_and(|end| *end <= stretch.begin) {
        return Ok(KvPage::default());
    }
    let written = run.map(|run| run.written_in(&stretch.begin, stretch.end.as_deref())).into_iter().flatten();
    let mut written: Vec<(&str, Option<KvValue>)> =
        written.map(|(key, written)| (key.as_str(), written.value.clone())).collect();
    // The next one is the last.
    if !stretch.reverse {
        written.reverse();
    }
    let comes_first = |written: &str, stored: &str| if stretch.reverse { written > stored } else { written < stored };
    let entries_max = usize::try_from(stretch.limit).unwrap_or(usize::MAX);
    let mut filling = Filling { page: KvPage::default(), bytes: 0, entries_max, now };
    let mut range = range_of(kv, stretch);
    loop {
        let rows = kv.storage.engine.range(&range).await.map_err(KvError::Storage)?;
        for (place, row) in &rows {
            let key = key_of(kv, place)?;
            while let Some((own, value)) = written.pop_if(|(own, _)| comes_first(own, key)) {
                if !filling.take(own, value) {
                    return Ok(filling.page);
                }
            }
            let value = match written.pop_if(|(own, _)| *own == key) {
                Some((_, value)) => value,
                None => Some(read_row(place, row)?),
            };
            if !filling.take(key, value) {
                return Ok(filling.page);
            }
        }
        match rows.last() {
            Some((last, _)) if rows.len() == STEP => range = beyond(range, last),
            _ => break,
        }
    }
    while let Some((own, value)) = written.pop() {
        if !filling.take(own, value) {
            break;
        }
    }
    Ok(filling.page)
}

fn range_of(kv: &KvStorage, stretch: &KvStretch) -> KeyRange {
    let place = |key: &str| keys::kv(kv.tenant, &kv.plugin, key);
    let all = KeyRange::prefix(&keys::kvs(kv.tenant, &kv.plugin), STEP);
    let end = stretch.end.as_deref().map(place).or(all.end);
    KeyRange { start: place(&stretch.begin), end, limit: STEP, reverse: stretch.reverse }
}

/// The rest of a range, behind the last row that was read of it.
fn beyond(range: KeyRange, last: &[u8]) -> KeyRange {
    if range.reverse { KeyRange { end: Some(last.to_vec()), ..range } } else { range.after(last) }
}

/// The plugin's own key of a row.
fn key_of<'a>(kv: &KvStorage, place: &'a [u8]) -> Result<&'a str, StorageError> {
    let name = place.get(keys::kvs(kv.tenant, &kv.plugin).len()..).unwrap_or_default();
    let damaged = |_| StorageError::Damaged { record_type: keys::record_type(place), why: "its key is no text".into() };
    std::str::from_utf8(name).map_err(damaged)
}

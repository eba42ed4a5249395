//! Lists: as a whole, or by the page where `paginated` asks for that; and logs, which always come by the page.

use serde_json::{Value, json};
use switchboard_dialect::{Failure, Of, What, done};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::router::Request;
use switchboard_guest_sdk::types::HostError;

/// Entries of one page, unless the request says otherwise.
const LIMIT: u32 = 50;
/// Most entries of one page, and of one question to the host.
const LIMIT_MAX: u32 = 1000;
/// Most entries of a list that is given as a whole.
const WHOLE_MAX: u32 = 10_000;

/// What a request wants of a list.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Page { page: u32, limit: u32 },
}

fn number(request: &Request, name: &str, default: u32, max: u32) -> Result<u32, Failure> {
    let Some(text) = request.query_value(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| Failure::field(name, format!("must be a whole number from 1 to {max}")))
}

fn wanted(request: &Request) -> Result<Wanted, Failure> {
    let paginated = request.query_value("paginated").is_some_and(|value| matches!(value, "true" | "1" | ""));
    let page = number(request, "page", 1, u32::MAX / LIMIT_MAX)?;
    let limit = number(request, "limit", LIMIT, LIMIT_MAX)?;
    Ok(if paginated { Wanted::Page { page, limit } } else { Wanted::Whole })
}

/// The list, or the page of it, that a request wants. `find` gives entries from an offset on, and how many there are in all.
pub fn list<T>(
    request: &Request,
    find: impl Fn(u32, u32) -> Result<(Vec<T>, u32), HostError>,
    shape: impl Fn(&T) -> Value,
) -> Result<Value, Failure> {
    match wanted(request)? {
        Wanted::Page { page, limit } => {
            let (entries, total) = find((page - 1) * limit, limit).of(What::Session)?;
            let data: Vec<Value> = entries.iter().map(shape).collect();
            let last_page = total.div_ceil(limit).max(1);
            Ok(json!({ "data": data, "current_page": page, "per_page": limit, "last_page": last_page, "total": total }))
        }
        Wanted::Whole => {
            let mut data = Vec::new();
            for offset in (0..WHOLE_MAX).step_by(LIMIT_MAX as usize) {
                let (entries, total) = find(offset, LIMIT_MAX).of(What::Session)?;
                data.extend(entries.iter().map(&shape));
                if entries.is_empty() || offset + LIMIT_MAX >= total {
                    break;
                }
            }
            Ok(Value::Array(data))
        }
    }
}

/// Entries of a page of logs: the most, and how many unless it is said.
const PER_PAGE_MAX: u64 = 100;
const PER_PAGE: u64 = 10;
/// The last page that can be asked for.
const PAGE_MAX: u64 = 500;

/// A page of a log: `page` and `per_page` of the query.
pub struct Numbered {
    page: u64,
    per_page: u64,
}

impl Numbered {
    pub fn of(request: &Request) -> Result<Self, Failure> {
        let mut query = Fields::of_query(&request.query);
        let page = query.within("page", 1, PAGE_MAX, 1);
        let per_page = query.within("per_page", 1, PER_PAGE_MAX, PER_PAGE);
        done(query)?;
        Ok(Self { page, per_page })
    }

    fn before(&self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.per_page)
    }

    /// Entries on the pages before it.
    pub fn offset(&self) -> u32 {
        u32::try_from(self.before()).unwrap_or(u32::MAX)
    }

    /// Entries on a page.
    pub fn limit(&self) -> u32 {
        u32::try_from(self.per_page).unwrap_or(u32::MAX)
    }

    /// The page as clients know it, of `total` entries.
    pub fn shape(&self, request: &Request, entries: Vec<Value>, total: u64) -> Value {
        let Self { page, per_page } = *self;
        let shown = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let last_page = total.div_ceil(per_page).max(1);
        let path = &request.path;
        let url = |page: u64| format!("{path}?page={page}");
        json!({
            "current_page": page,
            "data": entries,
            "first_page_url": url(1),
            "from": (shown > 0).then_some(self.before().saturating_add(1)),
            "last_page": last_page,
            "last_page_url": url(last_page),
            "next_page_url": (page < last_page).then(|| url(page.saturating_add(1))),
            "path": path,
            "per_page": per_page,
            "prev_page_url": (page > 1).then(|| url(page.saturating_sub(1))),
            "to": (shown > 0).then_some(self.before().saturating_add(shown)),
            "total": total,
        })
    }
}

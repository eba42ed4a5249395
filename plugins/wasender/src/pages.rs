//! Lists: as a whole, or by the page where `paginated` asks for that.

use serde_json::{Value, json};
use switchboard_guest_sdk::router::Request;
use switchboard_guest_sdk::types::HostError;

use crate::answer::Failure;

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
            let (entries, total) = find((page - 1) * limit, limit)?;
            let data: Vec<Value> = entries.iter().map(shape).collect();
            let last_page = total.div_ceil(limit).max(1);
            Ok(json!({ "data": data, "current_page": page, "per_page": limit, "last_page": last_page, "total": total }))
        }
        Wanted::Whole => {
            let mut data = Vec::new();
            for offset in (0..WHOLE_MAX).step_by(LIMIT_MAX as usize) {
                let (entries, total) = find(offset, LIMIT_MAX)?;
                data.extend(entries.iter().map(&shape));
                if entries.is_empty() || offset + LIMIT_MAX >= total {
                    break;
                }
            }
            Ok(Value::Array(data))
        }
    }
}

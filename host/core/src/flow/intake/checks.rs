//! What of a wish can be judged by itself: content, texts of files, times, quotes and mentions.

use std::time::Duration;

use super::IntakeError;
use crate::clock::Timestamp;
use crate::records::content::{Content, Extras, Media};
use crate::records::message::Schedule;
use crate::rules::address::{JidServer, parse_recipient};
use crate::rules::content_limits::{self, ContentRefusal};

/// Most characters of the text below a file.
pub const CAPTION_CHARS_MAX: usize = 4096;
/// Most characters of a file's name.
pub const FILE_NAME_CHARS_MAX: usize = 255;
/// An earlier moment was not meant: seconds were given where milliseconds are expected.
const EARLIEST_MOMENT: Timestamp = Timestamp(1_000_000_000_000);
/// Most people one message mentions.
pub const MENTIONS_MAX: usize = 1024;
/// Most characters of the id of a quoted message.
pub const QUOTED_ID_CHARS_MAX: usize = 128;
/// How far ahead a message may be scheduled.
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(366 * 86_400);

pub(super) fn check_content(content: &Content) -> Result<(), IntakeError> {
    content_limits::check(content).map_err(|refusal| match refusal {
        ContentRefusal::Invalid { field, why, .. } => IntakeError::Invalid { field, why },
        ContentRefusal::NotYet => IntakeError::NotYet { content_type: content.type_name().to_owned() },
    })
}

pub(super) fn check_media(media: &Media) -> Result<(), IntakeError> {
    let chars = |text: &Option<String>| text.as_ref().map_or(0, |text| text.chars().count());
    at_most("caption", chars(&media.caption), CAPTION_CHARS_MAX)?;
    at_most("file_name", chars(&media.file_name), FILE_NAME_CHARS_MAX)
}

fn at_most(field: &'static str, chars: usize, chars_max: usize) -> Result<(), IntakeError> {
    if chars > chars_max {
        return Err(IntakeError::Invalid { field, why: format!("has {chars} characters; the limit is {chars_max}") });
    }
    Ok(())
}

pub(super) fn check_schedule(schedule: &Schedule, now: Timestamp) -> Result<(), IntakeError> {
    let invalid = |field, why: String| Err(IntakeError::Invalid { field, why });
    let latest = now.plus(SCHEDULE_AHEAD_MAX);
    let days = SCHEDULE_AHEAD_MAX.as_secs() / 86_400;
    for (field, moment) in [("send_at", schedule.send_at), ("expires_at", schedule.expires_at)] {
        if let Some(moment) = moment.filter(|moment| *moment < EARLIEST_MOMENT) {
            return invalid(field, format!("{} lies in 2001 or before; milliseconds since 1970 are expected", moment.0));
        }
        if let Some(moment) = moment.filter(|moment| *moment > latest) {
            return invalid(field, format!("{} is more than {days} days ahead", moment.0));
        }
    }
    let begins = schedule.send_at.map_or(now, |send_at| send_at.max(now));
    match schedule.expires_at {
        Some(expires_at) if expires_at <= begins => {
            invalid("expires_at", format!("{} is not after the moment of sending, {}", expires_at.0, begins.0))
        }
        _ => Ok(()),
    }
}

/// The extras with every mention as the JID of a person.
pub(super) fn checked_extras(extras: Extras) -> Result<Extras, IntakeError> {
    let invalid = |field, why: String| IntakeError::Invalid { field, why };
    if extras.mentions.len() > MENTIONS_MAX {
        return Err(invalid("mentions", format!("has {} entries; the limit is {MENTIONS_MAX}", extras.mentions.len())));
    }
    let chars = extras.quote.as_ref().map_or(0, |quote| quote.message_id.chars().count());
    if chars > QUOTED_ID_CHARS_MAX {
        return Err(invalid("quote", format!("an id of {chars} characters; the limit is {QUOTED_ID_CHARS_MAX}")));
    }
    let mut mentions = Vec::with_capacity(extras.mentions.len());
    for mention in &extras.mentions {
        let jid = parse_recipient(mention).map_err(|error| invalid("mentions", error.to_string()))?;
        if jid.server == JidServer::Group {
            return Err(invalid("mentions", format!("{jid} is a group; people are mentioned")));
        }
        mentions.push(jid.to_string());
    }
    Ok(Extras { mentions, ..extras })
}

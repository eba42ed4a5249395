//! A failure that lasts is told when it begins and when it is over, and not with every try in between.

use std::time::Duration;

use crate::clock::Timestamp;

/// Whether something fails, and since when.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Timestamp>,
}

impl Outage {
    /// It failed just now. Whether that is news.
    pub(super) fn begins(&mut self, now: Timestamp) -> bool {
        let news = self.since.is_none();
        self.since.get_or_insert(now);
        news
    }

    /// It worked just now. How long it had failed, if it had.
    pub(super) fn ends(&mut self, now: Timestamp) -> Option<Duration> {
        self.since.take().map(|since| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_news_when_it_begins_and_when_it_ends() {
        let mut outage = Outage::default();
        assert_eq!(outage.ends(Timestamp(1)), None);
        assert!(outage.begins(Timestamp(1000)));
        assert!(!outage.begins(Timestamp(2000)));
        assert_eq!(outage.ends(Timestamp(61_000)), Some(Duration::from_secs(60)));
        assert_eq!(outage.ends(Timestamp(61_000)), None);
        assert!(outage.begins(Timestamp(70_000)), "the next one is another");
    }
}

//! Messages to send, put together word by word.

use std::time::Duration;

use crate::no_extras;
use crate::responder::{Command, Incoming, Run, SendWish};
use crate::types::{Button, Content, Extras, Interactive, ListRow, ListSection, Media, Outgoing, Quote, Reaction};

/// A message that is being put together: what it says first, then what goes with it, and last whom it is for.
///
/// ```
/// use switchboard_guest_sdk::Reply;
/// use switchboard_guest_sdk::responder::Command;
/// use switchboard_guest_sdk::types::Content;
///
/// let outgoing = Reply::text("Good day!").to("491520000001@s.whatsapp.net");
/// assert!(matches!(outgoing, Command::Send(outgoing) if matches!(&outgoing.content, Content::Text(text) if text == "Good day!")));
///
/// let later = Reply::text("Are you still there?").from_session(7).send_at(1_768_478_400_000).to("491520000001");
/// assert!(matches!(later, Command::SendWith(wish) if wish.session == Some(7)));
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is sent when it is among the commands that a run returns"]
pub struct Reply {
    content: Content,
    extras: Extras,
    session: Option<u64>,
    send_at_ms: Option<u64>,
    expires_at_ms: Option<u64>,
}

impl Reply {
    /// Any content.
    pub fn content(content: Content) -> Self {
        Self { content, extras: no_extras(), session: None, send_at_ms: None, expires_at_ms: None }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::content(Content::Text(text.into()))
    }

    /// A picture; see [`media_at`](crate::media_at) for one at a URL.
    pub fn image(media: Media) -> Self {
        Self::content(Content::Image(media))
    }

    /// A file, shown as what it is.
    pub fn file(media: Media) -> Self {
        Self::content(Content::File(media))
    }

    /// An emoji on a message that came in; an empty one takes it back.
    pub fn reaction(message: &Incoming, emoji: impl Into<String>) -> Self {
        let (message_id, author) = (message.id.clone(), Some(message.sender.clone()));
        Self::content(Content::Reaction(Reaction { message_id, emoji: emoji.into(), author }))
    }

    /// A text with buttons below it, at most 3: what comes back when one is pressed, and what it shows.
    ///
    /// ```
    /// # use switchboard_guest_sdk::Reply;
    /// # use switchboard_guest_sdk::types::Content;
    /// # use switchboard_guest_sdk::responder::Command;
    /// let asked = Reply::buttons("Is that right?", [("yes", "Yes"), ("no", "No")]).to("491520000001");
    /// let Command::Send(asked) = asked else { unreachable!() };
    /// assert!(matches!(asked.content, Content::Interactive(asked) if asked.buttons.len() == 2));
    /// ```
    pub fn buttons<I: Into<String>, T: Into<String>>(
        body: impl Into<String>,
        buttons: impl IntoIterator<Item = (I, T)>,
    ) -> Self {
        let button = |(id, title): (I, T)| Button { id: id.into(), title: title.into(), action: None };
        let buttons = buttons.into_iter().map(button).collect();
        Self::content(Content::Interactive(Interactive { buttons, ..interactive(body.into()) }))
    }

    /// A text with a list that `opener` opens, of at most 10 rows: what comes back when one is chosen, and what it shows.
    pub fn list<I: Into<String>, T: Into<String>>(
        body: impl Into<String>,
        opener: impl Into<String>,
        rows: impl IntoIterator<Item = (I, T)>,
    ) -> Self {
        let row = |(id, title): (I, T)| ListRow { id: id.into(), title: title.into(), description: None };
        let section = ListSection { title: String::new(), rows: rows.into_iter().map(row).collect() };
        let (sections, list_button) = (vec![section], Some(opener.into()));
        Self::content(Content::Interactive(Interactive { sections, list_button, ..interactive(body.into()) }))
    }

    /// Answers this message: it is shown above.
    pub fn quoting(mut self, message: &Incoming) -> Self {
        self.extras.quote = Some(Quote { message_id: message.id.clone(), sender: Some(message.sender.jid.clone()) });
        self
    }

    /// Mentions these people, by their JIDs.
    pub fn mentioning<J: Into<String>>(mut self, jids: impl IntoIterator<Item = J>) -> Self {
        self.extras.mentions.extend(jids.into_iter().map(Into::into));
        self
    }

    /// It can be looked at once.
    pub fn view_once(mut self) -> Self {
        self.extras.view_once = true;
        self
    }

    /// Sends it from another session than the one that the event happened to.
    pub fn from_session(mut self, session: u64) -> Self {
        self.session = Some(session);
        self
    }

    /// Sends it not before this moment, milliseconds since 1970.
    pub fn send_at(mut self, at_ms: u64) -> Self {
        self.send_at_ms = Some(at_ms);
        self
    }

    /// Sends it not before so much later than the run.
    pub fn delayed(self, run: &Run, by: Duration) -> Self {
        self.send_at(later(run, by))
    }

    /// Gives up on it so much later than the run: what comes too late is worse than nothing.
    pub fn expiring(mut self, run: &Run, after: Duration) -> Self {
        self.expires_at_ms = Some(later(run, after));
        self
    }

    /// The message to this number or JID, as routers send one.
    pub fn outgoing(self, to: impl Into<String>) -> Outgoing {
        Outgoing { to: to.into(), content: self.content, extras: self.extras }
    }

    /// The command that sends it to this number or JID.
    pub fn to(self, to: impl Into<String>) -> Command {
        let Self { session, send_at_ms, expires_at_ms, .. } = self;
        let message = self.outgoing(to);
        if session.is_none() && send_at_ms.is_none() && expires_at_ms.is_none() {
            return Command::Send(message);
        }
        Command::SendWith(SendWish { message, session, send_at_ms, expires_at_ms })
    }

    /// The command that sends it to the chat of a message that came in.
    pub fn in_chat_of(self, message: &Incoming) -> Command {
        self.to(&message.chat)
    }
}

fn later(run: &Run, by: Duration) -> u64 {
    run.now_ms.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
}

fn interactive(body: String) -> Interactive {
    Interactive {
        header: None,
        attachment: None,
        body,
        footer: None,
        buttons: Vec::new(),
        sections: Vec::new(),
        list_button: None,
        plain_text: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Contact;

    fn incoming() -> Incoming {
        let jid = "491520000001@s.whatsapp.net".to_owned();
        Incoming {
            id: "IN1".to_owned(),
            chat: "120363000000000001@g.us".to_owned(),
            chat_phone: None,
            chat_lid: None,
            sender: Contact { jid, phone: None, lid: None, push_name: None },
            from_me: false,
            group: true,
            sent_at_ms: 0,
            content: Content::Text("hello".to_owned()),
            extras: no_extras(),
        }
    }

    #[test]
    fn an_answer_quotes_mentions_and_waits_as_it_is_told() {
        let (message, run) = (incoming(), Run { run_id: String::new(), attempt: 1, now_ms: 1_000 });
        let reply = Reply::text("hi").quoting(&message).mentioning([&message.sender.jid]).view_once();
        let Command::Send(sent) = reply.clone().in_chat_of(&message) else { unreachable!("it is sent at once") };
        assert_eq!((sent.to.as_str(), sent.extras.mentions.len(), sent.extras.view_once), (message.chat.as_str(), 1, true));
        let quote = sent.extras.quote.unwrap();
        assert_eq!((quote.message_id.as_str(), quote.sender.as_deref()), ("IN1", Some(message.sender.jid.as_str())));
        let later = reply.delayed(&run, Duration::from_secs(60)).expiring(&run, Duration::from_secs(120)).to("1");
        let Command::SendWith(wish) = later else { unreachable!("it waits") };
        assert_eq!((wish.session, wish.send_at_ms, wish.expires_at_ms), (None, Some(61_000), Some(121_000)));
    }

    #[test]
    fn a_list_and_a_reaction_are_what_they_say() {
        let listed = Reply::list("Which?", "Choose", [("a", "One"), ("b", "Two")]).outgoing("1");
        let Content::Interactive(listed) = listed.content else { unreachable!("it is interactive") };
        assert_eq!((listed.list_button.as_deref(), listed.sections[0].rows.len()), (Some("Choose"), 2));
        let Content::Reaction(reaction) = Reply::reaction(&incoming(), "👍").outgoing("1").content else {
            unreachable!("it is a reaction")
        };
        assert_eq!((reaction.message_id.as_str(), reaction.emoji.as_str()), ("IN1", "👍"));
    }
}

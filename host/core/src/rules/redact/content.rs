//! What a plugin sees of what a message says. Of content whose words are not seen, the type is left.

use super::Sight;
use crate::records::content::{
    Attachment, Button, ButtonAction, Choice, ContactCard, Content, Edit, Extras, Interactive, LiveLocation, Media,
    MediaSource, PollVote, Quote, Reaction, Revoke,
};
use crate::records::plugin::MessageField;

impl Sight<'_> {
    /// Content, and what of the people that `extras` says are mentioned is in its words.
    pub(super) fn content(&self, content: &Content, extras: &Extras) -> Content {
        let words = self.sees(MessageField::Text);
        let unsaid = || Content::Other(content.type_name().to_owned());
        let media = |media: &Media| self.media(media, extras);
        match content {
            Content::Text(text) => Content::Text(self.renamed(self.words(text), extras)),
            Content::Image(image) => Content::Image(media(image)),
            Content::Video(video) => Content::Video(media(video)),
            Content::Audio(audio) => Content::Audio(media(audio)),
            Content::Document(document) => Content::Document(media(document)),
            Content::Sticker(sticker) => Content::Sticker(media(sticker)),
            Content::File(file) => Content::File(media(file)),
            Content::Reaction(Reaction { message_id, emoji, author }) => Content::Reaction(Reaction {
                message_id: message_id.clone(),
                emoji: self.words(emoji),
                author: self.person_if_any(author.as_ref()),
            }),
            Content::Edit(Edit { message_id, text }) => {
                Content::Edit(Edit { message_id: message_id.clone(), text: self.renamed(self.words(text), extras) })
            }
            Content::Revoke(Revoke { message_id, author }) => {
                Content::Revoke(Revoke { message_id: message_id.clone(), author: self.person_if_any(author.as_ref()) })
            }
            Content::PollVote(PollVote { poll_id, author, options }) => Content::PollVote(PollVote {
                poll_id: poll_id.clone(),
                author: self.person_if_any(author.as_ref()),
                options: options.clone().filter(|_| words),
            }),
            Content::ButtonReply(reply) => Content::ButtonReply(self.choice(reply)),
            Content::ListReply(reply) => Content::ListReply(self.choice(reply)),
            Content::FlowReply(reply) => Content::FlowReply(self.choice(reply)),
            Content::Location(place) if words => Content::Location(place.clone()),
            Content::LiveLocation(place) if words => Content::LiveLocation(self.live_location(place, extras)),
            Content::Contacts(cards) if words => Content::Contacts(cards.iter().map(|card| self.card(card)).collect()),
            Content::Poll(poll) if words => Content::Poll(poll.clone()),
            Content::Interactive(inner) if words => Content::Interactive(self.interactive(inner, extras)),
            Content::Template(call) if words => Content::Template(call.clone()),
            Content::Location(_)
            | Content::LiveLocation(_)
            | Content::Contacts(_)
            | Content::Poll(_)
            | Content::Interactive(_)
            | Content::Template(_) => unsaid(),
            Content::Other(name) => Content::Other(name.clone()),
        }
    }

    fn choice(&self, choice: &Choice) -> Choice {
        let Choice { id, title } = choice;
        Choice { id: self.words(id), title: self.words(title) }
    }

    fn live_location(&self, place: &LiveLocation, extras: &Extras) -> LiveLocation {
        let LiveLocation { latitude, longitude, caption, accuracy_m, sequence } = place;
        LiveLocation {
            latitude: *latitude,
            longitude: *longitude,
            caption: caption.clone().map(|caption| self.renamed(caption, extras)),
            accuracy_m: *accuracy_m,
            sequence: *sequence,
        }
    }

    /// A card is of somebody: who sees neither names nor numbers sees that there is one.
    fn card(&self, card: &ContactCard) -> ContactCard {
        let ContactCard { display_name, phones, vcard } = card;
        let (names, numbers) = (self.sees(MessageField::ContactName), self.sees(MessageField::Number));
        ContactCard {
            display_name: if names { display_name.clone() } else { String::new() },
            phones: if numbers { phones.clone() } else { Vec::new() },
            // Anything may be in it.
            vcard: vcard.clone().filter(|_| names && numbers),
        }
    }

    fn media(&self, media: &Media, extras: &Extras) -> Media {
        let Media { source, mime, caption, file_name, voice_note, gif, size, sha256, width, height, seconds } = media;
        let caption = self.words_if_any(caption.as_ref()).map(|caption| self.renamed(caption, extras));
        if !self.sees(MessageField::Media) {
            let nowhere = MediaSource::WhatsApp(Box::default());
            return Media { caption, voice_note: *voice_note, gif: *gif, ..Media::at(nowhere) };
        }
        Media {
            source: source.clone(),
            mime: mime.clone(),
            caption,
            file_name: file_name.clone(),
            voice_note: *voice_note,
            gif: *gif,
            size: *size,
            sha256: sha256.clone(),
            width: *width,
            height: *height,
            seconds: *seconds,
        }
    }

    fn interactive(&self, inner: &Interactive, extras: &Extras) -> Interactive {
        let Interactive { header, attachment, body, footer, buttons, sections, list_button, plain_text } = inner;
        let attachment = attachment.as_ref().map(|attachment| match attachment {
            Attachment::Image(image) => Attachment::Image(self.media(image, extras)),
            Attachment::Video(video) => Attachment::Video(self.media(video, extras)),
            Attachment::Document(document) => Attachment::Document(self.media(document, extras)),
            Attachment::Location(place) => Attachment::Location(place.clone()),
        });
        Interactive {
            header: header.clone(),
            attachment,
            body: body.clone(),
            footer: footer.clone(),
            buttons: buttons.iter().map(|button| self.button(button)).collect(),
            sections: sections.clone(),
            list_button: list_button.clone(),
            plain_text: *plain_text,
        }
    }

    fn button(&self, button: &Button) -> Button {
        let Button { id, title, action } = button;
        let action = action.as_ref().map(|action| match action {
            ButtonAction::Call(number) => {
                let number = if self.sees(MessageField::Number) { number.clone() } else { String::new() };
                ButtonAction::Call(number)
            }
            ButtonAction::Url(_) | ButtonAction::Copy(_) => action.clone(),
        });
        Button { id: id.clone(), title: title.clone(), action }
    }

    pub(super) fn extras(&self, extras: &Extras) -> Extras {
        let Extras { quote, mentions, view_once } = extras;
        let quote = quote.as_ref().map(|Quote { message_id, sender }| Quote {
            message_id: message_id.clone(),
            sender: sender.as_deref().map(|sender| self.jid(sender)),
        });
        Extras { quote, mentions: mentions.iter().map(|jid| self.jid(jid)).collect(), view_once: *view_once }
    }

    /// Words in which those who are mentioned are called as the plugin calls them: `@` and the number of their JID are part of them.
    fn renamed(&self, words: String, extras: &Extras) -> String {
        if self.sees(MessageField::Number) {
            return words;
        }
        extras.mentions.iter().fold(words, |words, jid| {
            let user = jid.split(['@', ':']).next().unwrap_or_default();
            mention_renamed(&words, user, &self.names.of_jid(jid))
        })
    }
}

/// Words in which `@user` is `@other`, but not where `user` is the beginning of a longer number.
pub(super) fn mention_renamed(words: &str, user: &str, other: &str) -> String {
    let mention = format!("@{user}");
    if user.is_empty() {
        return words.to_owned();
    }
    let mut renamed = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((before, after)) = rest.split_once(&mention) {
        let whole = !after.starts_with(|next: char| next.is_ascii_alphanumeric());
        renamed.push_str(before);
        renamed.push('@');
        renamed.push_str(if whole { other } else { user });
        rest = after;
    }
    renamed + rest
}

//! The way back: what a plugin says of people by their pseudonyms, as it is meant.

use super::content::mention_renamed;
use crate::records::content::{Content, Extras, Person};
use crate::rules::pseudonym::{Pseudonyms, is_pseudonym};
use crate::rules::said_back::said_back;

/// A pseudonym that this plugin was not told for this tenant, or that nobody can be reached by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {pseudonym} is no pseudonym that this plugin was told of anybody in this account who can be written to")]
pub struct UnknownPseudonym {
    field: &'static str,
    pseudonym: String,
}

/// Puts addresses in the place of pseudonyms, wherever an outgoing message has any. Addresses stay as they are.
///
/// # Errors
/// [`UnknownPseudonym`].
pub fn resolve_outgoing(
    names: &Pseudonyms,
    to: &mut String,
    content: &mut Content,
    extras: &mut Extras,
) -> Result<(), UnknownPseudonym> {
    resolve(names, "to", to)?;
    for mention in &mut extras.mentions {
        let before = mention.clone();
        resolve(names, "mentions", mention)?;
        if *mention != before {
            let user = mention.split('@').next().unwrap_or_default();
            words_of(content).into_iter().for_each(|words| *words = mention_renamed(words, &before, user));
        }
    }
    if let Some(sender) = extras.quote.as_mut().and_then(|quote| quote.sender.as_mut()) {
        resolve(names, "quote.sender", sender)?;
    }
    match author_of(content) {
        Some(author) => resolve(names, "author", &mut author.jid),
        None => Ok(()),
    }
}

fn resolve(names: &Pseudonyms, field: &'static str, text: &mut String) -> Result<(), UnknownPseudonym> {
    if !is_pseudonym(text) {
        return Ok(());
    }
    let unknown = || UnknownPseudonym { field, pseudonym: said_back(&*text) };
    *text = names.resolve(text).ok_or_else(unknown)?;
    Ok(())
}

/// The person that content is about.
fn author_of(content: &mut Content) -> Option<&mut Person> {
    match content {
        Content::Reaction(reaction) => reaction.author.as_mut(),
        Content::Revoke(revoke) => revoke.author.as_mut(),
        Content::PollVote(vote) => vote.author.as_mut(),
        _ => None,
    }
}

/// The words in which people can be mentioned.
fn words_of(content: &mut Content) -> Option<&mut String> {
    match content {
        Content::Text(text) => Some(text),
        Content::Edit(edit) => Some(&mut edit.text),
        Content::Image(media)
        | Content::Video(media)
        | Content::Audio(media)
        | Content::Document(media)
        | Content::Sticker(media)
        | Content::File(media) => media.caption.as_mut(),
        Content::LiveLocation(place) => place.caption.as_mut(),
        Content::Interactive(inner) => Some(&mut inner.body),
        _ => None,
    }
}

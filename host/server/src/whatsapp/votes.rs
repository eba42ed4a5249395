//! Opens votes: each is sealed with the secret of its poll, for the names under which the two people know each other.

use whatsapp_rust::PollVoteCiphertext;
use whatsapp_rust::wacore::poll::{compute_option_hash, decrypt_poll_vote_with_secret};

use switchboard_core::records::content::Person;
use switchboard_core::records::event::KnownPoll;

use super::received::SealedVote;

/// The options that a vote chooses; `None` when the poll's secret does not open it.
pub(super) fn open(poll: &KnownPoll, poll_id: &str, vote: &SealedVote, voter: &Person) -> Option<Vec<String>> {
    let sealed = PollVoteCiphertext { enc_payload: &vote.payload, enc_iv: &vote.iv };
    let (authors, voters) = (names(&poll.author), names(voter));
    let pairs = authors.iter().flat_map(|author| voters.iter().map(move |voter| (author, voter)));
    let mut pairs: Vec<_> = pairs.collect();
    // Nearly always both are named in the same way.
    pairs.sort_by_key(|(author, voter)| server(author) != server(voter));
    let hashes = pairs
        .into_iter()
        .find_map(|(author, voter)| decrypt_poll_vote_with_secret(sealed, &poll.secret, poll_id, author, voter).ok())?;
    Some(hashes.iter().map(|hash| named(poll, hash)).collect())
}

fn named(poll: &KnownPoll, hash: &[u8]) -> String {
    let option = poll.options.iter().find(|option| compute_option_hash(option) == *hash);
    option.cloned().unwrap_or_else(|| hex::encode(hash))
}

fn server(jid: &str) -> &str {
    jid.rsplit('@').next().unwrap_or_default()
}

/// Every JID of a person, each once.
fn names(person: &Person) -> Vec<String> {
    let by_phone = person.phone.as_ref().map(|phone| format!("{phone}@s.whatsapp.net"));
    let mut names = vec![person.jid.clone()];
    for name in [person.lid.clone(), by_phone].into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use switchboard_core::clock::Timestamp;
    use whatsapp_rust::wacore::poll::encrypt_poll_vote_with_secret;

    use super::*;

    fn person(phone: &str, lid: Option<&str>) -> Person {
        Person {
            jid: format!("{phone}@s.whatsapp.net"),
            phone: Some(phone.to_owned()),
            lid: lid.map(|lid| format!("{lid}@lid")),
        }
    }

    fn poll() -> KnownPoll {
        let options = vec!["Soup".to_owned(), "Cake".to_owned()];
        KnownPoll { options, secret: vec![7; 32], author: person("491510000001", Some("111")), at: Timestamp(1) }
    }

    fn sealed(chosen: &[&str], author: &str, voter: &str) -> SealedVote {
        let hashes: Vec<Vec<u8>> = chosen.iter().map(|option| compute_option_hash(option).to_vec()).collect();
        let (payload, iv) = encrypt_poll_vote_with_secret(&hashes, &[7; 32], "POLL", author, voter).unwrap();
        SealedVote { payload, iv: iv.to_vec() }
    }

    #[test]
    fn a_vote_opens_under_whichever_names_it_was_sealed_for() {
        let voter = person("491520000001", Some("222"));
        for author in ["491510000001@s.whatsapp.net", "111@lid"] {
            for by in ["491520000001@s.whatsapp.net", "222@lid"] {
                let vote = sealed(&["Cake"], author, by);
                assert_eq!(open(&poll(), "POLL", &vote, &voter), Some(vec!["Cake".to_owned()]), "{author} {by}");
            }
        }
        let none = sealed(&[], "111@lid", "222@lid");
        assert_eq!(open(&poll(), "POLL", &none, &voter), Some(Vec::new()), "a vote that was taken back");
    }

    #[test]
    fn a_vote_of_somebody_else_or_for_another_poll_does_not_open_and_an_unknown_option_keeps_its_hash() {
        let voter = person("491520000001", None);
        let vote = sealed(&["Soup"], "491510000001@s.whatsapp.net", "491520000009@s.whatsapp.net");
        assert_eq!(open(&poll(), "POLL", &vote, &voter), None);
        let vote = sealed(&["Soup"], "491510000001@s.whatsapp.net", "491520000001@s.whatsapp.net");
        assert_eq!(open(&poll(), "OTHER", &vote, &voter), None);
        let vote = sealed(&["Bread"], "491510000001@s.whatsapp.net", "491520000001@s.whatsapp.net");
        assert_eq!(open(&poll(), "POLL", &vote, &voter), Some(vec![hex::encode(compute_option_hash("Bread"))]));
        let broken = SealedVote { payload: vec![1], iv: vec![] };
        assert_eq!(open(&poll(), "POLL", &broken, &voter), None);
    }
}

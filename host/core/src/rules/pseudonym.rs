//! Stable pseudonyms of addresses: what a plugin is told that may not know telephone numbers.
//!
//! A pseudonym is the address enciphered under a key of one tenant and plugin: the same person is always the same to that plugin,
//! two plugins cannot compare what they know, and nothing has to be stored to answer by it. An address that fits no block gets
//! a MAC in its place, which nobody resolves.

use std::collections::BTreeMap;
use std::fmt;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::records::content::Person;
use crate::records::id::TenantId;

/// What a pseudonym begins with. No telephone number and no JID does.
const PREFIX: &str = "p_";
/// Characters behind that: 128 bits.
const CHARS: usize = 26;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Bytes of a block that say what kind of address it is, and that hold its number; the others are 0.
const KIND_BYTES: usize = 1;
const NUMBER_BYTES: usize = 11;
/// Most digits of one number: with a 1 in front they fit into [`NUMBER_BYTES`].
const DIGITS_MAX: usize = 25;
/// Most digits of the two numbers of a group's older kind of name, `<founder>-<moment>`.
const FOUNDER_DIGITS_MAX: usize = 15;
const MOMENT_DIGITS_MAX: usize = 10;
/// Beyond the moment of a group, with the 1 in front.
const MOMENT_END: u128 = 100_000_000_000;

/// The servers of addresses that pseudonyms lead back to, by the kind in a block.
const SERVERS: [(u8, &str); 3] = [(1, "s.whatsapp.net"), (2, "lid"), (3, "g.us")];
/// The kind of a group's older name.
const OLD_GROUP: u8 = 4;

/// What all pseudonyms of a host are made with.
#[derive(Clone)]
pub struct PseudonymKey([u8; 32]);

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey")
    }
}

impl PseudonymKey {
    /// From a secret that is used for nothing else.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The pseudonyms that a plugin, by its full name, is told of a tenant's people.
    pub fn of(&self, tenant: TenantId, plugin: &str) -> Pseudonyms {
        let key = |purpose: u8| mac(&self.0, &[&[purpose], &tenant.0.to_be_bytes(), plugin.as_bytes()]);
        Pseudonyms { cipher: Aes256::new(&key(1).into()), one_way: key(2), phones: BTreeMap::new() }
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // Any length of key will do, so there is no other case.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The pseudonyms of one tenant and plugin.
pub struct Pseudonyms {
    cipher: Aes256,
    one_way: [u8; 32],
    /// Telephone numbers by LID, as far as they are known.
    phones: BTreeMap<String, String>,
}

impl Pseudonyms {
    /// The same where these telephone numbers belong to these LIDs: a person has one pseudonym by both.
    #[must_use]
    pub fn knowing(self, phones: BTreeMap<String, String>) -> Self {
        Self { phones, ..self }
    }

    /// The pseudonym of a JID. What names nobody stays as it is.
    pub fn of_jid(&self, jid: &str) -> String {
        if names_nobody(jid) {
            return jid.to_owned();
        }
        let jid = without_device(jid);
        let jid = self.phones.get(&jid).map_or(jid, |phone| format!("{phone}@s.whatsapp.net"));
        let bytes = match block(&jid) {
            Some(block) => {
                let mut block: Block = block.into();
                self.cipher.encrypt_block(&mut block);
                block.into()
            }
            None => first_half(mac(&self.one_way, &[jid.as_bytes()])),
        };
        written(bytes)
    }

    /// The pseudonym of a person: by number, where that is known, else by the LID or whatever WhatsApp called them.
    pub fn of_person(&self, person: &Person) -> String {
        self.of_names(&person.jid, person.phone.as_deref(), person.lid.as_deref())
    }

    /// The same for names that are not together in a record.
    pub fn of_names(&self, jid: &str, phone: Option<&str>, lid: Option<&str>) -> String {
        match (phone, lid) {
            (Some(phone), _) => self.of_jid(&format!("{phone}@s.whatsapp.net")),
            (None, Some(lid)) => self.of_jid(lid),
            (None, None) => self.of_jid(jid),
        }
    }

    /// The JID that a pseudonym stands for; `None` when it is none of these.
    pub fn resolve(&self, pseudonym: &str) -> Option<String> {
        let mut block: Block = read(pseudonym)?.into();
        self.cipher.decrypt_block(&mut block);
        jid_of(block.into())
    }
}

/// Whether a text is a pseudonym, of whomever.
pub fn is_pseudonym(text: &str) -> bool {
    read(text).is_some()
}

/// What everybody knows, and no person or group stands behind.
fn names_nobody(jid: &str) -> bool {
    jid.is_empty() || jid == "status@broadcast" || jid.ends_with("@newsletter")
}

/// A person is the same on all of their devices.
fn without_device(jid: &str) -> String {
    let Some((user, server)) = jid.split_once('@') else { return jid.to_owned() };
    let user = user.split([':', '_']).next().unwrap_or_default();
    let server = if server == "c.us" { "s.whatsapp.net" } else { server };
    format!("{user}@{server}")
}

/// A number with a 1 in front, so that zeros at its beginning are kept.
fn marked(digits: &str, digits_max: usize) -> Option<u128> {
    let fits = (1..=digits_max).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| format!("1{digits}").parse().ok()).flatten()
}

fn unmarked(number: u128) -> Option<String> {
    let digits = number.to_string();
    digits.strip_prefix('1').filter(|digits| !digits.is_empty()).map(str::to_owned)
}

/// The address in a block that deciphers to it again; `None` when it does not fit.
fn block(jid: &str) -> Option<[u8; 16]> {
    let (user, server) = jid.split_once('@')?;
    let (kind, _) = SERVERS.iter().find(|(_, known)| *known == server)?;
    let (kind, number) = match user.split_once('-') {
        Some((founder, moment)) if server == "g.us" => {
            let founder = marked(founder, FOUNDER_DIGITS_MAX)?;
            (OLD_GROUP, founder.checked_mul(MOMENT_END)?.checked_add(marked(moment, MOMENT_DIGITS_MAX)?)?)
        }
        _ => (*kind, marked(user, DIGITS_MAX)?),
    };
    let number = number.to_be_bytes();
    let mut block = [0; 16];
    let (head, rest) = block.split_at_mut_checked(KIND_BYTES)?;
    head.copy_from_slice(&[kind]);
    rest.get_mut(..NUMBER_BYTES)?.copy_from_slice(number.get(16 - NUMBER_BYTES..)?);
    Some(block)
}

fn jid_of(block: [u8; 16]) -> Option<String> {
    let (kind, rest) = block.split_first()?;
    let (number, zeros) = rest.split_at_checked(NUMBER_BYTES)?;
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    let number = number.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    if *kind == OLD_GROUP {
        return Some(format!("{}-{}@g.us", unmarked(number / MOMENT_END)?, unmarked(number % MOMENT_END)?));
    }
    let (_, server) = SERVERS.iter().find(|(known, _)| known == kind)?;
    Some(format!("{}@{server}", unmarked(number)?))
}

fn first_half(bytes: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(bytes).for_each(|(half, byte)| *half = byte);
    half
}

/// 128 bits in letters and digits, five bits each, the first ones first.
fn written(bytes: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(bytes);
    let letter = |at: usize| {
        let shift = 5 * (CHARS - 1 - at);
        // The last letter has three bits; the two behind them are 0.
        let five = if shift >= 2 { bits >> (shift - 2) } else { bits << 2 } & 31;
        usize::try_from(five).ok().and_then(|five| ALPHABET.get(five)).map(|letter| char::from(*letter))
    };
    PREFIX.chars().chain((0..CHARS).filter_map(letter)).collect()
}

fn read(text: &str) -> Option<[u8; 16]> {
    let letters = text.strip_prefix(PREFIX).filter(|letters| letters.len() == CHARS)?;
    let (mut bits, mut left) = (0_u128, 128_u32);
    for letter in letters.bytes() {
        let five = ALPHABET.iter().position(|known| *known == letter)?;
        let five = u128::try_from(five).ok()?;
        if left >= 5 {
            bits = bits << 5 | five;
            left -= 5;
        } else {
            // Nothing may be in the bits that are over.
            bits = bits << left | five >> (5 - left);
            (five & ((1 << (5 - left)) - 1) == 0).then_some(())?;
        }
    }
    Some(bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};

    fn names(tenant: u64, plugin: &str) -> Pseudonyms {
        PseudonymKey::new([7; 32]).of(TenantId(tenant), plugin)
    }

    #[test]
    fn a_pseudonym_leads_back_for_its_tenant_and_plugin_alone() {
        let own = names(1, "1/reply");
        for jid in [
            "15550100001@s.whatsapp.net",
            "0015550100001@s.whatsapp.net",
            "123456789012345@lid",
            "120363012345678901@g.us",
            "4915200000001-1512345678@g.us",
            "1@lid",
        ] {
            let pseudonym = own.of_jid(jid);
            assert_eq!((pseudonym.len(), is_pseudonym(&pseudonym)), (28, true), "{pseudonym}");
            assert_eq!(own.resolve(&pseudonym).as_deref(), Some(jid));
            assert_eq!(own.of_jid(jid), pseudonym);
            for other in [names(2, "1/reply"), names(1, "1/other"), PseudonymKey::new([8; 32]).of(TenantId(1), "1/reply")] {
                assert_ne!(other.of_jid(jid), pseudonym);
                assert_eq!(other.resolve(&pseudonym), None);
            }
        }
    }

    #[test]
    fn a_person_is_the_same_on_every_device_and_by_number_where_that_is_known() {
        let names = names(1, "1/reply");
        let by_number = names.of_jid("15550100001@s.whatsapp.net");
        assert_eq!(names.of_jid("15550100001:12@s.whatsapp.net"), by_number);
        assert_eq!(names.of_jid("15550100001@c.us"), by_number);
        let person = |phone: Option<&str>, lid: Option<&str>| Person {
            jid: "77@lid".to_owned(),
            phone: phone.map(str::to_owned),
            lid: lid.map(str::to_owned),
        };
        assert_eq!(names.of_person(&person(Some("15550100001"), Some("77@lid"))), by_number);
        assert_eq!(names.of_person(&person(None, Some("77@lid"))), names.of_jid("77@lid"));
        assert_eq!(names.of_person(&person(None, None)), names.of_jid("77@lid"));
        assert_ne!(names.of_jid("77@lid"), by_number);
        let knowing = names.knowing([("77@lid".to_owned(), "15550100001".to_owned())].into());
        assert_eq!(
            [knowing.of_jid("77@lid"), knowing.of_jid("77:3@lid"), knowing.of_person(&person(None, None))],
            [(); 3].map(|()| by_number.clone())
        );
    }

    #[test]
    fn what_fits_no_block_has_a_pseudonym_that_leads_nowhere_and_what_names_nobody_has_none() {
        let names = names(1, "1/reply");
        for jid in
            ["someone@bot", "12345678901234567890123456@lid", "a-b@g.us", "1-2-3@g.us", "@lid", "1512345678@broadcast"]
        {
            let pseudonym = names.of_jid(jid);
            assert!(is_pseudonym(&pseudonym) && !pseudonym.contains("1234"), "{pseudonym}");
            assert_eq!(names.resolve(&pseudonym), None, "{jid}");
        }
        assert_eq!(names.of_jid("status@broadcast"), "status@broadcast");
        assert_eq!((names.of_jid("120363@newsletter").as_str(), names.of_jid("").as_str()), ("120363@newsletter", ""));
    }

    #[test]
    fn what_is_made_up_leads_nowhere() {
        let names = names(1, "1/reply");
        let entropy = SeededEntropy::new(3);
        for _ in 0..2_000 {
            let bytes = [entropy.next_u64().to_be_bytes(), entropy.next_u64().to_be_bytes()].concat();
            let text = written(bytes.try_into().unwrap());
            assert_eq!((is_pseudonym(&text), names.resolve(&text)), (true, None), "{text}");
        }
        let good = names.of_jid("15550100001@s.whatsapp.net");
        for text in [
            "",
            "p_",
            "15550100001",
            good.trim_start_matches(PREFIX),
            &format!("{good}a"),
            &good.to_uppercase(),
            &format!("{}1", good.chars().take(27).collect::<String>()),
        ] {
            assert_eq!((is_pseudonym(text), names.resolve(text)), (false, None), "{text}");
        }
    }

    #[test]
    fn writing_and_reading_are_each_others_inverse() {
        let entropy = SeededEntropy::new(4);
        for _ in 0..2_000 {
            let bytes: [u8; 16] =
                [entropy.next_u64().to_be_bytes(), entropy.next_u64().to_be_bytes()].concat().try_into().unwrap();
            assert_eq!(read(&written(bytes)), Some(bytes));
        }
        assert_eq!(written([0; 16]), format!("p_{}", "a".repeat(26)));
        assert_eq!(read("p_aaaaaaaaaaaaaaaaaaaaaaaaab"), None, "bits that are over");
    }
}

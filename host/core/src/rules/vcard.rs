//! vCards: what phones pass contacts around as. Written in version 3, read in any.

/// Numbers that are read from one card.
pub const CARD_PHONES_MAX: usize = 32;

/// The card of somebody with these numbers. A number of digits alone is one that WhatsApp knows, and is marked as such.
pub fn write(display_name: &str, phones: &[String]) -> String {
    let name = escaped(display_name);
    let mut card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:;{name};;;\r\nFN:{name}\r\n");
    for phone in phones {
        let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
        card.push_str(&format!("TEL;type=CELL;waid={digits}:+{digits}\r\n"));
    }
    card.push_str("END:VCARD");
    card
}

/// Text as a value of a vCard: what would end it or divide it is escaped.
fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '\\' | ';' | ',' => value.extend(['\\', symbol]),
            '\r' | '\n' => value.push(' '),
            _ => value.push(symbol),
        }
    }
    value
}

/// The telephone numbers on a card, each once: the digits that WhatsApp knows them by, else the number as it stands there.
/// At most [`CARD_PHONES_MAX`].
pub fn phones(card: &str) -> Vec<String> {
    let mut phones: Vec<String> = Vec::new();
    for line in unfolded(card) {
        let Some((head, value)) = line.split_once(':') else { continue };
        let mut parameters = head.split(';');
        // A group stands in front of the name: `item1.TEL`.
        let name = parameters.next().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
        if !name.eq_ignore_ascii_case("TEL") {
            continue;
        }
        let known = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            (name.eq_ignore_ascii_case("waid") && !value.is_empty()).then_some(value)
        });
        let phone = known.unwrap_or(value).trim().trim_start_matches("tel:").to_owned();
        if !phone.is_empty() && !phones.contains(&phone) {
            phones.push(phone);
        }
        if phones.len() == CARD_PHONES_MAX {
            break;
        }
    }
    phones
}

/// The lines of a card, with those put together that were folded because they were too long.
fn unfolded(card: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in card.split(['\r', '\n']).filter(|line| !line.is_empty()) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_card_reads_back_as_the_same_numbers() {
        let given = ["+49 1520 000-001".to_owned(), "491520000002".to_owned()];
        let card = write("Ada; Lovelace,\r\nEND:VCARD\\", &given);
        assert_eq!(phones(&card), ["491520000001", "491520000002"]);
        assert_eq!(card.matches("\r\nEND:VCARD").count(), 1, "a name cannot end the card: {card}");
        assert!(card.contains("FN:Ada\\; Lovelace\\,  END:VCARD\\\\\r\n"), "{card}");
    }

    #[test]
    fn numbers_are_found_in_cards_as_phones_and_address_books_write_them() {
        let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Bo\nitem1.TEL;waid=491520000001:+49 1520 0000-01\nitem1.X-ABLabel:Mobil\n\
                    TEL;TYPE=work,voice:030/1234\ntel;VALUE=uri:tel:+1-555-0100\nTEL:030/1234\nTEL;TYPE=home:+49 30\n  99\nEND:VCARD";
        assert_eq!(phones(card), ["491520000001", "030/1234", "+1-555-0100", "+49 30 99"]);
    }

    #[test]
    fn a_card_without_numbers_or_sense_has_none_and_a_huge_one_has_a_limit() {
        for card in ["", "TEL", ":::", "BEGIN:VCARD\nTEL:\nTEL;waid=:\nEND:VCARD", "NOTEL:1"] {
            assert!(phones(card).is_empty(), "{card:?}");
        }
        let huge: String = (0..1000).map(|n| format!("TEL:{n}\n")).collect();
        assert_eq!(phones(&huge).len(), CARD_PHONES_MAX);
    }
}

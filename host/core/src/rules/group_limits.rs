//! What a group, a saved name or a list of people may be, before WhatsApp is asked.

/// Most characters of a group's subject.
pub const SUBJECT_CHARS_MAX: usize = 100;
/// Most characters of a group's description.
pub const DESCRIPTION_CHARS_MAX: usize = 2_048;
/// Most people that one call names: a group has 1,024 members, and its maker is one of them.
pub const PEOPLE_MAX: usize = 1_023;
/// Most characters of the name under which somebody is saved.
pub const CONTACT_NAME_CHARS_MAX: usize = 256;
/// Most characters of an invitation: a code of 22, or a link around it.
pub const INVITATION_CHARS_MAX: usize = 256;

/// A text that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {chars} characters; {chars_min} to {chars_max} are allowed")]
pub struct LengthError {
    /// How long it is.
    pub chars: usize,
    /// The shortest that is allowed.
    pub chars_min: usize,
    /// The longest that is allowed.
    pub chars_max: usize,
}

/// A list that names nobody, or too many.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {count} entries; 1 to {count_max} are allowed")]
pub struct CountError {
    /// How many it names.
    pub count: usize,
    /// The limit.
    pub count_max: usize,
}

fn check(text: &str, chars_min: usize, chars_max: usize) -> Result<(), LengthError> {
    let chars = if text.trim().is_empty() { 0 } else { text.chars().count() };
    if (chars_min..=chars_max).contains(&chars) { Ok(()) } else { Err(LengthError { chars, chars_min, chars_max }) }
}

/// Whether a group may be called this.
pub fn check_subject(subject: &str) -> Result<(), LengthError> {
    check(subject, 1, SUBJECT_CHARS_MAX)
}

/// Whether a group may be described like this; an empty text is no description.
pub fn check_description(description: &str) -> Result<(), LengthError> {
    check(description, 0, DESCRIPTION_CHARS_MAX)
}

/// Whether somebody may be saved under this name.
pub fn check_contact_name(name: &str) -> Result<(), LengthError> {
    check(name, 1, CONTACT_NAME_CHARS_MAX)
}

/// Whether this can be an invitation.
pub fn check_invitation(code: &str) -> Result<(), LengthError> {
    check(code, 1, INVITATION_CHARS_MAX)
}

/// Whether one call may name this many.
pub fn check_count(count: usize, count_max: usize) -> Result<(), CountError> {
    if (1..=count_max).contains(&count) { Ok(()) } else { Err(CountError { count, count_max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_up_to_its_limit_and_blanks_are_no_name() {
        assert_eq!(check_subject(&"ä".repeat(SUBJECT_CHARS_MAX)), Ok(()));
        let long = check_subject(&"x".repeat(SUBJECT_CHARS_MAX + 1)).unwrap_err().to_string();
        assert_eq!(long, "has 101 characters; 1 to 100 are allowed");
        assert!(check_subject("  ").is_err() && check_contact_name("").is_err() && check_invitation("").is_err());
        assert_eq!(check_description(""), Ok(()));
        assert!(check_description(&"x".repeat(DESCRIPTION_CHARS_MAX + 1)).is_err());
        assert!(check_contact_name(&"x".repeat(CONTACT_NAME_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn a_list_names_somebody_and_not_too_many() {
        assert_eq!((check_count(1, 3), check_count(3, 3)), (Ok(()), Ok(())));
        for count in [0, 4] {
            assert_eq!(check_count(count, 3), Err(CountError { count, count_max: 3 }));
        }
    }
}

//! Names and languages of templates, and which of a template's languages is sent.
//!
//! Pure: texts in, a decision out.

use super::said_back::said_back;

/// Most characters of a name.
pub const NAME_CHARS_MAX: usize = 512;
/// Most templates of one tenant.
pub const TEMPLATES_MAX: usize = 1_000;
/// Most bytes of a definition as JSON.
pub const DEFINITION_BYTES_MAX: usize = 32 * 1024;
/// Most languages that an error names.
const NAMED_LANGUAGES_MAX: usize = 20;

/// Why a name or a language will not do. The words go on after the name of the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateNameError {
    /// The name.
    #[error("{0:?} must be 1 to {NAME_CHARS_MAX} of a-z, 0-9 and _")]
    Name(String),
    /// The language.
    #[error("{0:?} is not a language, such as en or en_US")]
    Language(String),
}

/// Whether a template can have this name.
///
/// # Errors
/// [`TemplateNameError::Name`].
pub fn check_name(name: &str) -> Result<(), TemplateNameError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
        return Err(TemplateNameError::Name(said_back(name)));
    }
    Ok(())
}

/// A language in the one spelling that it is kept in: `en`, `en_US`, `zh_Hant_TW`. `-` is as good as `_`, and upper and lower case
/// are the same.
///
/// # Errors
/// [`TemplateNameError::Language`].
pub fn language(text: &str) -> Result<String, TemplateNameError> {
    let wrong = || TemplateNameError::Language(said_back(text));
    let mut parts = text.split(['_', '-']);
    let alphabetic = |part: &str| part.chars().all(|c| c.is_ascii_alphabetic());
    let base = parts.next().filter(|base| (2..=3).contains(&base.len()) && alphabetic(base)).ok_or_else(wrong)?;
    let mut language = base.to_ascii_lowercase();
    let mut next = parts.next();
    if let Some(script) = next.filter(|part| part.len() == 4 && alphabetic(part)) {
        language.push('_');
        let mut letters = script.chars();
        language.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        language.extend(letters.map(|letter| letter.to_ascii_lowercase()));
        next = parts.next();
    }
    if let Some(region) = next {
        let number = region.len() == 3 && region.chars().all(|c| c.is_ascii_digit());
        let letters = region.len() == 2 && alphabetic(region);
        if !number && !letters {
            return Err(wrong());
        }
        language.push('_');
        language.push_str(&region.to_ascii_uppercase());
    }
    if parts.next().is_some() { Err(wrong()) } else { Ok(language) }
}

/// The language that is sent, of those that a template has: the one that was asked for; else its base, `en` for `en_US`; else the
/// tenant's default; else the only one that there is.
pub fn choose<'a>(has: &'a [String], asked: Option<&str>, default: Option<&str>) -> Option<&'a String> {
    let base = asked.and_then(|asked| asked.split('_').next());
    let wanted = [asked, base, default].into_iter().flatten();
    let found = wanted.filter_map(|wanted| has.iter().find(|language| *language == wanted)).next();
    found.or(match has {
        [only] => Some(only),
        _ => None,
    })
}

/// A sentence for whoever asked for a template in a language that it does not have, and where none is clearly meant.
pub fn no_such(name: &str, asked: Option<&str>, has: &[String]) -> String {
    let name = said_back(name);
    if has.is_empty() {
        return format!("there is no template {name}");
    }
    let named: Vec<&str> = has.iter().take(NAMED_LANGUAGES_MAX).map(String::as_str).collect();
    let named = named.join(", ");
    match asked {
        Some(asked) => format!("template {name} has no language {}; it has {named}", said_back(asked)),
        None => format!("template {name} has several languages, and none was asked for; it has {named}"),
    }
}

/// What is wrong with `given` parameters that a template does not take, if there are any. What is missing is another matter.
pub fn surplus(takes: &[String], given: &[(String, String)]) -> Option<String> {
    let unknown: Vec<String> = given
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !takes.contains(name))
        .map(|name| format!("{:?}", said_back(name)))
        .collect();
    let (named, is) = match unknown.len() {
        0 => return None,
        1 => (unknown.concat(), "is no parameter"),
        _ => (unknown.join(", "), "are no parameters"),
    };
    Some(match takes {
        [] => format!("{named} {is} of the template: it has none"),
        takes => format!("{named} {is} of the template: it has {}", takes.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_language_has_one_spelling() {
        for (given, kept) in
            [("en", "en"), ("EN-us", "en_US"), ("pt_br", "pt_BR"), ("zh-hant-tw", "zh_Hant_TW"), ("es_419", "es_419")]
        {
            assert_eq!(language(given).as_deref(), Ok(kept));
        }
        for given in ["", "e", "english", "en_", "en_USA", "en_US_x", "e1", "en US", "zh_Hant_TW_x"] {
            assert_eq!(language(given), Err(TemplateNameError::Language(given.to_owned())));
        }
    }

    #[test]
    fn a_name_is_plain() {
        for name in ["a", "order_update_2", &"x".repeat(NAME_CHARS_MAX)] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "Order", "two words", "ü", &"x".repeat(NAME_CHARS_MAX + 1)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_language_asked_for_comes_before_its_base_the_default_and_the_only_one() {
        let has = languages(&["de", "en", "en_US", "fr"]);
        let chosen = |asked, default| choose(&has, asked, default).map(String::as_str);
        assert_eq!(chosen(Some("en_US"), Some("de")), Some("en_US"));
        assert_eq!(chosen(Some("en_GB"), Some("de")), Some("en"));
        assert_eq!(chosen(Some("pt_BR"), Some("de")), Some("de"));
        assert_eq!(chosen(None, Some("fr")), Some("fr"));
        assert_eq!(chosen(Some("pt_BR"), Some("it")), None);
        assert_eq!(chosen(None, None), None);
        assert_eq!(choose(&languages(&["fr"]), Some("en"), None).map(String::as_str), Some("fr"));
        assert_eq!(choose(&[], Some("en"), Some("en")), None);
    }

    #[test]
    fn parameters_that_a_template_does_not_take_are_named_with_those_that_it_takes() {
        let given = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect::<Vec<_>>();
        let takes = languages(&["name", "order"]);
        assert_eq!(surplus(&takes, &given(&["order", "name"])), None);
        assert_eq!(surplus(&takes, &given(&[])), None, "what is missing is told by whoever renders");
        let told = surplus(&takes, &given(&["name", "nmae"])).unwrap();
        assert_eq!(told, "\"nmae\" is no parameter of the template: it has name, order");
        assert_eq!(
            surplus(&[], &given(&["1", "2"])).unwrap(),
            "\"1\", \"2\" are no parameters of the template: it has none"
        );
    }

    #[test]
    fn what_is_missing_is_told_with_what_there_is() {
        assert_eq!(no_such("welcome", None, &[]), "there is no template welcome");
        let has = languages(&["de", "fr"]);
        assert_eq!(no_such("welcome", Some("en"), &has), "template welcome has no language en; it has de, fr");
        assert!(no_such("welcome", None, &has).ends_with("several languages, and none was asked for; it has de, fr"));
    }
}

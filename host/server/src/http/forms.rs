//! Forms of `multipart/form-data`: their files go to the blob store while they arrive, their other fields are few and small.

use hyper::body::Incoming;
use multer::Field;

use switchboard_core::rules::said_back::said_back;
use switchboard_runtime::types::{FileRule, FormRule, Refusal};

use super::bodies::{ComingFile, FileTaker, Taken};
use super::upload::{Form, FormFault, Upload};
use crate::media::Said;

/// Fields of a form that are no files.
const FIELDS_MAX: usize = 1000;

impl From<FormFault> for Refusal {
    fn from(fault: FormFault) -> Self {
        match fault {
            FormFault::Upload(fault) => Self::Malformed(fault.to_string()),
            FormFault::TooLarge(limit) => Self::BodyTooLarge(u32::try_from(limit).unwrap_or(u32::MAX)),
            FormFault::Malformed(why) => Self::MalformedForm(why),
        }
    }
}

/// The rule for the files of a field: the first that names it.
fn rule_of<'r>(form: &'r FormRule, field: &str) -> Option<&'r FileRule> {
    form.files.iter().find(|rule| rule.field == "*" || rule.field == field)
}

/// A file came in a field that takes none: the fields that take some are named.
fn unexpected_file(name: &str, form: &FormRule) -> String {
    let taken: Vec<&str> = form.files.iter().map(|rule| rule.field.as_str()).collect();
    match taken.as_slice() {
        [] => format!("no file is expected in the field {:?}, nor in any other", said_back(name)),
        taken => format!("no file is expected in the field {:?}; files come in: {}", said_back(name), taken.join(", ")),
    }
}

/// Most bytes of all the files of a form together.
fn files_bytes_max(form: &FormRule) -> u64 {
    form.files.iter().fold(0, |sum, rule| sum.saturating_add(rule.bytes_max.saturating_mul(u64::from(rule.count_max))))
}

impl FileTaker<'_> {
    /// Takes the fields and the files of a form.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn multipart(&mut self, body: Incoming, content_type: &str, rule: &FormRule) -> Result<Taken, Refusal> {
        let bytes_max = files_bytes_max(rule).saturating_add(u64::from(rule.fields_bytes_max));
        let mut form = Form::of(Upload::of(body), content_type, bytes_max)?;
        let mut fields = Fields { rule, read: Vec::new(), bytes: 0 };
        loop {
            let mut part = match form.next_part().await {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(Taken::form(fields.read)),
                Err(fault) => return Err(fault.into()),
            };
            self.part(&form, &mut part, &mut fields).await?;
        }
    }

    async fn part(&mut self, form: &Form, part: &mut Field<'static>, fields: &mut Fields<'_>) -> Result<(), Refusal> {
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(Refusal::MalformedForm("a part has no name".to_owned()));
        };
        let rule = rule_of(fields.rule, &name);
        let file_name = part.file_name().map(str::to_owned);
        let mime = part.content_type().map(ToString::to_string);
        // Some clients give a file a type and no name.
        let is_file =
            file_name.is_some() || (rule.is_some() && mime.as_ref().is_some_and(|mime| !mime.starts_with("text/plain")));
        if !is_file {
            return fields.take(form, part, name).await;
        }
        let Some(rule) = rule else {
            return Err(Refusal::MalformedForm(unexpected_file(&name, fields.rule)));
        };
        // What a browser sends for a file that nobody chose.
        let unchosen = file_name.as_deref() == Some("");
        let first = form.next_bytes(part).await?;
        if unchosen && first.is_none() {
            return Ok(());
        }
        let said = Said { mime, file_name: file_name.filter(|name| !name.is_empty()) };
        let mut file: ComingFile<'_> = self.begin(rule, name, said).await?;
        let mut next = first;
        while let Some(bytes) = next {
            self.add(&mut file, &bytes).await?;
            next = form.next_bytes(part).await?;
        }
        self.end(file).await.map(|_| ())
    }
}

/// The fields of a form that are no files.
struct Fields<'r> {
    rule: &'r FormRule,
    read: Vec<(String, String)>,
    bytes: usize,
}

impl Fields<'_> {
    async fn take(&mut self, form: &Form, part: &mut Field<'static>, name: String) -> Result<(), Refusal> {
        let limit = self.rule.fields_bytes_max;
        let mut value = Vec::new();
        self.count(name.len())?;
        if self.read.len() >= FIELDS_MAX {
            return Err(Refusal::MalformedForm(format!(
                "more than {FIELDS_MAX} fields; the limit is {limit} bytes together"
            )));
        }
        while let Some(bytes) = form.next_bytes(part).await? {
            self.count(bytes.len())?;
            value.extend_from_slice(&bytes);
        }
        let value = String::from_utf8(value);
        let value = value.map_err(|_| Refusal::MalformedForm(format!("the field {:?} is no UTF-8", said_back(&name))))?;
        self.read.push((name, value));
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > usize::try_from(self.rule.fields_bytes_max).unwrap_or(usize::MAX) {
            return Err(Refusal::BodyTooLarge(self.rule.fields_bytes_max));
        }
        Ok(())
    }
}

//! What comes with a request to a plugin: a body that is passed on, or files and fields, taken as the route's rule says.
//!
//! Files go to the blob store while they arrive. When one of them will not do, nothing of the request is kept; the rest of the
//! body is read and thrown away, so that a client which writes all before it reads sees why.

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use sha2::{Digest, Sha256};

use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::records::blob::{Blob, BlobFacts, BlobKind};
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::said_back::said_back;
use switchboard_runtime::types::{BodyRule, FileKind, FileRefusal, FileRule, FileWhy, FormRule, ReceivedFile, Refusal};

use super::extract::{Extractor, NotBase64, Piece};
use super::front_door::FrontDoor;
use super::input::{self, BodyError};
use super::places::{Place, Places};
use super::upload::Upload;
use crate::blobs;
use crate::media::{MediaRoom, Said};

/// Bodies with files that one tenant may be sending at once.
const PLACES_MAX: usize = 4;
/// When to try again where there are too many, seconds.
const RETRY_AFTER_SECONDS: u32 = 1;
/// Files in one JSON body.
const JSON_FILES_MAX: u32 = 10;
/// Most bytes of JSON that are left once its files are out of it.
const JSON_LEFT_MAX: usize = 1024 * 1024;
/// What is said of a file of which nothing is said.
const UNTOLD: &str = "application/octet-stream";

/// How many bodies with files each tenant is sending.
pub(crate) type FilePlaces = Places<PLACES_MAX>;

/// What came with a request.
#[derive(Default)]
pub(super) struct Taken {
    /// What is passed on as it is.
    pub(super) body: Bytes,
    /// The fields of a form.
    pub(super) form: Vec<(String, String)>,
    /// The files, which are kept.
    pub(super) files: Vec<ReceivedFile>,
    /// The same files as they are kept.
    blobs: Vec<Blob>,
    /// What tells the body from another one, where handles are drawn anew each time.
    digest: Option<[u8; 32]>,
}

impl Taken {
    fn of(body: Bytes) -> Self {
        Self { body, ..Self::default() }
    }

    /// A form with these fields.
    pub(super) fn form(fields: Vec<(String, String)>) -> Self {
        Self { form: fields, ..Self::default() }
    }

    /// What makes this the same request as another one: the bytes that were passed on, or what is in the form.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        let mut parts: Vec<&[u8]> = vec![self.digest.as_ref().map_or(&self.body, |digest| digest.as_slice())];
        parts.extend(self.form.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
        for file in &self.files {
            parts.extend([file.field.as_bytes(), file.file_name.as_deref().unwrap_or_default().as_bytes()]);
            parts.push(file.sha256.as_bytes());
        }
        parts
    }
}

/// Takes the files of one request.
pub(super) struct FileTaker<'a> {
    room: &'a MediaRoom,
    places: &'a FilePlaces,
    tenant: Option<TenantId>,
    place: Option<Place>,
    files: Vec<ReceivedFile>,
    blobs: Vec<Blob>,
}

/// A file that is coming.
pub(super) struct ComingFile<'a> {
    rule: &'a FileRule,
    field: String,
    said: Said,
    incoming: blobs::Incoming,
}

impl ComingFile<'_> {
    fn refused(&self, why: FileWhy) -> Refusal {
        let (field, file_name) = (self.field.clone(), self.said.file_name.clone());
        Refusal::FileRefused(FileRefusal { field, file_name, why, bytes_max: self.rule.bytes_max })
    }

    /// Nothing has come of it.
    pub(super) fn is_empty(&self) -> bool {
        self.incoming.bytes() == 0
    }
}

impl FileTaker<'_> {
    /// A file begins in `field`.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn begin<'r>(
        &mut self,
        rule: &'r FileRule,
        field: String,
        said: Said,
    ) -> Result<ComingFile<'r>, Refusal> {
        // Routes of nobody take no files.
        let tenant = self.tenant.ok_or_else(|| Refusal::Internal("nobody could keep a file".to_owned()))?;
        let mime = said.mime.as_deref().and_then(essence).unwrap_or_default();
        let refused = |why| {
            let (field, file_name) = (field.clone(), said.file_name.clone());
            Refusal::FileRefused(FileRefusal { field, file_name, why, bytes_max: rule.bytes_max })
        };
        if !said_fits(rule.kind, &mime) {
            return Err(refused(FileWhy::WrongKind));
        }
        let is_one = |file: &&ReceivedFile| rule.field == "*" || file.field == rule.field;
        if self.files.iter().filter(is_one).count() >= usize::try_from(rule.count_max).unwrap_or(usize::MAX) {
            return Err(Refusal::TooManyFiles(rule.clone()));
        }
        if self.place.is_none() {
            let place = self.places.take(tenant);
            self.place = Some(place.ok_or(Refusal::TooManyRequests(RETRY_AFTER_SECONDS))?);
        }
        let incoming = self.room.begin_upload(rule.bytes_max).await.map_err(|error| host_refusal(&error))?;
        Ok(ComingFile { rule, field, said, incoming })
    }

    /// More of a file comes.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn add(&self, file: &mut ComingFile<'_>, bytes: &[u8]) -> Result<(), Refusal> {
        match self.room.add_upload(&mut file.incoming, bytes).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(file.refused(FileWhy::TooLarge)),
            Err(error) => Err(host_refusal(&error)),
        }
    }

    /// A file is whole; the handle under which it is kept.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn end(&mut self, file: ComingFile<'_>) -> Result<String, Refusal> {
        let tenant = self.tenant.ok_or_else(|| Refusal::Internal("nobody could keep a file".to_owned()))?;
        if file.is_empty() {
            return Err(file.refused(FileWhy::Empty));
        }
        let (wrong_kind, no_room) = (file.refused(FileWhy::WrongKind), file.refused(FileWhy::NoRoom));
        let ComingFile { rule, field, said, incoming } = file;
        let fits = |facts: &BlobFacts| rule.kind == FileKind::Any || kind_of(facts.kind) == rule.kind;
        let blob = match self.room.take_upload(tenant, incoming, &said, fits).await {
            Ok(Some(blob)) => blob,
            Ok(None) | Err(MediaRefusal::Unsupported(_)) => return Err(wrong_kind),
            Err(MediaRefusal::Full(_)) => return Err(no_room),
            Err(error) => return Err(host_refusal(&error)),
        };
        let handle = blob.id.to_string();
        self.files.push(ReceivedFile {
            field,
            blob: handle.clone(),
            file_name: blob.file_name.clone(),
            mime: blob.facts.mime.clone(),
            kind: kind_of(blob.facts.kind),
            bytes: blob.bytes,
            sha256: blob.sha256.clone(),
        });
        self.blobs.push(blob);
        Ok(handle)
    }
}

/// The host cannot take the file.
fn host_refusal(error: &MediaRefusal) -> Refusal {
    Refusal::Internal(error.to_string())
}

fn kind_of(kind: BlobKind) -> FileKind {
    match kind {
        BlobKind::Image => FileKind::Image,
        BlobKind::Video => FileKind::Video,
        BlobKind::Audio => FileKind::Audio,
        BlobKind::Document => FileKind::Any,
    }
}

/// Whether a file of which `mime` is said can be of this kind. Who says nothing of it is asked nothing.
fn said_fits(kind: FileKind, mime: &str) -> bool {
    let begins = |with: &str| mime.is_empty() || mime == UNTOLD || mime.starts_with(with);
    match kind {
        FileKind::Any => true,
        FileKind::Image => begins("image/"),
        FileKind::Video => begins("video/"),
        FileKind::Audio => begins("audio/") || mime == "application/ogg",
    }
}

/// A content type without its parameters, lower case.
fn essence(content_type: &str) -> Option<String> {
    let essence = content_type.split(';').next()?.trim().to_ascii_lowercase();
    (!essence.is_empty()).then_some(essence)
}

/// What kind of body a content type announces.
enum Announced {
    Json,
    Multipart,
    Urlencoded,
    Other,
}

fn announced(essence: Option<&str>) -> Announced {
    match essence {
        None | Some("application/json") => Announced::Json,
        Some("multipart/form-data") => Announced::Multipart,
        Some("application/x-www-form-urlencoded") => Announced::Urlencoded,
        Some(other) if other.ends_with("+json") => Announced::Json,
        Some(_) => Announced::Other,
    }
}

impl FrontDoor {
    /// Takes the body of a request as `rule` says.
    ///
    /// # Errors
    /// The refusal; nothing of the request is kept then.
    pub(super) async fn take_body(
        &self,
        body: Incoming,
        headers: &HeaderMap,
        rule: &BodyRule,
        tenant: Option<TenantId>,
    ) -> Result<Taken, Refusal> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = essence(content_type);
        let mut taker = FileTaker {
            room: &self.media,
            places: &self.file_places,
            tenant,
            place: None,
            files: Vec::new(),
            blobs: Vec::new(),
        };
        let taken = match (announced(essence.as_deref()), rule) {
            (Announced::Multipart, BodyRule { form: Some(form), .. }) => taker.multipart(body, content_type, form).await,
            (Announced::Urlencoded, BodyRule { form: Some(form), .. }) => urlencoded(body, form).await,
            (_, BodyRule { form_only: true, .. }) => {
                let given = essence.map_or_else(|| "none".to_owned(), |essence| said_back(&essence));
                Err(Refusal::UnsupportedContentType(given))
            }
            (Announced::Json, _) if !rule.base64_keys.is_empty() => taker.json(body, rule).await,
            (Announced::Other, BodyRule { raw: Some(file), .. }) => taker.raw(body, content_type, file).await,
            _ => plain(body, rule.json_bytes_max).await,
        };
        let FileTaker { files, blobs, .. } = taker;
        match (taken, tenant) {
            (Ok(taken), _) => Ok(Taken { files, blobs, ..taken }),
            (Err(refusal), Some(tenant)) => {
                self.drop_files(tenant, &blobs).await;
                Err(refusal)
            }
            (Err(refusal), None) => Err(refusal),
        }
    }

    /// Forgets the files of a request that came to nothing, but what a message refers to.
    pub(super) async fn forget(&self, taken: &Taken, tenant: Option<TenantId>) {
        if let Some(tenant) = tenant {
            self.drop_files(tenant, &taken.blobs).await;
        }
    }

    async fn drop_files(&self, tenant: TenantId, blobs: &[Blob]) {
        for blob in blobs {
            self.media.drop_upload(tenant, blob).await;
        }
    }
}

/// A body that is passed on as it is.
async fn plain(body: Incoming, bytes_max: u32) -> Result<Taken, Refusal> {
    let taken = input::body(body, usize::try_from(bytes_max).unwrap_or(usize::MAX)).await;
    taken.map(Taken::of).map_err(|error| match error {
        BodyError::TooLarge => Refusal::BodyTooLarge(bytes_max),
        BodyError::Broken(why) => Refusal::Malformed(why),
    })
}

/// A form without files.
async fn urlencoded(body: Incoming, rule: &FormRule) -> Result<Taken, Refusal> {
    let body = plain(body, rule.fields_bytes_max).await?.body;
    Ok(Taken::form(form_urlencoded::parse(&body).into_owned().collect()))
}

impl FileTaker<'_> {
    /// A body that is one file.
    async fn raw(&mut self, body: Incoming, content_type: &str, rule: &FileRule) -> Result<Taken, Refusal> {
        let mut upload = Upload::of(body);
        if content_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
            return Err(Refusal::UnsupportedContentType(said_back(content_type)));
        }
        let said = Said { mime: Some(content_type.to_owned()), file_name: None };
        let mut file = self.begin(rule, String::new(), said).await?;
        while let Some(bytes) = upload.next().await.map_err(|fault| Refusal::Malformed(fault.to_string()))? {
            self.add(&mut file, &bytes).await?;
        }
        self.end(file).await?;
        Ok(Taken::default())
    }

    /// JSON with files in it.
    async fn json(&mut self, body: Incoming, rule: &BodyRule) -> Result<Taken, Refusal> {
        let mut upload = Upload::of(body);
        let in_json = FileRule {
            field: "*".to_owned(),
            count_max: JSON_FILES_MAX,
            bytes_max: u64::from(rule.json_bytes_max),
            kind: FileKind::Any,
        };
        let too_large = || Refusal::BodyTooLarge(rule.json_bytes_max);
        if upload.announced() > u64::from(rule.json_bytes_max) {
            return Err(too_large());
        }
        let mut extractor = Extractor::new(&rule.base64_keys);
        let (mut left, mut digest, mut read) = (Vec::new(), Sha256::new(), 0_u64);
        let mut coming: Option<ComingFile<'_>> = None;
        while let Some(bytes) = upload.next().await.map_err(|fault| Refusal::Malformed(fault.to_string()))? {
            read = read.saturating_add(bytes.len() as u64);
            if read > u64::from(rule.json_bytes_max) {
                return Err(too_large());
            }
            let pieces = extractor.feed(&bytes).map_err(|NotBase64 { path }| {
                let why = FileWhy::NotBase64;
                Refusal::FileRefused(FileRefusal { field: path, file_name: None, why, bytes_max: in_json.bytes_max })
            })?;
            for piece in pieces {
                match (piece, &mut coming) {
                    (Piece::Json(text), _) => {
                        digest.update(&text);
                        left.extend(text);
                    }
                    (Piece::Begin(path), coming) => *coming = Some(self.begin(&in_json, path, Said::default()).await?),
                    (Piece::Bytes(bytes), Some(file)) => self.add(file, &bytes).await?,
                    (Piece::End(mime), coming) => {
                        if let Some(mut file) = coming.take() {
                            file.said.mime = mime;
                            left.extend(self.end(file).await?.into_bytes());
                            digest.update(self.files.last().map(|file| file.sha256.as_str()).unwrap_or_default());
                        }
                    }
                    (Piece::Bytes(_), None) => {}
                }
                if left.len() > JSON_LEFT_MAX {
                    return Err(Refusal::BodyTooLarge(u32::try_from(JSON_LEFT_MAX).unwrap_or(u32::MAX)));
                }
            }
        }
        Ok(Taken { body: left.into(), digest: Some(digest.finalize().into()), ..Taken::default() })
    }
}

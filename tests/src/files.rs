//! Files as people send them, and a server that has them.

use std::net::SocketAddr;

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Most bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 8192;

/// A picture of 300 × 150 pixels.
pub fn picture() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 300, 150);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[120; 300 * 150 * 3]).unwrap();
    drop(writer);
    bytes
}

/// An MP4 box.
fn a_box(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&u32::try_from(content.len() + 8).unwrap().to_be_bytes()[..], kind, &content].concat()
}

/// A film of 9 seconds, 640 × 360, without any frame.
pub fn film() -> Vec<u8> {
    let size = [&640_u16.to_be_bytes()[..], &[0, 0], &360_u16.to_be_bytes(), &[0, 0]].concat();
    let matrix = [&[0, 1, 0, 0][..], &[0; 12], &[0, 1, 0, 0], &[0; 16]].concat();
    let header = a_box(b"tkhd", &[&[0; 40], &matrix, &size]);
    let handler = a_box(b"hdlr", &[&[0; 8], b"vide", &[0; 12]]);
    let track = a_box(b"trak", &[&header, &a_box(b"mdia", &[&handler])]);
    let movie = a_box(b"mvhd", &[&[0; 12], &1000_u32.to_be_bytes(), &9000_u32.to_be_bytes()]);
    [a_box(b"ftyp", &[b"isom", &[0; 4]]), a_box(b"moov", &[&movie, &track])].concat()
}

/// An Opus recording of 2 seconds in Ogg.
pub fn voice() -> Vec<u8> {
    let page = |position: u64, packet: &[u8]| {
        let head = [&b"OggS\0\0"[..], &position.to_le_bytes(), &[7, 0, 0, 0], &[0; 8], &[1]].concat();
        [&head[..], &[u8::try_from(packet.len()).unwrap()], packet].concat()
    };
    let head = [&b"OpusHead\x01\x01\x38\x01"[..], &48_000_u32.to_le_bytes(), &[0, 0, 0]].concat();
    let mut file = [page(0, &head), page(0, b"OpusTags\0\0\0\0\0\0\0\0")].concat();
    for n in 1..=100_u64 {
        file.extend(page(312 + n * 960, &vec![0; if n < 50 { 20 } else { 120 }]));
    }
    file
}

/// What any decoder reads in a PNG data URL.
pub fn decoded(data_url: &str) -> String {
    let base64 = data_url.strip_prefix("data:image/png;base64,").unwrap();
    let png = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (frame.width as usize, frame.height as usize);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    image.detect_grids()[0].decode().unwrap().1
}

/// The smallest sticker: a WebP picture of one pixel.
pub fn sticker() -> Vec<u8> {
    let bits = [0x2f, 0, 0, 0, 0x10, 0x07, 0x10, 0x11, 0x11, 0x88, 0x88, 0xfe, 0x07, 0];
    [&b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0"[..], &bits].concat()
}

/// The smallest document that is one.
pub fn pdf() -> Vec<u8> {
    b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n".to_vec()
}

/// A web server with `photo.png`, `film.mp4`, `sticker.webp`, `sound.ogg`, `invoice.pdf`, `page.html` and the empty `empty.bin`. It goes away
/// when it is dropped.
pub struct FileServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl FileServer {
    /// Where a file is.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/files/{name}", self.address)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the server.
pub async fn serve() -> FileServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    FileServer { address, task }
}

async fn answer(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let name = head.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let (mime, body) = match name {
        "photo.png" => ("image/png", picture()),
        "film.mp4" => ("video/mp4", film()),
        "sound.ogg" => ("audio/ogg", voice()),
        "invoice.pdf" => ("application/pdf", pdf()),
        "sticker.webp" => ("image/webp", sticker()),
        "page.html" => ("text/html", b"<!doctype html><html><body>Not here</body></html>".to_vec()),
        "empty.bin" => ("application/octet-stream", Vec::new()),
        _ => {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            return;
        }
    };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {mime}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // A client that goes away early wants no more.
    let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
}

//! `tcp://HOST:PORT/NAME`, a server like the tutorial's: it is sent the bare name and nothing else, and answers with the
//! bytes and the end of the connection, or with [`NO_FILE`].

use super::net;
use super::source::{About, Ask, Body, Opened, Source};
use crate::hub::orders::Failed;
use crate::limits;
use bytes::{Bytes, BytesMut};
use netkit_proto::files::plain::NO_FILE;
use netkit_proto::rpc::code::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// See the module.
#[derive(Debug)]
pub(super) struct Plain {
    pub host: String,
    pub port: u16,
    pub name: String,
}

impl Source for Plain {
    type Body = PlainBody;

    async fn open(&self, _: Ask) -> Result<Opened<PlainBody>, Failed> {
        let mut stream = net::connect(&self.host, self.port).await?;
        let sent = stream.write_all(self.name.as_bytes()).await;
        sent.map_err(|error| net::broken(&error, &self.host))?;
        let body = PlainBody { stream, buffer: BytesMut::new(), begun: false, host: self.host.clone() };
        let about = About { size: None, validator: None, gives_parts: false };
        Ok(Opened { about, is_part: false, end: None, body })
    }
}

/// See [`Body`].
#[derive(Debug)]
pub(super) struct PlainBody {
    stream: TcpStream,
    buffer: BytesMut,
    /// More came than the answer for a file that is not there.
    begun: bool,
    host: String,
}

impl Body for PlainBody {
    async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        loop {
            self.buffer.reserve(limits::FETCH_PIECE);
            let read = self.stream.read_buf(&mut self.buffer).await;
            let ended = read.map_err(|error| net::broken(&error, &self.host))? == 0;
            if !self.begun {
                if ended && self.buffer == NO_FILE {
                    return Err(Failed::new(
                        Kind::NotFound,
                        "the server answers no_file: it has no such file",
                    )
                    .hint(
                        "a file whose content is exactly no_file can't be told from that; check the name",
                    ));
                }
                if !ended && self.buffer.len() <= NO_FILE.len() {
                    continue;
                }
                self.begun = true;
            }
            let piece = self.buffer.split().freeze();
            return Ok(if piece.is_empty() { None } else { Some(piece) });
        }
    }
}

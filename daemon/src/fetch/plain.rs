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
        let buffers = std::array::from_fn(|_| BytesMut::new());
        let body = PlainBody { stream, buffers, turn: 0, begun: false, host: self.host.clone() };
        let about = About { size: None, validator: None, gives_parts: false };
        Ok(Opened { about, is_part: false, end: None, body })
    }
}

/// See [`Body`].
#[derive(Debug)]
pub(super) struct PlainBody {
    stream: TcpStream,
    /// They take turns: when one's comes again, the writer is done with what it had, and its memory is filled anew.
    /// Fresh memory would cost as much as the copy: the kernel clears each page first.
    buffers: [BytesMut; limits::FETCH_PIECES + 2],
    turn: usize,
    /// More came than the answer for a file that is not there.
    begun: bool,
    host: String,
}

impl Body for PlainBody {
    async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        let buffer = &mut self.buffers[self.turn];
        loop {
            buffer.reserve(limits::FETCH_PIECE);
            let read = self.stream.read_buf(buffer).await;
            let ended = read.map_err(|error| net::broken(&error, &self.host))? == 0;
            if !self.begun {
                if ended && *buffer == NO_FILE {
                    return Err(Failed::new(
                        Kind::NotFound,
                        "the server answers no_file: it has no such file",
                    )
                    .hint(
                        "a file whose content is exactly no_file can't be told from that; check the name",
                    ));
                }
                if !ended && buffer.len() <= NO_FILE.len() {
                    continue;
                }
                self.begun = true;
            }
            let piece = buffer.split().freeze();
            self.turn = (self.turn + 1) % self.buffers.len();
            return Ok(if piece.is_empty() { None } else { Some(piece) });
        }
    }
}

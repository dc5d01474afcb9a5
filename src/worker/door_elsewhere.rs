//! How a worker comes to its sockets elsewhere than on Linux: nothing keeps it from connecting them itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Blocking;
use std::sync::Arc;

use consilium_engine::store::{Dial, Direct, StoreConfig};
use tokio::net::UnixStream;

pub(super) async fn open(_: &UnixStream, _: Option<&StoreConfig>) -> io::Result<()> {
    Ok(())
}

pub(super) fn receive(_: &Blocking) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}

pub(super) fn dial(_: Option<OwnedFd>, store: Option<&StoreConfig>) -> Option<Arc<dyn Dial>> {
    let url = store?.place.database()?.url.clone();
    Some(Arc::new(Direct(url)))
}

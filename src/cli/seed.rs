use super::{Common, Failure};
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct Arguments {}
pub(super) async fn run(_: &Common, _: Arguments) -> Result<(), Failure> {
    Ok(())
}

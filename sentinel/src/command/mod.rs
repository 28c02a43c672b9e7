//! What can be asked of sentinel on the command line.

pub mod check;
pub mod healthcheck;
pub mod replay;
pub mod run;

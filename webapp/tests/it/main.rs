//! Real processes, real sockets: what crosses a boundary is tested at that boundary.

mod http;
mod sandbox;

mod alerts;
mod alerts_stream;
mod bodies;
mod conformance;
mod endpoints;
mod failing;
mod guards;
mod life;
mod listen;
mod openapi;
mod records;
mod settings;

//! The command line and the environment as written: text, and nothing is checked yet.

use clap::{Parser, Subcommand};

/// A security-aware web application.
///
/// Every flag has an environment variable; an empty one counts as unset.
#[derive(Debug, Clone, Parser)]
#[command(name = "webapp", version)]
pub struct Written {
    /// What to do; serve when absent
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, env = "HOST", value_name = "ADDRESS", global = true)]
    pub host: Option<String>,
    /// Port to listen on, 0 for any free one [default: 5000]
    #[arg(long, env = "PORT", value_name = "N", global = true)]
    pub port: Option<String>,
    /// A unix socket to listen on instead; who may open it counts as a proxy of yours
    #[arg(long, env = "LISTEN_SOCKET", value_name = "PATH", global = true)]
    pub listen_socket: Option<String>,

    /// Directory of requests.log, errors.log and suspicious.log, created if missing [default: logs]
    #[arg(long, env = "LOG_DIR", value_name = "DIR")]
    pub log_dir: Option<String>,
    /// Bytes at which a log file is rotated; five old ones are kept [default: 67108864]
    #[arg(long, env = "LOG_MAX_BYTES", value_name = "N")]
    pub log_max_bytes: Option<String>,
    /// Name of this process in its records, where several share a directory
    #[arg(long, env = "SERVICE_INSTANCE", value_name = "NAME")]
    pub service_instance: Option<String>,

    /// sentinel's unix socket [default: LOG_DIR/.sentinel/sentinel.sock]
    #[arg(long, env = "SENTINEL_SOCKET", value_name = "PATH")]
    pub sentinel_socket: Option<String>,
    /// File with the bearer token that /alerts and /alerts/stream then want
    #[arg(long, env = "ALERTS_TOKEN_FILE", value_name = "PATH")]
    pub alerts_token_file: Option<String>,

    /// Networks of your own proxies, by commas: 10.0.0.0/8,::1
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "LIST")]
    pub trusted_proxies: Option<String>,
    /// The header in which a trusted proxy names the client [default: X-Forwarded-For]
    #[arg(long, env = "CLIENT_IP_HEADER", value_name = "NAME")]
    pub client_ip_header: Option<String>,
    /// What browsers call this server: `https://app.example`
    #[arg(long, env = "PUBLIC_ORIGIN", value_name = "ORIGIN")]
    pub public_origin: Option<String>,

    /// Requests that a client may make in a window [default: 30]
    #[arg(long, env = "RATE_LIMIT_REQUESTS", value_name = "N")]
    pub rate_limit_requests: Option<String>,
    /// Seconds that the window is long [default: 60]
    #[arg(long, env = "RATE_LIMIT_WINDOW_SECONDS", value_name = "N")]
    pub rate_limit_window_seconds: Option<String>,
    /// Seconds of a client's first block; doubles each time [default: 30]
    #[arg(long, env = "RATE_LIMIT_BASE_BLOCK_SECONDS", value_name = "N")]
    pub rate_limit_base_block_seconds: Option<String>,
    /// Seconds of the longest block [default: 300]
    #[arg(long, env = "RATE_LIMIT_MAX_BLOCK_SECONDS", value_name = "N")]
    pub rate_limit_max_block_seconds: Option<String>,
    /// Bits of an IPv6 address that make a client, 48 to 64 [default: 64]
    #[arg(long, env = "RATE_LIMIT_IPV6_PREFIX", value_name = "N")]
    pub rate_limit_ipv6_prefix: Option<String>,
    /// Routes without a limit, by commas, or "none" [default: /health]
    #[arg(long, env = "RATE_LIMIT_EXEMPT", value_name = "LIST")]
    pub rate_limit_exempt: Option<String>,
    /// Bytes for all clients' windows [default: 50331648]
    #[arg(long, env = "RATE_LIMIT_MEMORY_BYTES", value_name = "N")]
    pub rate_limit_memory_bytes: Option<String>,

    /// Origins that may read answers, by commas, or "*" [default: none]
    #[arg(long, env = "ALLOWED_CORS_ORIGINS", value_name = "LIST")]
    pub allowed_cors_origins: Option<String>,
    /// Whether allowed origins may send cookies [default: 0]
    #[arg(long, env = "CORS_ALLOW_CREDENTIALS", value_name = "0|1")]
    pub cors_allow_credentials: Option<String>,

    /// Whether the token's cookie is for https alone [default: 0]
    #[arg(long, env = "CSRF_COOKIE_SECURE", value_name = "0|1")]
    pub csrf_cookie_secure: Option<String>,
    /// Name of the token's cookie [default: csrf_token]
    #[arg(long, env = "CSRF_COOKIE_NAME", value_name = "NAME")]
    pub csrf_cookie_name: Option<String>,
    /// SameSite of the token's cookie: lax, strict or none [default: lax]
    #[arg(long, env = "CSRF_COOKIE_SAMESITE", value_name = "WORD")]
    pub csrf_cookie_samesite: Option<String>,
    /// File with signing keys, one a line, the current first [default: a random key]
    #[arg(long, env = "CSRF_SECRET_FILE", value_name = "PATH")]
    pub csrf_secret_file: Option<String>,
    /// Cookie whose value a token is bound to, where a request carries it [default: session]
    #[arg(long, env = "SESSION_COOKIE_NAME", value_name = "NAME")]
    pub session_cookie_name: Option<String>,

    /// Parameters in a query [default: 20]
    #[arg(long, env = "MAX_QUERY_PARAMS", value_name = "N")]
    pub max_query_params: Option<String>,
    /// Characters in a parameter's name, decoded [default: 64]
    #[arg(long, env = "MAX_QUERY_KEY_LENGTH", value_name = "N")]
    pub max_query_key_length: Option<String>,
    /// Characters in a parameter's value, decoded [default: 512]
    #[arg(long, env = "MAX_QUERY_VALUE_LENGTH", value_name = "N")]
    pub max_query_value_length: Option<String>,
    /// Bytes in a whole query, as sent [default: 16384]
    #[arg(long, env = "QUERY_BYTES_MAX", value_name = "N")]
    pub query_bytes_max: Option<String>,
    /// Bytes in a request's body [default: 1048576]
    #[arg(long, env = "MAX_CONTENT_LENGTH_BYTES", value_name = "N")]
    pub max_content_length_bytes: Option<String>,
    /// Seconds for a body to arrive [default: 10]
    #[arg(long, env = "BODY_TIMEOUT_SECONDS", value_name = "N")]
    pub body_timeout_seconds: Option<String>,

    /// Connections open at one time [default: 4096]
    #[arg(long, env = "MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<String>,
    /// Connections of one client open at one time [default: 64]
    #[arg(long, env = "MAX_CONNECTIONS_PER_CLIENT", value_name = "N")]
    pub max_connections_per_client: Option<String>,
    /// Seconds for a head to arrive, and for an idle connection [default: 10, with proxies or a socket 30]
    #[arg(long, env = "HEAD_TIMEOUT_SECONDS", value_name = "N")]
    pub head_timeout_seconds: Option<String>,
    /// Seconds for a handler to answer [default: 10]
    #[arg(long, env = "HANDLER_TIMEOUT_SECONDS", value_name = "N")]
    pub handler_timeout_seconds: Option<String>,
}

/// What `webapp` does besides serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Ask a running webapp for /health; exit 0 when it is well, else 1
    Healthcheck,
}

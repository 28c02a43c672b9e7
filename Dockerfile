# One build for both programs, one small image for each:
#   docker build .                     webapp
#   docker build --target sentinel .   sentinel
# Builder and runtime share one glibc (Debian 12): never mix the two.

FROM rust:1-slim-bookworm AS build
WORKDIR /src
# Line tables serve a developer's backtrace; here they would only be downloaded.
ENV CARGO_PROFILE_RELEASE_DEBUG=none
COPY . .
# Cargo judges by modification times, which say nothing across checkouts: without the touch a
# cached target directory gives yesterday's program.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=webapp-sentinel-target,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
 && cargo build --release --locked --package webapp --package sentinel \
 && install -D -t /out/bin target/release/webapp target/release/sentinel
# A new named volume takes owner and mode from the directory it is first mounted on, so both images
# carry both. /logs: either may create files (group 10000), neither may replace the other's (sticky).
RUN install -d -o 10001 -g 10000 -m 3770 /out/tree/logs \
 && install -d -o 10002 -g 10000 -m 0750 /out/tree/run/sentinel

FROM gcr.io/distroless/cc-debian12:nonroot AS runtime
COPY --from=build /out/tree /
WORKDIR /

FROM runtime AS sentinel
COPY --from=build /out/bin/sentinel /usr/local/bin/
COPY rules /rules
ENV SENTINEL_RULES=/rules/default.toml SENTINEL_LOG_DIR=/logs SENTINEL_STATE_DIR=/run/sentinel
USER 10002:10000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["sentinel", "healthcheck"]
ENTRYPOINT ["sentinel"]

FROM runtime AS webapp
COPY --from=build /out/bin/webapp /usr/local/bin/
ENV HOST=0.0.0.0 PORT=5000 LOG_DIR=/logs SENTINEL_SOCKET=/run/sentinel/sentinel.sock
USER 10001:10000
EXPOSE 5000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["webapp", "healthcheck"]
ENTRYPOINT ["webapp"]

# Tidelake in a container: one binary, the shipped dataflows, a user without rights.
#
#   docker build -t tidelake .
#   docker run --rm tidelake --help
#   docker run --rm -p 127.0.0.1:4000:4000 -v lake:/data -e KAFKA_BROKERS=… \
#       tidelake run dataflows/web_logs --lake /data/lake --listen 0.0.0.0:4000
#
# The build needs BuildKit, which is Docker's default, for its caches: a second
# build compiles only what changed. docker-compose.yml starts it with a broker.

# --- builder: has the C compiler, make and perl that the bundled libraries ask for --
FROM rust:1.95-bookworm AS builder
WORKDIR /build
# Cargo.toml names the benches, so that it cannot be read without them; the page
# (ui/dist) is built beforehand and embedded, as is the documentation.
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY dataflows dataflows
COPY ui/dist ui/dist
COPY docs/book docs/book
COPY docs/notes docs/notes
COPY docs/theme docs/theme
# The target folder is a cache and no part of the image: the binary must leave it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    CARGO_INCREMENTAL=0 cargo build --release --locked --bin tidelake \
    && strip --strip-unneeded -o /usr/local/bin/tidelake target/release/tidelake

# --- runtime ----------------------------------------------------------------------
FROM debian:bookworm-slim
# Certificates are for brokers and object stores behind TLS; the newest are the right
# ones. A new volume at /data takes over the owner of that folder.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 tidelake \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin tidelake \
    && install --directory --owner=tidelake --group=tidelake /data
COPY --from=builder /usr/local/bin/tidelake /usr/local/bin/tidelake
WORKDIR /opt/tidelake
COPY dataflows dataflows
# Saved queries and the key of sessions lie below it, on the volume.
ENV HOME=/data
USER 10001:10001
EXPOSE 4000
# Healthy once it serves: a start that restores much state may take minutes. TIDELAKE_SERVER names another address than
# http://127.0.0.1:4000, such as one with TLS; containers that do not serve (gen, sql) are started with --no-healthcheck.
HEALTHCHECK --interval=15s --timeout=5s --start-period=5m --retries=3 CMD ["tidelake", "health"]
# A stop commits what was read, which takes at most nine seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidelake"]

# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w ${VERSION:+-X main.version=${VERSION}}" -o /out/tidepost ./cmd/tidepost \
 && mkdir -m 0700 /out/data /out/tmp

# Nothing but the binary, which carries its zone files, and the CA roots.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/tidepost /usr/bin/tidepost
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/tmp /tmp
USER 65532:65532
ENV PATH=/usr/bin \
    TIDEPOST_DATA_DIR=/data \
    TIDEPOST_SMTP_LISTEN='["0.0.0.0:2525"]' \
    TIDEPOST_HTTP_ADMIN=0.0.0.0:8025 \
    TIDEPOST_HTTP_PUBLIC=0.0.0.0:8026 \
    TIDEPOST_ROUTE_MODE=capture
VOLUME /data
EXPOSE 2525 8025 8026
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["tidepost", "healthcheck"]
ENTRYPOINT ["tidepost"]
CMD ["serve"]

package registry

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// NewTransport is the connection pool of one run.
//
// HTTP/2 is off. Its flow control puts all uploads of a host into one
// connection whose window the server sets and the client cannot raise; with
// round trips of tens of milliseconds that holds a push to a few MB/s
// (moby/buildkit#1420, go-containerregistry#799, quay's PROJQUAY-2855).
// BenchmarkHTTP in internal/push/bench compares the two.
//
// Compression is off because layers are compressed already and a manifest's
// bytes are its digest.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   15 * time.Second,
		Protocols:             protocols,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		// Larger than Go's 4 KiB: fewer system calls for the same upload.
		WriteBufferSize: 64 << 10,
	}
}

package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// BenchmarkLargeLayer pushes a layer of 1 GB over an uplink that does not limit
// it; what matters is MB-rss.
func BenchmarkLargeLayer(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "layout")
	digest := makeLargeImage(b, dir, 1_000_000_000)
	ghSbw(b) // built before anything is measured
	for _, peer := range peers[:2] {
		b.Run(peer.name, func(b *testing.B) {
			var runs []run
			for i := range b.N {
				w := newWorld(b) // which has not seen the layer
				w.link.RTT, w.link.Rate = 0, 1e12
				runs = append(runs, peer.do(b, w, dir, digest, fmt.Sprintf("large-%s-%d-%d", peer.name, b.N, i), "v1"))
			}
			r := median(runs)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(r.took.Seconds(), "s")
			b.ReportMetric(float64(r.rss)/1e6, "MB-rss")
		})
	}
}

// makeLargeImage has the program in a layer of its own and a tar of one large
// file of zeros, which needs no room on disk.
func makeLargeImage(b *testing.B, dir string, size int64) string {
	b.Helper()
	var head bytes.Buffer
	tw := tar.NewWriter(&head)
	if err := tw.WriteHeader(&tar.Header{Name: "data/large", Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		b.Fatal(err)
	}
	const block = 512
	total := int64(head.Len()) + (size+block-1)/block*block + 2*block
	path := filepath.Join(b.TempDir(), "large")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	_, err = f.Write(head.Bytes())
	if err = errors.Join(err, f.Truncate(total)); err != nil {
		b.Fatal(err)
	}
	hash := sha256.New()
	_, err = f.Seek(0, io.SeekStart)
	if _, cerr := io.Copy(hash, f); err != nil || cerr != nil {
		b.Fatal(err, cerr)
	}
	h := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.AppendLayers(img, makeLayer(b, 0, 1000, 1), &fileLayer{path: path, size: total, hash: h})
	if err != nil {
		b.Fatal(err)
	}
	return addImage(b, dir, img)
}

// fileLayer is an uncompressed layer on disk.
type fileLayer struct {
	path string
	size int64
	hash v1.Hash
}

func (l *fileLayer) Digest() (v1.Hash, error)             { return l.hash, nil }
func (l *fileLayer) DiffID() (v1.Hash, error)             { return l.hash, nil }
func (l *fileLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l *fileLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }
func (l *fileLayer) Size() (int64, error)                 { return l.size, nil }
func (l *fileLayer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

// BenchmarkStart measures a process that only prints its version, both programs
// in turn.
func BenchmarkStart(b *testing.B) {
	starts := []struct {
		name string
		argv []string
	}{{"crane", []string{require.Tool(b, "crane"), "version"}}, {"sbw", []string{ghSbw(b), "--version"}}}
	w := &world{link: &Link{}, dir: b.TempDir()}
	runs := map[string][]run{}
	for range b.N {
		for _, s := range starts {
			runs[s.name] = append(runs[s.name], w.exec(b, nil, s.argv...))
		}
	}
	c, s := median(runs["crane"]), median(runs["sbw"])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(c.took.Seconds()*1000, "ms-crane")
	b.ReportMetric(s.took.Seconds()*1000, "ms-sbw")
	b.ReportMetric(s.took.Seconds()/c.took.Seconds(), "x-crane")
}

// BenchmarkProtocol shows why uploads use HTTP/1.1: the same push over HTTP/2,
// to a server with the window of the specification (64 KiB, common for load
// balancers) and with Go's of 1 MiB.
func BenchmarkProtocol(b *testing.B) {
	for _, c := range []struct {
		name   string
		h2     bool
		window int
	}{{"http1", false, 0}, {"http2-64KiB", true, 65535}, {"http2-1MiB", true, 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			front := ghcr.New(ghcr.Options{
				Upstream: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithBlobHandler(&forgetful{})),
				Accounts: map[string]ghcr.Account{token: {Login: user, Scopes: []string{"write:packages"}}},
			})
			srv := httptest.NewUnstartedServer(slurp(front))
			srv.EnableHTTP2 = c.h2
			if c.h2 {
				srv.Config.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: c.window, MaxReceiveBufferPerStream: c.window}
			}
			srv.StartTLS()
			defer srv.Close()
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			addr, err := wire(ctx, &Link{RTT: rtt, Rate: rate}, srv.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			var took []run
			for i := range b.N {
				dir := filepath.Join(b.TempDir(), "layout")
				digest := makeImage(b, dir, randomSeeds())
				tr := registry.NewTransport(0)
				tr.DialTLSContext = nil
				tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
				tr.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				tr.Protocols.SetHTTP2(c.h2)
				repo, err := imageref.ParseRepository(fmt.Sprintf("example.com/%s/n%d", user, i))
				if err != nil {
					b.Fatal(err)
				}
				p := push.New(push.Options{Repository: repo, Auth: &authn.Basic{Username: user, Password: token}, Transport: tr})
				start := time.Now()
				if _, err := p.Push(ctx, push.Job{Layout: dir, Digest: digest, Tags: []string{"v1", "latest"}}, nil); err != nil {
					b.Fatal(err)
				}
				took = append(took, run{took: time.Since(start)})
				tr.CloseIdleConnections()
			}
			var bytes float64
			for _, n := range sizes {
				bytes += float64(n)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(took).took.Seconds(), "s")
			b.ReportMetric(median(took).took.Seconds()/(bytes/rate), "x-limit")
		})
	}
}

// slurp reads a body before it is handled: go-containerregistry's registry
// accepts one upload at a time, and over HTTP/2 those that wait would occupy
// the window of the connection.
func slurp(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	})
}

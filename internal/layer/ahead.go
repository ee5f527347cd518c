package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Ahead reads in a goroutine of its own and computes the digest of what it reads, so that a layer is decompressed
// and hashed while its entries are examined.
type Ahead struct {
	full  chan []byte
	empty chan []byte
	quit  chan struct{}
	rest  []byte
	whole []byte
	pos   int64
	err   error // set before full is closed
	sum   hash.Hash
}

const (
	aheadBuffers = 4
	aheadSize    = 256 << 10
)

var aheadPool = sync.Pool{New: func() any { return make([]byte, aheadSize) }}

// NewAhead starts reading; Stop must be called before from is closed.
func NewAhead(from io.Reader) *Ahead {
	a := &Ahead{full: make(chan []byte, aheadBuffers), empty: make(chan []byte, aheadBuffers), quit: make(chan struct{}), sum: sha256.New()}
	for range aheadBuffers {
		a.empty <- aheadPool.Get().([]byte)
	}
	go a.run(from)
	return a
}

func (a *Ahead) run(from io.Reader) {
	defer close(a.full)
	defer func() {
		if p := recover(); p != nil {
			a.err = fmt.Errorf("a decoder failed: %v", p)
		}
	}()
	for {
		var buf []byte
		select {
		case buf = <-a.empty:
		case <-a.quit:
			a.err = io.ErrClosedPipe
			return
		}
		n, err := 0, error(nil)
		for n < aheadSize && err == nil { // not io.ReadFull, which hides a decoder's io.ErrUnexpectedEOF
			var m int
			m, err = from.Read(buf[n:aheadSize])
			n += m
		}
		_, _ = a.sum.Write(buf[:n]) // a hash never fails
		select {
		case a.full <- buf[:n]:
		case <-a.quit:
			a.err = io.ErrClosedPipe
			return
		}
		if err != nil {
			a.err = err
			return
		}
	}
}

// Read returns what was read ahead.
func (a *Ahead) Read(p []byte) (int, error) {
	if err := a.next(); err != nil {
		return 0, err
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	a.pos += int64(n)
	return n, nil
}

// next waits until there is something to return.
func (a *Ahead) next() error {
	for len(a.rest) == 0 {
		if a.whole != nil {
			a.empty <- a.whole[:aheadSize]
			a.whole = nil
		}
		buf, ok := <-a.full
		if !ok {
			return a.err
		}
		a.whole, a.rest = buf, buf
	}
	return nil
}

// peek returns the first bytes without consuming them. It must be called before Read.
func (a *Ahead) peek() ([]byte, error) {
	if err := a.next(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return a.rest, nil
}

// Stop ends the goroutine and waits for it, because the caller will close the
// source next.
func (a *Ahead) Stop() {
	close(a.quit)
	for buf := range a.full {
		a.empty <- buf[:aheadSize]
	}
	if a.whole != nil {
		a.empty <- a.whole[:aheadSize]
	}
	close(a.empty)
	for buf := range a.empty {
		aheadPool.Put(buf) //nolint:staticcheck // a slice's header is small beside 256 KiB
	}
}

// Digest returns the digest and the number of bytes of everything that was read.
// It is complete once Read has returned io.EOF.
func (a *Ahead) Digest() (v1.Hash, int64) {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(a.sum.Sum(nil))}, a.pos
}

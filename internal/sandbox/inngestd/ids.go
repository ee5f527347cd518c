package inngestd

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"time"
)

const nilUUID = "00000000-0000-0000-0000-000000000000"

// uuidOf returns the name-based UUID from which the server derives ids:
// version 5 in the OID name space (pkg/util/uuid.go).
func uuidOf(name string) string {
	oid := []byte{0x6b, 0xa7, 0xb8, 0x12, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	sum := sha1.Sum(append(oid, name...))
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func randomUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails: crypto/rand
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// ulids creates ULIDs that increase even within a millisecond, so that runs
// sorted by id are sorted by time.
type ulids struct {
	last    uint64
	entropy [10]byte
}

func (g *ulids) next(at time.Time) string {
	ms := uint64(at.UnixMilli())
	if ms <= g.last {
		ms = g.last
		for i := len(g.entropy) - 1; i >= 0; i-- {
			if g.entropy[i]++; g.entropy[i] != 0 {
				break
			}
		}
	} else {
		g.last = ms
		_, _ = rand.Read(g.entropy[:])
		g.entropy[0] &= 0x7f // leaves room for increments
	}
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], ms<<16)
	copy(raw[6:], g.entropy[:])
	return encodeULID(raw)
}

func encodeULID(raw [16]byte) string {
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	var out [26]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

// isULID reports whether the server would accept s as a ULID.
func isULID(s string) bool {
	if len(s) != 26 || s[0] > '7' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// signingKeyPrefix is the part of a key that people read; neither the hash nor
// the signature covers it (pkg/authn/signing_key_strategy.go).
var signingKeyPrefix = lazyregexp.New(`^signkey-\w+-`)

// secret is text that prints as a placeholder whatever the verb, so that it
// cannot slip into a log.
type secret struct{ text string }

const redacted = "[secret]"

// IsZero reports whether there is no secret.
func (s secret) IsZero() bool { return s.text == "" }

func (s secret) String() string { return redacted }

// GoString keeps the secret out of %#v.
func (s secret) GoString() string { return redacted }

// Format keeps the secret out of every other verb.
func (s secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) }

// MarshalText keeps the secret out of JSON.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SigningKey is what the server and its workers share. Without one, requests
// go out unsigned.
type SigningKey struct{ secret }

// NewSigningKey takes a key as it stands in INNGEST_SIGNING_KEY.
func NewSigningKey(s string) SigningKey { return SigningKey{secret{strings.TrimSpace(s)}} }

// EventKey lets its holder send events.
type EventKey struct{ secret }

// NewEventKey takes a key as it stands in INNGEST_EVENT_KEY.
func NewEventKey(s string) EventKey { return EventKey{secret{strings.TrimSpace(s)}} }

// Segment is the key's place in an event's path. A server without event keys
// accepts any text there, but not none.
func (k EventKey) Segment() string {
	if k.text == "" {
		return "none"
	}
	return url.PathEscape(k.text)
}

// Check reports why the server would not take the key: after the prefix it
// must be hexadecimal with an even number of digits. The error does not
// contain the key.
func (k SigningKey) Check() error {
	bare := k.bare()
	switch {
	case bare == "":
		return errors.New("the signing key is empty")
	case len(bare)%2 != 0:
		return errors.New("the signing key has an odd number of hexadecimal digits")
	}
	if _, err := hex.DecodeString(bare); err != nil {
		return errors.New("the signing key is not hexadecimal")
	}
	return nil
}

func (k SigningKey) bare() string { return signingKeyPrefix.ReplaceAllString(k.text, "") }

// Bearer is what the server's REST routes want after "Bearer ": the hash of
// the decoded key.
func (k SigningKey) Bearer() string {
	raw, err := hex.DecodeString(k.bare())
	if err != nil {
		// The server compares the plain form as well, and refuses it in its
		// own words if that is wrong too.
		return k.bare()
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Sign is the value of X-Inngest-Signature for a body: t is Unix seconds, s
// the HMAC-SHA256 over the body and t, keyed with the bare key's characters.
// Receivers accept it for five minutes either way.
func (k SigningKey) Sign(body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(k.bare()))
	mac.Write(body)
	mac.Write([]byte(t))
	return "t=" + t + "&s=" + hex.EncodeToString(mac.Sum(nil))
}

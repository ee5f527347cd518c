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

// signingKeyPrefix is the readable part of a key, which neither the hash nor
// the signature covers (pkg/authn/signing_key_strategy.go).
var signingKeyPrefix = lazyregexp.New(`^signkey-\w+-`)

// secret is text that prints as a placeholder with every verb, so that it
// cannot get into a log.
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

// SigningKey is the key that the server and its workers share. Without one,
// requests are not signed.
type SigningKey struct{ secret }

// NewSigningKey accepts a key as it is written in INNGEST_SIGNING_KEY.
func NewSigningKey(s string) SigningKey { return SigningKey{secret{strings.TrimSpace(s)}} }

// EventKey allows its holder to send events.
type EventKey struct{ secret }

// NewEventKey accepts a key as it is written in INNGEST_EVENT_KEY.
func NewEventKey(s string) EventKey { return EventKey{secret{strings.TrimSpace(s)}} }

// Segment returns the key as a part of an event's path. A server without event
// keys accepts any text there, but not an empty one.
func (k EventKey) Segment() string {
	if k.text == "" {
		return "none"
	}
	return url.PathEscape(k.text)
}

// Check reports why the server would refuse the key: the part after the prefix
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

// Bearer returns what the server's REST routes expect after "Bearer ": the
// hash of the decoded key.
func (k SigningKey) Bearer() string {
	raw, err := hex.DecodeString(k.bare())
	if err != nil {
		// The server also accepts the plain form, and refuses it in its own
		// words if that is wrong as well.
		return k.bare()
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Sign returns the value of X-Inngest-Signature for a body: t is Unix seconds,
// s is the HMAC-SHA256 of the body and t, keyed with the characters of the key
// without its prefix. Receivers accept it for five minutes in both directions.
func (k SigningKey) Sign(body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(k.bare()))
	mac.Write(body)
	mac.Write([]byte(t))
	return "t=" + t + "&s=" + hex.EncodeToString(mac.Sum(nil))
}

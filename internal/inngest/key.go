package inngest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// signingKeyPrefix is the part of a key that people read; neither the hash nor
// the signature covers it (pkg/authn/signing_key_strategy.go).
var signingKeyPrefix = regexp.MustCompile(`^signkey-\w+-`)

// SigningKey is the secret that the server and its workers share. It prints as
// a placeholder whatever the verb, so that it cannot slip into a log.
type SigningKey struct{ secret string }

// NewSigningKey takes a key as it stands in INNGEST_SIGNING_KEY.
func NewSigningKey(s string) SigningKey { return SigningKey{strings.TrimSpace(s)} }

// IsZero reports whether there is no key; requests then go out unsigned.
func (k SigningKey) IsZero() bool { return k.secret == "" }

const redacted = "[signing key]"

func (k SigningKey) String() string { return redacted }

// GoString keeps the key out of %#v.
func (k SigningKey) GoString() string { return redacted }

// Format keeps the key out of every other verb.
func (k SigningKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText keeps the key out of JSON.
func (k SigningKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

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

func (k SigningKey) bare() string { return signingKeyPrefix.ReplaceAllString(k.secret, "") }

// bearer is what the server's REST routes want after "Bearer ": the hash of
// the decoded key.
func (k SigningKey) bearer() string {
	raw, err := hex.DecodeString(k.bare())
	if err != nil {
		// The server compares the plain form as well, and refuses it in its
		// own words if that is wrong too.
		return k.bare()
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// sign is the value of X-Inngest-Signature for a body: t is Unix seconds, s
// the HMAC-SHA256 over the body and t, keyed with the bare key's characters.
// Receivers accept it for five minutes either way.
func (k SigningKey) sign(body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(k.bare()))
	mac.Write(body)
	mac.Write([]byte(t))
	return "t=" + t + "&s=" + hex.EncodeToString(mac.Sum(nil))
}

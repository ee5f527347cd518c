package inngestd

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	headerServerKind   = "X-Inngest-Server-Kind"
	headerExpectedKind = "X-Inngest-Expected-Server-Kind"
	headerSignature    = "X-Inngest-Signature"
	headerSDK          = "X-Inngest-Sdk"
	headerNoRetry      = "X-Inngest-No-Retry"
	headerReqVersion   = "X-Inngest-Req-Version"
)

var keyPrefix = regexp.MustCompile(`^signkey-\w+-`)

func bareKey(key string) string { return keyPrefix.ReplaceAllString(key, "") }

func hashedKey(key string) string {
	raw, err := hex.DecodeString(bareKey(key))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// auth passes on requests that carry the signing key, in plain text or hashed.
func (s *Server) auth(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.opts.SigningKey != "" && !s.authentic(r) {
			http.Error(w, "Authentication failed", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (s *Server) authentic(r *http.Request) bool {
	bearer := r.Header.Get("Authorization")
	if len(bearer) <= 7 || !strings.EqualFold(bearer[:6], "bearer") {
		return false
	}
	given := bareKey(bearer[7:])
	same := func(want string) bool {
		return want != "" && subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
	}
	return same(bareKey(s.opts.SigningKey)) || same(hashedKey(s.opts.SigningKey))
}

// sign returns the signature of a call to a worker.
func sign(key string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(bareKey(key)))
	mac.Write(body)
	mac.Write([]byte(t))
	return "t=" + t + "&s=" + hex.EncodeToString(mac.Sum(nil))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone away
}
